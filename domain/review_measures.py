"""What reviewing costs and yields: time to decide, expiry, load, overrides by agent and day, agreement blind and visible.

Counted from the events of the audit alone, so that any figure can be counted again by hand.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from statistics import median
from typing import Any

from pydantic import AwareDatetime

from domain.event import Event
from domain.review_policy import ReviewingCosts
from domain.values import Document


class QueueMeasures(Document):
    """One queue."""

    queue: str
    asked: int
    decided: int
    """By people."""
    open: int
    voided: int
    escalated: int
    defaulted: int
    expired: int
    """Whose deadline passed without an answer, answered later or not."""
    expiry_share: float
    """Expired of all that were not withdrawn before their deadline."""
    median_seconds_to_decide: float | None
    minutes: float
    """Of reviewers' time: from claim to answer, or the declared time where nobody had claimed."""
    cost_usd_minor: int
    reviewers: dict[str, int]
    """Answers by person."""


class AgentDay(Document):
    """What people changed of one agent's decisions of one day."""

    agent: str
    day: date
    """UTC day the question was asked on."""
    decisions: int
    reviewed: int
    """Decisions that were before a person."""
    approved_against: int
    """The agent would have stopped, a person let it go on."""
    rejects: int
    """The agent would have gone on, a person stopped it."""
    edits: int
    override_rate: float | None
    """Approved against and rejected, of the day's decisions; None when the audit holds none."""
    edit_rate: float | None


class Agreement(Document):
    """How often people followed a recommendation."""

    answers: int
    agreed: int
    share: float | None


class ReviewMeasures(Document):
    """Everything, for the questions asked from ``since`` up to ``until``."""

    since: AwareDatetime
    until: AwareDatetime
    asked: int
    decided: int
    median_seconds_to_decide: float | None
    expiry_share: float
    cost_usd_minor: int
    queues: tuple[QueueMeasures, ...]
    agents: tuple[AgentDay, ...]
    blind: Agreement
    visible: Agreement


class _Story:
    """One review, as its events tell it."""

    def __init__(self, asked: Event) -> None:
        self.asked_at = asked.timestamp
        self.queue = str(asked.result.get("queue") or "orders")
        self.deadline = _instant(asked.result.get("deadline"))
        self.agents: tuple[str, ...] = tuple(asked.result.get("agents") or ())
        self.answer: Event | None = None
        self.voided_at: datetime | None = None
        self.seen: Counter[str] = Counter()

    @property
    def by_person(self) -> bool:
        return self.answer is not None and self.answer.result.get("via") != "timeout"

    def expired(self, until: datetime) -> bool:
        ended = self.answer.timestamp if self.answer is not None and self.by_person else self.voided_at
        return self.deadline is not None and min(ended or until, until) > self.deadline

    @property
    def seconds(self) -> float | None:
        return (self.answer.timestamp - self.asked_at).total_seconds() if self.answer and self.by_person else None

    def minutes(self, costs: ReviewingCosts) -> float:
        if self.answer is None or not self.by_person:
            return 0.0
        claimed = _instant(self.answer.result.get("claimed_at"))
        if claimed is None:
            return float(costs.minutes_unclaimed)
        return max(0.0, (self.answer.timestamp - claimed).total_seconds() / 60)


def measure(
    events: Iterable[Event],
    decisions: Mapping[tuple[str, date], int],
    *,
    since: datetime,
    until: datetime,
    costs: ReviewingCosts,
) -> ReviewMeasures:
    """Measure the questions asked in a period from their events, oldest first.

    ``decisions`` counts each agent's decisions by UTC day. Medians are of the times from question to a person's answer.
    """
    stories = _stories(events, since, until)
    by_queue: dict[str, list[_Story]] = defaultdict(list)
    for story in stories:
        by_queue[story.queue].append(story)
    queues = tuple(_queue(name, by_queue[name], until, costs) for name in sorted(by_queue))
    return ReviewMeasures(
        since=since,
        until=until,
        asked=len(stories),
        decided=sum(story.by_person for story in stories),
        median_seconds_to_decide=_median(stories),
        expiry_share=_expiry(stories, until),
        cost_usd_minor=sum(queue.cost_usd_minor for queue in queues),
        queues=queues,
        agents=tuple(_agents(stories, decisions)),
        blind=_agreement(stories, blind=True),
        visible=_agreement(stories, blind=False),
    )


