"""Cancelling an order from outside its run: the customer, our people, or the channel itself.

The lease is held, so no run is under way: the thread is discarded and everything done so far is taken back, in reverse,
each step once. What has left our hands is too late, and says so.
"""

from collections.abc import Awaitable, Callable

import orjson

from domain.conflict import Party
from domain.errors import TooLate
from domain.order import Order, OrderProgress
from domain.values import Plain
from graph.effects import Effects
from graph.order.claiming import Claiming, Contested
from graph.order.release import refuse_if_gone, take_back
from graph.order.run import OrderRun
from graph.order.threads import OrderThreads
from graph.runtime.orders import OrderRecord, happening, order_fields
from graph.runtime.store import Store

Load = Callable[[OrderRecord, int], Awaitable[OrderRun]]
"""Makes the run's context of a record and a fencing token."""

ENDED = frozenset({OrderProgress.CANCELLED, OrderProgress.CLOSED_EXTERNALLY})
"""Where there is nothing left to cancel."""


class Cancelling:
    """Cancels orders whose lease the caller holds."""

    def __init__(self, store: Store, threads: OrderThreads, effects: Effects, claiming: Claiming) -> None:
        """All collaborators are shared by every order."""
        self._store = store
        self._threads = threads
        self._effects = effects
        self._claiming = claiming

    async def requested(self, record: OrderRecord, token: int, load: Load) -> None:
        """Carry out the cancellation noted on the record, or refuse it as too late.

        Raises:
            Transient: not everything could be undone now; calling again goes on where this stopped.
        """
        asked = orjson.loads(record.cancel)
        await self._cancel(record, token, load, f"cancelled by {asked['by']}: {asked['reason']}", from_channel=False)

    async def from_channel(self, record: OrderRecord, token: int, order: Order, load: Load) -> None:
        """The channel shows the order cancelled: follow, without telling it again."""
        if record.order is None:
            version = order_fields(order, version=max(1, record.version))
            now = self._store.clock.now()
            await self._store.journal.advance(record.thread, version, [], token=token, at=now)
            record = await self._store.orders.at(record.thread) or record
        await self._cancel(record, token, load, f"cancelled at {order.channel}", from_channel=True)

    async def void_review(self, record: OrderRecord, why: str) -> None:
        """Withdraw the order's open review, if it has one."""
        if not record.review_id:
            return
        review = await self._store.reviews.find(record.tenant, record.review_id)
        facts: dict[str, Plain] = {"review_id": review.review_id, "why": why}
        event = happening(record, "order.review.voided", facts, at=self._store.clock.now())
        if await self._store.reviews.void(review, event):
            self._store.metrics.reviewed("voided")

    async def _cancel(self, record: OrderRecord, token: int, load: Load, reason: str, *, from_channel: bool) -> None:
        if record.progress in ENDED:
            await self._write(record, token, record.progress, record.detail, "")
            return
        usd_minor: int | None = None
        if record.order is None:
            await self.void_review(record, reason)
        else:
            run = await load(record, token)
            usd_minor = run.usd_minor
            run.cancel_from_channel = from_channel
            try:
                await refuse_if_gone(run, self._effects)
                async with self._claiming.cancelling(run, reason=reason, by=Party.CUSTOMER):
                    await self.void_review(record, reason)
                    await take_back(run, self._effects, reason=reason)
            except (TooLate, Contested) as late:
                await self._write(record, token, record.progress, str(late), "order.cancel.refused")
                return
        kind = f"order.progress.{OrderProgress.CANCELLED.value}"
        await self._write(record, token, OrderProgress.CANCELLED, reason, kind, usd_minor=usd_minor)
        self._store.metrics.reached(OrderProgress.CANCELLED)
        await self._threads.discard(record.thread)

    async def _write(
        self,
        record: OrderRecord,
        token: int,
        progress: OrderProgress,
        detail: str,
        kind: str,
        *,
        usd_minor: int | None = None,
    ) -> None:
        now = self._store.clock.now()
        facts: dict[str, Plain] = {"progress": progress.value, "detail": detail, "attempt_group": record.attempt_group}
        if record.order is not None:
            facts |= {
                "total": record.order.total.model_dump(mode="json"),
                "channel": record.order.channel.value,
                "usd_minor": usd_minor,
            }
        events = [happening(record, kind, facts, at=now)] if kind else []
        fields = {"progress": progress.value, "detail": detail[:500], "cancel": "", "changed_at": now.isoformat()}
        if progress is OrderProgress.CANCELLED:
            fields["review"] = ""
        await self._store.journal.advance(
            record.thread,
            fields,
            events,
            token=token,
            at=now,
            tenant=record.tenant,
            entity_id=record.order_id,
            pin=None if progress is OrderProgress.IN_REVIEW else False,
        )
