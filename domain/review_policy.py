"""The review policy as data: queues, who answers, how soon, who is next, what holds when nobody does, what delay costs.

Cost of delay follows "cost of delay divided by duration" from product-flow economics: who costs most an hour is first.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from domain.review import Review
from domain.review_case import Case
from domain.values import Document


class SafeDefault(StrEnum):
    """What holds when nobody answers. There is no approval among them, and never will be."""

    HOLD = "hold"
    """Nothing happens to the entity; the case stays open and answerable."""
    REJECT = "reject"
    """The entity is cancelled safely, and the case closed."""


class StepKind(StrEnum):
    """What the desk does by itself while nobody answers."""

    REMINDER = "reminded"
    ESCALATION = "escalated"
    DEFAULT = "defaulted"


class Step(Document):
    """One timed step of a case."""

    kind: StepKind
    due_at: datetime
    to: str = ""
    """Whom an escalation goes to."""


class Queue(Document):
    """One line of work and its rules."""

    name: str
    roles: tuple[str, ...] = Field(min_length=1)
    """Who may answer."""
    longest_minutes: int = Field(default=240, gt=0)
    shortest_minutes: int = Field(default=5, gt=0)
    """An order already late still gives a person this long."""
    slack_percent: int = Field(default=50, gt=0, le=100)
    """How much of the time to the ship-by may pass before the answer is due."""
    remind_percent: int = Field(default=50, gt=0, lt=100)
    escalate_to: tuple[str, ...] = ()
    """Who is next, in turn: ``role:<role>`` or ``user:<id>``."""
    step_percent: int = Field(default=50, gt=0)
    """Time each next person has, as a share of the first deadline."""
    safe_default: SafeDefault = SafeDefault.HOLD

    @model_validator(mode="after")
    def _next_people_may_answer(self) -> "Queue":
        for to in self.escalate_to:
            kind, _, name = to.partition(":")
            if kind not in ("role", "user") or not name or (kind == "role" and name not in self.roles):
                raise ValueError(f"queue {self.name!r} escalates to {to!r}, who may not answer it; see its roles")
        return self

    def deadline(self, now: datetime, ship_by: datetime | None) -> datetime:
        """By when an answer is due: the longest time, or a share of the slack to the ship-by when that is shorter."""
        longest = timedelta(minutes=self.longest_minutes)
        if ship_by is None:
            return now + longest
        share = (ship_by - now) * self.slack_percent / 100
        return now + max(timedelta(minutes=self.shortest_minutes), min(longest, share))

    def steps(self, review: Review) -> tuple[Step, ...]:
        """Everything that happens while nobody answers, in order: reminder, the next people, the safe default."""
        allowed = review.deadline - review.created_at
        remind = Step(kind=StepKind.REMINDER, due_at=review.created_at + allowed * self.remind_percent / 100)
        each = allowed * self.step_percent / 100
        up = [
            Step(kind=StepKind.ESCALATION, due_at=review.deadline + each * turn, to=to)
            for turn, to in enumerate(self.escalate_to)
        ]
        last = Step(kind=StepKind.DEFAULT, due_at=review.deadline + each * len(up))
        return remind, *up, last

    def next_step(self, review: Review, case: Case) -> Step | None:
        """The next timed step, or None when all were taken."""
        steps = self.steps(review)
        return steps[case.step] if case.step < len(steps) else None


class Match(Document):
    """Which reviews a rule is for; what is not named matches everything."""

    entity_type: str | None = None
    agent: str | None = None
    """An agent whose grounds led to the question."""
    stage: str | None = None
    market: str | None = None
    """Country the goods go to, ISO 3166-1 alpha-2."""
    from_usd: int | None = Field(default=None, ge=0)
    """Whole US dollars; an unknown value counts as above."""


class Topic(Document):
    """What a question is about, as far as queue and approvals depend on it."""

    entity_type: str
    stage: str = ""
    agents: tuple[str, ...] = ()
    market: str = ""
    exposure_usd_minor: int | None = None

    def fits(self, rule: Match) -> bool:
        """Whether the rule is for this question."""
        return (
            rule.entity_type in (None, self.entity_type)
            and rule.stage in (None, self.stage)
            and rule.market in (None, self.market)
            and (rule.agent is None or rule.agent in self.agents)
            and (
                rule.from_usd is None
                or self.exposure_usd_minor is None
                or self.exposure_usd_minor >= rule.from_usd * 100
            )
        )


class Route(Match):
    """Questions that fit go to this queue; the first route that fits counts."""

    queue: str


class SecondApproval(Match):
    """Questions that fit take two approvals, by two people."""

    roles: tuple[str, ...] = Field(min_length=1)
    """Who gives the second one."""


class DelayCosts(Document):
    """The declared figures of the cost of delay."""

    waiting_per_mille_hour: int = Field(ge=0)
    """Share of the money at stake lost by an hour of waiting (buyers who leave), in thousandths."""
    late_percent: int = Field(ge=0, le=100)
    """Share of it lost when the ship-by is missed (penalties, refunds)."""
    least_slack_minutes: int = Field(gt=0)
    """Slack is taken as no shorter than this, also once the ship-by has passed."""
    unknown_usd: int = Field(ge=0)
    """What a case of unknown value is taken to be worth, whole US dollars."""


class Priority(Document):
    """What an hour of delay costs, and why."""

    usd_minor_per_hour: int
    why: str


class ReviewingCosts(Document):
    """The declared cost of a reviewer's time."""

    usd_minor_per_minute: int = Field(ge=0)
    minutes_unclaimed: int = Field(gt=0)
    """Counted for a decision nobody had claimed first."""