def _stories(events: Iterable[Event], since: datetime, until: datetime) -> list[_Story]:
    found: dict[tuple[str, str], _Story] = {}
    for event in events:
        review, happening = event.result.get("review_id"), event.event_type.rpartition(".")[2]
        if not isinstance(review, str) or ".review." not in event.event_type or event.timestamp >= until:
            continue
        key = event.tenant, review
        if happening == "requested" and event.timestamp >= since:
            found.setdefault(key, _Story(event))
        story = found.get(key)
        if story is None:
            continue
        story.seen[happening] += 1
        if happening == "decided":
            story.answer = story.answer or event
        elif happening == "voided":
            story.voided_at = event.timestamp
    return list(found.values())


def _queue(name: str, stories: Sequence[_Story], until: datetime, costs: ReviewingCosts) -> QueueMeasures:
    minutes = sum(story.minutes(costs) for story in stories)
    closed = sum(story.answer is not None or story.voided_at is not None for story in stories)
    answers = Counter(str(s.answer.result.get("decided_by")) for s in stories if s.answer and s.by_person)
    return QueueMeasures(
        queue=name,
        asked=len(stories),
        decided=sum(story.by_person for story in stories),
        open=len(stories) - closed,
        voided=sum(story.voided_at is not None for story in stories),
        escalated=sum(story.seen["escalated"] > 0 for story in stories),
        defaulted=sum(story.seen["defaulted"] > 0 or bool(story.answer and not story.by_person) for story in stories),
        expired=sum(story.expired(until) for story in stories),
        expiry_share=_expiry(stories, until),
        median_seconds_to_decide=_median(stories),
        minutes=round(minutes, 1),
        cost_usd_minor=round(minutes * costs.usd_minor_per_minute),
        reviewers=dict(sorted(answers.items())),
    )


def _agents(stories: Sequence[_Story], decisions: Mapping[tuple[str, date], int]) -> Iterable[AgentDay]:
    reviewed: Counter[tuple[str, date]] = Counter()
    changed: dict[tuple[str, date], Counter[str]] = defaultdict(Counter)
    for story in stories:
        day = story.asked_at.date()
        reviewed.update((agent, day) for agent in story.agents)
        if story.answer is not None and story.by_person:
            action = str(story.answer.result.get("action"))
            for agent in story.answer.result.get("overruled") or ():
                changed[str(agent), day][action] += 1
    for agent, day in sorted({*decisions, *reviewed, *changed}):
        did, of = changed[agent, day], decisions.get((agent, day), 0)
        overrides = did["approve"] + did["reject"]
        yield AgentDay(
            agent=agent,
            day=day,
            decisions=of,
            reviewed=reviewed[agent, day],
            approved_against=did["approve"],
            rejects=did["reject"],
            edits=did["edit"],
            override_rate=_share(overrides, of),
            edit_rate=_share(did["edit"], of),
        )


def _agreement(stories: Sequence[_Story], *, blind: bool) -> Agreement:
    given = [s.answer.result for s in stories if s.answer is not None and s.by_person]
    told: list[Mapping[str, Any]] = [
        said for said in given if bool(said.get("blind")) is blind and said.get("agreed") is not None
    ]
    agreed = sum(bool(said["agreed"]) for said in told)
    return Agreement(answers=len(told), agreed=agreed, share=_share(agreed, len(told)))


def _expiry(stories: Sequence[_Story], until: datetime) -> float:
    expired = sum(story.expired(until) for story in stories)
    counted = sum(story.voided_at is None or story.expired(until) for story in stories)
    return _share(expired, counted) or 0.0


def _median(stories: Sequence[_Story]) -> float | None:
    times = [story.seconds for story in stories if story.seconds is not None]
    return round(median(times), 3) if times else None


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _instant(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
