"""Finding what is held of one person: their orders wherever they are kept, what was recorded about them, dead letters."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import InputError, NotFound
from domain.order import Order, OrderProgress
from domain.personal import Person
from domain.ports import DeadLetter, EventBus
from graph.runtime.audit import AuditStore
from graph.runtime.audit_chain import AuditRow, ChainKey
from graph.runtime.dead_letters import DeadLetters
from graph.runtime.erasure_redis import WorkingStoreErasure, is_of
from graph.runtime.erasure_sql import taped_orders
from graph.runtime.erasures import ErasureBook
from graph.runtime.orders import WORKFLOW, OrderRecord, thread_of
from graph.runtime.store import Store
from graph.runtime.tapes import TapeBook

_LONGEST_ID = 500
_AT_REST = frozenset(
    {
        OrderProgress.FULFILLED,
        OrderProgress.CANCELLED,
        OrderProgress.CLOSED_EXTERNALLY,
        OrderProgress.DEAD_LETTER,
    }
)


@dataclass(frozen=True, kw_only=True)
class PersonalStores:
    """Every place where something of a person may be."""

    store: Store
    bus: EventBus
    working: WorkingStoreErasure
    engine: AsyncEngine
    audit: AuditStore
    book: ErasureBook
    tapes: TapeBook
    letters: DeadLetters
    outside: tuple[str, ...]
    """Systems that hold people's data themselves, as sentences for whoever has to ask them."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that is held of one person."""

    person: Person
    records: list[OrderRecord]
    """Orders in working state."""
    orders: dict[str, Order]
    """The newest document of every order, by order id."""
    rows: dict[ChainKey, list[AuditRow]]
    letters: list[DeadLetter]

    @property
    def order_ids(self) -> list[str]:
        """The person's orders."""
        return sorted(self.orders)

    @property
    def running(self) -> list[str]:
        """Orders that something will still happen to by itself."""
        return [record.order_id for record in self.records if record.progress not in _AT_REST]

    @property
    def raw(self) -> list[str]:
        """References of raw payloads."""
        named = {order.payload_ref for order in self.orders.values()}
        for rows in self.rows.values():
            named |= {str(row.event.result.get("raw", "")) for row in rows}
        return sorted(named - {""})

    @property
    def months(self) -> tuple[str, ...]:
        """Months in which something of them was recorded."""
        return tuple(sorted({f"{row.recorded_at:%Y-%m}" for rows in self.rows.values() for row in rows}))

    @property
    def nothing(self) -> bool:
        """Whether nobody by that id is known."""
        return not (self.orders or self.letters or any(self.rows.values()))


class PersonFinder:
    """Looks everywhere."""

    def __init__(self, stores: PersonalStores) -> None:
        """The places to look at."""
        self._at = stores

    async def find(self, tenant: str, customer_id: str) -> Found:
        """What is held of a customer, who is named by id, or as a guest by e-mail or phone.

        Raises:
            InputError: the id is empty or too long.
            StoreUnavailable: a store does not answer.
        """
        if not customer_id.strip() or len(customer_id) > _LONGEST_ID or "\x00" in customer_id:
            raise InputError(f"name the customer by id, e-mail or phone, in 1 to {_LONGEST_ID} characters")
        records = await self._at.working.orders_of(tenant, customer_id)
        taped = [o for o in await taped_orders(self._at.engine, tenant, customer_id) if is_of(o, customer_id)]
        documents = taped + [record.order for record in records if record.order is not None]
        documents += [Order.from_json(record.judged_order) for record in records if record.judged_order]
        orders = {str(order.order_id): order for order in sorted(documents, key=lambda order: order.updated_at)}
        keys: set[ChainKey] = {(tenant, WORKFLOW, order_id) for order_id in orders}
        if reference := await self._at.book.known_reference(tenant, customer_id):
            keys.add((tenant, "customer", reference))
        rows = {key: await self._at.audit.entity(*key) for key in sorted(keys)}
        person = Person.of(customer_id, documents, said=_said(rows))
        letters = [one for one in await self._at.letters.all() if await self.is_about(one, tenant, orders, person)]
        return Found(person=person, records=records, orders=orders, rows=rows, letters=letters)

    async def is_about(self, letter: DeadLetter, tenant: str, orders: Iterable[str], person: Person) -> bool:
        """Whether a dead letter belongs to one of the orders or names the person."""
        message = letter.message
        if message.key in {thread_of(tenant, order_id) for order_id in orders}:
            return True
        texts = [message.body, letter.reason, *message.headers.values()]
        if raw := message.headers.get("raw"):
            texts.append(await self._at.store.intake.raw(raw, int(message.headers.get("shard", "0"))) or "")
        return message.headers.get("tenant", tenant) == tenant and any(person.named_in(text) for text in texts)

    async def export(self, tenant: str, customer_id: str) -> dict[str, object]:
        """Everything that is held of one person, as plain JSON.

        Raises:
            NotFound: nothing is held.
        """
        found = await self.find(tenant, customer_id)
        if found.nothing:
            raise NotFound(f"nothing is held of a customer {customer_id!r} in this tenant")
        raw = await asyncio.gather(*(self._raw(order) for order in found.orders.values()))
        return {
            "tenant": tenant,
            "customer_id": customer_id,
            "made_at": self._at.store.clock.now().isoformat(),
            "orders": [order.model_dump(mode="json") for order in found.orders.values()],
            "raw_payloads": [text for text in raw if text],
            "events": [orjson.loads(row.payload) for rows in found.rows.values() for row in rows],
            "tapes": [
                tape.model_dump(mode="json")
                for order_id in found.order_ids
                for tape in await self._at.tapes.of_order(tenant, order_id)
            ],
            "dead_letters": [
                {"reason": one.reason, "body": one.message.body, "at": one.at.isoformat()} for one in found.letters
            ],
            "held_outside_by": list(self._at.outside),
        }

    async def _raw(self, order: Order) -> str:
        if not order.payload_ref:
            return ""
        shard = self._at.store.keys.shard_of(thread_of(order.tenant, order.order_id))
        return await self._at.store.intake.raw(order.payload_ref, shard) or ""


def _said(rows: dict[ChainKey, list[AuditRow]]) -> list[str]:
    """What was written about or by the customer in cancellation requests: it comes back in other rows' sentences."""
    wanted = [row.event.result for some in rows.values() for row in some if row.event_type == "order.cancel.requested"]
    return [str(result["reason"]) for result in wanted if isinstance(result.get("reason"), str)]
