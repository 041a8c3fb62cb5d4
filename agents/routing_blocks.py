"""From order lines to blocks, and from many blocks to few: what must, may and cannot travel together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agents.routing_problem import (
    Block,
    Offer,
    Part,
    Problem,
    Shipment,
    Solution,
    Stock,
    appraise,
    merged,
)
from domain.catalogue import DangerousGoods, Product
from domain.ids import Sku, WarehouseId
from domain.order import OrderLine

HAZARD_BITS = {goods: 1 << i for i, goods in enumerate(goods for goods in DangerousGoods if goods != "none")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Goods:
    """One order line's units in shipping terms."""

    line_id: str
    sku: Sku
    units: int
    kit_id: str | None
    unit_g: int
    unit_mm3: int
    value_minor: int
    """Insured value of all units in settlement currency; ``UNKNOWN_VALUE`` without a rate."""
    hazards: int
    duty_minor: int = 0
    """Duty and import tax of all units, when the sender has to pay them."""

    def block(self, units: int) -> Block:
        """So many units as one block."""
        return Block(
            parts=(Part(line_id=self.line_id, sku=self.sku, units=units),),
            grams=self.unit_g * units,
            volume_mm3=self.unit_mm3 * units,
            value_minor=-(-self.value_minor * units // self.units),
            hazards=self.hazards,
            duty_minor=-(-self.duty_minor * units // self.units),
        )


def hazard_bits(product: Product | None) -> int:
    """The dangerous-goods class as a carrier must accept it.

    Batteries packed with equipment whose charge is not documented count as loose ones too: surface services only.
    """
    if product is None or product.dangerous is DangerousGoods.NONE:
        return 0
    if product.dangerous is DangerousGoods.LITHIUM_PACKED_WITH and not product.charge_declared:
        return HAZARD_BITS[DangerousGoods.LITHIUM_PACKED_WITH] | HAZARD_BITS[DangerousGoods.LITHIUM_LOOSE]
    return HAZARD_BITS[product.dangerous]


def describe(line: OrderLine, product: Product | None, value_minor: int, duty_minor: int = 0) -> Goods | None:
    """The line in shipping terms; None when nobody knows its weight (0 g is nobody's weight)."""
    unit_g = product.weight_g if product and product.weight_g is not None else line.weight_g
    if unit_g is None or unit_g <= 0:
        return None
    sides = (product.length_mm, product.width_mm, product.height_mm) if product else (None, None, None)
    volume = 1
    for side in sides:
        volume *= side or 0
    return Goods(
        line_id=line.line_id,
        sku=line.sku,
        units=line.quantity_open,
        kit_id=line.kit_id,
        unit_g=unit_g,
        unit_mm3=volume,
        value_minor=value_minor,
        hazards=hazard_bits(product),
        duty_minor=duty_minor,
    )


def build_blocks(
    goods: Sequence[Goods], offers: Sequence[Offer], stock: Stock, *, most: int, several_sites: bool
) -> list[Block] | None:
    """Kits whole; a line in pieces only when no lane carries it, or no site holds it and several may send.

    None beyond ``most`` blocks.
    """
    kits: dict[str, list[Block]] = {}
    blocks: list[Block] = []
    sites = list(dict.fromkeys(offer.warehouse for offer in offers))
    for item in goods:
        if item.kit_id is not None:
            kits.setdefault(item.kit_id, []).append(item.block(item.units))
            continue
        for units in _site_pieces(item, stock, sites) if several_sites else [item.units]:
            sizes = _sizes(item, units, offers, most)
            if sizes is None:
                return None
            blocks += [item.block(size) for size in sizes]
    blocks += [merged(kit) for kit in kits.values()]
    return blocks if len(blocks) <= most else None


def _site_pieces(item: Goods, stock: Stock, sites: Sequence[WarehouseId]) -> list[int]:
    """The whole line, or pieces the fullest sites hold, when none holds all of it and together they do."""
    held = sorted((stock.get((site, item.sku), 0) for site in sites), reverse=True)
    if not held or held[0] >= item.units or sum(held) < item.units:
        return [item.units]
    pieces, left = [], item.units
    for available in held:
        piece = min(left, available)
        if piece:
            pieces.append(piece)
            left -= piece
    return pieces


def _sizes(item: Goods, units: int, offers: Sequence[Offer], most: int) -> list[int] | None:
    """The units in pieces some lane takes, even ones where the price tables have no gap; None beyond ``most``."""
    carried = _carried(item, units, offers)
    if not carried:
        return [units]
    if -(-units // carried) > most:
        return None
    even = _even(units, carried)
    if all(_takes(item, size, offers) for size in set(even)):
        return even
    rest = _sizes(item, units - carried, offers, most - 1)
    return None if rest is None else [carried, *rest]


def _takes(item: Goods, units: int, offers: Sequence[Offer]) -> bool:
    block = item.block(units)
    return any(offer.price_minor(block) is not None for offer in offers)


def _carried(item: Goods, units: int, offers: Sequence[Offer]) -> int:
    """The most units, up to ``units``, that some lane takes in one parcel; 0 when none takes even one."""
    low, high = 0, units
    while low < high:
        middle = (low + high + 1) // 2
        if _takes(item, middle, offers):
            low = middle
        else:
            high = middle - 1
    return low


def _even(units: int, most: int) -> list[int]:
    count = -(-units // most)
    return [units // count + (1 if i < units % count else 0) for i in range(count)]


def coarsened(problem: Problem) -> Problem:
    """Fewer, larger blocks: those that the same sites hold travel together as far as some lane carries them."""
    groups: dict[tuple[frozenset[WarehouseId], int], list[Block]] = {}
    sites = list(dict.fromkeys(offer.warehouse for offer in problem.offers))
    for block in problem.blocks:
        holders = frozenset(site for site in sites if problem.in_stock(site, block))
        groups.setdefault((holders, block.hazards), []).append(block)
    blocks: list[Block] = []
    for group in groups.values():
        blocks += _packed(problem, sorted(group, key=lambda block: -block.grams))
    return replace(problem, blocks=tuple(blocks))


def _packed(problem: Problem, group: Sequence[Block]) -> list[Block]:
    packed: list[Block] = []
    for block in group:
        for i, bin_ in enumerate(packed):
            joint = merged((bin_, block))
            if _travels(problem, joint):
                packed[i] = joint
                break
        else:
            packed.append(block)
    return packed


def _travels(problem: Problem, block: Block) -> bool:
    return any(
        offer.price_minor(block) is not None and problem.in_stock(offer.warehouse, block) for offer in problem.offers
    )


def pack_greedily(problem: Problem) -> Solution | None:
    """A feasible plan in polynomial time for orders too large to solve: fill the lane with the lowest price per gram.

    Tries the lanes that keep the promise first, then all.
    """
    prompt = tuple(offer for offer in problem.offers if problem.late_hours(offer.arrives_p80) == 0)
    tries = [offers for offers in (prompt, problem.offers) if offers]
    found = [plan for offers in dict.fromkeys(tries) if (plan := _fill(problem, offers)) is not None]
    return min(found, key=lambda plan: plan.objective_minor, default=None)


def _fill(problem: Problem, offers: Sequence[Offer]) -> Solution | None:
    left = sorted(problem.blocks, key=lambda block: -block.grams)
    stock, room = dict(problem.stock), dict(problem.parcels_left)
    shipments: list[Shipment] = []
    while left:
        open_offers = [offer for offer in offers if room.get(offer.warehouse, 1) > 0]
        choices = [choice for offer in open_offers if (choice := _parcel(offer, left, stock)) is not None]
        if not choices:
            return None
        shipment, used = min(choices, key=lambda choice: choice[0].price_minor / max(1, choice[0].content.grams))
        shipments.append(shipment)
        if shipment.offer.warehouse in room:
            room[shipment.offer.warehouse] -= 1
        for sku, units in shipment.content.units().items():
            stock[shipment.offer.warehouse, sku] -= units
        left = [block for i, block in enumerate(left) if i not in used]
    return appraise(problem, shipments)


def _parcel(
    offer: Offer, left: Sequence[Block], stock: Mapping[tuple[WarehouseId, Sku], int]
) -> tuple[Shipment, set[int]] | None:
    """As many of the blocks as one parcel of the lane takes, heaviest first, and which ones."""
    content: Block | None = None
    price_minor = 0
    used: set[int] = set()
    for i, block in enumerate(left):
        joint = block if content is None else merged((content, block))
        enough = all(stock.get((offer.warehouse, sku), 0) >= units for sku, units in joint.units().items())
        price = offer.price_minor(joint) if enough else None
        if price is not None:
            content, price_minor = joint, price
            used.add(i)
    return (Shipment(offer=offer, content=content, price_minor=price_minor), used) if content else None
