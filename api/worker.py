"""A worker: carries orders, feeds tier 3, and keeps the audit up with the journal.

Work is acknowledged only when it is done; what fails is delivered again, and after its last delivery kept as a dead
letter with the reason. Stopping finishes what is in hand.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from api.hands import BLOCK_MS, Handler, Hands, Place, pause
from domain.errors import InputError, MalformedPayload, SignalboxError, StoreUnavailable, Transient
from domain.inventory import StockSnapshot
from domain.order import OrderProgress
from domain.ports import Delivery, EventBus
from graph.bootstrap.system import Signalbox
from graph.order.threads import UnknownGraphVersion
from graph.runtime import crash, tracing
from graph.runtime.atomics import UNFENCED
from graph.runtime.bus_messages import DELIVERY_CAP
from graph.runtime.intake import CONTROLLER
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import OCCASIONS
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.listening import Listener
from graph.runtime.orders import happening, thread_of
from graph.runtime.outbox import Outbox
from graph.runtime.stock_feed import TOPIC as STOCK

log = structlog.get_logger(__name__)

COUNTS = "stock_feed"
OCCASIONS_IN_HAND = 256
"""Tier 3 mostly waits for other systems; a deaf one may keep this many occasions waiting."""
FOLLOWED_S = 5.0
"""Tier 3 gets this long after a stop; what it had in hand comes back."""
HOUSEKEEPING_S = 5.0
JOIN_ATTEMPTS = 20
JOIN_PAUSE_S = 0.25
"""A store that is away for longer than all attempts when a worker starts ends the worker, with its reason."""


class Worker:
    """One process's share of the work."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box
        self.handled = 0
        """Units of intake work finished by this worker."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then finish what is in hand.

        Raises:
            StoreUnavailable: the store was away when the worker started.
        """
        await self._join(stop)
        calm_collector()
        loops = [
            *(self._guarded(hands.group, hands.work(stop)) for hands in self._all_hands()),
            self._guarded("housekeeping", self._housekeeping(stop)),
            *(self._guarded(watch.name, watch.run(stop)) for watch in self._box.watches),
            self._box.relay.run(stop),
        ]
        if self._box.outbox is not None:
            loops.append(self._guarded("outbox", self._publish(self._box.outbox, stop)))
        log.info("worker.started", owner=self._box.owner, graphs=self._box.threads.carried)
        await asyncio.gather(*loops)
        with suppress(Transient):
            await self._box.relay.drain()
            await self._leave()
        log.info("worker.stopped", owner=self._box.owner, handled=self.handled)

    async def _join(self, stop: asyncio.Event) -> None:
        """Declare the groups; a connection that breaks on the way is a reason to try again, not to give up."""
        for attempt in range(JOIN_ATTEMPTS):
            try:
                await self.subscribe()
                return
            except StoreUnavailable as away:
                if attempt + 1 == JOIN_ATTEMPTS or stop.is_set():
                    raise
                log.warning("worker.not_joined", why=str(away))
                await pause(stop, JOIN_PAUSE_S)

    async def subscribe(self) -> None:
        """Declare every group, so that nothing published from now on can be missed or trimmed."""
        bus = self._box.bus
        await bus.subscribe(INTAKE, CONTROLLER)
        await bus.subscribe(STOCK, COUNTS)
        await bus.subscribe(JOURNAL, self._box.relay_group)
        for listener in self._box.followers:
            await bus.subscribe(listener.topic, listener.group)
        if self._box.outbox is not None:
            await self._box.outbox.subscribe()

    def _all_hands(self) -> list[Hands]:
        """Hands for stock counts, for tier 3, and for orders unless the workflow is switched off: then their work stays."""
        enabled = self._box.workflow.enabled
        orders = [self._orders()] if enabled else []
        return [*orders, self._counts(), *(self._listening(listener) for listener in self._box.followers)]

    def _orders(self) -> Hands:
        async def work(delivery: Delivery) -> None:
            await self._attempt(INTAKE, CONTROLLER, delivery, self._box.work.handle, self._give_up)

        hands = self._hands(INTAKE, CONTROLLER, work, limit=self._box.settings.worker_concurrency)
        hands.may_take = self._box.effects.ready
        hands.pause = self._box.threads.drain
        return hands

    def _listening(self, listener: Listener) -> Hands:
        """The messages of one key in turn, and many keys at once, so that a slow one holds up no other."""

        async def work(delivery: Delivery) -> None:
            await self._attempt(listener.topic, listener.group, delivery, listener.handle, _nothing)

        hands = self._hands(listener.topic, listener.group, work, limit=OCCASIONS_IN_HAND, in_turn=True)
        hands.concerns = listener.concerns
        hands.finish_s = FOLLOWED_S
        return hands

    def _counts(self) -> Hands:
        """The stock counts that feeds push, those of one feed in turn."""

        async def work(delivery: Delivery) -> None:
            await self._attempt(STOCK, COUNTS, delivery, self._count, _nothing)

        return self._hands(STOCK, COUNTS, work, limit=OCCASIONS_IN_HAND, in_turn=True)

    def _hands(self, topic: str, group: str, work: Handler, *, limit: int, in_turn: bool = False) -> Hands:
        place, idle_ms = Place(topic=topic, group=group, owner=self._box.owner), self._box.settings.claim_idle_ms
        return Hands(self._box.bus, place, work, limit=limit, idle_ms=idle_ms, in_turn=in_turn)

    async def _leave(self) -> None:
        """Hand the relay to whoever comes next, and take this worker's name out of the groups."""
        await self._box.leadership.resign()
        groups = [(INTAKE, CONTROLLER), (JOURNAL, self._box.relay_group)]
        groups += [(listener.topic, listener.group) for listener in self._box.followers]
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
                await pause(stop, 2.0)

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
                with tracing.span(f"process {topic}/{group}", parent=delivery.message.headers):
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
        groups += [(listener.topic, listener.group) for listener in self._box.followers]
        while not stop.is_set():
            with suppress(StoreUnavailable):
                await bus.trim(INTAKE)
                await bus.trim(OCCASIONS)
                await bus.trim(STOCK)
                for topic, group in groups:
                    lag = await bus.lag(topic, group)
                    metrics.queue.labels(topic, group).set(lag.undelivered + lag.pending)
                    metrics.queue_age.labels(topic, group).set(lag.oldest_ms / 1000)
            await pause(stop, HOUSEKEEPING_S)


def calm_collector() -> None:
    """Let Python's cycle collector look at what orders leave behind, not at the catalogue and the code again and again.

    Worth a sixth of a worker's time: what is loaded at the start lives as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _nothing(_delivery: Delivery, _reason: str) -> None:
    return None