class ReviewPolicy(Document):
    """Everything the desk is told."""

    version: str
    claim_minutes: int = Field(gt=0)
    """How long a claim holds a case before it is free again."""
    queues: tuple[Queue, ...] = Field(min_length=1)
    routes: tuple[Route, ...] = ()
    other: str
    """The queue of what no route fits."""
    second_approvals: tuple[SecondApproval, ...] = ()
    delay: DelayCosts
    reviewing: ReviewingCosts
    kind: Literal["review_policy"] = "review_policy"

    @model_validator(mode="after")
    def _queues_exist(self) -> "ReviewPolicy":
        names = [queue.name for queue in self.queues]
        if len(set(names)) < len(names):
            raise ValueError("a queue is named twice")
        for name in (*(route.queue for route in self.routes), self.other):
            if name not in names:
                raise ValueError(f"there is no queue {name!r}; there are {', '.join(names)}")
        return self

    def queue(self, name: str) -> Queue:
        """The queue of that name; a review of a queue that is gone follows the rules of ``other``."""
        found = {queue.name: queue for queue in self.queues}
        return found.get(name) or found[self.other]

    def queue_for(self, topic: Topic) -> Queue:
        """The queue a question goes to."""
        return self.queue(next((route.queue for route in self.routes if topic.fits(route)), self.other))

    def second_roles(self, topic: Topic) -> tuple[str, ...]:
        """Who must approve besides the first person; empty when one is enough."""
        return next((rule.roles for rule in self.second_approvals if topic.fits(rule)), ())

    def priority(self, review: Review, now: datetime) -> Priority:
        """What another hour of waiting costs: buyers who leave, and the risk of missing the ship-by, on the money at stake."""
        known = review.exposure_usd_minor
        stake = self.delay.unknown_usd * 100 if known is None else known
        waiting = stake * self.delay.waiting_per_mille_hour // 1000
        worth = f"{_usd(stake)} at stake" + (" (assumed, no exchange rate)" if known is None else "")
        why = f"{worth}; {_usd(waiting)} an hour for waiting"
        if review.ship_by is None:
            return Priority(usd_minor_per_hour=waiting, why=f"{why}; no ship-by")
        minutes = int((review.ship_by - now).total_seconds() // 60)
        counted = max(self.delay.least_slack_minutes, minutes)
        late = stake * self.delay.late_percent * 60 // (100 * counted)
        slack = f"{minutes // 60} h {minutes % 60} min to the ship-by" if minutes > 0 else "the ship-by has passed"
        return Priority(
            usd_minor_per_hour=waiting + late,
            why=f"{why}; {self.delay.late_percent} % lost if late, {slack}: {_usd(late)} an hour",
        )


def _usd(minor: int) -> str:
    return f"USD {minor // 100:,}.{minor % 100:02d}"


def earliest(times: Sequence[datetime | None]) -> datetime | None:
    """The first of the times there are."""
    return min((at for at in times if at is not None), default=None)
