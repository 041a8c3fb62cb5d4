"""Products as the ERP knows them: what agents need about an SKU to ship, tax or refuse it."""

from enum import StrEnum

from domain.ids import Sku
from domain.money import Money
from domain.values import Document


class DangerousGoods(StrEnum):
    """Lithium battery classes and the rest, as carriers accept or refuse them (IATA DGR wording)."""

    NONE = "none"
    LITHIUM_CONTAINED = "lithium_contained"
    """UN3481/3091 contained in equipment."""
    LITHIUM_PACKED_WITH = "lithium_packed_with"
    """UN3481/3091 packed with equipment; by air only at a declared charge of 30 % or less since 2026."""
    LITHIUM_LOOSE = "lithium_loose"
    """UN3480/3090; never on passenger aircraft."""
    FLAMMABLE = "flammable"
    AEROSOL = "aerosol"


class Product(Document):
    """One SKU. Weight in grams and sides in millimetres are of one packed unit."""

    sku: Sku
    title: str
    category: str
    weight_g: int | None
    length_mm: int | None = None
    width_mm: int | None = None
    height_mm: int | None = None
    hs_code: str = ""
    origin: str = ""
    """ISO country of origin."""
    dangerous: DangerousGoods = DangerousGoods.NONE
    charge_declared: bool = False
    """State of charge of the battery is documented as 30 % or less."""
    list_price: Money
    high_resale: bool = False
    restricted_in: tuple[str, ...] = ()
    """ISO countries the goods may not be sent to."""
