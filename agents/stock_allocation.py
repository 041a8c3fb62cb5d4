"""Which warehouse gives which units for one order: whole order from one site if possible, else by line, else by chunk.

Pure: levels in, hold lines or the shortage out. Lines of one kit always come from one site.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.ids import Sku, WarehouseId
from domain.inventory import HoldLine
from domain.order import OrderLine

Levels = dict[tuple[WarehouseId, Sku], int]
"""Units that may be promised, per warehouse and SKU."""


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """The units to hold, or what is missing."""

    lines: tuple[HoldLine, ...] = ()
    short: Mapping[Sku, int] | None = None
    """Units missing per SKU; None when everything was found."""


def allocate(lines: Sequence[OrderLine], levels: Levels, preference: Sequence[WarehouseId]) -> Allocation:
    """Allocate all lines or none. ``preference`` ranks the sites, best first."""
    need = needed(lines)
    for warehouse in preference:
        if all(levels.get((warehouse, sku), 0) >= units for sku, units in need.items()):
            return Allocation(lines=tuple(_hold(line, warehouse, line.quantity_open) for line in lines))
    missing = {
        sku: units - available
        for sku, units in need.items()
        if units > (available := sum(levels.get((warehouse, sku), 0) for warehouse in preference))
    }
    return Allocation(short=missing) if missing else _split(lines, dict(levels), preference)


def needed(lines: Iterable[OrderLine]) -> dict[Sku, int]:
    """Open units per SKU."""
    units: dict[Sku, int] = {}
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity_open
    return units


def _hold(line: OrderLine, warehouse: WarehouseId, quantity: int) -> HoldLine:
    return HoldLine(line_id=line.line_id, sku=line.sku, warehouse=warehouse, quantity=quantity)


def _split(lines: Sequence[OrderLine], levels: Levels, preference: Sequence[WarehouseId]) -> Allocation:
    """Cover groups (kits, single lines) by as few sites as a greedy cover finds; chunk what no single site holds."""
    open_groups = _groups(lines)
    held: list[HoldLine] = []
    while open_groups:
        warehouse = max(
            preference, key=lambda site: (_covered(open_groups, levels, site), -preference.index(site))
        )  # fmt: skip
        taken = [group for group in open_groups if _take(group, levels, warehouse)]
        if not taken:
            break
        held += [_hold(line, warehouse, line.quantity_open) for group in taken for line in group]
        open_groups = [group for group in open_groups if group not in taken]
    short: dict[Sku, int] = {}
    for group in open_groups:
        if group[0].kit_id is not None:
            short.update(needed(group))
        else:
            held += _chunks(group[0], levels, preference)
    if short:
        return Allocation(short=short)
    order = {line.line_id: index for index, line in enumerate(lines)}
    return Allocation(lines=tuple(sorted(held, key=lambda hold: order[hold.line_id])))


def _groups(lines: Sequence[OrderLine]) -> list[list[OrderLine]]:
    kits: dict[str, list[OrderLine]] = {}
    singles: list[list[OrderLine]] = []
    for line in lines:
        if line.kit_id is None:
            singles.append([line])
        else:
            kits.setdefault(line.kit_id, []).append(line)
    return [*kits.values(), *singles]


def _fits(group: Sequence[OrderLine], levels: Levels, warehouse: WarehouseId) -> bool:
    return all(levels.get((warehouse, sku), 0) >= units for sku, units in needed(group).items())


def _covered(groups: Sequence[Sequence[OrderLine]], levels: Levels, warehouse: WarehouseId) -> int:
    return sum(len(group) for group in groups if _fits(group, levels, warehouse))


def _take(group: Sequence[OrderLine], levels: Levels, warehouse: WarehouseId) -> bool:
    if not _fits(group, levels, warehouse):
        return False
    for sku, units in needed(group).items():
        levels[warehouse, sku] -= units
    return True


def _chunks(line: OrderLine, levels: Levels, preference: Sequence[WarehouseId]) -> list[HoldLine]:
    """Units of one line from several sites, fullest first; the caller has checked that the sum suffices."""
    chunks: list[HoldLine] = []
    left = line.quantity_open
    for warehouse in sorted(preference, key=lambda site: -levels.get((site, line.sku), 0)):
        units = min(left, levels.get((warehouse, line.sku), 0))
        if units > 0:
            chunks.append(_hold(line, warehouse, units))
            levels[warehouse, line.sku] -= units
            left -= units
    return chunks
