"""Parking: orders that wait for stock, or for a stale feed, go on by themselves, and are closed at their day limit.

Stock that arrives, a breaker that closes and a look now and then each lead to the same question: would what is usable
now cover the order? Who has waited longest is asked first; what is handed to one is not promised to the next.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

import orjson
import structlog

from agents.stock_allocation import needed
from agents.stock_policy import POLICY, StockPolicy
from agents.stock_report import waits_for
from domain.decision import Decision, Outcome
from domain.errors import StoreUnavailable, Transient
from domain.ids import Sku, ThreadId, WarehouseId
from domain.inventory import FeedState, StockLevel, StockSnapshot
from domain.order import OrderProgress
from domain.ports import DemandPort, WarehousePort
from graph.order.run import OrderRun
from graph.runtime.atomics import UNFENCED
from graph.runtime.intake import Work
from graph.runtime.leases import Leadership
from graph.runtime.orders import OrderRecord, happening
from graph.runtime.stock_feed import StockFeed, Taken
from graph.runtime.stock_parked import Parked, ParkedIndex
from graph.runtime.store import Store

log = structlog.get_logger(__name__)

TICK_S = 1.0
DOUBTFUL_TICK_S = 0.4
"""While a breaker is not closed, so that three samples take about a second."""
ARRIVALS_S = 2.0
"""The warehouses are asked this often whether goods have arrived that orders wait for."""
SKUS_PER_READ = 100
MOST_TRIED = 10_000
"""Orders whose last try is remembered; one forgotten is tried once more."""
_TOGETHER = frozenset({"KEPT_TOGETHER", "SPLIT_NOT_WORTH_IT"})
_WAITING = frozenset({OrderProgress.RUNNING, OrderProgress.BACKORDERED, OrderProgress.IN_REVIEW})
"""Where an order may still come to wait again."""


class Parking:
    """Watches over the orders that wait. One process at a time calls ``tick``; any may call the rest."""

    def __init__(
        self,
        store: Store,
        wms: WarehousePort,
        feed: StockFeed,
        *,
        lead: Leadership,
        policy: StockPolicy = POLICY,
        demand: DemandPort | None = None,
    ) -> None:
        """``wms`` is the port agents read through, so that every look is also a sample of the feeds.

        ``lead`` says whether it is this process that watches.
        """
        self._store = store
        self._lead = lead
        self._wms = wms
        self._feed = feed
        self._policy = policy
        self._demand = demand
        self.index = ParkedIndex(store.batcher, store.keys)
        self._totals: dict[Sku, int] = {}
        self._places: dict[tuple[WarehouseId, Sku], int] = {}
        self._tried: dict[ThreadId, dict[tuple[WarehouseId, Sku], int]] = {}
        """What lay where when an order whose goods must leave together was last sent on."""
        self._open: frozenset[WarehouseId] = frozenset()
        self._doubted: frozenset[WarehouseId] = frozenset()
        self._asked_at = float("-inf")

    async def watch(self, stop: asyncio.Event) -> None:
        """Tick until stopped, while this process leads; what cannot be read now is tried again at the next tick."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.tick()
            except Transient as away:
                log.warning("parking.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S if self.calm else DOUBTFUL_TICK_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    @property
    def calm(self) -> bool:
        """Whether every feed that is asked was on time at the last look."""
        return all(feed.pushed for feed in self._feed.feeds.values())

    async def put(self, run: OrderRun) -> bool:
        """Enter an order that is about to wait; returns whether it waited for goods before.

        Raises:
            StoreUnavailable: it may not be entered; the step must be repeated.
        """
        now = self._store.clock.now()
        taken = [d for d in run.decisions.values() if d.outcome is Outcome.LIMIT]
        limits = [limit for d in taken if (limit := _limit(d)) is not None]
        parked = Parked(
            thread=run.thread,
            tenant=run.tenant,
            order_id=run.order_id,
            needs=needed(run.order.open_lines),
            since=now,
            until=min([*limits, self._policy.waits_until(run.order, now)]),
            for_goods=not any(waits_for(d.facts) for d in taken),
            run=run.attempt_group,
            together=any(reason.code in _TOGETHER for d in taken for reason in d.reasons),
        )
        return await self.index.put(parked, now=now)

    async def tick(self) -> int:
        """Sample doubtful feeds, look for arrivals, and do what is due; returns how many orders were sent on their way.

        Raises:
            Transient: stock or store could not be read; the next tick goes on.
        """
        now = self._store.clock.now()
        await self._feed.refresh()
        doubtful = {f.probe for f in self._feed.feeds.values() if not f.pushed}
        if doubtful:
            await self._wms.stock(sorted(doubtful))
        states = self._feed.states(now)
        opened = frozenset(site for site, state in states.items() if state is FeedState.OPEN)
        worse = frozenset(site for site, state in states.items() if state is not FeedState.NORMAL)
        self._store.metrics.open_breakers.set(len(opened))
        self._store.metrics.parked.set(await self.index.size())
        better = (self._open - opened) | (self._doubted - worse)
        self._open, self._doubted = opened, worse
        moved = 0
        for warehouse in sorted(better):
            moved += await self.on_breaker_closed(warehouse)
        if asyncio.get_running_loop().time() - self._asked_at >= ARRIVALS_S:
            moved += await self._arrivals(now)
        return moved + await self.sweep(now)

    async def take(self, snapshot: StockSnapshot) -> Taken:
        """Take a pushed count, and send on who waits for its goods.

        Raises:
            Transient: it should be delivered again.
        """
        taken = await self._feed.take(snapshot, now=self._store.clock.now())
        if taken is Taken.NEWER:
            await self.on_stock(snapshot)
        return taken

    async def on_stock(self, level: StockLevel) -> int:
        """Goods may have arrived: send on who waits for them and can be served now; returns how many."""
        threads = await self.index.waiting_for(level.sku)
        return await self._consider(threads, self._store.clock.now()) if threads else 0

    async def on_breaker_closed(self, warehouse: WarehouseId) -> int:
        """A warehouse accepts again, or without a buffer: look at everybody who waits; returns how many were sent on."""
        log.info("parking.breaker_closed", warehouse=warehouse)
        self._totals.clear()
        return await self._arrivals(self._store.clock.now())

    async def sweep(self, now: datetime) -> int:
        """Look at those whose time has come: close who is over the day limit, send on who can be served."""
        due = await self.index.due(now)
        return await self._consider(due, now) if due else 0

    async def _arrivals(self, now: datetime) -> int:
        """Ask for every SKU somebody waits for; more of it than at the last look is an arrival."""
        self._asked_at = asyncio.get_running_loop().time()
        skus = sorted(await self.index.skus())
        if not skus:
            self._totals.clear()
            return 0
        totals = await self._usable(skus, now)
        arrived = [sku for sku in skus if totals[sku] > self._totals.get(sku, 0)]
        self._totals = totals
        threads = [thread for sku in arrived for thread in await self.index.waiting_for(sku)]
        return await self._consider(dict.fromkeys(threads), now) if threads else 0

    async def _consider(self, threads: Iterable[ThreadId], now: datetime) -> int:
        entries = await self.index.entries(threads)
        waiting = []
        for entry in entries:
            record = await self._store.orders.at(entry.thread)
            if record is None or record.progress not in _WAITING:
                await self.index.remove(entry.thread)
            elif record.progress is OrderProgress.BACKORDERED and now >= entry.until:
                await self._close(entry, record, now)
            elif record.progress is OrderProgress.BACKORDERED:
                waiting.append(entry)
            else:
                await self.index.looked(entry.thread, now=now, retried=False)
        return await self._serve(waiting, now) if waiting else 0

    async def _serve(self, waiting: Sequence[Parked], now: datetime) -> int:
        left = await self._usable(sorted({sku for entry in waiting for sku in entry.needs}), now)
        moved = 0
        for entry in waiting:
            ready = all(left[sku] >= units for sku, units in entry.needs.items()) and self._has_cause(entry)
            if ready:
                for sku, units in entry.needs.items():
                    left[sku] -= units
                headers = {"work": Work.RETRY.value, "tenant": entry.tenant, "order_id": entry.order_id}
                await self._store.intake.push(entry.thread, headers, at=now)
                moved += 1
                log.info("parking.retried", order=entry.order_id, tries=entry.tries + 1)
            else:
                # Only a look that finds nothing touches the working state; a retry writes it anyway.
                await self._store.journal.advance(entry.thread, {}, [], token=UNFENCED, at=now)
            await self.index.looked(entry.thread, now=now, retried=ready)
        return moved

    def _has_cause(self, entry: Parked) -> bool:
        """Whether an order whose goods must leave together may fare otherwise than at its last try: more lies somewhere."""
        if not entry.together:
            return True
        now = {place: units for place, units in self._places.items() if place[1] in entry.needs}
        before = self._tried.get(entry.thread)
        if before is not None and all(units <= before.get(place, 0) for place, units in now.items()):
            # What has left since does not count as there when it comes back.
            self._tried[entry.thread] = {place: min(units, now.get(place, 0)) for place, units in before.items()}
            return False
        if len(self._tried) >= MOST_TRIED:
            self._tried.clear()
        self._tried[entry.thread] = now
        return True

    async def _close(self, entry: Parked, record: OrderRecord, now: datetime) -> None:
        reason = f"out of stock since {entry.since:%Y-%m-%d}; the wait ended at its limit of {entry.until:%Y-%m-%d}"
        if not entry.for_goods:
            reason = f"stock could not be confirmed since {entry.since:%Y-%m-%d}; the wait ended at its limit"
        asked = {"by": "signalbox", "reason": reason}
        request = orjson.dumps({**asked, "at": now.isoformat()}).decode()
        event = happening(record, "order.cancel.requested", {**asked}, at=now)
        headers = {"work": Work.CANCEL.value, "tenant": entry.tenant, "order_id": entry.order_id}
        await self._store.intake.push(entry.thread, headers, at=now, once=("cancel", request), event=event)
        await self.index.looked(entry.thread, now=now, retried=True)
        log.info("parking.closed", order=entry.order_id, since=entry.since.isoformat())

    async def _usable(self, skus: Sequence[Sku], now: datetime) -> dict[Sku, int]:
        """Units per SKU that some order could be promised now, over all warehouses."""
        totals: dict[Sku, int] = dict.fromkeys(skus, 0)
        for start in range(0, len(skus), SKUS_PER_READ):
            chunk = skus[start : start + SKUS_PER_READ]
            demand = self._demand.demand(chunk) if self._demand is not None else {}
            levels = await self._wms.stock(chunk)
            states = self._feed.states(now)
            for level in levels:
                feed = states.get(level.warehouse, FeedState.NORMAL)
                known = demand.get((level.warehouse, level.sku))
                promise = self._policy.promise(level, now, feed=feed, demand=known)
                if promise.state is not FeedState.OPEN:
                    units = max(0, promise.free - promise.buffer)
                    totals[level.sku] += units
                    self._places[level.warehouse, level.sku] = units
                else:
                    self._places[level.warehouse, level.sku] = 0
        return totals


def _limit(decision: Decision) -> datetime | None:
    limit = decision.facts.get("waits_until")
    return datetime.fromisoformat(limit) if isinstance(limit, str) else None
