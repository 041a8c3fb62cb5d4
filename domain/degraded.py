"""When peak days begin and end: a state machine over samples of how the agents, the queue and the review desk are doing.

Pure: time comes with the samples. Bad signs must last before the mode comes on, all must be gone for long before it goes
off, and between two automatic switches there is always the same least time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.values import Document


class Override(StrEnum):
    """What a person has set."""

    ON = "on"
    OFF = "off"
    AUTO = "auto"
    """Nothing: the signs decide."""


@dataclass(frozen=True, kw_only=True)
class PeakPolicy:
    """By which numbers the mode comes and goes."""

    version: str
    valid_from: date
    tail_percent: int = 5
    """More slow answers than this are a 95th percentile over the limit."""
    deadline_percent: int = 100
    """An answer is slow from this part of its agent's own deadline."""
    slow_for: timedelta = timedelta(seconds=60)
    dead_percent: int = 50
    """An agent that leaves more than this unanswered is not slow but away."""
    dead_for: timedelta = timedelta(seconds=30)
    window: timedelta = timedelta(seconds=20)
    """Answers are counted over this much."""
    least_asked: int = 10
    """Fewer questions in the window say nothing about an agent."""
    backlog_age: timedelta = timedelta(minutes=5)
    least_backlog: int = 20
    """Less work than this waiting is one stubborn order, not a peak."""
    late_review_percent: int = 10
    """More open reviews than this older than half their order's slack are a 90th percentile over it."""
    least_reviews: int = 20
    healthy_for: timedelta = timedelta(minutes=10)
    apart: timedelta = timedelta(minutes=10)
    """Between two automatic switches."""
    blind_after: timedelta = timedelta(seconds=60)
    """After so long without a sample, what lasted before it no longer counts."""
    reviewers: int = 2
    reviews_per_reviewer_h: int = 40
    review_slack_percent: int = 75
    rescored: tuple[str, ...] = ("fraud_detection",)
    """Agents whose degraded decisions are looked at again."""
    rescore_within: timedelta = timedelta(hours=24)
    rescore_latest: timedelta = timedelta(hours=20)
    """At this age a decision is looked at again even while the mode lasts."""
    rescored_per_s: int = 20

    notice_delay: timedelta = timedelta(minutes=14)
    """Notices of one order wait so long for each other; fifteen minutes are what customers are promised."""

    @property
    def reviews_per_h(self) -> int:
        """What the reviewers get through in an hour, with something kept for what must be seen in any case."""
        return self.reviewers * self.reviews_per_reviewer_h * self.review_slack_percent // 100


POLICIES: tuple[PeakPolicy, ...] = (PeakPolicy(version="peak-2026-11-01", valid_from=date(2026, 11, 1)),)
"""Starting values; a change is a new row."""
POLICY = POLICIES[-1]


class Asked(Document):
    """How one agent did."""

    asked: int = Field(default=0, ge=0)
    slow: int = Field(default=0, ge=0)
    """Answers over the limit, and those that never came."""
    silent: int = Field(default=0, ge=0)
    """Questions it left unanswered: cut off, or failed."""

    def __add__(self, other: "Asked") -> "Asked":
        """Both together."""
        return Asked(
            asked=self.asked + other.asked, slow=self.slow + other.slow, silent=self.silent + other.silent
        )  # fmt: skip


class Sample(Document):
    """How things stood at an instant."""

    at: AwareDatetime
    agents: dict[str, Asked] = {}
    """Since the sample before."""
    backlog: int = 0
    backlog_age_s: int = 0
    """Age of the oldest work not yet done."""
    reviews_open: int = 0
    reviews_late: int = 0
    """Open reviews older than half their order's slack."""


