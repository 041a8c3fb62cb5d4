"""An order's record and its versions: opened when its id was not known at the door, kept in order as newer ones arrive."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from domain.errors import Conflict
from domain.event import Event
from domain.ids import EventId, stable_id
from domain.order import Order, OrderProgress
from domain.values import Plain
from graph.order.amending import changed, noted_late, outside_window, refusal, too_late
from graph.runtime.orders import Arrival, OrderRecord, order_fields, thread_of
from graph.runtime.store import Store

REMEMBERED_FOR = timedelta(hours=48)
"""An order placed longer ago may have outlived its working state: the audit is asked before it is taken for new."""

Remembered = Callable[[str, str], Awaitable[OrderProgress | None]]
"""Where an order ended, by tenant and order id, from records that outlive the working state."""


class Versions:
    """Writes what arrives of an order whose lease the caller holds."""

    def __init__(self, store: Store, remembered: Remembered) -> None:
        """Both are shared by every order."""
        self._store = store
        self._remembered = remembered

    async def admit(self, order: Order, headers: dict[str, str], token: int) -> OrderRecord:
        """Open the order's record: its id was not known at the door, or its working state has expired."""
        now = self._store.clock.now()
        thread = thread_of(order.tenant, order.order_id)
        ended = None
        if now - order.placed_at > REMEMBERED_FOR:
            ended = await self._remembered(order.tenant, order.order_id)
        correlation = headers.get("correlation_id", "")
        fields = {
            "order_id": order.order_id,
            "tenant": order.tenant,
            "progress": (ended or OrderProgress.ACCEPTED).value,
            "accepted_at": now.isoformat(),
            "changed_at": now.isoformat(),
            "correlation_id": correlation,
        }
        facts: dict[str, Plain] = {"channel": order.channel.value, "shop": order.shop, "raw": headers["raw"]}
        events = (
            [] if ended else [order_event(order, "order.accepted", facts, correlation, self._store, headers["raw"])]
        )
        await self._store.journal.advance(
            thread, fields, events, token=token, at=now, tenant=order.tenant, entity_id=order.order_id
        )
        admitted = await self._store.orders.at(thread)
        if admitted is None:
            raise Conflict(f"order {order.order_id} vanished while it was admitted")
        return admitted

    async def note(
        self, record: OrderRecord, order: Order, arrival: Arrival, token: int, *, by_person: bool = False
    ) -> OrderRecord:
        """Keep the version in history, and in the document when it is newer.

        ``by_person``: one of ours made it, whom no customer's window binds, and who has seen what is asked.
        """
        now = self._store.clock.now()
        kind = {Arrival.SAME: "order.repeated", Arrival.STALE: "order.stale"}.get(arrival, "order.updated")
        if arrival is Arrival.SAME and record.progress in {OrderProgress.RUNNING, OrderProgress.IN_REVIEW}:
            return record
        applied = arrival in {Arrival.NEWER, Arrival.REFRESH}
        version = record.version + 1 if applied else record.version
        late = outside_window(record, order, now=now) if applied and not by_person else []
        facts: dict[str, Plain] = {
            "arrival": arrival.value,
            "version": version,
            "source_time": order.updated_at.isoformat(),
            "content": order.content_digest(),
            "state": order.state.value,
            "platform_status": order.platform_status,
            "changes": changed(record.order, order) if applied else [],
            "too_late": applied and too_late(record),
            "outside_window": [*late],
        }
        events = [order_event(order, kind, facts, record.correlation_id, self._store, order.payload_ref)]
        if facts["too_late"] and (refused := refusal(record, order, version=version, now=now)):
            events.append(refused)
        fields = order_fields(order, version=version) if applied else {}
        if late:
            fields["late"] = noted_late(record, late, version=version)
        elif by_person:
            fields["late"] = ""
        if arrival is Arrival.NEWER:
            fields["content_version"] = str(version)
            if record.order is not None and not record.changed and not record.progress.terminal:
                fields["judged_order"] = record.order.to_json()
        await self._store.journal.advance(record.thread, fields, events, token=token, at=now)
        return await self._store.orders.at(record.thread) or record


def order_event(order: Order, kind: str, facts: dict[str, Plain], correlation: str, store: Store, part: str) -> Event:
    """A happening of an order outside any run; its id follows from order, kind, version and ``part``."""
    return Event(
        event_id=EventId(stable_id(order.tenant, order.order_id, kind, part, str(facts.get("version", "")))),
        event_type=kind,
        entity_type="order",
        entity_id=order.order_id,
        agent_name="signalbox",
        timestamp=store.clock.now(),
        result=dict(facts),
        tenant=order.tenant,
        sequence=0,
        correlation_id=correlation,
        currency=order.currency,
        locale=order.locale,
    )
