"""The last look before each warehouse's pick wave: released orders are routed anew together, and better plans queued.

One process at a time looks. Each change is work on its order like any other: durable, under the order's lease, once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

import structlog

from agents.routing_wave import Wave, released
from agents.wave_calendar import WAVES, WavePolicy, last_wave, next_wave
from domain.decision import Verdict
from domain.errors import MalformedPayload, StoreUnavailable, Transient
from domain.event import Event
from domain.ids import OrderId, Sku, ThreadId, WarehouseId, stable_id
from domain.order import OrderProgress
from domain.pick_wave import UnitPrices, WaveChange
from domain.ports import AgentCase, Delivery, WarehousePort
from domain.shipment import RoutePlan, Warehouse
from domain.values import Plain
from graph.order.release import plan_in_force
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.intake import Work
from graph.runtime.journal import OCCASIONS
from graph.runtime.leases import Leadership
from graph.runtime.orders import OrderRecord, thread_of
from graph.runtime.store import Store
from graph.runtime.waves import WaveIndex

log = structlog.get_logger(__name__)

TICK_S = 5.0
TURN_S = 20.0
"""The changes of one turn get so long; what needs them waits for the next look."""
_POLL_S = 0.1
_RELEASED = f"order.progress.{OrderProgress.FULFILLED.value}"
_CANCELLED = f"order.progress.{OrderProgress.CANCELLED.value}"


@runtime_checkable
class WaveRouter(Protocol):
    """A routing agent that can look at many orders at once."""

    async def before_wave(self, cases: Sequence[AgentCase], now: datetime) -> Wave:
        """Route released orders anew together."""


class Released:
    """Notes which orders are released, as a follower of the occasions."""

    topic = OCCASIONS
    group = "waves"

    def __init__(self, index: WaveIndex) -> None:
        """``index`` is what the pick waves read."""
        self._index = index

    def concerns(self, delivery: Delivery) -> bool:
        """Whether an order was released or cancelled."""
        return delivery.message.headers.get("t", "") in {_RELEASED, _CANCELLED}

    async def handle(self, delivery: Delivery) -> None:
        """Enter or drop the order.

        Raises:
            MalformedPayload: the event cannot be read.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the event cannot be read: {bad}") from None
        thread = ThreadId(delivery.message.key)
        if event.event_type == _RELEASED:
            await self._index.put(thread, at=event.timestamp)
        else:
            await self._index.drop(thread)


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A released order before its wave."""

    record: OrderRecord
    case: AgentCase
    plan: RoutePlan
    released_at: datetime


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at one tenant's released orders found."""

    tenant: str
    wave_id: str
    looked_at: int
    """Orders routed anew."""
    wave: Wave
    plans: dict[OrderId, RoutePlan]
    """The plans in force of the orders looked at."""

    def figures(self, order_id: OrderId) -> dict[str, Plain]:
        """One change for people: services before and after, and what it saves by the objective."""
        before = self.wave.before[order_id]
        after = RoutePlan.model_validate(self.wave.verdicts[order_id].facts["plan"])
        return {
            "order_id": order_id,
            "before": [f"{parcel.warehouse} {parcel.service}" for parcel in before.parcels],
            "after": [f"{parcel.warehouse} {parcel.service}" for parcel in after.parcels],
            "saved_minor": before.objective_minor - after.objective_minor,
            "currency": after.cost.currency,
        }


