"""Reads what the fraud rules need about one order: counts, history, catalogue, rates, quantiles, the risk desk's book."""

import asyncio
from datetime import datetime, timedelta

from agents.exchange import Exchange
from agents.fraud_activity import activity_account, decline_keys, telling_keys
from agents.fraud_segments import Segments
from agents.fraud_signals import Readings, profile_age_s
from agents.fraud_table import FraudTable
from agents.fraud_thresholds import DegradedTerms
from domain.errors import Transient
from domain.ids import Sku
from domain.order import Order
from domain.ports import ActivityReads, AgentCase, CataloguePort, CustomerHistory, CustomerReads, RiskBookPort
from domain.risk import CustomerException

COUNTED = {
    "CARD_VELOCITY": ("card", "order"),
    "DEVICE_MULTI_ACCOUNT": ("device", "account"),
    "IP_VELOCITY": ("ip", "order"),
    "ADDRESS_MULTI_ACCOUNT": ("address", "account"),
}
"""Velocity rules: the activity key they count, and what is distinct in the count."""
LISTED = frozenset({"card", "device", "address", "phone"})
"""Keys looked up on the confirmed-fraud list; an IP address stands for too many people."""
DECLINES = "DECLINES_BEFORE_SUCCESS"


class FraudReader:
    """Reads through the ports; what several orders share (rates, quantiles) is read once in ten minutes."""

    def __init__(
        self,
        *,
        activity: ActivityReads,
        crm: CustomerReads,
        erp: CataloguePort,
        exchange: Exchange,
        book: RiskBookPort,
        segments: Segments,
    ) -> None:
        """Keep the ports."""
        self._activity = activity
        self._crm = crm
        self._erp = erp
        self._exchange = exchange
        self._book = book
        self._segments = segments

    async def read(self, case: AgentCase, table: FraudTable) -> Readings:
        """Everything the rules may ask.

        Raises:
            Transient: a part of it could not be read.
        """
        order, now = case.order, case.now
        counts, history, products, rates = await asyncio.gather(
            self._counts(order, now, table),
            self._history(order),
            self._erp.products([Sku(sku) for sku in sorted({line.sku for line in order.lines if line.sku})]),
            self._exchange.table([order.currency], now),
        )
        return Readings(
            now=now,
            history=history,
            products=products,
            counts=counts,
            seen_on_device=await self._seen_on_device(order, history, now, table),
            rates=rates,
            segments=await self._segments.table(order.tenant, now),
            exceptions=await self._exceptions(order, now),
            confirmed=await self._confirmed(order, table),
        )

    async def read_quickly(self, case: AgentCase, table: FraudTable, terms: DegradedTerms) -> Readings:
        """Only what is at hand: our own counts and book, the last rates, and a history if it comes at once.

        Raises:
            Transient: our own store could not be read.
        """
        order, now = case.order, case.now
        left_out = False
        try:
            async with asyncio.timeout(terms.crm_timeout_ms / 1000):
                history = await self._history(order)
        except (TimeoutError, Transient):
            history, left_out = None, True
        return Readings(
            now=now,
            history=history,
            history_left_out=left_out,
            counts=await self._counts(order, now, table),
            seen_on_device=await self._seen_on_device(order, history, now, table),
            rates=self._exchange.last_table(),
            segments=await self._segments.table(order.tenant, now),
            exceptions=await self._exceptions(order, now),
            confirmed=await self._confirmed(order, table),
        )

    async def _exceptions(self, order: Order, now: datetime) -> tuple[CustomerException, ...]:
        customer_id = order.customer.customer_id
        known = await self._book.exceptions(tenant=order.tenant, customer_id=customer_id) if customer_id else ()
        return tuple(one for one in known if one.holds(now))

    async def _confirmed(self, order: Order, table: FraudTable) -> tuple[str, ...]:
        keys = {name: value for name, value in telling_keys(order, table).items() if name in LISTED}
        return tuple(await self._book.confirmed(tenant=order.tenant, keys=keys)) if keys else ()

    async def _history(self, order: Order) -> CustomerHistory | None:
        customer_id = order.customer.customer_id
        return await self._crm.history(customer_id) if customer_id else None

    async def _counts(self, order: Order, now: datetime, table: FraudTable) -> dict[str, int]:
        """Counts by rule, in windows that end with the order: an order that arrives late is judged by its own hour."""
        keys, declined = telling_keys(order, table), decline_keys(order)
        asked = [(code, key, keys[key], distinct) for code, (key, distinct) in COUNTED.items() if key in keys]
        asked += [(DECLINES, key, value, "order") for key, value in declined.items()]
        at = min(now, order.placed_at)
        counted = await asyncio.gather(
            *(
                self._activity.count(
                    tenant=order.tenant, name=name, value=value, since=at - _window(table, code), distinct=distinct
                )
                for code, name, value, distinct in asked
            )
        )
        reported = order.payment.declines_1h
        found = {} if reported is None else {DECLINES: reported}
        for (code, _, _, _), count in zip(asked, counted, strict=True):
            found[code] = max(count, found.get(code, 0))
        return found

    async def _seen_on_device(
        self, order: Order, history: CustomerHistory | None, now: datetime, table: FraudTable
    ) -> bool | None:
        """Whether the account ordered from this device before its profile was changed; asked only after a change."""
        age_s, device = profile_age_s(history, order, now), order.device.device_id
        limits = table.rules["TAKEOVER"].limits
        if history is None or device is None or age_s is None or age_s >= limits["younger_than_s"]:
            return None
        if history.known_devices is not None or history.last_profile_change_at is None:
            return None
        pair = f"{activity_account(order)}|{device}"
        since = min(now, order.placed_at) - timedelta(seconds=limits["seen_within_s"])
        ever, after = await asyncio.gather(
            *(
                self._activity.count(
                    tenant=order.tenant, name="account_device", value=pair, since=start, distinct="order"
                )
                for start in (since, history.last_profile_change_at)
            )
        )
        return ever > after


def _window(table: FraudTable, code: str) -> timedelta:
    return timedelta(seconds=table.rules[code].limits["window_s"])
