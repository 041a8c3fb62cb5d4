"""The evals as CI runs them: frozen cases, the last release's numbers, failures one can read."""

import pytest

from agents import AgentPorts
from agents.published import replayed
from domain.decision import Outcome, Verdict
from domain.ports import Agent, AgentCase
from evals.agent_cases import RIGHT
from evals.labelled import CASES, read_cases
from evals.score import SETS, baseline, main, score, version_in_force


def test_no_agent_is_worse_than_in_the_last_release(capsys: pytest.CaptureFixture[str]) -> None:
    """Issue 6.8: labelled cases for every agent, offline, against the baselines in the repository."""
    code = main([])
    said = capsys.readouterr().out
    assert code == 0, said
    assert len(RIGHT) == 7
    assert all(baseline(name) is not None for name in SETS)


class Careless:
    """Approves whatever is asked."""

    fallbacks = ()

    def __init__(self, inner: Agent) -> None:
        self.name, self.version, self._inner = inner.name, inner.version, inner

    async def decide(self, case: AgentCase) -> Verdict:
        verdict = await self._inner.decide(case)
        return verdict.model_copy(update={"decision": "approve", "outcome": Outcome.PROCEED})

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        return self._inner.fallback(name, case, why)


async def test_what_got_worse_is_named_case_by_case_with_reasons() -> None:
    """Issue 6.8: a careless change is refused, and one can read which order, what was wanted and what was said."""

    def make(name: str, version: str, ports: AgentPorts) -> Agent:
        return Careless(replayed(name, version, ports))

    cases = read_cases(CASES / "fraud_detection.jsonl.gz")
    found = await score(cases, version_in_force("fraud_detection"), baseline("fraud_detection"), make=make)
    assert not found.passed
    assert len(found.newly_wrong) > 20
    text = "\n".join(found.lines())
    assert "NEWLY WRONG fraud_detection-" in text
    assert "wanted review or hold or reject" in text
    assert "RISK_SCORE" in text


async def test_other_cases_than_the_baselines_are_not_compared() -> None:
    kept, cases = baseline("tax"), read_cases(CASES / "tax.jsonl.gz")
    assert kept is not None
    found = await score(cases, "tx-1.0", kept.model_copy(update={"digest": "other"}))
    assert "cases are not those of the baseline" in found.problem
    assert not found.passed
