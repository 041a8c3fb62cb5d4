"""The stand-in order management system: one record per order, as the shop's own staff would see it.

A cancelled order may be taken up again: the record is ours, and the last word wins. What has shipped cannot be cancelled.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

import orjson
from pydantic import AwareDatetime

from domain.effect import Effect, EffectKind
from domain.errors import NotFound, TooLate
from domain.ids import OrderId, WarehouseId
from domain.intent import CancelOms, UpdateOms
from domain.order import OrderState
from domain.values import Document
from tools.sandbox.system import Change, System, parse_args, reference

_GONE = frozenset({OrderState.SHIPPED, OrderState.DELIVERED, OrderState.COMPLETED})


class OmsRecord(Document):
    """What the order management system knows of one order."""

    order_id: OrderId
    state: str
    warehouses: tuple[WarehouseId, ...]
    tracking: tuple[str, ...]
    reason: str
    updated_at: AwareDatetime


@dataclass(frozen=True)
class OrderManagementSystem(System):
    """Order records behind ``EffectPort``."""

    handlers = {EffectKind.UPDATE_OMS: "_update", EffectKind.CANCEL_OMS: "_cancel"}

    async def record(self, order_id: str, *, tenant: str) -> OmsRecord:
        """The order's record.

        Raises:
            NotFound: nothing was written about this order yet.
        """
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT state, warehouses, tracking, reason, updated_at FROM oms_orders WHERE order_id = ? AND tenant = ?",
                (order_id, tenant),
            ).fetchone()
        )
        if found is None:
            raise NotFound(f"the order management system has no record of {order_id}")
        state, warehouses, tracking, reason, updated_at = found
        return OmsRecord(
            order_id=OrderId(order_id),
            state=state,
            warehouses=orjson.loads(warehouses),
            tracking=orjson.loads(tracking),
            reason=reason,
            updated_at=updated_at,
        )

    def _update(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(UpdateOms, effect)
        connection.execute(
            "INSERT INTO oms_orders (tenant, order_id, state, warehouses, tracking, updated_at) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (order_id, tenant) DO UPDATE SET state = excluded.state, warehouses = excluded.warehouses, "
            "tracking = excluded.tracking, reason = '', updated_at = excluded.updated_at",
            (
                effect.tenant,
                args.order_id,
                args.state,
                orjson.dumps(args.warehouses).decode(),
                orjson.dumps(args.tracking).decode(),
                now.isoformat(),
            ),
        )
        return Change(reference=reference("oms", effect), detail={"state": args.state})

    def _cancel(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(CancelOms, effect)
        state = _state(connection, args.order_id, effect.tenant)
        if state in _GONE:
            raise TooLate(f"{args.order_id} is {state} in the order management system; start a return instead")
        connection.execute(
            "INSERT INTO oms_orders (tenant, order_id, state, reason, updated_at) VALUES (?, ?, 'cancelled', ?, ?) "
            "ON CONFLICT (order_id, tenant) DO UPDATE SET state = 'cancelled', reason = excluded.reason, "
            "updated_at = excluded.updated_at",
            (effect.tenant, args.order_id, args.reason, now.isoformat()),
        )
        return Change(reference=reference("oms", effect), detail={"state": OrderState.CANCELLED.value})


def _state(connection: sqlite3.Connection, order_id: str, tenant: str) -> str | None:
    found = connection.execute(
        "SELECT state FROM oms_orders WHERE order_id = ? AND tenant = ?", (order_id, tenant)
    ).fetchone()
    return None if found is None else str(found[0])
