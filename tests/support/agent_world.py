"""A small world for agent tests: every port in memory, and builders with sensible defaults."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from agents import AgentPorts
from domain.address import Address
from domain.catalogue import DangerousGoods, Product
from domain.consignee import Consigned
from domain.decision import Decision, Outcome, Reason, Verdict, Versions
from domain.effect import Effect, EffectKind, Receipt
from domain.errors import ConnectorRejected, ConnectorUnavailable
from domain.fx import Rate
from domain.ids import EffectKey, OrderId, ServiceId, Sku, TenantId, WarehouseId
from domain.inventory import StockLevel
from domain.money import Money
from domain.order import (
    Channel,
    Customer,
    Device,
    Order,
    OrderIssue,
    OrderLine,
    OrderState,
    Payment,
    PaymentMethod,
    PaymentState,
)
from domain.ports import AgentCase, CustomerHistory
from domain.shipment import Lane, PriceStep, Warehouse
from domain.values import Plain

NOW = datetime(2026, 11, 11, 3, 0, tzinfo=UTC)
"""A Wednesday, eleven in the morning in Hong Kong."""
FIXTURE_RATES = {"HKD": "7.80", "SGD": "1.30", "TWD": "32", "AUD": "1.50", "MYR": "4.20", "VND": "25400", "JPY": "150"}
ALL_GOODS = tuple(DangerousGoods)


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def money(minor: int, currency: str) -> Money:
    return Money(amount_minor=minor, currency=currency)


def line(
    sku: str = "SKU-1", quantity: int = 1, price: int = 2000, currency: str = "USD", **changes: object
) -> OrderLine:
    given: dict[str, object] = {
        "line_id": f"L-{sku}",
        "sku": Sku(sku),
        "quantity": quantity,
        "quantity_open": quantity,
        "unit_price": money(price, currency),
        "discount": money(0, currency),
        "tax": money(0, currency),
    }
    return OrderLine.model_validate(given | changes)


def order(lines: Sequence[OrderLine] | None = None, country: str = "HK", **changes: object) -> Order:
    items = tuple(lines) if lines is not None else (line(),)
    currency = items[0].unit_price.currency
    subtotal = money(sum(i.unit_price.amount_minor * i.quantity - i.discount.amount_minor for i in items), currency)
    given: dict[str, object] = {
        "order_id": OrderId("shopify-1001"),
        "tenant": TenantId("demo"),
        "channel": Channel.SHOPIFY,
        "shop": "demo",
        "external_id": "1001",
        "external_number": "#1001",
        "placed_at": NOW - timedelta(minutes=1),
        "updated_at": NOW - timedelta(minutes=1),
        "currency": currency,
        "locale": "en",
        "state": OrderState.PAID,
        "platform_status": "paid",
        "lines": items,
        "subtotal": subtotal,
        "discount": money(0, currency),
        "shipping": money(0, currency),
        "tax": money(0, currency),
        "tax_included": False,
        "total": subtotal,
        "total_open": subtotal,
        "ship_to": Address(name="Chan Tai Man", line1="1 Queen's Road", city="Central", country=country),
        "customer": Customer(customer_id="C-1", name="Chan Tai Man", email="tm@example.com", orders_before=2),
        "payment": Payment(method=PaymentMethod.CARD, state=PaymentState.PAID),
    }
    return Order.model_validate(given | changes)


def case(of: Order, **changes: object) -> AgentCase:
    given: dict[str, object] = {"order": of, "order_version": 1, "decisions": {}, "now": NOW}
    return AgentCase(**(given | changes))  # type: ignore[arg-type]


def decided(agent: str, verdict: Verdict) -> Decision:
    """The verdict as the runtime would journal it."""
    return Decision(
        decision_id=f"d-{agent}",
        tenant=TenantId("demo"),
        entity_type="order",
        entity_id="shopify-1001",
        agent=agent,
        versions=Versions(agent="test"),
        inputs_digest="0" * 64,
        order_version=1,
        decided_at=NOW,
        **verdict.model_dump(exclude={"versions"}),
    )


def product(sku: str = "SKU-1", **changes: object) -> Product:
    given: dict[str, object] = {
        "sku": Sku(sku),
        "title": sku,
        "category": "apparel",
        "weight_g": 400,
        "list_price": usd(2000),
    }
    return Product.model_validate(given | changes)


def site(name: str, country: str, zone: str, **changes: object) -> Warehouse:
    given: dict[str, object] = {
        "warehouse": WarehouseId(name),
        "country": country,
        "timezone": zone,
        "cutoff": time(17, 0),
        "pick_pack": usd(100),
    }
    return Warehouse.model_validate(given | changes)


HKG = site("HKG", "HK", "Asia/Hong_Kong")
SIN = site("SIN", "SG", "Asia/Singapore")
TPE = site("TPE", "TW", "Asia/Taipei")


def lane(
    warehouse: str, country: str, service: str = "sf:std", steps: Mapping[int, int] | None = None, **changes: object
) -> Lane:
    prices = steps or {1000: 500, 5000: 900, 20000: 2000}
    given: dict[str, object] = {
        "warehouse": WarehouseId(warehouse),
        "service": ServiceId(service),
        "carrier": service.split(":")[0],
        "country": country,
        "steps": tuple(PriceStep(up_to_g=limit, price=usd(price)) for limit, price in prices.items()),
        "transit_days": (2, 3),
    }
    return Lane.model_validate(given | changes)


def level(warehouse: str, sku: str = "SKU-1", on_hand: int = 10, **changes: object) -> StockLevel:
    given: dict[str, object] = {
        "warehouse": WarehouseId(warehouse),
        "sku": Sku(sku),
        "on_hand": on_hand,
        "as_of": NOW - timedelta(seconds=1),
    }
    return StockLevel.model_validate(given | changes)


@dataclass
class MemoryPort:
    """Applies nothing: agents may not write, and a write here fails the test."""

    down: bool = False
    reads: int = 0

    @property
    def kinds(self) -> frozenset[EffectKind]:
        return frozenset()

    async def apply(self, effect: Effect) -> Receipt:
        raise ConnectorRejected(f"{effect.kind} called by an agent")

    async def lookup(self, effect: Effect) -> Receipt | None:
        return None

    def _read(self) -> None:
        self.reads += 1
        if self.down:
            raise ConnectorUnavailable("the system is down")


@dataclass
class MemoryWarehouses(MemoryPort):
    sites: Sequence[Warehouse] = (HKG, SIN, TPE)
    levels: Sequence[StockLevel] = ()

    async def warehouses(self) -> Sequence[Warehouse]:
        self._read()
        return self.sites

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        self._read()
        return [known for known in self.levels if known.sku in skus]


@dataclass
class MemoryCarrier(MemoryPort):
    sold: Sequence[Lane] = ()

    async def lanes(self, country: str) -> Sequence[Lane]:
        self._read()
        return [known for known in self.sold if known.country == country]

    async def scanned(self, label_key: EffectKey) -> bool:
        return False


@dataclass
class MemoryCrm(MemoryPort):
    known: dict[str, CustomerHistory] = field(default_factory=dict)

    async def history(self, customer_id: str) -> CustomerHistory:
        self._read()
        return self.known.get(customer_id, CustomerHistory(customer_id=customer_id))


@dataclass
class MemoryCatalogue(MemoryPort):
    catalogue: Mapping[str, Product] = field(default_factory=dict)
    quoted: Mapping[str, str] = field(default_factory=lambda: dict(FIXTURE_RATES))
    day: date = date(2026, 11, 11)

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        self._read()
        return {sku: self.catalogue[sku] for sku in skus if sku in self.catalogue}

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        self._read()
        return [
            Rate(base="USD", quote=code, day=self.day, value=Decimal(self.quoted[code]), source="fixture")
            for code in currencies
            if code in self.quoted
        ]


@dataclass
class MemoryActivity:
    """Exact sliding windows over a list."""

    seen: list[tuple[str, str, str, str, str, datetime]] = field(default_factory=list)
    down: bool = False

    async def record(self, *, tenant: str, keys: Mapping[str, str], order_id: str, account: str, at: datetime) -> None:
        for name, value in keys.items():
            entry = (tenant, name, value, order_id, account, at)
            if entry[:4] not in {known[:4] for known in self.seen}:
                self.seen.append(entry)

    async def count(self, *, tenant: str, name: str, value: str, since: datetime, distinct: str) -> int:
        if self.down:
            raise ConnectorUnavailable("activity is down")
        column = 3 if distinct == "order" else 4
        return len({e[column] for e in self.seen if e[:3] == (tenant, name, value) and e[5] >= since})


@dataclass
class MemoryConsignees:
    """What every consignee was sent, whoever it is; None when nobody counts."""

    sent_before: Consigned | None = None
    asked: list[dict[str, object]] = field(default_factory=list)

    async def sent(self, **asked: object) -> Consigned | None:
        self.asked.append(asked)
        return self.sent_before


@dataclass
class World:
    """All ports of one test."""

    consignees: MemoryConsignees = field(default_factory=MemoryConsignees)

    wms: MemoryWarehouses = field(default_factory=MemoryWarehouses)
    carrier: MemoryCarrier = field(default_factory=MemoryCarrier)
    crm: MemoryCrm = field(default_factory=MemoryCrm)
    erp: MemoryCatalogue = field(default_factory=MemoryCatalogue)
    activity: MemoryActivity = field(default_factory=MemoryActivity)

    @property
    def ports(self) -> AgentPorts:
        return AgentPorts(
            wms=self.wms, carriers={"all": self.carrier}, crm=self.crm, erp=self.erp, activity=self.activity,
            consignees=self.consignees,
        )  # fmt: skip


def world(
    *,
    levels: Iterable[StockLevel] = (),
    lanes: Iterable[Lane] = (),
    products: Iterable[Product] = (),
    sites: Sequence[Warehouse] = (HKG, SIN, TPE),
) -> World:
    goods: dict[str, Product] = {known.sku: known for known in products} or {"SKU-1": product()}
    return World(
        wms=MemoryWarehouses(sites=sites, levels=tuple(levels)),
        carrier=MemoryCarrier(sold=tuple(lanes)),
        erp=MemoryCatalogue(catalogue=goods),
    )


def reserve(*held: tuple[str, str, str, int]) -> Decision:
    """An inventory decision holding (line, sku, warehouse, units)."""
    allocation: list[Plain] = [
        {"line_id": line_id, "sku": sku, "warehouse": warehouse, "quantity": units}
        for line_id, sku, warehouse, units in held
    ]
    return decided(
        "inventory_reservation",
        Verdict(
            decision="reserve",
            outcome=Outcome.PROCEED,
            confidence=0.9,
            reasons=(Reason(code="STOCK_AVAILABLE", text="held"),),
            facts={"allocation": allocation},
        ),
    )


__all__ = ["Address", "Channel", "Customer", "Device", "OrderIssue", "Payment", "PaymentMethod", "PaymentState"]
