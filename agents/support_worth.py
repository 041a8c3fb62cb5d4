"""What a customer is worth over 24 months, as a bucket; how often they return or refuse."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from domain.money import Money
from domain.order import OrderState
from domain.support import LtvBucket
from domain.support_sources import HistoryOrder

MONTHS_24 = timedelta(days=730)
_LOW, _MEDIUM, _HIGH = Decimal(100), Decimal(500), Decimal(2000)
"""US dollars (design choice; a shop of other prices needs others)."""
_RETURNS = frozenset({OrderState.RETURN_REQUESTED, OrderState.RETURNING, OrderState.RETURNED})
_DONE = frozenset({OrderState.DELIVERED, OrderState.COMPLETED}) | _RETURNS

UsdOn = Callable[[Money, date | None], Decimal | None]
"""An amount in US dollars on a day; None without a rate."""


def recent(orders: Sequence[HistoryOrder], now: datetime) -> list[HistoryOrder]:
    """The orders of the last 24 months; one without a date counts."""
    return [one for one in orders if one.placed_at is None or one.placed_at >= now - MONTHS_24]


def ltv_bucket(orders: Sequence[HistoryOrder], usd: UsdOn) -> tuple[LtvBucket | None, float]:
    """The bucket of paid - refunds - costs at transaction-date rates, and how sure it is.

    Without any booked cost the sum is turnover, not worth: the bucket is less sure. None without a rate for a currency.
    """
    done = [one for one in orders if one.state in _DONE]
    if not done:
        return LtvBucket.NEW, 1.0
    worth, booked = Decimal(0), True
    for order in done:
        day = order.placed_at.date() if order.placed_at else None
        amount = usd(_net(order), day)
        if amount is None:
            return None, 0.0
        worth, booked = worth + amount, booked and order.costs is not None and day is not None
    return _bucket(worth), 1.0 if booked else 0.6


def _net(order: HistoryOrder) -> Money:
    net = Money.zero(order.currency)
    for payment in order.payments:
        net = net - payment.amount if payment.kind == "refund" else net + payment.amount
    return net if order.costs is None else net - order.costs


def _bucket(usd: Decimal) -> LtvBucket:
    if usd < 0:
        return LtvBucket.NEGATIVE
    steps = ((_LOW, LtvBucket.LOW), (_MEDIUM, LtvBucket.MEDIUM), (_HIGH, LtvBucket.HIGH))
    return next((bucket for limit, bucket in steps if usd < limit), LtvBucket.TOP)


def return_rate(orders: Sequence[HistoryOrder]) -> float | None:
    """The share of finished orders that came back; None without any."""
    done = [one for one in orders if one.state in _DONE]
    return round(sum(one.state in _RETURNS for one in done) / len(done), 3) if done else None