class PeakState(Document):
    """What the machine remembers between samples."""

    on: bool = False
    reason: str = ""
    """Why the last automatic switch happened."""
    switched_at: AwareDatetime | None = None
    recent: tuple[Sample, ...] = ()
    bad_since: dict[str, AwareDatetime] = {}
    """By sign."""
    healthy_since: AwareDatetime | None = None

    @property
    def sampled_at(self) -> datetime | None:
        """When it last saw a sample."""
        return self.recent[-1].at if self.recent else None


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One thing that is wrong now."""

    name: str
    sentence: str
    lasts: timedelta
    """How long it must last before it counts."""


def step(state: PeakState, sample: Sample, policy: PeakPolicy = POLICY) -> PeakState:
    """The state after one more sample; a sample not newer than the last changes nothing."""
    before, now = state.sampled_at, sample.at
    if before is not None and now <= before:
        return state
    blind = before is None or now - before > policy.blind_after
    kept = () if blind else tuple(one for one in state.recent if one.at > now - policy.window)
    recent = (*kept, sample)
    signs = signs_of(recent, policy)
    bad_since = {sign.name: now if blind else state.bad_since.get(sign.name, now) for sign in signs}
    healthy_since = None if signs else (now if blind or state.healthy_since is None else state.healthy_since)
    after = state.model_copy(update={"recent": recent, "bad_since": bad_since, "healthy_since": healthy_since})
    if state.switched_at is not None and now - state.switched_at < policy.apart:
        return after
    if state.on:
        over = healthy_since is not None and now - healthy_since >= policy.healthy_for
        why = f"healthy for {_minutes(policy.healthy_for)}"
        return _switched(after, on=False, reason=why, at=now) if over else after
    lasting = [sign for sign in signs if now - bad_since[sign.name] >= sign.lasts]
    return _switched(after, on=True, reason="; ".join(s.sentence for s in lasting), at=now) if lasting else after


def signs_of(recent: Iterable[Sample], policy: PeakPolicy = POLICY) -> list[Sign]:
    """What is wrong, by the samples of the window."""
    samples = list(recent)
    found = [sign for agent, asked in sorted(_together(samples).items()) for sign in _of_agent(agent, asked, policy)]
    last = samples[-1]
    if last.backlog >= policy.least_backlog and last.backlog_age_s > policy.backlog_age.total_seconds():
        sentence = f"{last.backlog} units of work wait, the oldest for {last.backlog_age_s} s"
        found.append(Sign(name="backlog", sentence=sentence, lasts=timedelta()))
    late = last.reviews_late * 100 > policy.late_review_percent * last.reviews_open
    if last.reviews_open >= policy.least_reviews and late:
        sentence = f"{last.reviews_late} of {last.reviews_open} open reviews are older than half their order's slack"
        found.append(Sign(name="reviews", sentence=sentence, lasts=timedelta()))
    return found


def late_review(*, created_at: datetime, ship_by: datetime | None, now: datetime) -> bool:
    """Whether a question has waited for more than half of the time its order had when it was asked."""
    return ship_by is not None and (now - created_at) * 2 > ship_by - created_at


def _of_agent(agent: str, asked: Asked, policy: PeakPolicy) -> list[Sign]:
    if asked.asked < policy.least_asked:
        return []
    found = []
    if asked.slow * 100 > policy.tail_percent * asked.asked:
        sentence = f"{agent}: {asked.slow} of {asked.asked} answers were slow"
        found.append(Sign(name=f"slow:{agent}", sentence=sentence, lasts=policy.slow_for))
    if asked.silent * 100 > policy.dead_percent * asked.asked:
        sentence = f"{agent}: {asked.silent} of {asked.asked} questions got no answer"
        found.append(Sign(name=f"silent:{agent}", sentence=sentence, lasts=policy.dead_for))
    return found


def _together(samples: Iterable[Sample]) -> Mapping[str, Asked]:
    total: dict[str, Asked] = {}
    for sample in samples:
        for agent, asked in sample.agents.items():
            total[agent] = total.get(agent, Asked()) + asked
    return total


def _switched(state: PeakState, *, on: bool, reason: str, at: datetime) -> PeakState:
    return state.model_copy(update={"on": on, "reason": reason, "switched_at": at})


def _minutes(time: timedelta) -> str:
    return f"{time.total_seconds() / 60:g} minutes"
