"""Whether a contact was resolved at the first attempt, counted per reason with and without a context.

Resolved: nobody escalated it, and no second contact about the same order and reason followed within seven days. A contact
younger than that is not counted yet.
"""

import random
from collections.abc import Iterable
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from domain.values import Document

WINDOW = timedelta(days=7)
RESAMPLES = 1_000
_SEED = 8
_TAIL = 0.025


class Contact(Document):
    """One time a customer wrote about an order."""

    contact_id: str
    order_id: str
    reason: str
    opened_at: AwareDatetime
    context_id: str = ""
    """Of the context it was answered with; empty when there was none."""
    escalated: bool = False


class Outcome(Document):
    """What became of the contacts of one reason."""

    reason: str
    with_context: bool
    contacts: int
    """Old enough to be counted."""
    resolved: int
    rate: float | None
    low: float | None
    """95 % bootstrap interval (percentile, 1,000 seeded resamples)."""
    high: float | None


def outcomes(contacts: Iterable[Contact], *, now: datetime) -> list[Outcome]:
    """First-contact resolution by reason and by whether there was a context; ``all`` sums the reasons up."""
    known = sorted(contacts, key=lambda one: one.opened_at)
    by_case: dict[tuple[str, str], list[Contact]] = {}
    for one in known:
        by_case.setdefault((one.order_id, one.reason), []).append(one)
    counted: dict[tuple[str, bool], list[bool]] = {}
    for case in by_case.values():
        for one, following in zip(case, [*case[1:], None], strict=True):
            if now - one.opened_at < WINDOW:
                continue
            again = following is not None and following.opened_at - one.opened_at <= WINDOW
            for reason in (one.reason, "all"):
                counted.setdefault((reason, bool(one.context_id)), []).append(not again and not one.escalated)
    return [_outcome(reason, given, results) for (reason, given), results in sorted(counted.items())]


def _outcome(reason: str, with_context: bool, results: list[bool]) -> Outcome:
    low, high = _interval(results)
    return Outcome(
        reason=reason, with_context=with_context, contacts=len(results), resolved=sum(results),
        rate=round(sum(results) / len(results), 4), low=low, high=high,
    )  # fmt: skip


def _interval(results: list[bool]) -> tuple[float, float]:
    chance = random.Random(_SEED)  # noqa: S311  # resampling, seeded so that the same contacts give the same interval
    many, right = len(results), sum(results)
    shares = sorted(sum(chance.random() * many < right for _ in range(many)) / many for _ in range(RESAMPLES))
    return round(shares[int(_TAIL * RESAMPLES)], 4), round(shares[int((1 - _TAIL) * RESAMPLES) - 1], 4)
