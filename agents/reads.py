"""The reads agents make, by name, and their answers as text: what a tape is written in."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from agents.fraud_degraded import Offer
from domain.catalogue import Product
from domain.consignee import Consigned
from domain.fx import Rate
from domain.ids import Sku, WarehouseId
from domain.inventory import Demand, FeedState, StockLevel
from domain.language import Answered, LanguageRequest, Unanswered
from domain.pick_wave import UnitPrices
from domain.ports import CustomerHistory
from domain.promoted_rule import PromotedRule
from domain.risk import CustomerException, SegmentSnapshot
from domain.shipment import Lane, Warehouse

T = TypeVar("T")


@dataclass(frozen=True)
class Read(Generic[T]):
    """One kind of read and the form of its answer."""

    name: str
    form: TypeAdapter[T]

    def text(self, value: T) -> str:
        """The answer as JSON; ``value`` gives an equal answer back."""
        return self.form.dump_json(value).decode()

    def value(self, text: str) -> T:
        """The answer a text was written of."""
        return self.form.validate_json(text)


def _read(name: str, form: Any) -> Read[Any]:
    return Read(name, TypeAdapter(form))


WAREHOUSES: Read[tuple[Warehouse, ...]] = _read("wms.warehouses", tuple[Warehouse, ...])
STOCK: Read[tuple[StockLevel, ...]] = _read("wms.stock", tuple[StockLevel, ...])
LANES: Read[tuple[Lane, ...]] = _read("carriers.lanes", tuple[Lane, ...])
HISTORY: Read[CustomerHistory] = _read("crm.history", CustomerHistory)
PRODUCTS: Read[dict[Sku, Product]] = _read("erp.products", dict[Sku, Product])
RATES: Read[tuple[Rate, ...]] = _read("erp.rates", tuple[Rate, ...])
COUNT: Read[int] = _read("activity.count", int)
EXCEPTIONS: Read[tuple[CustomerException, ...]] = _read("risk.exceptions", tuple[CustomerException, ...])
CONFIRMED: Read[tuple[str, ...]] = _read("risk.confirmed", tuple[str, ...])
SEGMENTS: Read[SegmentSnapshot] = _read("risk.segments", SegmentSnapshot)
FEEDS: Read[dict[WarehouseId, FeedState]] = _read("stock.feeds", dict[WarehouseId, FeedState])
DEMAND: Read[list[tuple[WarehouseId, Sku, Demand]]] = _read("stock.demand", list[tuple[WarehouseId, Sku, Demand]])
UNIT_PRICES: Read[UnitPrices | None] = _read("waves.unit_prices", UnitPrices | None)
CONSIGNED: Read[Consigned | None] = _read("consignee.sent", Consigned | None)
BUDGET: Read[Offer] = _read("review.budget", Offer)
"""What the review budget of peak days had left for an order: it depends on the orders before."""
KNOWN_GOODS: Read[dict[Sku, Product]] = _read("routing.products", dict[Sku, Product])
"""Products routing had read before: what its fallback works with."""

ANSWER: Read[Answered | Unanswered] = _read("model.answer", Answered | Unanswered)
RULES: Read[tuple[PromotedRule, ...]] = _read("rules.adopted", tuple[PromotedRule, ...])


def hidden(value: str) -> str:
    """What a card, phone or address is called in the name of a read: the same value has the same name, and no more."""
    return sha256(value.encode()).hexdigest()[:16]


def question_key(request: LanguageRequest) -> str:
    """Names one question to a language model."""
    return f"{request.prompt}:{hidden(repr(request))}"


def count_key(*, name: str, value: str, since: datetime, distinct: str) -> str:
    """Names one count."""
    return f"{name}:{distinct}:{hidden(value)}:{since.isoformat()}"


def confirmed_key(names: dict[str, str]) -> str:
    """Names one look at the confirmed-fraud list."""
    return ",".join(f"{name}:{hidden(value)}" for name, value in sorted(names.items()))
