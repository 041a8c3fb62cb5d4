"""Figures of orders on their way: who is stuck and from when, the funnel that adds up, percentiles of agents."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from domain.errors import ConfigError, MalformedPayload
from domain.flow import PERSON, Expected, Flow, Outcome, Step
from domain.latency import latencies, read_times
from graph.runtime.order_flow import deciding, read_expected, shipped_expected
from tests.support.command_line import CommandLine

T0 = datetime(2026, 11, 11, tzinfo=UTC)
TIER_1, TIER_2 = ("fraud_detection", "compliance"), ("order_routing", "tax")
EXPECTED = Expected(
    version="t", seconds={"accepted": 10, "tier_1": 7, "tier_2": 20, "release": 60, "person": 3600, "stock": 900}
)


def a_flow() -> Flow:
    return Flow([(name, frozenset(map(deciding, agents))) for name, agents in (("tier_1", TIER_1), ("tier_2", TIER_2))])


def tell(flow: Flow, order: str, *kinds: str, at_s: float = 0, tenant: str = "acme") -> None:
    for kind in kinds:
        step = Step(tenant=tenant, order_id=order, event_type=f"order.{kind}", at=T0 + timedelta(seconds=at_s))
        flow.take(step)


def happenings(agents: tuple[str, ...]) -> list[str]:
    return [deciding(agent).removeprefix("order.") for agent in agents]


WAYS = {
    "accepted": ["accepted"],
    "tier_1": ["accepted", "progress.running", happenings(TIER_1)[0]],
    "tier_2": ["accepted", "progress.running", *happenings(TIER_1)],
    "release": ["accepted", "progress.running", *happenings(TIER_1), *happenings(TIER_2)],
    "stock": ["accepted", "progress.running", *happenings(TIER_1), "progress.backordered", "loyalty.completed"],
    "person": ["accepted", "progress.running", *happenings(TIER_1), "review.requested", "progress.in_review"],
}


@pytest.mark.parametrize("stage", sorted(WAYS))
def test_stuck_begins_just_past_twice_the_expected_time(stage: str) -> None:
    """F44: at 1.99 times its expected duration an order is not stuck, at 2.01 times it is, at whatever stage it stands."""
    flow, due = a_flow(), EXPECTED.of(stage)
    tell(flow, "o-1", *WAYS[stage])
    assert dict(flow.standing()) == {stage: 1}
    assert flow.late(T0 + 1.99 * due, EXPECTED) == []
    assert flow.late(T0 + 2 * due, EXPECTED) == []
    (found,) = flow.late(T0 + 2.01 * due, EXPECTED)
    assert (found.order_id, found.stage, round(found.times, 2)) == ("o-1", stage, 2.01)


def test_the_clock_of_a_stage_starts_with_the_stage() -> None:
    """F44: what an order waited for a person, or at an earlier stage, does not count against the stage it is at."""
    flow = a_flow()
    tell(flow, "o-1", *WAYS["person"])
    tell(flow, "o-1", "review.decided", at_s=100_000)
    assert dict(flow.standing()) == {"tier_2": 1}
    assert flow.late(T0 + timedelta(seconds=100_039), EXPECTED) == []
    assert [one.stage for one in flow.late(T0 + timedelta(seconds=100_041), EXPECTED)] == ["tier_2"]
    tell(flow, "o-1", *happenings(TIER_2), at_s=100_042)
    assert dict(flow.standing()) == {"release": 1}
    tell(flow, "o-1", "progress.fulfilled", at_s=100_043)
    assert dict(flow.standing()) == {}
    tell(flow, "o-1", "loyalty.completed", "review.requested", at_s=100_044)
    assert dict(flow.standing()) == {}


def test_dead_letters_and_ended_orders_are_not_stuck() -> None:
    """F44: what is over is not stuck; an order that begins again is on its way again."""
    flow = a_flow()
    for order, last in (("a", "progress.cancelled"), ("b", "dead_lettered"), ("c", "progress.closed_externally")):
        tell(flow, order, "accepted", "progress.running", last)
    assert flow.late(T0 + timedelta(days=30), EXPECTED) == []
    tell(flow, "b", "progress.running", at_s=50)
    assert [one.order_id for one in flow.late(T0 + timedelta(days=30), EXPECTED)] == ["b"]


def test_the_funnel_adds_up_to_intake_at_every_stage() -> None:
    """F43: over random ways, interleaved and cut off anywhere, each stage's outcomes add up, and reaching only shrinks."""
    rng = Random(43)  # noqa: S311  # a repeatable world
    ends = ["progress.fulfilled", "progress.cancelled", "dead_lettered", "progress.closed_externally", ""]
    for _ in range(30):
        flow, orders = a_flow(), rng.randint(1, 60)
        released = 0
        for number in range(orders):
            way = list(rng.choice(list(WAYS.values())))
            end = rng.choice(ends)
            released += end == "progress.fulfilled"
            tell(flow, f"o-{number}", *way, *([end] if end else []))
            tell(flow, f"o-{number}", *rng.sample(way, rng.randint(0, len(way))))
        tell(flow, "before", "progress.running", "progress.fulfilled")
        tell(flow, "other", "accepted", tenant="bolt")
        found = flow.funnel(since=T0, tenant="acme")
        assert [stage for stage, _ in found] == ["accepted", "tier_1", "tier_2", "released"]
        assert {sum(counts.values()) for _, counts in found} == {orders}
        reached = [counts[Outcome.REACHED] for _, counts in found]
        assert reached[0] == orders
        assert reached == sorted(reached, reverse=True)
        assert reached[-1] == released


