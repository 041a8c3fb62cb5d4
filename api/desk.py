"""The order desk: what the HTTP routes and the command line ask of a running Signalbox."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import orjson

from api.autonomy import standings
from api.blinding import Blinding
from api.costs import budgets, costs, narrowed, order_cost
from api.governance import GovernanceDesk
from api.health import health
from api.live_events import LiveEvents
from api.outcomes import record_outcome
from api.purchasing import PurchasingDesk
from api.registry import inventory, registered
from api.review_views import ReviewViews
from api.services import Accepted, Health, Json, Submission
from domain.errors import NotFound, TooLate
from domain.event import Event
from domain.example import require_teacher
from domain.ids import OrderId, TenantId, stable_id
from domain.order import OrderProgress
from domain.outcome import TurnedOut
from domain.ports import Message
from domain.promise_clock import StartClock
from domain.review import ReviewState
from domain.review_case import shown
from graph.bootstrap.system import Signalbox
from graph.runtime import crash
from graph.runtime.customer_story import for_customer
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.intake import Parcelled, Work
from graph.runtime.orders import OrderRecord, happening, thread_of
from graph.runtime.why import explain, withheld
from tools.channels.protocol import DeliveryKind

EXPLAINED = ("order", "purchase_order", "sku")
"""What may be asked about; the first kind that has a record under the id is told of."""


class Desk(ReviewViews):
    """Implements ``api.services.OrderDesk`` on the working store and the audit."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        super().__init__(box)
        self._live = LiveEvents(box)
        self.blinding = Blinding(box)
        self.governance = GovernanceDesk(box)
        self.purchasing = PurchasingDesk(box, self)

    async def submit(self, submission: Submission) -> Accepted:
        """Make the delivery durable, once, before returning.

        Raises:
            StoreUnavailable: nothing was accepted; the sender should repeat.
        """
        if submission.kind is DeliveryKind.IGNORED:
            self._box.store.metrics.delivered(submission.channel, "ignored")
            return Accepted(order_id=None, handle=f"ignored-{submission.dedupe_id[:40]}", duplicate=False)
        order_id = f"{submission.channel}-{submission.order_hint}" if submission.order_hint else ""
        taken = await self._box.store.intake.accept(
            Parcelled(
                tenant=submission.tenant,
                channel=submission.channel,
                shop=submission.shop,
                raw=submission.raw.decode("utf-8"),
                dedupe_id=f"{submission.shop}\x00{submission.dedupe_id}",
                order_id=order_id,
                work=Work.FETCH if submission.fetch else Work.ORDER,
                external_id=submission.order_hint,
                source=submission.source,
                currency=submission.currency,
                locale=submission.locale,
            ),
            at=submission.received_at,
        )
        crash.point("intake.appended")
        self._box.store.metrics.delivered(submission.channel, "duplicate" if taken.duplicate else "accepted")
        known = OrderId(taken.handle) if order_id else None
        return Accepted(order_id=known, handle=taken.handle, duplicate=taken.duplicate)

    async def order(self, tenant: TenantId, order_id: str) -> Json:
        """One order: where it stands, what was decided, what was done.

        Raises:
            NotFound: no such order in this tenant.
        """
        record = await self._box.store.orders.find(tenant, order_id)
        if record is None:
            explanation = await self.audit(tenant, order_id)
            return {"order_id": order_id, "state": explanation["outcome"], "archived": True, "explanation": explanation}
        return await self._view(record)

    async def _view(self, record: OrderRecord) -> Json:
        store = self._box.store
        decisions, effects = await asyncio.gather(
            store.journal.decisions(record.thread), store.ledger.records(record.thread)
        )
        review = await store.reviews.find(record.tenant, record.review_id) if record.review_id else None
        order, blind = record.order, review is not None and review.blind and review.state is ReviewState.OPEN
        return {
            "order_id": record.order_id,
            "state": record.progress.value,
            "detail": record.detail,
            "channel": order.channel.value if order else None,
            "channel_state": order.state.value if order else None,
            "number": order.external_number if order else None,
            "version": record.version,
            "attempt_group": record.attempt_group,
            "accepted_at": record.accepted_at,
            "changed_at": record.changed_at,
            "total": order.total.model_dump(mode="json") if order else None,
            "model_cost": await order_cost(self._box, record.tenant, record.order_id),
            "total_open": order.total_open.model_dump(mode="json") if order else None,
            "lines": [line.model_dump(mode="json") for line in order.lines] if order else [],
            "issues": [issue.value for issue in order.issues] if order else [],
            "cancel_requested": bool(record.cancel),
            "decisions": [
                d.model_dump(mode="json", exclude={"inputs", "proposals", "tenant", "entity_type", "entity_id"})
                for d in (() if blind else decisions)
            ],
            "effects": [e.model_dump(mode="json", exclude={"args_digest", "fence"}) for e in effects],
            "review": shown(review) if review else None,
        }

    async def orders(self, tenant: TenantId, *, limit: int = 100) -> list[OrderRecord]:
        """The tenant's orders, last changed first."""
        return await self._box.store.orders.recent(tenant, limit=limit)

    async def cancel(self, tenant: TenantId, order_id: str, *, actor: str, reason: str) -> Json:
        """Ask for the order's cancellation; asking again changes nothing.

        Raises:
            NotFound: no such order in this tenant.
            TooLate: the platform has already closed it.
        """
        store = self._box.store
        record = await store.orders.find(tenant, order_id)
        if record is None:
            raise NotFound(f"there is no order {order_id!r}")
        if record.progress is OrderProgress.CLOSED_EXTERNALLY:
            raise TooLate(f"order {order_id} is closed at its channel; cancel it there or offer a return")
        if record.progress is not OrderProgress.CANCELLED:
            now = store.clock.now()
            request = orjson.dumps({"by": actor, "reason": reason, "at": now.isoformat()}).decode()
            event = happening(record, "order.cancel.requested", {"by": actor, "reason": reason}, at=now)
            headers = {"work": Work.CANCEL.value, "tenant": tenant, "order_id": order_id}
            await store.intake.push(record.thread, headers, at=now, once=("cancel", request), event=event)
        latest = await store.orders.find(tenant, order_id)
        view = await self._view(latest or record)
        return view | {"cancel_requested": True}

    async def audit(self, tenant: TenantId, entity_id: str) -> Json:
        """Who acted on the order, purchase order, SKU, review or whatever goes by the id, when, why, with which versions.

        Raises:
            NotFound: nothing is recorded under this id in this tenant.
        """
        recorded = await self._box.audit.named(tenant, entity_id)
        rows, live = [], []
        for kind, name in recorded[:1] or [(kind, entity_id) for kind in EXPLAINED]:
            rows = await self._box.audit.entity(tenant, kind, name)
            live = await self._live.of_entity(tenant, kind, name, known={row.event_id for row in rows})
            if rows or live:
                break
        explained = explain(rows, live)
        asked = [step.review_id for step in explained.reviews if step.state is ReviewState.OPEN]
        if any([await self.blinding.asks(tenant, one) for one in asked]):
            explained = withheld(explained)
        return explained.model_dump(mode="json") | {"for_customer": for_customer(explained)}

    async def agents(self) -> list[Json]:
        """The registry with each agent's place in the topology in force."""
        return registered(self._box.topology.workflows)

    async def registry(self, tenant: TenantId) -> Json:
        """Every agent and automation, with budgets, and who speaks here without being registered."""
        return await inventory(self._box, tenant)

    async def report(self, event: Event) -> Json:
        """Keep what an automation reports, once.

        Raises:
            MalformedPayload, Conflict, StoreUnavailable: see ``graph.runtime.observations``.
        """
        observing = self._box.observing
        taken = await observing.observations.take(event)
        return {
            "event_id": taken.event_id,
            "duplicate": taken.duplicate,
            "registered": observing.automations.knows(event.agent_name),
        }

    async def costs(self, tenant: TenantId, by: str, given: Mapping[str, str | None]) -> Json:
        """What model calls cost, grouped, and what the budgets of the day have left."""
        found = await costs(self._box, narrowed(tenant, given), by)
        return found | await budgets(self._box, tenant)

    async def autonomy(self, tenant: TenantId, agent: str | None) -> Json:
        """What agents have earned at this shop."""
        return await standings(self._box, tenant, agent)

    async def clocks(self, tenant: TenantId, *, running: bool, entity_id: str | None) -> Json:
        """Promises with a deadline, the nearest first, and how each kind was kept lately."""
        book, now = self._box.clocks, self._box.clock.now()
        found = await book.listed(tenant, running=running, entity_id=entity_id)
        shown = [one.model_dump(mode="json", exclude={"tenant"}) | {"used": round(one.share(now), 3)} for one in found]
        return {"clocks": shown, "measures": [one.model_dump(mode="json") for one in await book.measures(tenant)]}

    async def start_clock(self, tenant: TenantId, asked: StartClock) -> Json:
        """Start a clock, once for the same thing owed.

        Raises:
            InputError: there is no such kind, or it would end before it begins.
        """
        started = await self._box.clocks.start(
            tenant, asked.kind, entity=(asked.entity_type, asked.entity_id), subject=asked.subject,
            started=asked.started_at or self._box.clock.now(), due=asked.due_at,
        )  # fmt: skip
        return started.model_dump(mode="json", exclude={"tenant"})

    async def end_clock(self, tenant: TenantId, clock_id: str, *, actor: str, machine: bool, withdrawn: bool) -> Json:
        """What was owed happened, or is not owed any more.

        Raises:
            NotFound: this tenant has none of that id.
        """
        ended = await self._box.clocks.end(
            tenant, clock_id, by=actor, at=self._box.clock.now(), machine=machine, stopped=withdrawn
        )
        return ended.model_dump(mode="json", exclude={"tenant"})

    async def outcome(self, tenant: TenantId, said: TurnedOut, *, by: str) -> Json:
        """Put on record what came of an agent's decision.

        Raises:
            InputError, NotFound: see ``api.outcomes``.
        """
        event = await record_outcome(self._box, tenant, said, by=by)
        return {"event_id": event.event_id, "order_id": said.order_id, "agent": said.agent, "kind": said.kind.value}

    async def examples(self, tenant: TenantId) -> list[Json]:
        """What people's edits have taught, newest first, undone ones included."""
        return [one.model_dump(mode="json", exclude={"tenant"}) for one in await self._box.examples.listed(tenant)]

    async def example(self, tenant: TenantId, example_id: str) -> Json:
        """One example.

        Raises:
            NotFound: this tenant has none of that id.
        """
        return (await self._box.examples.find(tenant, example_id)).model_dump(mode="json", exclude={"tenant"})

    async def set_example(
        self, tenant: TenantId, example_id: str, *, active: bool, actor: str, roles: frozenset[str], reason: str
    ) -> Json:
        """Undo an example or give it its influence back.

        Raises:
            NotFound, Forbidden, Conflict: see ``api.services.OrderDesk``.
        """
        book, now = self._box.examples, self._box.clock.now()
        require_teacher((await book.find(tenant, example_id)).situation.kind, actor, roles)
        change = book.restore if active else book.undo
        changed = await change(tenant, example_id, by=actor, reason=reason, at=now)
        return changed.model_dump(mode="json", exclude={"tenant"})

    async def erase_customer(
        self, tenant: TenantId, customer_id: str, *, actor: str, reason: str, dry_run: bool
    ) -> Json:
        """Remove a person everywhere, or say what would go.

        Raises:
            NotFound: nothing is held of them in this tenant.
            Conflict: an order of theirs still runs; nothing was changed.
        """
        erasure = self._box.privacy.erasure
        work = erasure.dry_run(tenant, customer_id) if dry_run else erasure.erase(
            tenant, customer_id, by=actor, reason=reason
        )  # fmt: skip
        report = await work
        if report.nothing:
            raise NotFound("nothing is held of this customer in this tenant")
        return report.model_dump(mode="json")

    async def dead_letter(self, tenant: str, channel: str, raw: bytes, reason: str) -> None:
        """Keep an authentic delivery that cannot be read, with its reason.

        Raises:
            StoreUnavailable: it was not kept; the sender should repeat.
        """
        body = raw.decode("utf-8", errors="backslashreplace")
        name = stable_id(tenant, channel, body)
        headers = {"work": Work.UNREADABLE.value, "tenant": tenant, "channel": channel, "reason": reason}
        message = Message(key=thread_of(tenant, name), headers=headers, body=body)
        await self._box.bus.publish(INTAKE, message, dedupe_key=name)
        self._box.store.metrics.delivered(channel, "unreadable")

    async def health(self) -> Health:
        """Whether orders can be taken now."""
        return await health(self._box)

    def metrics(self) -> bytes:
        """The instruments in the Prometheus text format."""
        return self._box.store.metrics.page()

    async def events(self, tenant: TenantId, last_event_id: str | None) -> AsyncIterator[tuple[str, str]]:
        """The tenant's events after ``last_event_id``, then live ones, without end."""
        async for place, event in self._live.after(tenant, last_event_id):
            yield place, await self.blinding.told(event)
