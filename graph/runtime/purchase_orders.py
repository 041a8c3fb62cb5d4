"""The store of purchase orders: numbered without gaps, one a trigger, every version kept, states moved by compare-and-set."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import Conflict, NotFound, StoreUnavailable
from domain.purchasing import PurchaseOrder, PurchaseOrderState
from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.purchasing_schema import (
    purchase_order_numbers,
    purchase_order_triggers,
    purchase_order_versions,
    purchase_orders,
)

OPEN = tuple(state.value for state in PurchaseOrderState if state.open)


class StoredOrder(Document):
    """A purchase order as it stands, and when what happened to it."""

    order: PurchaseOrder
    letter: str
    """JSON of the letter that goes with this version; empty before it was written."""
    state: PurchaseOrderState
    detail: str
    triggered_at: AwareDatetime
    drafted_at: AwareDatetime | None = None
    decided_at: AwareDatetime | None = None
    sent_at: AwareDatetime | None = None
    answered_at: AwareDatetime | None = None
    changed_at: AwareDatetime


class PurchaseOrders:
    """Every tenant's purchase orders."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The schema is up to date."""
        self._engine = engine

    async def begin(self, tenant: str, trigger_key: str, *, at: datetime) -> tuple[str, bool]:
        """The number a trigger's order has, and whether it was taken just now; the same trigger always has the same.

        Raises:
            StoreUnavailable: nothing was taken.
        """
        async with self._reach() as connection:
            number = await self._number_of(connection, tenant, trigger_key)
            if number is not None:
                return number, False
            number = await self._next(connection, tenant, at.year)
            row = {"tenant": tenant, "trigger_key": trigger_key, "number": number, "at": at}
            done = await connection.execute(
                insert_into(purchase_order_triggers, connection).values(**row).on_conflict_do_nothing()
            )
            if done.rowcount == 1:
                return number, True
            # Somebody else took the trigger between our look and our insert; our number goes back with the rollback.
            await connection.rollback()
        async with self._reach() as connection:
            taken = await self._number_of(connection, tenant, trigger_key)
        if taken is None:
            raise StoreUnavailable(f"the trigger {trigger_key} was taken and is gone; try again")
        return taken, False

    async def keep(
        self, order: PurchaseOrder, *, letter: str, by: str, at: datetime, triggered_at: datetime | None = None
    ) -> StoredOrder:
        """Keep a version of an order, once; a newer version becomes the draft that stands.

        Raises:
            Conflict: this version is kept with other content, or a newer one stands.
            StoreUnavailable: nothing was kept.
        """
        async with self._reach() as connection:
            kept = await self._version(connection, order.tenant, order.number, order.version)
            if kept is not None and kept.digest != order.content_digest:
                raise Conflict(
                    f"version {order.version} of {order.number} is kept with other content; make the next one"
                )
            if kept is None:
                await connection.execute(
                    purchase_order_versions.insert().values(
                        tenant=order.tenant, number=order.number, version=order.version, digest=order.content_digest,
                        document=order.to_json(), letter=letter, made_at=at, made_by=by,
                    )
                )  # fmt: skip
            await self._stand(connection, order, at=at, triggered_at=triggered_at or at)
        return await self.find(order.tenant, order.number)

    async def move(
        self,
        tenant: str,
        number: str,
        *,
        to: PurchaseOrderState,
        expected: Iterable[PurchaseOrderState],
        at: datetime,
        detail: str = "",
    ) -> StoredOrder:
        """Move an order to a state, if it stands in one of those expected; being there already changes nothing.

        Raises:
            NotFound: there is no such order.
            Conflict: it stands in another state.
            StoreUnavailable: nothing was moved.
        """
        instants = _INSTANT.get(to, ())
        async with self._reach() as connection:
            done = await connection.execute(
                update(purchase_orders)
                .where(
                    purchase_orders.c.tenant == tenant,
                    purchase_orders.c.number == number,
                    purchase_orders.c.state.in_([state.value for state in expected]),
                )
                .values(state=to.value, changed_at=at, detail=detail[:500], **dict.fromkeys(instants, at))
            )
        now = await self.find(tenant, number)
        if done.rowcount == 0 and now.state is not to:
            raise Conflict(f"{number} is {now.state.value}; it cannot become {to.value} any more")
        return now

    async def find(self, tenant: str, number: str) -> StoredOrder:
        """An order in the version that stands.

        Raises:
            NotFound: this tenant has none of that number.
            StoreUnavailable: no answer.
        """
        found = await self._select(purchase_orders.c.tenant == tenant, purchase_orders.c.number == number)
        if not found:
            raise NotFound(f"there is no purchase order {number!r}")
        return found[0]

    async def version(self, tenant: str, number: str, version: int) -> tuple[PurchaseOrder, str]:
        """One version and its letter, as they were made.

        Raises:
            NotFound: there is no such version.
            StoreUnavailable: no answer.
        """
        async with self._reach() as connection:
            row = await self._version(connection, tenant, number, version)
        if row is None:
            raise NotFound(f"there is no version {version} of purchase order {number!r}")
        return PurchaseOrder.from_json(row.document), str(row.letter)

    async def listed(
        self, tenant: str, *, states: Iterable[PurchaseOrderState] = (), limit: int = 200
    ) -> list[StoredOrder]:
        """A tenant's orders, the one changed last first.

        Raises:
            StoreUnavailable: no answer.
        """
        wanted = [state.value for state in states]
        conditions = [purchase_orders.c.tenant == tenant]
        conditions += [purchase_orders.c.state.in_(wanted)] if wanted else []
        return await self._select(*conditions, limit=limit)

    async def everywhere(self, *, states: Iterable[PurchaseOrderState], limit: int = 5000) -> list[StoredOrder]:
        """Orders of all tenants in some states, for those who watch over them.

        Raises:
            StoreUnavailable: no answer.
        """
        return await self._select(purchase_orders.c.state.in_([state.value for state in states]), limit=limit)

    async def open_units(self, tenant: str, skus: Sequence[str]) -> dict[str, int]:
        """Units of each SKU on orders that may still arrive.

        Raises:
            StoreUnavailable: no answer.
        """
        coming = dict.fromkeys(skus, 0)
        for stored in await self._select(purchase_orders.c.tenant == tenant, purchase_orders.c.state.in_(OPEN)):
            for line in stored.order.lines:
                if line.sku in coming:
                    coming[line.sku] += line.quantity
        return coming

    async def _stand(
        self, connection: AsyncConnection, order: PurchaseOrder, *, at: datetime, triggered_at: datetime
    ) -> None:
        row = {
            "tenant": order.tenant, "number": order.number, "version": order.version,
            "state": PurchaseOrderState.DRAFT.value, "vendor_id": order.vendor.vendor_id, "trigger_key": order.trigger,
            "currency": order.currency, "total_minor": order.total.amount_minor, "triggered_at": triggered_at,
            "drafted_at": at, "changed_at": at, "detail": "",
        }  # fmt: skip
        newer = {name: row[name] for name in ("version", "state", "total_minor", "drafted_at", "changed_at", "detail")}
        await connection.execute(
            insert_into(purchase_orders, connection)
            .values(**row)
            .on_conflict_do_update(
                index_elements=[purchase_orders.c.tenant, purchase_orders.c.number],
                set_=newer,
                where=purchase_orders.c.version < order.version,
            )
        )
        standing = await connection.scalar(
            select(purchase_orders.c.version).where(
                purchase_orders.c.tenant == order.tenant, purchase_orders.c.number == order.number
            )
        )
        if standing != order.version:
            raise Conflict(f"version {standing} of {order.number} stands; version {order.version} is too old")

    async def _select(self, *conditions: Any, limit: int = 5000) -> list[StoredOrder]:
        joined = purchase_orders.join(
            purchase_order_versions,
            (purchase_orders.c.tenant == purchase_order_versions.c.tenant)
            & (purchase_orders.c.number == purchase_order_versions.c.number)
            & (purchase_orders.c.version == purchase_order_versions.c.version),
        )
        wanted = (
            select(purchase_orders, purchase_order_versions.c.document, purchase_order_versions.c.letter)
            .select_from(joined)
            .where(*conditions)
            .order_by(purchase_orders.c.changed_at.desc(), purchase_orders.c.number.desc())
            .limit(limit)
        )
        async with self._reach() as connection:
            return [_stored(row) for row in await connection.execute(wanted)]

    async def _version(self, connection: AsyncConnection, tenant: str, number: str, version: int) -> Any:
        table = purchase_order_versions.c
        wanted = select(purchase_order_versions).where(
            table.tenant == tenant, table.number == number, table.version == version
        )
        return (await connection.execute(wanted)).first()

    async def _number_of(self, connection: AsyncConnection, tenant: str, trigger_key: str) -> str | None:
        table = purchase_order_triggers.c
        number: str | None = await connection.scalar(
            select(table.number).where(table.tenant == tenant, table.trigger_key == trigger_key)
        )
        return number

    async def _next(self, connection: AsyncConnection, tenant: str, year: int) -> str:
        """The next number of a year; concurrent takers wait for each other's row."""
        table = purchase_order_numbers
        statement = insert_into(table, connection).values(tenant=tenant, year=year, last=1)
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=[table.c.tenant, table.c.year], set_={"last": table.c.last + 1}
            )
        )
        last = await connection.scalar(
            select(func.max(table.c.last)).where(table.c.tenant == tenant, table.c.year == year)
        )
        return f"PO-{year}-{int(last or 1):06d}"

    @asynccontextmanager
    async def _reach(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeout, OSError) as away:
            raise StoreUnavailable(f"the store of purchase orders does not answer: {type(away).__name__}") from away


_INSTANT = {
    PurchaseOrderState.APPROVED: ("decided_at",),
    PurchaseOrderState.REJECTED: ("decided_at",),
    PurchaseOrderState.SENT: ("sent_at",),
    PurchaseOrderState.CONFIRMED: ("answered_at",),
    PurchaseOrderState.COUNTERED: ("answered_at",),
}


def _stored(row: Any) -> StoredOrder:
    instants = {
        name: getattr(row, name) for name in ("triggered_at", "drafted_at", "decided_at", "sent_at", "answered_at")
    }
    return StoredOrder(
        order=PurchaseOrder.from_json(row.document),
        letter=row.letter,
        state=PurchaseOrderState(row.state),
        detail=row.detail,
        changed_at=row.changed_at,
        **instants,
    )
