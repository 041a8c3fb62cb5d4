"""Every agent on its labelled cases, beside the numbers of the last release: ``make evals``, offline, in seconds.

Exit code 1 when a case that was right is wrong now; each is listed with what the agent said and why. ``--update`` writes
the numbers as the new baseline.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from agents.published import replayed
from domain.decision import Verdict
from domain.errors import ConfigError
from domain.values import Document
from evals.agent_cases import RIGHT
from evals.labelled import CASES, CaseSet, Labelled, read_cases
from evals.shadow_pairs import right
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.order.replaying import MakeAgent, Played, TapeDeck
from graph.topology.loader import load

BASELINES = Path(__file__).with_name("baselines")
SETS = (*RIGHT, "fraud_detection_hard")
"""Case files by name."""


class Baseline(Document):
    """One set's numbers."""

    cases: str
    """Name of the set."""
    digest: str
    agent: str
    version: str
    n: int
    right: int
    by_label: dict[str, list[int]]
    """Right and all, by label."""
    wrong: tuple[str, ...]
    """Cases that are wrong."""


class Miss(Document):
    """One case the agent got wrong, readable."""

    case_id: str
    label: str
    segment: str
    wanted: tuple[str, ...]
    said: str
    why: tuple[str, ...]
    severe: bool


class Score(Document):
    """One set's numbers beside the last release's."""

    now: Baseline
    before: Baseline | None
    misses: tuple[Miss, ...]
    newly_wrong: tuple[str, ...]
    newly_right: tuple[str, ...]
    problem: str = ""
    """Why nothing can be compared."""

    @property
    def passed(self) -> bool:
        """Whether nothing that was right is wrong now."""
        return not self.problem and not self.newly_wrong

    def lines(self) -> list[str]:
        """As printed."""
        now, before = self.now, self.before
        was = f", {before.right} in the last release" if before else ""
        head = f"{now.cases} ({now.agent} {now.version}): {now.right} of {now.n} right{was}"
        if self.newly_right:
            head += f"; {len(self.newly_right)} newly right"
        found = [head]
        if self.problem:
            found.append(f"  FAILED: {self.problem}")
        for miss in self.misses:
            if miss.case_id in self.newly_wrong:
                wanted = " or ".join(miss.wanted)
                found.append(
                    f"  NEWLY WRONG {miss.case_id} ({miss.label}, {miss.segment}): {miss.said}, wanted {wanted}"
                )
                found += [f"    {reason}" for reason in miss.why]
        return found


async def score(found: CaseSet, version: str, before: Baseline | None, *, make: MakeAgent = replayed) -> Score:
    """Ask an agent every case of a set."""
    deck = TapeDeck(found.values, found.decisions, make=make)
    agent = deck.agent(found.agent, version)
    misses, counted, good = [], Counter[str](), Counter[str]()
    for case in found.cases:
        played = await deck.play(agent, case.tape)
        counted[case.label] += 1
        if right(played.verdict, case.right) and _states(played.verdict, case):
            good[case.label] += 1
        else:
            misses.append(_miss(case, played))
    now = Baseline(
        cases=found.name,
        digest=found.digest,
        agent=found.agent,
        version=version,
        n=len(found.cases),
        right=good.total(),
        by_label={label: [good[label], counted[label]] for label in sorted(counted)},
        wrong=tuple(miss.case_id for miss in misses),
    )
    return _compared(now, before, misses)


def _compared(now: Baseline, before: Baseline | None, misses: Sequence[Miss]) -> Score:
    problem = ""
    if before is None:
        problem = "there is no baseline; write one with --update"
    elif before.digest != now.digest:
        problem = "the cases are not those of the baseline; look at what changed, then write it anew with --update"
    was = set(before.wrong) if before and not problem else set(now.wrong)
    return Score(
        now=now,
        before=before,
        misses=tuple(misses),
        newly_wrong=tuple(sorted(set(now.wrong) - was)),
        newly_right=tuple(sorted(was - set(now.wrong))),
        problem=problem,
    )


def _states(verdict: Verdict | None, case: Labelled) -> bool:
    """Whether the verdict's facts say what is known to be true."""
    return verdict is not None and all(verdict.facts.get(name) == value for name, value in case.facts.items())


def _miss(case: Labelled, played: Played) -> Miss:
    verdict = played.verdict
    if verdict is None:
        lacks = f"; not on the tape: {', '.join(played.missing)}" if played.missing else ""
        said, why = "no answer", [f"{played.failure}{lacks}"]
    else:
        said = f"{verdict.decision} ({verdict.outcome.value})"
        why = [f"{reason.code}: {reason.text}" for reason in verdict.reasons[:5]]
    return Miss(
        case_id=case.case_id, label=case.label, segment=case.segment.name, wanted=case.right, said=said, why=tuple(why),
        severe=case.severe,
    )  # fmt: skip


def baseline(name: str) -> Baseline | None:
    """The last release's numbers of a set; None when there are none.

    Raises:
        ConfigError: the file is no baseline.
    """
    file = BASELINES / f"{name}.json"
    try:
        return Baseline.from_json(file.read_bytes()) if file.exists() else None
    except ValueError as bad:
        raise ConfigError(f"{file} is not a baseline: {bad}") from None


def version_in_force(agent: str) -> str:
    """The version the shipped workflow asks."""
    return load(ORDER_TOPOLOGY).workflow("order_workflow").agent(agent).version


async def score_all(names: Sequence[str]) -> list[Score]:
    """The named sets, one after another."""
    found = []
    for name in names:
        cases = read_cases(CASES / f"{name}.jsonl.gz")
        found.append(await score(cases, version_in_force(cases.agent), baseline(name)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, print, and say by the exit code whether anything got worse."""
    parser = argparse.ArgumentParser(prog="python -m evals.score", description=__doc__)
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], default=[], help="case sets; all when none is named")
    parser.add_argument("--update", action="store_true", help="write the numbers as the new baseline")
    given = parser.parse_args(arguments)
    names = given.sets or list(SETS)
    scores = asyncio.run(score_all(names))
    for name, one in zip(names, scores, strict=True):
        print("\n".join(one.lines()))
        if given.update:
            BASELINES.mkdir(exist_ok=True)
            (BASELINES / f"{name}.json").write_text(one.now.model_dump_json(indent=1) + "\n", encoding="utf-8")
    passed = all(one.passed for one in scores)
    cases = sum(one.now.n for one in scores)
    print(f"{cases} cases: {'nothing got worse' if passed else 'SOMETHING GOT WORSE'}")
    return 0 if passed or given.update else 1


if __name__ == "__main__":
    sys.exit(main())
