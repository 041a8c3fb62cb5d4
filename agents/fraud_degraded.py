"""The fraud policy of peak days: simple rules, no waiting on others, and people only for where they save most.

Hard signs still hold an order. An order with a good history, or with a low score and an ordinary amount, goes through.
What is left competes for a review budget by the cost a review is expected to save; who gets no review gets the
cheaper of approve and reject. Every such decision is due for another look within a day.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.fraud_costs import ExpectedCosts
from agents.fraud_scoring import ACTIONS, Hit, Score
from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable
from agents.fraud_thresholds import DegradedTerms
from domain.values import Plain

GATE = "REVIEW_BUDGET"
NO_RATE = "NO_RATE"
WINDOW = timedelta(hours=1)
_SLOWEST = timedelta(minutes=1)
"""A rate is never reckoned from less time than this."""
_SLACK = 20
"""One part in so many of the budget may be spent early, and as much is kept for orders that are held in any case."""
_ALWAYS_WORTH_IT = 1 << 62
"""Saved cost of a review whose alternative cannot be priced."""
_APPROVE, _REVIEW, _HOLD, _REJECT = range(len(ACTIONS))


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What the review budget has for one order."""

    left: int
    """Reviews left in the running hour."""
    floor: int
    """The cost a review must save to be among those the budget reaches, in millionths of a US cent."""

    def admits(self, saved: int) -> bool:
        """Whether an order whose review saves this much gets one."""
        return self.left > 0 and saved > 0 and saved >= self.floor


@dataclass(frozen=True, kw_only=True, slots=True)
class PeakRuling:
    """What the simplified policy says, before clamps."""

    severity: int
    why: str
    """``hard_sign``, ``trusted``, ``good_history``, ``ordinary``, ``budget``, ``cheapest`` or ``no_rate``."""
    saved: int
    """Expected saving of a review; 0 where none is in question."""


class ReviewBudget:
    """Who gets one of K reviews an hour, decided order by order: the savings of the running hour set the mark."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen: deque[tuple[datetime, int]] = deque()
        self._savings: list[int] = []
        self._used: deque[datetime] = deque()

    def offer(self, at: datetime, per_hour: int) -> Offer:
        """The budget's offer to an order judged at an instant; ``per_hour`` is reviewers x rate x slack."""
        self._forget(at)
        per_hour = max(0, per_hour)
        seen = len(self._savings)
        if not seen:
            return Offer(left=min(1, per_hour), floor=0)
        elapsed = max(_SLOWEST, at - self._seen[0][0])
        expected = seen * (WINDOW / elapsed)
        share = min(1.0, per_hour / expected)
        reached = int(share * seen)
        slack = per_hour // _SLACK
        left = min(per_hour - slack, reached + max(1, slack)) - len(self._used)
        floor = self._savings[seen - reached] if reached else self._savings[-1]
        return Offer(left=left, floor=floor)

    def note(self, at: datetime, saved: int, *, asked: bool) -> None:
        """Remember one judged order: what its review would save, and whether a person is asked about it."""
        self._seen.append((at, saved))
        insort(self._savings, saved)
        if asked:
            self._used.append(at)

    def _forget(self, at: datetime) -> None:
        while self._seen and self._seen[0][0] <= at - WINDOW:
            _, saved = self._seen.popleft()
            del self._savings[bisect_left(self._savings, saved)]
        while self._used and self._used[0] <= at - WINDOW:
            self._used.popleft()


def ranked(savings: Sequence[int], places: int) -> frozenset[int]:
    """The positions of a batch that get its ``places`` reviews: where a review saves most, and saves anything."""
    worthwhile = [place for place, saved in enumerate(savings) if saved > 0]
    worthwhile.sort(key=lambda place: (-savings[place], place))
    return frozenset(worthwhile[: max(0, places)])


def peak_ruling(
    hits: Sequence[Hit],
    signals: Signals,
    score: Score,
    costs: ExpectedCosts | None,
    *,
    table: FraudTable,
    terms: DegradedTerms,
    offer: Offer,
    without: Collection[str] = (),
) -> PeakRuling:
    """The simplified policy on one order; ``without`` may name gates, to learn what hangs on them."""
    codes = {hit.code for hit in hits}
    if codes & table.degraded_hold:
        return PeakRuling(severity=_HOLD, why="hard_sign", saved=0)
    if signals.trusted is not None:
        return PeakRuling(severity=_APPROVE, why="trusted", saved=0)
    if "GOOD_HISTORY" in codes:
        return PeakRuling(severity=_APPROVE, why="good_history", saved=0)
    segment = signals.segment
    if score.points < terms.approve_below and segment is not None and segment.amount < segment.p75:
        return PeakRuling(severity=_APPROVE, why="ordinary", saved=0)
    saved = costs.saved_by_review if costs is not None else _ALWAYS_WORTH_IT
    if offer.admits(saved) and GATE not in without:
        return PeakRuling(severity=_REVIEW, why="budget", saved=saved)
    if costs is None:
        severity = _APPROVE if NO_RATE in without else _HOLD
        return PeakRuling(severity=severity, why="no_rate", saved=saved)
    return PeakRuling(severity=_REJECT if costs.unasked == "reject" else _APPROVE, why="cheapest", saved=saved)


def is_degraded(hints: Mapping[str, Plain]) -> bool:
    """Whether the runtime has switched this case to the simplified policy."""
    return hints.get("mode") == "degraded"


def reviews_per_hour(hints: Mapping[str, Plain], terms: DegradedTerms) -> int:
    """The review budget the runtime gives this process (hint ``reviews_per_h``), else the published one."""
    given = hints.get("reviews_per_h")
    return given if isinstance(given, int) and not isinstance(given, bool) else terms.default_reviews_per_h


def rescore_due(decided_at: datetime, now: datetime, terms: DegradedTerms) -> bool:
    """Whether a decision made in degraded mode should have been looked at again by now."""
    return now >= decided_at + timedelta(hours=terms.rescore_within_h)
