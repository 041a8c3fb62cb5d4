"""What suppliers offer and what an order from each would cost, before a purchase order exists."""

from datetime import date
from decimal import Decimal

from pydantic import Field, model_validator

from domain.values import Document


class PriceBreak(Document):
    """A unit price from a quantity on."""

    from_quantity: int = Field(ge=0)
    unit_price: Decimal = Field(gt=0)
    """In the offer's currency; may be finer than its minor unit."""


class SupplierOffer(Document):
    """One supplier's terms for one SKU, from the ERP."""

    supplier_id: str
    sku: str
    currency: str
    prices: tuple[PriceBreak, ...] = Field(min_length=1)
    moq: int = Field(default=1, ge=1)
    """Least quantity of an order."""
    pack: int = Field(default=1, ge=1)
    """Orders are whole multiples of this."""
    lead_days: float = Field(gt=0)
    lead_sd_days: float = Field(default=0.0, ge=0)
    on_time: float = Field(default=1.0, ge=0, le=1)
    """Share of past deliveries that came by the promised day."""
    deposit_share: Decimal = Field(default=Decimal(0), ge=0, le=1)
    """Paid with the order; the rest ``net_days`` after delivery."""
    net_days: int = Field(default=0, ge=0)
    duty_share: Decimal = Field(default=Decimal(0), ge=0)
    """Of the goods' value."""
    freight: Decimal = Field(default=Decimal(0), ge=0)
    """Of one order, in ``freight_currency``."""
    freight_currency: str = "USD"
    valid_until: date | None = None

    @model_validator(mode="after")
    def _rising(self) -> "SupplierOffer":
        steps = [step.from_quantity for step in self.prices]
        if steps != sorted(set(steps)):
            raise ValueError("price breaks must rise in quantity")
        return self

    def price(self, quantity: int) -> Decimal:
        """The unit price at a quantity; the first break's also below it."""
        found = self.prices[0].unit_price
        for step in self.prices:
            if quantity >= step.from_quantity:
                found = step.unit_price
        return found


class SupplyOption(Document):
    """One supplier at one quantity, with what a unit costs in the end. Amounts in the base currency."""

    supplier_id: str
    sku: str
    quantity: int
    need: int
    """Units wanted from this supplier before lots and price breaks."""
    unit_price: Decimal
    """In the supplier's currency."""
    currency: str
    unit_price_base: Decimal
    unit_total: Decimal
    """Goods, duty, freight, finance, carrying and expected shortage, per unit."""
    parts: dict[str, Decimal]
    """What the whole order costs, by part."""
    stockout_probability: Decimal
    """Chance to be out of stock before this order arrives."""
    on_time: float
    lead_days: float
    why_not: str = ""
    """Why it lost; empty for the chosen one."""
