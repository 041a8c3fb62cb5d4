"""The shadow test on the frozen hard set: identical versions, planted regressions, tapes that do not have what is asked."""

import socket
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agents import AgentPorts, build
from agents.playback_ports import playback_ports
from domain.decision import Outcome, Verdict
from domain.errors import ConfigError
from domain.ports import Agent, AgentCase
from domain.values import digest
from evals.hard_set import EACH, drawn, places
from evals.labelled import CaseSet, read_cases
from evals.shadow_page import page
from evals.shadow_report import Sample, ShadowReport
from evals.shadow_test import Material, Question, Sampled, shadow_test, shipped_hard_set
from graph.bootstrap.order_graphs import ORDER_WORKFLOW
from graph.bootstrap.settings import ORDER_TOPOLOGY
from graph.order.replaying import MakeAgent, TapeDeck
from graph.topology.loader import load

AGENT = "fraud_detection"
AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def hard() -> CaseSet:
    found = shipped_hard_set(AGENT)
    assert found is not None
    return found


class Planted:
    """The published version, except where something was planted."""

    fallbacks = ("manual_review_queue",)

    def __init__(self, inner: Agent, ports: AgentPorts, plant: str) -> None:
        self.name, self.version = inner.name, inner.version
        self._inner, self._ports, self._plant = inner, ports, plant

    async def decide(self, case: AgentCase) -> Verdict:
        verdict = await self._inner.decide(case)
        if self._plant == "reads_more":
            await self._ports.crm.history("somebody else")
        if self._plant == "crashes":
            raise ZeroDivisionError("planted")
        if self._plant == "unsure" and verdict.outcome is Outcome.PROCEED:
            return verdict.model_copy(update={"confidence": 0.2})
        if self._plant == "two_percent" and int(digest(case.order.order_id), 16) % 50 == 0:
            return verdict.model_copy(update={"decision": "approve", "outcome": Outcome.PROCEED})
        return verdict

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        return self._inner.fallback(name, case, why)


def planted(plant: str) -> MakeAgent:
    """Builds ``fd-1.0`` as it is and, under the name of fd-1.1, the same with something planted."""

    def make(name: str, version: str, ports: AgentPorts) -> Agent:
        inner = build(name, "fd-1.0", ports)
        return inner if version == "fd-1.0" else Planted(inner, ports, plant)

    return make


async def report_on(hard: CaseSet | None, make: MakeAgent = build, *, new: str = "fd-1.1") -> ShadowReport:
    question = Question(
        tenant="t", agent=AGENT, old_version="fd-1.0", new_version=new, made_by="mei", at=AT, report_id="st-1",
        workflow=load(ORDER_TOPOLOGY).workflow(ORDER_WORKFLOW),
    )  # fmt: skip
    none = Sampled(
        material=Material(cases=(), deck=TapeDeck({}, {}, make=make)), sample=Sample(source="audit", asked=0, found=0)
    )
    return await shadow_test(question, none, [hard] if hard else [], make, lambda _done, _total: None)


def part(hard: CaseSet, count: int) -> CaseSet:
    """Every n-th case, so that every segment is in it."""
    step = len(hard.cases) // count
    return replace(hard, cases=hard.cases[::step])


def gate(report: ShadowReport, rule: str) -> Any:
    return next(one for one in report.gates if one.rule == rule)


def test_the_shipped_set_is_what_its_seed_makes_and_large_enough(hard: CaseSet) -> None:
    """Domain 11.4: frozen, stratified, at least 300 frauds and 30 in every segment."""
    assert len(hard.cases) >= 300
    counted: dict[str, int] = {}
    for case in hard.cases:
        counted[case.segment.name] = counted.get(case.segment.name, 0) + 1
    assert set(counted) == {place.segment.name for place in places()}
    assert min(counted.values()) >= EACH == 30
    assert [case.case_id for case in hard.cases] == [f"hard-{name}" for name, *_ in drawn()]
    assert all(case.severe and case.label.startswith("fraud:") for case in hard.cases)


