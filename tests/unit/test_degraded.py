"""Peak mode's state machine on a simulated clock: when it comes, when it goes, and that it never flaps."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import SPECS
from domain.degraded import POLICIES, POLICY, Asked, PeakState, Sample, late_review, step
from graph.runtime.degraded import Pulse

START = datetime(2026, 11, 11, 12, tzinfo=UTC)
TICK = timedelta(seconds=5)
RATE = 10
"""Orders a second."""
DEADLINES_MS = {name: 2_000 + 1_000 * (number % 4) for number, name in enumerate(sorted({name for name, _ in SPECS}))}
Factor = Callable[[str, datetime], float]
"""How many times slower than usual an agent answers."""


def samples(factor: Factor, *, end: datetime, seed: int = 1) -> Iterator[Sample]:
    """What a worker reports of agents that usually take half their deadline, give or take a fifth of it.

    An agent is cut off at its deadline, as the runtime does it; then there is no answer to measure.
    """
    rng, pulse, now = random.Random(seed), Pulse(), START  # noqa: S311  # a simulated day, not a secret
    while now < end:
        now += TICK
        for agent, deadline in DEADLINES_MS.items():
            for _ in range(RATE * int(TICK.total_seconds())):
                took_ms = round(deadline * rng.uniform(0.5, 0.7) * factor(agent, now))
                if took_ms >= deadline:
                    pulse.unanswered(agent, tenant="t")
                else:
                    pulse.answered(agent, tenant="t", took_ms=took_ms, deadline_ms=deadline)
        _, counts = pulse.take()
        agents = {
            name: Asked(**{what: counts.get(f"{name}|{what}", 0) for what in ("asked", "slow", "silent")})
            for name in DEADLINES_MS
        }
        yield Sample(at=now, agents=agents)


def switches(states: list[PeakState]) -> list[datetime]:
    """When the mode changed."""
    return [b.switched_at for a, b in pairwise(states) if a.on is not b.on and b.switched_at]


def lived(story: Iterator[Sample]) -> list[PeakState]:
    """Every state the machine went through."""
    states = [PeakState()]
    for sample in story:
        states.append(step(states[-1], sample))
    return states


@pytest.mark.parametrize("agent", sorted(DEADLINES_MS))
def test_an_agent_twice_as_slow_switches_it_on_and_its_recovery_off(agent: str) -> None:
    """Domain G1: 2x latency on each agent in turn: on within 90 s, off within 11 min of recovery, two switches in all."""
    slow_from, slow_to = START + timedelta(minutes=2), START + timedelta(minutes=7)

    def factor(name: str, at: datetime) -> float:
        return 2.0 if name == agent and slow_from < at <= slow_to else 1.0

    states = lived(samples(factor, end=START + timedelta(minutes=30)))
    on, off = switches(states)
    assert slow_from < on <= slow_from + timedelta(seconds=90)
    assert timedelta(minutes=10) <= off - slow_to <= timedelta(minutes=11)
    assert agent in next(s.reason for s in states if s.on)
    assert not states[-1].on


def test_a_slow_tail_alone_is_enough_and_must_last() -> None:
    """F55: every tenth answer late is a p95 over the deadline: on after it lasted 60 s; 45 s of it change nothing."""

    def story(seconds: int) -> list[PeakState]:
        states = [PeakState()]
        for tick in range(1, 60):
            bad = 30 <= tick * 5 < 30 + seconds
            asked = Asked(asked=50, slow=5 if bad else 1)
            states.append(step(states[-1], Sample(at=START + tick * TICK, agents={"fraud_detection": asked})))
        return states

    assert switches(story(20)) == []
    (on,) = switches(story(200))
    assert timedelta(seconds=60) <= on - (START + timedelta(seconds=30)) <= timedelta(seconds=90)


def test_a_dead_agent_is_noticed_within_a_minute() -> None:
    """reliability/T06: the fraud agent is dead for 5 min at 10 orders a second: on within 60 s, off 10 min after."""
    dead_from, dead_to = START + timedelta(minutes=1), START + timedelta(minutes=6)

    def factor(name: str, at: datetime) -> float:
        # It is cut off only at its deadline: the first silence shows 3 s late.
        late = timedelta(seconds=3)
        return 9.0 if name == "fraud_detection" and dead_from + late < at <= dead_to + late else 1.0

    on, off = switches(lived(samples(factor, end=START + timedelta(minutes=20))))
    assert on - dead_from <= timedelta(seconds=60)
    assert timedelta(minutes=10) <= off - dead_to <= timedelta(minutes=11)


def one(**given: int) -> PeakState:
    """The state after one sample on a healthy past."""
    return step(PeakState(), Sample(at=START, **given))


def test_backlog_and_review_desk_are_signs_of_their_own() -> None:
    """F55: work older than 5 min, or a tenth of the open reviews past half their slack; little of either is no peak."""
    assert one(backlog=500, backlog_age_s=301).on
    assert not one(backlog=500, backlog_age_s=300).on
    assert not one(backlog=3, backlog_age_s=900).on, "one stubborn order is not a peak"
    assert one(reviews_open=100, reviews_late=11).on
    assert not one(reviews_open=100, reviews_late=10).on
    assert not one(reviews_open=5, reviews_late=5).on


def test_a_review_is_late_after_half_its_orders_slack() -> None:
    """F55: the ship-by time decides; an order without one is never late."""
    ship_by = START + timedelta(hours=6)
    assert not late_review(created_at=START, ship_by=ship_by, now=START + timedelta(hours=3))
    assert late_review(created_at=START, ship_by=ship_by, now=START + timedelta(hours=3, seconds=1))
    assert not late_review(created_at=START, ship_by=None, now=START + timedelta(days=3))


def test_few_questions_say_nothing() -> None:
    """A quiet night with one late answer is no peak."""
    state = PeakState()
    for tick in range(1, 100):
        asked = Asked(asked=1, slow=1, silent=1)
        state = step(state, Sample(at=START + tick * TICK, agents={"tax": asked}))
    assert not state.on


def test_what_lasted_before_a_blackout_does_not_count() -> None:
    """A leader that was away does not know whether the trouble went on meanwhile."""
    bad = {"tax": Asked(asked=100, slow=100)}
    before = step(PeakState(), Sample(at=START, agents=bad))
    after = step(before, Sample(at=START + timedelta(seconds=61), agents=bad))
    assert not after.on
    assert after.bad_since["slow:tax"] == START + timedelta(seconds=61)


SAMPLES = st.lists(
    st.tuples(
        st.integers(min_value=-10, max_value=120),
        st.integers(min_value=0, max_value=200),
        st.floats(min_value=0, max_value=1),
        st.integers(min_value=0, max_value=900),
    ),
    max_size=150,
)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.integers(min_value=1, max_value=30))
def test_no_story_makes_it_flap(story: list[tuple[int, int, float, int]], runs: int) -> None:
    """Domain G1: whatever the samples, at least 10 min lie between two switches, and time never runs back."""
    state, now, changes = PeakState(), START, []
    for seconds, asked, share, age in story:
        for _ in range(runs):
            now += timedelta(seconds=seconds)
            bad = int(asked * share)
            sample = Sample(
                at=now, agents={"a": Asked(asked=asked, slow=bad, silent=bad // 2)}, backlog=asked, backlog_age_s=age
            )
            after = step(PeakState.from_json(state.to_json()), sample)
            if after.on is not state.on:
                changes.append(sample.at)
            assert state.sampled_at is None or (after.sampled_at or START) >= state.sampled_at
            state = after
    assert all(b - a >= POLICY.apart for a, b in pairwise(changes))


def test_the_policy_is_versioned_data() -> None:
    """F55: versions differ and their days ascend; the budget is reviewers x rate x slack."""
    assert len({p.version for p in POLICIES}) == len(POLICIES)
    assert [p.valid_from for p in POLICIES] == sorted(p.valid_from for p in POLICIES)
    assert POLICY.reviews_per_h == 60
