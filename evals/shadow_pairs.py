"""Two versions asked the same questions: every case played to both, and what differs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.decision import Outcome, Verdict
from domain.ports import Agent
from domain.tape import Tape
from evals.labelled import Labelled, Segment
from evals.segments import segment_of
from graph.order.replaying import Played, TapeDeck, said_digest

ACTIONS = ("approve", "review", "hold", "reject")
LIMIT, SILENT = "limit", "no answer"
SURE = 0.7
"""Below this a person decides, whatever the agent would do."""
_ACTION = {
    Outcome.PROCEED: "approve",
    Outcome.LIMIT: LIMIT,
    Outcome.REVIEW: "review",
    Outcome.HOLD: "hold",
    Outcome.REJECT: "reject",
}

Tell = Callable[[int, int], None]
"""Is told how many cases are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question for both versions."""

    case_id: str
    order_id: str
    segment: Segment
    tape: Tape
    label: str = ""
    right: tuple[str, ...] = ()
    """Empty when nobody knows."""
    severe: bool = False
    hard: bool = False
    recorded: str = ""
    """Digest of what production said."""
    recorded_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One case and both answers."""

    case: Case
    old: Played
    new: Played

    @property
    def actions(self) -> tuple[str, str]:
        """What each would have done."""
        return action(self.old.verdict), action(self.new.verdict)

    @property
    def flipped(self) -> bool:
        """Whether they would have done different things."""
        before, after = self.actions
        return before != after or _word(self.old) != _word(self.new)

    @property
    def crossed(self) -> bool:
        """Whether one would have acted alone where the other would have asked a person."""
        return not self.flipped and acts(self.old.verdict) != acts(self.new.verdict)

    @property
    def reworded(self) -> bool:
        """Whether the same action came with other facts, reasons or confidence."""
        if self.flipped or self.old.verdict is None or self.new.verdict is None:
            return False
        return _content(self.old.verdict) != _content(self.new.verdict)

    @property
    def newly_approved(self) -> bool:
        """Whether the new version lets through, or lets through alone, what the old one did not."""
        was, now = self.old.verdict, self.new.verdict
        if now is None or now.outcome is not Outcome.PROCEED:
            return False
        let_through = was is not None and was.outcome is Outcome.PROCEED
        return not let_through or (acts(now) and not acts(was))

    @property
    def verdicts_right(self) -> tuple[bool, bool] | None:
        """Whether each was right; None when nobody knows."""
        if not self.case.right:
            return None
        return right(self.old.verdict, self.case.right), right(self.new.verdict, self.case.right)


def action(verdict: Verdict | None) -> str:
    """What a verdict would have done."""
    return SILENT if verdict is None else _ACTION[verdict.outcome]


def acts(verdict: Verdict | None) -> bool:
    """Whether it would have let the order through without a person."""
    return (
        verdict is not None
        and verdict.outcome is Outcome.PROCEED
        and verdict.confidence is not None
        and verdict.confidence >= SURE
    )


def right(verdict: Verdict | None, expected: Sequence[str]) -> bool:
    """Whether a verdict is what an expert would have done. No answer is never right."""
    return verdict is not None and bool({verdict.decision, verdict.outcome.value, action(verdict)} & set(expected))


async def compare(
    cases: Sequence[Case], deck: TapeDeck, old: Agent, new: Agent, tell: Callable[[], None]
) -> list[Pair]:
    """Play every case to both versions, one after the other so that their times are comparable."""
    pairs = []
    for case in cases:
        pairs.append(Pair(case=case, old=await _played(deck, old, case.tape), new=await _played(deck, new, case.tape)))
        tell()
    return pairs


async def _played(deck: TapeDeck, agent: Agent, tape: Tape) -> Played:
    # A fallback is no answer of the agent: what it would have said is asked.
    return await deck.play(agent, tape.model_copy(update={"fallback": "", "why": ""}) if tape.fallback else tape)


def hard_cases(found: Sequence[Labelled]) -> list[Case]:
    """Cases of a hard set."""
    return [
        Case(
            case_id=one.case_id,
            order_id=one.tape.entity_id,
            segment=one.segment,
            tape=one.tape,
            label=one.label,
            right=one.right,
            severe=one.severe,
            hard=True,
        )
        for one in found
    ]


def sampled_case(deck: TapeDeck, tape: Tape) -> Case:
    """A case from a tape of production.

    Raises:
        NotFound: the order's document is not kept any more.
    """
    return Case(case_id=tape.decision_id, order_id=tape.entity_id, segment=segment_of(deck.order(tape)), tape=tape)


def _word(played: Played) -> str:
    return "" if played.verdict is None else played.verdict.decision


def _content(verdict: Verdict) -> str:
    return said_digest(verdict)