async def test_identical_versions_differ_nowhere(hard: CaseSet) -> None:
    """F47, domain/A3: the matrix is empty off its diagonal, nothing is reworded, and the gate lets it pass."""
    report = await report_on(hard, new="fd-1.0")
    assert report.flips == ()
    assert report.reworded == 0
    assert all(count == 0 for row, counts in enumerate(report.matrix) for at, count in enumerate(counts) if at != row)
    assert sum(report.matrix[at][at] for at in range(4)) == len(hard.cases)
    assert report.passed, report.gates


async def test_a_planted_regression_of_two_percent_is_refused_and_listed(hard: CaseSet) -> None:
    """F47, domain/A3: 2 % of the hard set newly approved: refused, each named with its reasons."""
    report = await report_on(hard, planted("two_percent"))
    newly = report.hard.newly_approved if report.hard else ()
    assert 0.005 < len(newly) / len(hard.cases) < 0.04
    assert not report.passed
    assert not gate(report, "hard set").passed
    assert set(newly) <= {flip.case_id for flip in report.flips}
    assert all(flip.new == "approve" and flip.old_reasons and flip.better is False for flip in report.flips)
    assert report.shown()["verdict"] == "refused"


async def test_the_same_action_without_a_person_is_a_new_approval_too(hard: CaseSet) -> None:
    """An approval that was unsure went to a person; one that is sure does not."""

    def make(name: str, version: str, ports: AgentPorts) -> Agent:
        inner = build(name, "fd-1.0", ports)
        return Planted(inner, ports, "unsure") if version == "fd-1.0" else inner

    report = await report_on(part(hard, 288), make)
    assert report.confidence.crossed > 0
    assert not gate(report, "hard set").passed


async def test_a_read_that_is_not_on_the_tape_is_counted_and_named(hard: CaseSet) -> None:
    """F47: a version that reads more is told so; it gets no live answer."""
    report = await report_on(part(hard, 96), planted("reads_more"))
    assert report.new.missing == {"crm.history": report.compared}
    assert report.new.answered == 0
    assert not gate(report, "answers").passed
    assert "crm.history" in gate(report, "answers").said


async def test_a_version_that_crashes_is_refused_with_its_reason(hard: CaseSet) -> None:
    report = await report_on(part(hard, 96), planted("crashes"))
    assert report.new.failures == {"ZeroDivisionError: planted": report.compared}
    assert not report.passed


async def test_nothing_compared_is_no_pass() -> None:
    report = await report_on(None)
    assert not report.passed
    assert not gate(report, "compared").passed
    assert "no case has a label" in report.labels.statement


async def test_no_call_leaves_the_run(hard: CaseSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """F47: the ports have nothing that changes anything, and not one socket is opened."""

    def tripwire(*_: object, **__: object) -> None:
        raise AssertionError("a shadow test reached outside")

    monkeypatch.setattr(socket.socket, "connect", tripwire)
    monkeypatch.setattr(socket.socket, "sendto", tripwire)
    report = await report_on(part(hard, 96))
    assert report.compared >= 96
    ports = playback_ports()
    given = (ports.wms, ports.crm, ports.erp, ports.activity, ports.risk_book, ports.feed, ports.demand)
    assert not [port for port in given if any(hasattr(port, name) for name in ("apply", "lookup", "record", "write"))]
    assert ports.carriers == {}


async def test_the_page_escapes_what_it_shows_and_loads_nothing(hard: CaseSet) -> None:
    report = await report_on(part(hard, 96))
    flip = report.flips[0].model_copy(update={"order_id": "<script>alert(1)</script>", "label": "a&b"})
    shown = page(report.model_copy(update={"flips": (flip,)}))
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "http" not in shown.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in shown


def test_a_file_that_is_no_case_set_is_refused_in_a_sentence(tmp_path: Any) -> None:
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"not gzip")
    with pytest.raises(ConfigError, match=r"cannot be read|not a case set"):
        read_cases(broken)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cases(tmp_path / "missing.gz")
