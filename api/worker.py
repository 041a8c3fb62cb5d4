"""A worker: carries orders, feeds tier 3, and keeps the audit up with the journal.

Work is acknowledged only when it is done; what fails is delivered again, and after its last delivery kept as a dead
letter with the reason. Stopping finishes what is in hand.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from domain.errors import InputError, MalformedPayload, SignalboxError, StoreUnavailable, Transient
from domain.inventory import StockSnapshot
from domain.order import OrderProgress
from domain.ports import Delivery, EventBus
from graph.bootstrap.system import Signalbox
from graph.order.followers import Follower
from graph.order.threads import UnknownGraphVersion
from graph.runtime import crash
from graph.runtime.atomics import UNFENCED
from graph.runtime.bus_messages import DELIVERY_CAP
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import OCCASIONS
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.orders import happening, thread_of
from graph.runtime.outbox import Outbox
from graph.runtime.stock_feed import TOPIC as STOCK

log = structlog.get_logger(__name__)

CONTROLLER = "controller"
COUNTS = "stock_feed"
BLOCK_MS = 500
"""How long a read waits; also how long a stop may take to be noticed."""
FINISH_S = 15.0
"""What is in hand gets this long after a stop before it is asked to pause at its next step."""
PAUSE_S = 3.0
"""What was asked to pause gets this long to reach its next step."""
HOUSEKEEPING_S = 5.0

Handler = Callable[[Delivery], Awaitable[None]]


class Worker:
    """One process's share of the work."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box
        self._in_hand: set[asyncio.Task[None]] = set()
        self._ids: set[str] = set()
        self.handled = 0
        """Units of intake work finished by this worker."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is in hand.

        Raises:
            StoreUnavailable: the store was away when the worker started.
        """
        await self.subscribe()
        calm_collector()
        loops = [
            self._orders(stop),
            self._guarded("housekeeping", self._housekeeping(stop)),
            self._guarded("parking", self._box.parking.watch(stop)),
            self._guarded("stock", self._counts(stop)),
            self._box.relay.run(stop),
            *(self._guarded(f.group, self._follow(f, stop)) for f in self._box.followers),
        ]
        if self._box.outbox is not None:
            loops.append(self._guarded("outbox", self._publish(self._box.outbox, stop)))
        log.info("worker.started", owner=self._box.owner, graphs=self._box.threads.carried)
        await asyncio.gather(*loops)
        with suppress(Transient):
            await self._box.relay.drain()
            await self._leave()
        log.info("worker.stopped", owner=self._box.owner, handled=self.handled)

    async def subscribe(self) -> None:
        """Declare every group, so that nothing published from now on can be missed or trimmed."""
        bus = self._box.bus
        await bus.subscribe(INTAKE, CONTROLLER)
        await bus.subscribe(STOCK, COUNTS)
        await bus.subscribe(JOURNAL, self._box.relay_group)
        for follower in self._box.followers:
            await bus.subscribe(OCCASIONS, follower.group)
        if self._box.outbox is not None:
            await self._box.outbox.subscribe()

    async def _orders(self, stop: asyncio.Event) -> None:
        """Carry orders; while the workflow is switched off their work stays on its topic, kept and in order."""
        if self._box.workflow.enabled:
            await asyncio.gather(
                self._guarded("intake", self._intake(stop)), self._guarded("claims", self._claims(stop))
            )
            await self._settle()

    async def _leave(self) -> None:
        """Hand the relay to whoever comes next, and take this worker's name out of the groups."""
        await self._box.leadership.resign()
        groups = [(INTAKE, CONTROLLER), (JOURNAL, self._box.relay_group)]
        groups += [(OCCASIONS, follower.group) for follower in self._box.followers]
        for topic, group in groups:
            await self._box.bus.leave(topic, group, self._box.owner)

    async def _guarded(self, name: str, loop: Awaitable[None]) -> None:
        try:
            await loop
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("worker.loop_failed", loop=name)
            raise

    async def _intake(self, stop: asyncio.Event) -> None:
        limit = self._box.settings.worker_concurrency
        while not stop.is_set():
            free = limit - len(self._in_hand)
            if free <= 0:
                await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)
                continue
            for delivery in await self._read(stop, free):
                self._take(delivery)

    async def _read(self, stop: asyncio.Event, count: int) -> list[Delivery]:
        try:
            return await self._box.bus.read(INTAKE, CONTROLLER, self._box.owner, count=count, block_ms=BLOCK_MS)
        except StoreUnavailable as away:
            log.warning("worker.store_away", why=str(away))
            await _pause(stop, 1.0)
            return []

    async def _claims(self, stop: asyncio.Event) -> None:
        """Take over what silent workers left, and what failed here a while ago."""
        idle_ms = self._box.settings.claim_idle_ms
        while not stop.is_set():
            try:
                for delivery in await self._box.bus.claim(
                    INTAKE, CONTROLLER, self._box.owner, idle_ms=idle_ms, count=self._box.settings.worker_concurrency
                ):
                    self._take(delivery)
            except StoreUnavailable as away:
                log.warning("worker.store_away", why=str(away))
            await _pause(stop, idle_ms / 2000)

    def _take(self, delivery: Delivery) -> None:
        if delivery.delivery_id in self._ids:
            return  # slow, and still in hand here
        self._ids.add(delivery.delivery_id)
        task = asyncio.get_running_loop().create_task(self._work(delivery))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def _work(self, delivery: Delivery) -> None:
        try:
            await self._attempt(INTAKE, CONTROLLER, delivery, self._box.controller.handle, self._give_up)
        finally:
            self._ids.discard(delivery.delivery_id)

    async def _follow(self, follower: Follower, stop: asyncio.Event) -> None:
        bus, owner = self._box.bus, self._box.owner
        idle_ms = self._box.settings.claim_idle_ms
        claimed_at = float("-inf")
        while not stop.is_set():
            try:
                now = asyncio.get_running_loop().time()
                if now - claimed_at > idle_ms / 2000:
                    found = await bus.claim(OCCASIONS, follower.group, owner, idle_ms=idle_ms, count=64)
                    claimed_at = now
                else:
                    found = await bus.read(OCCASIONS, follower.group, owner, count=64, block_ms=BLOCK_MS)
                passing = [d.delivery_id for d in found if not follower.concerns(d)]
                if passing:
                    await bus.ack(OCCASIONS, follower.group, passing)
                occasions = [d for d in found if follower.concerns(d)]
                await _until_stopped(self._together(follower, occasions), stop, grace_s=FINISH_S)
            except StoreUnavailable as away:
                log.warning("worker.store_away", why=str(away))
                await _pause(stop, 1.0)

    async def _counts(self, stop: asyncio.Event) -> None:
        """Take the stock counts that feeds push."""
        bus, owner = self._box.bus, self._box.owner
        idle_ms = self._box.settings.claim_idle_ms
        claimed_at = float("-inf")
        while not stop.is_set():
            try:
                found = await bus.read(STOCK, COUNTS, owner, count=256, block_ms=BLOCK_MS)
                now = asyncio.get_running_loop().time()
                if now - claimed_at > idle_ms / 2000:
                    found += await bus.claim(STOCK, COUNTS, owner, idle_ms=idle_ms, count=64)
                    claimed_at = now
                for delivery in found:
                    await self._attempt(STOCK, COUNTS, delivery, self._count, _nothing)
            except StoreUnavailable as away:
                log.warning("worker.store_away", why=str(away))
                await _pause(stop, 1.0)

    async def _count(self, delivery: Delivery) -> None:
        try:
            snapshot = StockSnapshot.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the stock count cannot be read: {bad}") from None
        await self._box.parking.take(snapshot)

    async def _publish(self, outbox: Outbox, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await outbox.step(block_ms=BLOCK_MS)
            except StoreUnavailable:
                await _pause(stop, 2.0)

    async def _together(self, follower: Follower, occasions: list[Delivery]) -> None:
        """Occasions of different orders at once, those of one order one after the other."""
        by_order: dict[str, list[Delivery]] = {}
        for delivery in occasions:
            by_order.setdefault(delivery.message.key, []).append(delivery)

        async def in_turn(deliveries: list[Delivery]) -> None:
            for delivery in deliveries:
                await self._attempt(OCCASIONS, follower.group, delivery, follower.handle, _nothing)

        await asyncio.gather(*(in_turn(deliveries) for deliveries in by_order.values()))

    async def _attempt(
        self,
        topic: str,
        group: str,
        delivery: Delivery,
        handle: Handler,
        give_up: Callable[[Delivery, str], Awaitable[None]],
    ) -> None:
        """Handle one delivery; acknowledge it, bury it, or leave it for the next delivery."""
        bus: EventBus = self._box.bus
        metrics = self._box.store.metrics
        try:
            try:
                await handle(delivery)
            except (InputError, UnknownGraphVersion) as final:
                metrics.failed(group, "buried")
                await give_up(delivery, str(final))
                await bus.bury(topic, group, delivery, str(final))
                return
            except asyncio.CancelledError:
                raise
            except Exception as failure:  # noqa: BLE001  # the process edge: logged, delivered again, dead-lettered in the end
                metrics.failed(group, "again")
                await self._failed(topic, group, delivery, failure, give_up)
                return
            crash.point("message.unacked")
            await bus.ack(topic, group, [delivery.delivery_id])
            self.handled += group == CONTROLLER
        except StoreUnavailable as away:
            log.warning("worker.store_away", why=str(away), delivery=delivery.delivery_id)

    async def _failed(
        self,
        topic: str,
        group: str,
        delivery: Delivery,
        failure: Exception,
        give_up: Callable[[Delivery, str], Awaitable[None]],
    ) -> None:
        expected = isinstance(failure, SignalboxError)
        why = str(failure) if expected else f"{type(failure).__name__}: see the worker's log"
        log.warning(
            "work.failed",
            group=group,
            delivery=delivery.delivery_id,
            attempt=delivery.attempt,
            why=why,
            exc_info=None if expected else failure,
        )
        if delivery.attempt >= DELIVERY_CAP:
            reason = f"failed {delivery.attempt} times, last: {why}"
            await give_up(delivery, reason)
            await self._box.bus.bury(topic, group, delivery, reason)

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        """Show on the order itself that its work is among the dead letters."""
        headers, store = delivery.message.headers, self._box.store
        order_id = headers.get("order_id", "")
        record = await store.orders.at(thread_of(headers.get("tenant", ""), order_id)) if order_id else None
        if record is None or record.progress.terminal or record.progress is OrderProgress.DEAD_LETTER:
            return
        if record.progress is OrderProgress.IN_REVIEW and headers.get("review") != record.review_id:
            return  # its question is still open
        now = store.clock.now()
        event = happening(record, "order.dead_lettered", {"reason": reason, "attempt": delivery.attempt}, at=now)
        fields = {"progress": OrderProgress.DEAD_LETTER.value, "detail": reason[:500], "changed_at": now.isoformat()}
        await store.journal.advance(record.thread, fields, [event], token=UNFENCED, at=now)
        store.metrics.reached(OrderProgress.DEAD_LETTER)

    async def _housekeeping(self, stop: asyncio.Event) -> None:
        bus, metrics = self._box.bus, self._box.store.metrics
        groups = [(INTAKE, CONTROLLER), (JOURNAL, self._box.relay_group)]
        groups += [(OCCASIONS, follower.group) for follower in self._box.followers]
        while not stop.is_set():
            with suppress(StoreUnavailable):
                await bus.trim(INTAKE)
                await bus.trim(OCCASIONS)
                await bus.trim(STOCK)
                for topic, group in groups:
                    lag = await bus.lag(topic, group)
                    metrics.queue.labels(topic, group).set(lag.undelivered + lag.pending)
                    metrics.queue_age.labels(topic, group).set(lag.oldest_ms / 1000)
            await _pause(stop, HOUSEKEEPING_S)

    async def _settle(self) -> None:
        """Let what is in hand finish; what takes too long pauses at its next step and is delivered again."""
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=FINISH_S)
        self._box.threads.drain()
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=PAUSE_S)
        await _cancelled(self._in_hand)


async def _until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event, *, grace_s: float) -> None:
    """Do the work; once ``stop`` is set it has ``grace_s`` left."""
    task = asyncio.get_running_loop().create_task(work)
    stopping = asyncio.get_running_loop().create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=grace_s)
    finally:
        await _cancelled({task, stopping})
    if not task.cancelled():
        task.result()


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """End tasks; what they had in hand is delivered again."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def calm_collector() -> None:
    """Let Python's cycle collector look at what orders leave behind, not at the catalogue and the code again and again.

    Worth a sixth of a worker's time: what is loaded at the start lives as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _nothing(_delivery: Delivery, _reason: str) -> None:
    return None


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
