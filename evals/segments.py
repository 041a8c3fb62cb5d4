"""Which part of the business an order belongs to: market, channel, and band of its value."""

from decimal import Decimal

from domain.order import Order
from evals.labelled import Segment
from tools.sandbox.geography import FIXTURE_RATES

BANDS = ((100, "<100"), (500, "100-500"))
TOP_BAND = ">=500"
"""From here a contradiction always goes to a person."""


def band_of(dollars: Decimal) -> str:
    """The band of a value in US dollars."""
    return next((name for limit, name in BANDS if dollars < limit), TOP_BAND)


def dollars_of(order: Order) -> Decimal | None:
    """What an order is worth at a fixed rate: near enough for comparing like with like, and never changing."""
    rate = Decimal(1) if order.currency == "USD" else FIXTURE_RATES.get(order.currency)
    return None if rate is None else order.total.decimal / rate


def segment_of(order: Order) -> Segment:
    """The order's segment."""
    dollars = dollars_of(order)
    band = "unknown" if dollars is None else band_of(dollars)
    return Segment(market=order.ship_to.country or "unknown", channel=order.channel.value, band=band)