class PickWaves:
    """Looks before each wave. One process at a time calls ``tick``; any may call ``look``."""

    def __init__(
        self,
        store: Store,
        wms: WarehousePort,
        router: object,
        *,
        lead: Leadership,
        switch: DegradedSwitch,
        policy: WavePolicy = WAVES,
    ) -> None:
        """``router`` is the routing agent in force; one that cannot look at many orders leaves every plan as it is."""
        self._store = store
        self._wms = wms
        self._router = router if isinstance(router, WaveRouter) else None
        self._lead = lead
        self._switch = switch
        self._policy = policy
        self.index = WaveIndex(store.batcher, store.keys)
        self.noted = Released(self.index)
        """Follows the occasions."""

    async def watch(self, stop: asyncio.Event) -> None:
        """Tick until stopped, while this process leads; what cannot be read now is tried again at the next tick."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.tick(stop)
            except Transient as away:
                log.warning("waves.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    async def tick(self, stop: asyncio.Event | None = None) -> int:
        """Look when a wave is near or a person asked; returns how many orders were given a better plan.

        Raises:
            Transient: orders, stock or lanes could not be read.
        """
        now = self._store.clock.now()
        asked, sites, looked = await self.index.asked(), await self._wms.warehouses(), await self.index.looked()
        near = [(site.warehouse, wave) for site in sites if (wave := self._near(site, now))]
        due = [(site, wave) for site, wave in near if looked.get(site) != wave.isoformat()]
        if not due and not asked:
            return 0
        changed = 0
        for tenant, waiting in (await self.waiting(now, sites)).items():
            if (due or tenant in asked) and (found := await self.look(tenant, waiting, now)) is not None:
                changed += await self._change(found, stop)
        for site, wave in due:
            await self.index.note(site, wave)
        await self.index.answered(asked)
        return changed

    def _near(self, site: Warehouse, now: datetime) -> datetime | None:
        wave = next_wave(site, now, self._policy)
        return wave if wave is not None and wave - self._policy.look_ahead <= now else None

    async def waiting(self, now: datetime, sites: Sequence[Warehouse]) -> dict[str, list[Waiting]]:
        """By tenant, the released orders whose wave has not begun, nearest deadline first; others leave the index."""
        begun = {site.warehouse: last_wave(site, now, self._policy) for site in sites}
        found: dict[str, list[Waiting]] = {}
        for thread, at in await self.index.released(now=now):
            one = await self._waiting(thread, at)
            if one is None or any(
                (wave := begun.get(parcel.warehouse)) is not None and wave > at for parcel in one.plan.parcels
            ):
                await self.index.drop(thread)
            elif not one.record.cancel and not one.record.wave:
                found.setdefault(one.record.tenant, []).append(one)
        for tenant, waiting in found.items():
            waiting.sort(key=lambda w: (w.case.order.ship_by or datetime.max.replace(tzinfo=now.tzinfo), w.released_at))
            found[tenant] = waiting[: self._policy.most_orders]
        return found

    async def _waiting(self, thread: ThreadId, at: datetime) -> Waiting | None:
        record = await self._store.orders.at(thread)
        if record is None or record.order is None or record.progress is not OrderProgress.FULFILLED:
            return None
        decisions = await self._store.journal.latest(thread, attempt_group=record.attempt_group)
        plan = plan_in_force(decisions)
        if plan is None or "order_routing" not in decisions:
            return None
        case = AgentCase(
            order=record.order,
            order_version=record.version,
            decisions=dict(decisions),
            now=self._store.clock.now(),
            attempt_group=record.attempt_group,
        )
        return Waiting(record=record, case=released(case, plan), plan=plan, released_at=at)

    async def look(self, tenant: str, waiting: Sequence[Waiting], now: datetime) -> Look | None:
        """Route one tenant's released orders together; None in peak mode, or where routing cannot.

        Raises:
            Transient: stock, lanes, products or rates could not be read.
        """
        if self._router is None or await self._switch.hints(tenant):
            return None
        wave = await self._router.before_wave([one.case for one in waiting], now)
        return Look(
            tenant=tenant,
            wave_id=stable_id("wave", tenant, now.isoformat()),
            looked_at=len(waiting),
            wave=wave,
            plans={one.record.order_id: one.plan for one in waiting},
        )

    async def _change(self, found: Look, stop: asyncio.Event | None) -> int:
        """Keep the prices, and queue the changes turn by turn; returns how many were carried out."""
        now = self._store.clock.now()
        worth: dict[WarehouseId, dict[Sku, int]] = {}
        for (site, sku), minor in found.wave.plan.worth_minor.items():
            worth.setdefault(site, {})[sku] = minor
        until = now + self._policy.prices_for
        prices = UnitPrices(version=f"wave:{found.wave_id}", found_at=now, until=until, worth_minor=worth)
        await self.index.price(found.tenant, prices)
        changed = 0
        for turn in found.wave.turns:
            for order_id in turn:
                await self._queue(found, order_id, found.wave.verdicts[order_id], now)
            if not await self._done(found.tenant, turn, stop):
                log.warning("waves.turn_unfinished", tenant=found.tenant, orders=len(turn))
                break
            changed += len(turn)
        if found.wave.turns:
            log.info("waves.changed", tenant=found.tenant, orders=changed, saved_minor=found.wave.saved_minor)
        return changed

    async def _queue(self, found: Look, order_id: OrderId, verdict: Verdict, now: datetime) -> None:
        change = WaveChange(wave=found.wave_id, before=found.plans[order_id], verdict=verdict)
        headers = {"work": Work.REWAVE.value, "tenant": found.tenant, "order_id": order_id}
        thread = thread_of(found.tenant, order_id)
        await self._store.intake.push(thread, headers, at=now, once=("wave", change.to_json()))

    async def _done(self, tenant: str, turn: Sequence[OrderId], stop: asyncio.Event | None) -> bool:
        """Wait until none of the changes is pending any more, as long as this process leads."""
        loop = asyncio.get_running_loop()
        deadline, pending = loop.time() + TURN_S, set(turn)
        while pending and loop.time() < deadline and not (stop is not None and stop.is_set()):
            records = [await self._store.orders.find(tenant, order_id) for order_id in sorted(pending)]
            pending = {record.order_id for record in records if record is not None and record.wave}
            if pending and not await self._lead.lead():
                break
            if pending:
                await asyncio.sleep(_POLL_S)
        return not pending
