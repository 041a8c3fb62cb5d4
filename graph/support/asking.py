"""How each source is asked: at once with what the contact says, and a second time only with what another one added."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from domain.ports import RatePort
from domain.support_identity import Subject, order_key
from domain.support_sources import HistoryPort, ProfilePort, TrackedParcel, TrackingPort, VariantPort
from graph.runtime.clock import Clock
from graph.support.gathering import Gathering, OwnOrder

_CUSTOMERS, _PRODUCTS = 5, 100
Ask = Callable[[Gathering], Awaitable[None]]


class Outside(Protocol):
    """The systems support reads."""

    @property
    def profiles(self) -> ProfilePort:
        """The CRM."""

    @property
    def history(self) -> HistoryPort:
        """Order management."""

    @property
    def tracking(self) -> TrackingPort:
        """Carriers."""

    @property
    def variants(self) -> VariantPort:
        """The catalogue."""

    @property
    def erp(self) -> RatePort:
        """Exchange rates."""


class OwnOrders(Protocol):
    """Signalbox's own working state."""

    async def find(self, tenant: str, asked: Subject) -> Sequence[OwnOrder]:
        """The orders the subject names or whose buyer it fits."""


class Asking:
    """Asks the sources of one installation."""

    def __init__(self, systems: Outside, own: OwnOrders, clock: Clock) -> None:
        """All are shared by every gathering."""
        self._systems = systems
        self._own = own
        self._clock = clock
        self.by_source: dict[str, Ask] = {
            "signalbox": self._signalbox,
            "oms": self._oms,
            "crm": self._crm,
            "carrier": self._carrier,
            "catalogue": self._catalogue,
        }

    async def _signalbox(self, run: Gathering) -> None:
        run.own = list(await self._own.find(run.tenant, run.subject))
        run.answered("signalbox", self._clock.now())

    async def _oms(self, run: Gathering) -> None:
        await run.after("signalbox")
        run.orders = list(await self._systems.history.orders(run.tenant, run.subject))
        run.answered("oms", self._clock.now())
        if run.orders:
            return
        known = run.customer_ids()
        if not known:
            await run.after("crm")
            known = [one.customer_id for one in run.profiles[:_CUSTOMERS]]
        asked = [self._systems.history.orders(run.tenant, Subject(customer=one)) for one in known[:_CUSTOMERS]]
        run.orders = [order for found in await asyncio.gather(*asked) for order in found]

    async def _crm(self, run: Gathering) -> None:
        await run.after("signalbox")
        asked, known = run.subject, [mine.order.customer_id for mine in run.own if mine.order.customer_id]
        if known and not asked.customer and (asked.order or asked.tracking):
            asked = asked.model_copy(update={"customer": known[0]})
        run.profiles = list(await self._systems.profiles.profiles(run.tenant, asked))
        run.answered("crm", self._clock.now())
        if run.profiles:
            return
        await run.after("oms")
        wanted = [
            self._systems.profiles.profiles(run.tenant, Subject(customer=one))
            for one in run.customer_ids()[:_CUSTOMERS]
        ]
        run.profiles = [profile for found in await asyncio.gather(*wanted) for profile in found]

    async def _carrier(self, run: Gathering) -> None:
        await run.after("signalbox")
        subject = run.subject
        tracking = {number for one in run.named_orders() for number in one.tracking} | {subject.tracking} - {""}
        if subject.order or tracking:
            run.parcels = await self._parcels(run, subject.order, sorted(tracking))
        if subject.order or subject.tracking:
            run.answered("carrier", self._clock.now())
        await run.after("oms")
        known = {order_key(one.shipment.tracking_number) for one in run.parcels}
        orders = run.named_orders() or (run.known_orders if len(run.known_orders) == 1 else [])
        more = sorted({n for one in orders for n in one.tracking if order_key(n) not in known} - tracking)
        if more:
            run.parcels = [*run.parcels, *await self._parcels(run, "", more)]
        run.answered("carrier", self._clock.now())

    async def _parcels(self, run: Gathering, number: str, tracking: Sequence[str]) -> list[TrackedParcel]:
        return list(await self._systems.tracking.parcels(run.tenant, order_number=number, tracking=tracking))

    async def _catalogue(self, run: Gathering) -> None:
        await run.after("signalbox", "oms")
        orders = [*run.named_orders(), *run.known_orders]
        products = list(dict.fromkeys(line.product_id for one in orders for line in one.lines if line.product_id))
        foreign = sorted({one.currency for one in orders} - {"USD"})
        products_read, rates_read = await asyncio.gather(
            self._systems.variants.variants(run.tenant, products[:_PRODUCTS]), self._systems.erp.rates(foreign)
        )
        run.products, run.rates = list(products_read), list(rates_read)
        run.answered("catalogue", self._clock.now())
