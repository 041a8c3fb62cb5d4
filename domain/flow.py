"""Where orders are on their way, read from their events: the stage each is at, who is stuck, and the funnel.

A funnel adds up at every stage: of all orders that came in, so many reached it, are still before it, or ended before it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from domain.values import Document

STUCK_FACTOR = 2
"""An order at one stage for more than so many times its expected duration is stuck."""
ACCEPTED, RELEASE, PERSON, STOCK, RELEASED = "accepted", "release", "person", "stock", "released"
_ENDS = frozenset({"fulfilled", "cancelled", "closed_externally"})


class Expected(Document):
    """How long an order is expected to be at each stage."""

    version: str
    seconds: dict[str, int]
    """By stage; stages nobody expects anything of take the greatest of them."""

    def of(self, stage: str) -> timedelta:
        """The expected duration of a stage."""
        return timedelta(seconds=self.seconds.get(stage, max(self.seconds.values())))


class Outcome(StrEnum):
    """What became of an order that came in, seen from one stage."""

    REACHED = "reached"
    WAITING = "waiting"
    """Not there yet, and on its way."""
    ENDED = "ended"
    """Cancelled, closed by the channel or given up before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One event of an order, as far as its way is concerned."""

    tenant: str
    order_id: str
    event_type: str
    at: datetime


@dataclass(kw_only=True, slots=True)
class Way:
    """One order's way so far."""

    stage: str = ACCEPTED
    since: datetime
    accepted_at: datetime | None = None
    furthest: int = 0
    """Stages of agents it has behind it; one more than there are once it is released."""
    decided: set[str] = field(default_factory=set)
    ended: bool = False


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """An order that has been at one stage for too long."""

    tenant: str
    order_id: str
    stage: str
    since: datetime
    waited: timedelta
    expected: timedelta

    @property
    def times(self) -> float:
        """How many times the expected duration it has waited."""
        return self.waited / self.expected


class Flow:
    """Follows orders by their events, which come in each order's own sequence."""

    def __init__(self, stages: Sequence[tuple[str, frozenset[str]]]) -> None:
        """``stages`` of agents in order: a name, and the event types of the decisions that complete it."""
        self._stages = tuple(stages)
        self._ways: dict[tuple[str, str], Way] = {}

    def take(self, step: Step) -> None:
        """Take one event into account."""
        key = (step.tenant, step.order_id)
        way = self._ways.get(key)
        _, _, happening = step.event_type.partition(".")
        if way is None:
            way = self._ways[key] = Way(since=step.at)
        if happening == "accepted":
            way.accepted_at = way.accepted_at or step.at
        elif happening.startswith("progress."):
            self._progressed(way, happening.removeprefix("progress."), step.at)
        elif happening == "dead_lettered":
            way.ended = True
        elif way.ended:
            return
        elif happening == "review.requested":
            way.stage, way.since = PERSON, step.at
        elif happening in {"review.decided", "review.voided"}:
            way.stage, way.since = self._stage_of(way), step.at
        else:
            self._decided(way, step)

    def _progressed(self, way: Way, progress: str, at: datetime) -> None:
        way.ended = progress in _ENDS
        if progress == "running":
            way.decided.clear()
            way.stage, way.since = self._stage_of(way), at
        elif progress == "backordered":
            way.stage, way.since = STOCK, at
        elif progress == "in_review" and way.stage != PERSON:
            way.stage, way.since = PERSON, at
        elif progress == "fulfilled":
            way.furthest = len(self._stages) + 1

    def _decided(self, way: Way, step: Step) -> None:
        if not any(step.event_type in kinds for _, kinds in self._stages):
            return
        way.decided.add(step.event_type)
        complete = self._complete(way)
        way.furthest = max(way.furthest, complete)
        stage = self._stage_of(way)
        if stage != way.stage and way.stage not in {PERSON, STOCK}:
            way.stage, way.since = stage, step.at

    def _complete(self, way: Way) -> int:
        """How many stages, from the first, every agent of which has decided."""
        done = 0
        for _, kinds in self._stages:
            if not kinds <= way.decided:
                return done
            done += 1
        return done

    def _stage_of(self, way: Way) -> str:
        names = [name for name, _ in self._stages]
        return [*names, RELEASE][self._complete(way)]

    def open(self) -> Iterator[tuple[tuple[str, str], Way]]:
        """Orders on their way."""
        return ((key, way) for key, way in self._ways.items() if not way.ended)

    def forget(self, *, accepted_before: datetime) -> None:
        """Drop orders that have ended and came in before an instant, or nobody knows when."""
        old = [
            key for key, way in self._ways.items()
            if way.ended and (way.accepted_at is None or way.accepted_at < accepted_before)
        ]  # fmt: skip
        for key in old:
            del self._ways[key]

    def late(self, now: datetime, expected: Expected) -> list[Stuck]:
        """Everybody past ``STUCK_FACTOR`` times the expected duration, those who wait for a person included, worst first."""
        found = []
        for (tenant, order_id), way in self.open():
            due, waited = expected.of(way.stage), now - way.since
            if waited > STUCK_FACTOR * due:
                found.append(
                    Stuck(tenant=tenant, order_id=order_id, stage=way.stage, since=way.since, waited=waited, expected=due)
                )  # fmt: skip
        return sorted(found, key=lambda one: one.times, reverse=True)

    def standing(self) -> Mapping[str, int]:
        """Orders on their way by stage."""
        return Counter(way.stage for _, way in self.open())

    def funnel(self, *, since: datetime, tenant: str | None = None) -> list[tuple[str, dict[Outcome, int]]]:
        """For every stage what became of the orders that came in since; the outcomes of each add up to the intake."""
        ways = [
            way for (owner, _), way in self._ways.items()
            if way.accepted_at is not None and way.accepted_at >= since and tenant in (None, owner)
        ]  # fmt: skip
        names = [ACCEPTED, *(name for name, _ in self._stages), RELEASED]
        return [(name, _outcomes(ways, number)) for number, name in enumerate(names)]


def _outcomes(ways: Iterable[Way], number: int) -> dict[Outcome, int]:
    counts = dict.fromkeys(Outcome, 0)
    for way in ways:
        reached = way.furthest >= number
        counts[Outcome.REACHED if reached else Outcome.ENDED if way.ended else Outcome.WAITING] += 1
    return counts
