"""The truth about generated orders, which only time reveals: there is no other way to it than to ask at an instant."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from agents.fraud_signals import Signals

T = TypeVar("T")

MATURES_AFTER = timedelta(days=120)
"""Silence this long after an order means it was good: 99 % of chargebacks have come by then."""
MEDIAN_DELAY_DAYS = 35
DELAY_SIGMA = 0.5
"""Of the logarithm of the delay; a design choice."""


class Label:
    """Whether an order was bad, revealed when a person has looked or when its chargeback time has passed."""

    __slots__ = ("__bad", "__delay", "__placed_at", "__reviewed_at")

    def __init__(
        self, *, bad: bool, placed_at: datetime, delay: timedelta, reviewed_at: datetime | None = None
    ) -> None:
        """``delay`` is until the chargeback or refusal arrives, for a bad order."""
        self.__bad = bad
        self.__placed_at = placed_at
        self.__delay = delay
        self.__reviewed_at = reviewed_at

    def known(self, at: datetime) -> bool | None:
        """True for bad, False for good, None while nobody can know.

        A chargeback that arrives early does not mature its order early: good orders have no such moment, and a sample
        of early answers would hold the bad ones only.
        """
        if self.__reviewed_at is not None and at >= self.__reviewed_at:
            return self.__bad
        if at < self.__placed_at + MATURES_AFTER:
            return None
        return self.__bad and at >= self.__placed_at + self.__delay


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledOrder:
    """One generated order as the rules see it, and its label."""

    number: int
    placed_at: datetime
    signals: Signals
    category: str
    label: Label


def matured(orders: Iterable[LabelledOrder], at: datetime) -> Iterator[tuple[LabelledOrder, bool]]:
    """The orders whose truth is known at an instant, with it. Everything that fits or measures starts here."""
    for order in orders:
        if (bad := order.label.known(at)) is not None:
            yield order, bad
