"""The seeded APAC world as one immutable value: sites, lanes, products, opening stock, customers, exchange rates.

The same seed gives the same world in every process. Carriers, prices, products and customers are invented; rates are
fixtures, not market data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from types import MappingProxyType

from domain.catalogue import DangerousGoods, Product
from domain.fx import LOOK_BACK, Rate
from domain.ids import Sku, WarehouseId
from domain.ports import CustomerHistory
from domain.shipment import Lane, Warehouse
from tools.sandbox.assortment import build_products
from tools.sandbox.geography import FIXTURE_RATES, FX_SOURCE, SERVED, WAREHOUSES
from tools.sandbox.lanes import build_lanes
from tools.sandbox.suppliers import Suppliers, build_suppliers

CUSTOMER_COUNT = 1_000
HISTORY_AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
"""Customer histories are written up to this instant."""

_ORIGIN_BIAS = {"AU": "SYD", "TW": "TPE", "HK": "HKG", "MY": "KUL", "SG": "SIN", "CN": "SZX"}


@dataclass(frozen=True, kw_only=True)
class OpeningStock:
    """Units of one SKU in one warehouse when the world begins."""

    warehouse: WarehouseId
    sku: Sku
    on_hand: int
    safety: int
    quarantine: int


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that never changes while the sandbox runs."""

    seed: int
    warehouses: tuple[Warehouse, ...] = field(repr=False)
    lanes: tuple[Lane, ...] = field(repr=False)
    products: Mapping[Sku, Product] = field(repr=False)
    opening: tuple[OpeningStock, ...] = field(repr=False)
    customers: Mapping[str, CustomerHistory] = field(repr=False)
    suppliers: Suppliers = field(repr=False)

    @property
    def skus(self) -> tuple[Sku, ...]:
        """Every SKU, ascending."""
        return tuple(self.products)

    @property
    def countries(self) -> tuple[str, ...]:
        """Countries with at least one lane."""
        return SERVED

    def stocked(self) -> dict[Sku, dict[WarehouseId, int]]:
        """Units a hold could take at the beginning, by SKU and warehouse; SKUs without any are absent."""
        found: dict[Sku, dict[WarehouseId, int]] = {}
        for row in self.opening:
            if (units := row.on_hand - row.safety - row.quarantine) > 0:
                found.setdefault(row.sku, {})[row.warehouse] = units
        return found

    def rates(self, currencies: Sequence[str], *, on: date) -> tuple[Rate, ...]:
        """Fixture rates per US dollar for each of the 31 days up to ``on``; unknown currencies have none."""
        return tuple(rate for currency in dict.fromkeys(currencies) for rate in _rates(currency, on))


@lru_cache(maxsize=4)
def build_world(seed: int = 1) -> World:
    """The world with this seed."""
    products = {product.sku: product for product in build_products(seed)}
    return World(
        seed=seed,
        warehouses=WAREHOUSES,
        lanes=build_lanes(seed),
        products=MappingProxyType(products),
        opening=tuple(_opening(seed, tuple(products.values()))),
        customers=MappingProxyType({history.customer_id: history for history in _customers(seed)}),
        suppliers=build_suppliers(seed, products),
    )


@lru_cache(maxsize=1_024)
def _rates(currency: str, on: date) -> tuple[Rate, ...]:
    value = FIXTURE_RATES.get(currency)
    if value is None:
        return ()
    days = (on - timedelta(days=back) for back in range(LOOK_BACK.days + 1))
    return tuple(Rate(base="USD", quote=currency, day=day, value=value, source=FX_SOURCE) for day in days)


def _opening(seed: int, products: Sequence[Product]) -> list[OpeningStock]:
    """About 3 % of SKUs are sold out everywhere and 10 % lie in one warehouse only; fast movers lie deep."""
    random = Random(f"stock:{seed}")
    names = [site.warehouse for site in WAREHOUSES]
    rows = []
    for product in products:
        home = WarehouseId(_ORIGIN_BIAS.get(product.origin, random.choice(names)))
        draw = random.random()
        sites = 1 if draw < 0.10 else random.choice((2, 3, 3, 4, 4, 5, 6))
        sold_out = draw > 0.97
        others = random.sample([name for name in names if name != home], sites - 1)
        for warehouse in sorted({home, *others}):
            rows.append(_row(warehouse, product, random, sold_out=sold_out))
    return rows


def _row(warehouse: WarehouseId, product: Product, random: Random, *, sold_out: bool) -> OpeningStock:
    units = 0 if sold_out or random.random() < 0.04 else min(2_000, 1 + int(random.lognormvariate(4.0, 1.2)))
    if product.dangerous is DangerousGoods.LITHIUM_LOOSE:
        units = units // 2
    damaged = random.randint(1, 3) if units > 40 and random.random() < 0.05 else 0
    return OpeningStock(
        warehouse=warehouse,
        sku=product.sku,
        on_hand=units,
        safety=units // 50,
        quarantine=damaged,
    )


def _customers(seed: int) -> list[CustomerHistory]:
    random = Random(f"customers:{seed}")
    return [_customer(f"C-{number:05d}", random) for number in range(1, CUSTOMER_COUNT + 1)]


def _customer(customer_id: str, random: Random) -> CustomerHistory:
    delivered = min(80, int(random.expovariate(0.18)))
    refuser = random.random() < 0.06
    known_bad = random.random() < 0.01
    first_order = HISTORY_AS_OF - timedelta(days=random.randint(1, 1_400)) if delivered else None
    moved = HISTORY_AS_OF - timedelta(hours=random.randint(1, 9_000)) if random.random() < 0.1 else None
    return CustomerHistory(
        customer_id=customer_id,
        orders_delivered=delivered,
        orders_refused=random.randint(2, 6) if refuser else 0,
        disputed=random.randint(1, 3) if known_bad or random.random() < 0.01 else 0,
        first_order_at=first_order,
        last_profile_change_at=moved,
        known_bad=known_bad,
        tier="gold" if delivered >= 15 else "silver" if delivered >= 5 else "",
    )