def test_what_has_ended_is_forgotten_and_what_is_open_is_not() -> None:
    """F44: the follower keeps what is on its way however old it is, and lets go of the rest."""
    flow = a_flow()
    tell(flow, "open", *WAYS["person"])
    tell(flow, "done", "accepted", "progress.fulfilled")
    flow.forget(accepted_before=T0 + timedelta(hours=1))
    assert flow.funnel(since=T0)[0][1][Outcome.REACHED] == 1
    assert dict(flow.standing()) == {PERSON: 1}


def test_percentiles_match_a_hand_made_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """F41: P50, P95 and P99 of each agent, by nearest rank, from CSV and from JSON lines, as counted by hand."""
    file = tmp_path / "times.csv"
    rows = [("fraud_detection", ms) for ms in range(1, 101)] + [("tax", 7), ("tax", 3), ("tax", 1000)]
    Random(1).shuffle(rows)  # noqa: S311  # any order will do
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("agent", "ms"), *rows])
    signalbox = CommandLine(tmp_path / "home", monkeypatch, capsys)
    fraud, tax = signalbox.good("agents", "latency", "--file", str(file))
    assert (fraud["agent"], fraud["count"], fraud["p50_ms"], fraud["p95_ms"], fraud["p99_ms"]) == (
        "fraud_detection",
        100,
        50,
        95,
        99,
    )
    assert (tax["p50_ms"], tax["p95_ms"], tax["p99_ms"], tax["max_ms"]) == (7, 1000, 1000, 1000)
    lines = "\n".join(f'{{"agent_name": "{a}", "metadata": {{"processing_time_ms": {ms}}}}}' for a, ms in rows)
    assert latencies(read_times(lines)) == latencies(read_times(file.read_text()))
    assert latencies([]) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("agent,ms\nfraud,\n", "line 2"), ("agent,ms\nfraud,fast\n", "line 2"), ("agent,ms\nfraud,-1\n", "line 2"),
        ("name;took\n", "line 1"), ("", "line 1"), ('{"agent": "a"}\n', "line 1"), ('{"agent": "a", "ms": 1}\n{', "line 2"),
        ("agent,ms\n,5\n", "line 2"), ("agent,ms\na,nan\n", "line 2"), ("[1]", "entry 1"),
    ],
)  # fmt: skip
def test_a_bad_latency_file_is_refused_with_its_line(text: str, told: str) -> None:
    """F41: a line without an agent or a time is named, not counted as nothing."""
    with pytest.raises(MalformedPayload, match=told):
        read_times(text)


def test_the_expected_times_are_data(tmp_path: Path) -> None:
    """F44: the shipped times name every stage; a file that is none is refused in one sentence."""
    assert {"accepted", "tier_1", "tier_2", "release", "person", "stock"} <= set(shipped_expected().seconds)
    file = tmp_path / "times.yaml"
    for text in (
        "version: x\nseconds: {}",
        "version: x\nseconds: {tier_1: 0}",
        "seconds: {tier_1: 5}",
        "[",
        "version: x\nseconds: {tier_1: soon}",
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"times\.yaml"):
            read_expected(file)
    assert Expected(version="x", seconds={"tier_1": 5, "release": 9}).of("tier_7") == timedelta(seconds=9)
