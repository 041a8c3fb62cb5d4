"""The stock arithmetic of holds, each function inside the caller's transaction.

What a hold still claims is a number of units per place; those numbers and the ``held`` column always agree.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

import orjson

from domain.effect import Effect
from domain.errors import ConnectorRejected, InsufficientStock, TooLate
from domain.ids import EffectKey
from domain.inventory import HoldLine, HoldState

Units = dict[tuple[str, str], int]
"""Units per (SKU, warehouse), in sorted order: every transaction touches rows in the same order."""

_NOTHING: Mapping[tuple[str, str], int] = MappingProxyType({})
_TAKE = "UPDATE stock SET held = held + ? WHERE sku = ? AND warehouse = ? AND on_hand - held - safety - quarantine >= ?"
_GIVE_BACK = "UPDATE stock SET held = held - ? WHERE sku = ? AND warehouse = ?"
_CONSUME = (
    "UPDATE stock SET held = held - ?, on_hand = on_hand - ?, consumed = consumed + ? WHERE sku = ? AND warehouse = ?"
)


def milliseconds(at: datetime | None) -> int | None:
    """An instant as Unix milliseconds, for comparison in SQL."""
    return None if at is None else int(at.timestamp() * 1000)


def units_of(lines: Iterable[HoldLine]) -> Units:
    """The units the lines claim together."""
    units: Units = {}
    for line in lines:
        place = (line.sku, line.warehouse)
        units[place] = units.get(place, 0) + line.quantity
    return dict(sorted(units.items()))


def pack(units: Units) -> str:
    """Units as JSON text."""
    return orjson.dumps([[sku, warehouse, count] for (sku, warehouse), count in units.items()]).decode()


def unpack(text: str) -> Units:
    """Units from JSON text."""
    return {(sku, warehouse): count for sku, warehouse, count in orjson.loads(text)}


def leaves_of(lines: Iterable[HoldLine]) -> Units:
    """The units the lines must leave available, where they must leave any."""
    leaves: Units = {}
    for line in lines:
        if line.leave:
            place = (line.sku, line.warehouse)
            leaves[place] = max(leaves.get(place, 0), line.leave)
    return leaves


def take(connection: sqlite3.Connection, units: Units, leaves: Mapping[tuple[str, str], int] = _NOTHING) -> None:
    """Claim all units or none, leaving ``leaves`` available at each place.

    Raises:
        InsufficientStock: some are not available; the caller's transaction must be undone.
    """
    short: dict[str, int] = {}
    for (sku, warehouse), count in units.items():
        leave = leaves.get((sku, warehouse), 0)
        if connection.execute(_TAKE, (count, sku, warehouse, count + leave)).rowcount == 0:
            found = connection.execute(
                "SELECT on_hand - held - safety - quarantine FROM stock WHERE sku = ? AND warehouse = ?",
                (sku, warehouse),
            ).fetchone()
            available = max(0, found[0] - leave) if found else 0
            short[sku] = short.get(sku, 0) + count - available
    if short:
        listed = ", ".join(f"{sku} by {missing}" for sku, missing in short.items())
        raise InsufficientStock(
            f"the warehouse is short of {listed}; take less, wait, or use another site", short=short
        )


def give_back(connection: sqlite3.Connection, units: Units) -> None:
    """Return claimed units to the shelf."""
    connection.executemany(_GIVE_BACK, [(count, sku, warehouse) for (sku, warehouse), count in units.items()])


def consume(connection: sqlite3.Connection, units: Units) -> None:
    """Claimed units leave the shelf for good."""
    rows = [(count, count, count, sku, warehouse) for (sku, warehouse), count in units.items()]
    connection.executemany(_CONSUME, rows)


def any_due(connection: sqlite3.Connection, now: datetime) -> bool:
    """Whether a hold is past its time and has not been expired yet."""
    found = connection.execute(
        "SELECT 1 FROM holds WHERE state = 'held' AND expires_at_ms IS NOT NULL AND expires_at_ms <= ? LIMIT 1",
        (milliseconds(now),),
    ).fetchone()
    return found is not None


def expire_due(connection: sqlite3.Connection, now: datetime) -> int:
    """Expire every hold past its time and return its units; returns how many holds expired."""
    if not any_due(connection, now):
        return 0
    due = connection.execute(
        "SELECT hold_key, tenant, units FROM holds "
        "WHERE state = 'held' AND expires_at_ms IS NOT NULL AND expires_at_ms <= ? ORDER BY hold_key, tenant",
        (milliseconds(now),),
    ).fetchall()
    for hold_key, tenant, units in due:
        give_back(connection, unpack(units))
        save(connection, hold_key, tenant, HoldState.EXPIRED, {})
    return len(due)


def save(connection: sqlite3.Connection, hold_key: str, tenant: str, state: HoldState, units: Units) -> None:
    """Write a hold's state and what it still claims."""
    connection.execute(
        "UPDATE holds SET state = ?, units = ? WHERE hold_key = ? AND tenant = ?",
        (state.value, pack(units), hold_key, tenant),
    )


def find(connection: sqlite3.Connection, hold_key: EffectKey, tenant: str) -> tuple[HoldState, Units] | None:
    """State and claimed units of a hold, or None when there is no such hold."""
    found = connection.execute(
        "SELECT state, units FROM holds WHERE hold_key = ? AND tenant = ?", (hold_key, tenant)
    ).fetchone()
    return None if found is None else (HoldState(found[0]), unpack(found[1]))


def confirmable(connection: sqlite3.Connection, hold_key: EffectKey, effect: Effect) -> Units:
    """The units a hold still claims before it is confirmed; none when it has expired.

    Raises:
        ConnectorRejected: the hold does not exist or was released.
        TooLate: a fulfilment is using it.
    """
    found = find(connection, hold_key, effect.tenant)
    if found is None:
        raise ConnectorRejected(f"hold {hold_key} does not exist; hold stock first")
    state, units = found
    if state is HoldState.RELEASED:
        raise ConnectorRejected(f"hold {hold_key} was released; take a new one")
    if _being_picked(connection, hold_key, effect.tenant):
        raise TooLate(f"hold {hold_key} is already being picked; cancel its fulfilments first")
    return units


def _being_picked(connection: sqlite3.Connection, hold_key: EffectKey, tenant: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM fulfilments WHERE hold_key = ? AND tenant = ? AND state != 'cancelled' LIMIT 1",
        (hold_key, tenant),
    ).fetchone()
    return found is not None
