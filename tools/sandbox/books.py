"""The sandbox's books: what was really applied, and whether every unit of stock is accounted for."""

import sqlite3

from domain.effect import Receipt
from domain.values import Document
from tools.sandbox.holds import unpack
from tools.sandbox.system import AppliedEffect

_LEDGER = "SELECT system, tenant, effect_key, kind, entity_id, args_digest, applied_at, receipt FROM applied_effects"
_BROKEN = (
    "SELECT sku, warehouse FROM stock "
    "WHERE on_hand < 0 OR held < 0 OR held > on_hand OR opening + counted != on_hand + consumed"
)


class StockTotals(Document):
    """The stock equation over the whole network, in units."""

    opening: int
    counted: int
    """Booked by physical counts and arrivals since the beginning."""
    on_hand: int
    consumed: int
    """Gone into fulfilments that were not cancelled."""
    held: int
    claimed: int
    """What the open holds say they claim; equals ``held``."""
    violations: tuple[str, ...]
    """Places where the equation does not hold, as ``<sku> in <warehouse>``."""

    @property
    def balanced(self) -> bool:
        """Whether every unit is accounted for."""
        moved = self.opening + self.counted == self.on_hand + self.consumed
        return moved and self.held == self.claimed and not self.violations


def ledger(connection: sqlite3.Connection, order_id: str | None) -> list[AppliedEffect]:
    """Every applied effect, oldest first; of one order when named."""
    if order_id is None:
        rows = connection.execute(f"{_LEDGER} ORDER BY position")
    else:
        rows = connection.execute(f"{_LEDGER} WHERE entity_id = ? ORDER BY position", (order_id,))
    return [
        AppliedEffect(
            system=system,
            tenant=tenant,
            key=key,
            kind=kind,
            entity_id=entity_id,
            args_digest=args_digest,
            applied_at=applied_at,
            receipt=Receipt.from_json(receipt),
        )
        for system, tenant, key, kind, entity_id, args_digest, applied_at, receipt in rows
    ]


def stock_totals(connection: sqlite3.Connection) -> StockTotals:
    """The stock equation now; run it inside a transaction so that all parts are of one instant."""
    opening, counted, on_hand, consumed, held = connection.execute(
        "SELECT coalesce(sum(opening), 0), coalesce(sum(counted), 0), coalesce(sum(on_hand), 0), "
        "coalesce(sum(consumed), 0), coalesce(sum(held), 0) FROM stock"
    ).fetchone()
    claims: dict[tuple[str, str], int] = {}
    for (units,) in connection.execute("SELECT units FROM holds WHERE units != '[]'"):
        for place, count in unpack(units).items():
            claims[place] = claims.get(place, 0) + count
    broken = {(sku, warehouse) for sku, warehouse in connection.execute(_BROKEN)}
    shelves = connection.execute("SELECT sku, warehouse, held FROM stock WHERE held != 0").fetchall()
    on_shelves = {(sku, warehouse): count for sku, warehouse, count in shelves}
    broken |= {place for place in claims.keys() | on_shelves.keys() if claims.get(place) != on_shelves.get(place)}
    return StockTotals(
        opening=opening,
        counted=counted,
        on_hand=on_hand,
        consumed=consumed,
        held=held,
        claimed=sum(claims.values()),
        violations=tuple(f"{sku} in {warehouse}" for sku, warehouse in sorted(broken)),
    )
