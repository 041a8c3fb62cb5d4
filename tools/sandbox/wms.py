"""The stand-in warehouse system: stock, all-or-nothing holds, fulfilments.

Stock is one network shared by all tenants. A hold past its time is expired by the next call that looks at stock, in one
transaction, so its units come back exactly once without any background task.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from domain.effect import Effect, EffectKind
from domain.errors import Conflict, ConnectorRejected, NotFound
from domain.ids import EffectKey, Sku
from domain.intent import (
    CancelFulfilment,
    ConfirmHold,
    CreateFulfilment,
    HoldStock,
    RecallFulfilments,
    ReleaseHold,
)
from domain.inventory import Hold, HoldLine, HoldState, StockLevel
from domain.shipment import Warehouse
from tools.sandbox import fulfilments, holds
from tools.sandbox.faults import Fault, FaultMode
from tools.sandbox.system import Change, System, parse_args, reference
from tools.sandbox.world import World

_LEVELS = (
    "SELECT sku, warehouse, on_hand, held, safety, quarantine, "
    "EXISTS (SELECT 1 FROM holds WHERE state = 'held' AND expires_at_ms IS NOT NULL AND expires_at_ms <= ?), "
    "(SELECT delay_ms FROM feed_delays AS delayed WHERE delayed.warehouse = stock.warehouse) "
    "FROM stock WHERE sku IN ({places})"
)
_SKUS_PER_QUERY = 100


@dataclass(frozen=True)
class WarehouseSystem(System):
    """Warehouse management behind ``WarehousePort``."""

    world: World

    handlers = {
        EffectKind.HOLD_STOCK: "_hold",
        EffectKind.CONFIRM_HOLD: "_confirm",
        EffectKind.RELEASE_HOLD: "_release",
        EffectKind.CREATE_FULFILMENT: "_fulfil",
        EffectKind.CANCEL_FULFILMENT: "_cancel_fulfilment",
        EffectKind.RECALL_FULFILMENTS: "_recall",
    }

    async def warehouses(self) -> Sequence[Warehouse]:
        """Every site goods can leave from; one with a daily limit says how many parcels it can still pick."""
        fault = await self._meet("warehouses")
        sites: Sequence[Warehouse] = self.world.warehouses
        if any(site.daily_parcels is not None for site in sites):
            waiting = dict(await self.store.read(_waiting_parcels))
            sites = [_with_room(site, waiting.get(site.warehouse, 0)) for site in sites]
        await self._leave(fault, "warehouses")
        return sites

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        """Levels of the named SKUs in every warehouse that knows them; unknown SKUs are absent.

        Raises:
            ConnectorUnavailable: a scripted fault, or the sandbox file is busy.
        """
        fault = await self._meet("stock")
        now = self.clock().astimezone(UTC)
        wanted = tuple(dict.fromkeys(skus))
        levels = await self.store.read(lambda connection: _levels_unless_due(connection, wanted, now))
        if levels is None:
            levels = await self.store.write(lambda connection: _expire_and_read(connection, wanted, now))
        await self._leave(fault, "stock")
        return levels if fault is None else aged(levels, fault)

    async def sweep(self) -> int:
        """Expire every hold past its time now; returns how many."""
        now = self.clock()
        return await self.store.write(lambda connection: holds.expire_due(connection, now))

    async def hold(self, hold_key: EffectKey, *, tenant: str) -> Hold:
        """A hold as it stands.

        Raises:
            NotFound: no hold was ever taken under this key.
        """
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT order_id, state, lines, expires_at_ms FROM holds WHERE hold_key = ? AND tenant = ?",
                (hold_key, tenant),
            ).fetchone()
        )
        if found is None:
            raise NotFound(f"no hold was taken under {hold_key}")
        order_id, state, lines, expires_at_ms = found
        return Hold(
            hold_id=hold_key,
            order_id=order_id,
            state=HoldState(state),
            lines=tuple(HoldLine.model_validate(line) for line in orjson.loads(lines)),
            expires_at=None if expires_at_ms is None else datetime.fromtimestamp(expires_at_ms / 1000, UTC),
        )

    async def count_stock(
        self, warehouse: str, sku: str, on_hand: int, *, safety: int = 0, quarantine: int = 0
    ) -> None:
        """A physical count: the shelf holds ``on_hand`` units from now on. The difference is booked as counted.

        Raises:
            Conflict: more units are in holds than were counted.
        """

        def count(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO stock (sku, warehouse, opening, on_hand) VALUES (?, ?, 0, 0)", (sku, warehouse)
            )
            changed = connection.execute(
                "UPDATE stock SET counted = counted + ? - on_hand, on_hand = ?, safety = ?, quarantine = ? "
                "WHERE sku = ? AND warehouse = ? AND held <= ?",
                (on_hand, on_hand, safety, quarantine, sku, warehouse, on_hand),
            )
            if changed.rowcount == 0:
                raise Conflict(f"{sku} in {warehouse} has more units in holds than {on_hand}; release holds first")

        await self.store.write(count)

    async def receive(self, sku: str, warehouse: str, quantity: int) -> None:
        """Goods arrive and are put on the shelf, booked as counted.

        Raises:
            Conflict: not a positive number of units.
        """
        if quantity <= 0:
            raise Conflict(f"{quantity} units of {sku} cannot arrive in {warehouse}; book a loss with a physical count")

        def receive(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO stock (sku, warehouse, opening, counted, on_hand) VALUES (?, ?, 0, ?, ?) "
                "ON CONFLICT (sku, warehouse) DO UPDATE SET counted = counted + excluded.counted, "
                "on_hand = on_hand + excluded.on_hand",
                (sku, warehouse, quantity, quantity),
            )

        await self.store.write(receive)

    async def set_feed_delay(self, warehouse: str, seconds: float) -> None:
        """Let a warehouse's counts carry a feed time ``seconds`` ago until told otherwise; 0 is a feed on time.

        A negative delay is a feed whose clock is ahead.
        """

        def delay(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM feed_delays WHERE warehouse = ?", (warehouse,))
            if seconds:
                row = (warehouse, round(seconds * 1000))
                connection.execute("INSERT INTO feed_delays (warehouse, delay_ms) VALUES (?, ?)", row)

        await self.store.write(delay)

    def _hold(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(HoldStock, effect)
        holds.expire_due(connection, now)
        units = holds.units_of(args.lines)
        holds.take(connection, units, holds.leaves_of(args.lines))
        connection.execute(
            "INSERT INTO holds (tenant, hold_key, order_id, state, lines, units, expires_at_ms) "
            "VALUES (?, ?, ?, 'held', ?, ?, ?)",
            (
                effect.tenant,
                effect.key,
                args.order_id,
                _lines_json(args.lines),
                holds.pack(units),
                holds.milliseconds(args.expires_at),
            ),
        )
        return Change(reference=reference("hold", effect), detail={"state": HoldState.HELD.value})

    def _confirm(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(ConfirmHold, effect)
        holds.expire_due(connection, now)
        claimed = holds.confirmable(connection, args.hold_key, effect)
        wanted = holds.units_of(args.lines)
        if claimed != wanted:
            holds.give_back(connection, claimed)
            holds.take(connection, wanted)
        holds.save(connection, args.hold_key, effect.tenant, HoldState.CONFIRMED, wanted)
        connection.execute(
            "UPDATE holds SET lines = ?, expires_at_ms = NULL WHERE hold_key = ? AND tenant = ?",
            (_lines_json(args.lines), args.hold_key, effect.tenant),
        )
        return Change(
            reference=reference("confirm", effect),
            detail={
                "state": HoldState.CONFIRMED.value,
                "moved": bool(claimed) and claimed != wanted,
                "anew": not claimed,
            },
        )

    def _release(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(ReleaseHold, effect)
        holds.expire_due(connection, now)
        found = holds.find(connection, args.hold_key, effect.tenant)
        if found is None:
            return Change(reference=reference("release", effect), detail={"units": 0, "state": "unknown"})
        state, units = found
        holds.give_back(connection, units)
        if state in (HoldState.HELD, HoldState.CONFIRMED):
            state = HoldState.RELEASED
        holds.save(connection, args.hold_key, effect.tenant, state, {})
        return Change(
            reference=reference("release", effect), detail={"units": sum(units.values()), "state": state.value}
        )

    def _fulfil(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(CreateFulfilment, effect)
        found = holds.find(connection, args.hold_key, effect.tenant)
        if found is None or found[0] is not HoldState.CONFIRMED:
            state = "unknown" if found is None else found[0].value
            raise ConnectorRejected(f"hold {args.hold_key} is {state}; confirm it before picking parcel {args.parcel}")
        claimed = found[1]
        parcel: holds.Units = {(sku, args.warehouse): count for sku, count in sorted(args.skus.items())}
        if not parcel or any(count <= 0 or claimed.get(place, 0) < count for place, count in parcel.items()):
            raise ConnectorRejected(
                f"parcel {args.parcel} is not covered by hold {args.hold_key}; confirm its final lines"
            )
        holds.consume(connection, parcel)
        rest = {place: count - parcel.get(place, 0) for place, count in claimed.items()}
        rest = {place: count for place, count in rest.items() if count}
        holds.save(connection, args.hold_key, effect.tenant, HoldState.CONFIRMED if rest else HoldState.CONSUMED, rest)
        connection.execute(
            "INSERT INTO fulfilments (tenant, fulfilment_key, hold_key, order_id, warehouse, state, skus, tracking) "
            "VALUES (?, ?, ?, ?, ?, 'picking', ?, ?)",
            (
                effect.tenant,
                effect.key,
                args.hold_key,
                args.order_id,
                args.warehouse,
                holds.pack(parcel),
                args.tracking,
            ),
        )
        return Change(reference=reference("pick", effect), detail={"warehouse": args.warehouse, "parcel": args.parcel})

    def _cancel_fulfilment(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(CancelFulfilment, effect)
        units = fulfilments.stop(connection, args.fulfilment_key, effect.tenant)
        return Change(reference=reference("unpick", effect), detail={"units": sum(units.values())})

    def _recall(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(RecallFulfilments, effect)
        found = holds.find(connection, args.hold_key, effect.tenant)
        if found is None or found[0] not in (HoldState.CONFIRMED, HoldState.CONSUMED):
            state = "unknown" if found is None else found[0].value
            raise ConnectorRejected(f"hold {args.hold_key} is {state}; only what is being picked can be recalled")
        for key in args.fulfilment_keys:
            fulfilments.stop(connection, key, effect.tenant)
        holds.give_back(connection, found[1])
        wanted = holds.units_of(args.lines)
        holds.take(connection, wanted)
        holds.save(connection, args.hold_key, effect.tenant, HoldState.CONFIRMED, wanted)
        return Change(reference=reference("recall", effect), detail={"units": sum(wanted.values())})


def _waiting_parcels(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """Parcels being picked or waiting for the carrier, by warehouse."""
    return connection.execute(
        "SELECT warehouse, COUNT(*) FROM fulfilments WHERE state = 'picking' GROUP BY warehouse"
    ).fetchall()


def _with_room(site: Warehouse, waiting: int) -> Warehouse:
    if site.daily_parcels is None:
        return site
    return site.model_copy(update={"parcels_left": max(0, site.daily_parcels - waiting)})


def _lines_json(lines: Sequence[HoldLine]) -> str:
    return orjson.dumps([line.model_dump() for line in lines]).decode()


def _levels_unless_due(connection: sqlite3.Connection, skus: Sequence[Sku], now: datetime) -> list[StockLevel] | None:
    """The levels, or None when a hold is past its time and must be expired first."""
    rows = _level_rows(connection, skus, now)
    return None if any(row[6] for row in rows) else _levels(rows, now)


def _expire_and_read(connection: sqlite3.Connection, skus: Sequence[Sku], now: datetime) -> list[StockLevel]:
    holds.expire_due(connection, now)
    return _levels(_level_rows(connection, skus, now), now)


def _level_rows(connection: sqlite3.Connection, skus: Sequence[Sku], now: datetime) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(skus), _SKUS_PER_QUERY):
        chunk = skus[start : start + _SKUS_PER_QUERY]
        query = _LEVELS.format(places=", ".join("?" * len(chunk)))
        rows += connection.execute(query, (holds.milliseconds(now), *chunk))
    return rows


def _levels(rows: list[tuple[Any, ...]], now: datetime) -> list[StockLevel]:
    return [
        StockLevel(
            warehouse=warehouse,
            sku=sku,
            on_hand=on_hand,
            held=held,
            safety=safety,
            quarantine=quarantine,
            as_of=now if delay_ms is None else now - timedelta(milliseconds=delay_ms),
        )
        for sku, warehouse, on_hand, held, safety, quarantine, _, delay_ms in rows
    ]


def aged(levels: Sequence[StockLevel], fault: Fault) -> Sequence[StockLevel]:
    """The levels as a stale feed would give them; unchanged under any other fault."""
    if fault.mode is not FaultMode.STALE:
        return levels
    age = timedelta(seconds=fault.seconds)
    return [
        level.model_copy(update={"as_of": level.as_of - age}) if fault.target in ("", level.warehouse) else level
        for level in levels
    ]
