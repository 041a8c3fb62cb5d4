"""Putting on an order's record what came of an agent's decision: the autonomy listener judges by it."""

from domain.errors import InputError, NotFound
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id
from domain.outcome import OutcomeKind, TurnedOut
from graph.bootstrap.system import Signalbox
from graph.runtime.orders import thread_of


async def record_outcome(box: Signalbox, tenant: TenantId, said: TurnedOut, *, by: str) -> Event:
    """Put an outcome on the order's record, once for each agent and kind; a severe one demotes at once.

    Raises:
        InputError: no agent of this name is in the workflow.
        NotFound: there is no such order in this tenant.
    """
    agents = [node.name for node in box.workflow.agents]
    if said.agent not in agents:
        raise InputError(f"there is no agent {said.agent}; {', '.join(agents)} are")
    known = await box.store.orders.find(tenant, said.order_id)
    if known is None and not await box.audit.entity(tenant, "order", said.order_id):
        raise NotFound(f"there is no order {said.order_id!r}")
    event = Event(
        event_id=EventId(stable_id(tenant, said.order_id, said.agent, said.kind.value)),
        event_type="order.outcome.recorded",
        entity_type="order",
        entity_id=said.order_id,
        agent_name=f"person:{by}",
        timestamp=box.clock.now(),
        result={
            "agent": said.agent,
            "kind": said.kind.value,
            "wrong": said.kind is not OutcomeKind.CONFIRMED,
            "reason": said.reason,
        },
        tenant=tenant,
        sequence=0,
        correlation_id=said.order_id,
        currency="",
        locale="",
    )
    await box.store.journal.publish(thread_of(tenant, said.order_id), [event], at=event.timestamp)
    return event
