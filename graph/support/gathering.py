"""One gathering of facts: what was asked, what each source has answered so far, and who did not answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from agents.support_worth import UsdOn
from domain.decision import Decision
from domain.errors import SignalboxError
from domain.fx import Rate
from domain.money import Money
from domain.order import OrderProgress
from domain.shipment import RoutePlan
from domain.support import Gap, ProductVariants, SupportContext
from domain.support_identity import Subject, order_key
from domain.support_reason import Reason
from domain.support_sources import HistoryOrder, Profile, TrackedParcel

SOURCES = ("signalbox", "oms", "crm", "carrier", "catalogue")
_FIELDS = {
    "signalbox": ("order.decisions", "order.holds", "order.progress", "shipments.predicted"),
    "oms": ("order", "other_orders", "customer.ltv_bucket", "customer.orders_24m", "customer.return_rate"),
    "crm": ("customer.language", "customer.tier", "customer.open_tickets", "customer.last_3_ticket_summaries"),
    "carrier": ("shipments.status", "shipments.last_scan_at", "shipments.days_late"),
    "catalogue": ("exchange_options", "customer.ltv_bucket"),
}


@dataclass(frozen=True, kw_only=True)
class OwnOrder:
    """What Signalbox itself knows of an order."""

    order: HistoryOrder
    progress: OrderProgress
    decisions: list[Decision]
    blind: bool
    """Whether a blind review of it is open: nobody sees what the agents concluded."""
    plan: RoutePlan | None


@dataclass(kw_only=True)
class Gathering:
    """The context of one run of the support graph."""

    context_id: str
    tenant: str
    subject: Subject
    reason: Reason | None
    role: str
    now: datetime
    own: list[OwnOrder] = field(default_factory=list)
    orders: list[HistoryOrder] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    parcels: list[TrackedParcel] = field(default_factory=list)
    products: list[ProductVariants] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    fetched: dict[str, datetime] = field(default_factory=dict)
    gaps: dict[str, Gap] = field(default_factory=dict)
    context: SupportContext | None = None
    refusal: SignalboxError | None = None
    _answered: dict[str, asyncio.Event] = field(
        default_factory=lambda: {name: asyncio.Event() for name in SOURCES}, init=False
    )

    def answered(self, source: str, at: datetime) -> None:
        """Note a source's first answer; whoever waits for it goes on."""
        self.fetched[source] = at
        self._answered[source].set()

    def silent(self, source: str, why: str, at: datetime) -> None:
        """Note that a source gave no answer."""
        self.fetched[source] = at
        self.gaps[source] = Gap(source=source, why=why, fields=_FIELDS[source])
        self._answered[source].set()

    def so_far(self, now: datetime) -> "Gathering":
        """A copy in which whoever has not answered yet counts as silent."""
        copy = replace(self, own=list(self.own), gaps=dict(self.gaps), fetched=dict(self.fetched))
        for source in SOURCES:
            if source not in copy.fetched:
                copy.silent(source, f"{source} has not answered yet", now)
        return copy

    async def after(self, *sources: str) -> None:
        """Wait for the first answer of these sources, or for their silence."""
        await asyncio.gather(*(self._answered[source].wait() for source in sources))

    @property
    def known_orders(self) -> list[HistoryOrder]:
        """All orders found; order management's word stands before our own copy."""
        found = {one.order_id: one for one in self.orders}
        for mine in self.own:
            found.setdefault(mine.order.order_id, mine.order)
        return list(found.values())

    def named_orders(self) -> list[HistoryOrder]:
        """The orders the subject names by number or parcel."""
        number, parcel = order_key(self.subject.order), order_key(self.subject.tracking)
        found = self.known_orders
        if number:
            found = [one for one in found if number in {order_key(one.order_id), order_key(one.number)}]
        if parcel:
            booked = {order_key(one.order_number) for one in self.parcels if _is(one, parcel)} - {""}
            found = [
                one
                for one in found
                if parcel in map(order_key, one.tracking) or booked & {order_key(one.order_id), order_key(one.number)}
            ]
        return found if number or parcel else []

    def customer_ids(self) -> list[str]:
        """The customers of the orders that were named, else of all found."""
        return list(
            dict.fromkeys(one.customer_id for one in self.named_orders() or self.known_orders if one.customer_id)
        )

    def usd(self) -> UsdOn:
        """Amounts in US dollars at the rate of a day; the oldest known rate stands in for days before it."""
        by_currency: dict[str, list[Rate]] = {}
        for rate in sorted(self.rates, key=lambda one: one.day):
            by_currency.setdefault(rate.quote, []).append(rate)

        def on(money: Money, day: date | None) -> Decimal | None:
            if money.currency == "USD":
                return money.decimal
            rates = by_currency.get(money.currency)
            if not rates:
                return None
            before = [rate for rate in rates if day is None or rate.day <= day]
            return money.decimal / (before[-1] if before else rates[0]).value

        return on


def _is(parcel: TrackedParcel, key: str) -> bool:
    return order_key(parcel.shipment.tracking_number) == key


def latest(orders: Sequence[HistoryOrder]) -> list[HistoryOrder]:
    """Newest first; those without a date last."""
    return sorted(orders, key=lambda one: one.placed_at.isoformat() if one.placed_at else "", reverse=True)
