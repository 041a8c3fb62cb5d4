"""What the supplier workflow asks of the outside: vendor master, offers, sales history, goods on their way, listings."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from pydantic import Field

from domain.ids import Sku
from domain.listing import ListingReport
from domain.ports import EffectPort
from domain.purchasing import BuyerParty, Vendor
from domain.supply import SupplierOffer
from domain.values import Document


class SalesHistory(Document):
    """Units of one SKU sold per week, newest last; the last one is the week before ``until``."""

    sku: Sku
    category: str
    until: date
    """First day of the running week, which is not part of the history."""
    weeks: tuple[int | None, ...]
    """None where it was out of stock all week: demand was there and could not be seen."""
    margin_usd_minor: int = Field(ge=0)
    """What a sold unit earns, US cents."""


class InboundSupply(Document):
    """Units of one SKU on their way from a purchase order, ours or another system's."""

    sku: Sku
    reference: str
    """The purchase order's number."""
    units: int = Field(gt=0)
    due: date
    on_time: float = Field(default=1.0, ge=0, le=1)


class SupplyPort(Protocol):
    """Purchasing in the ERP, which is only read. Prices come from here and nowhere else."""

    async def buyer(self) -> BuyerParty:
        """Our own side of a purchase order."""

    async def vendors(self, vendor_ids: Sequence[str]) -> Sequence[Vendor]:
        """The named vendors that exist; with no names, all of them."""

    async def offers(self, skus: Sequence[Sku]) -> Sequence[SupplierOffer]:
        """Every supplier's present offer for the named SKUs."""

    async def sales(self, skus: Sequence[Sku], *, weeks: int) -> Sequence[SalesHistory]:
        """Weekly sales of the named SKUs that were ever sold; with no names, of all."""

    async def inbound(self, skus: Sequence[Sku]) -> Sequence[InboundSupply]:
        """Goods of the named SKUs that were ordered and have not arrived."""


class ListingReads(Protocol):
    """What may be read of how goods are offered."""

    async def listings(self, skus: Sequence[Sku], *, tenant: str) -> ListingReport:
        """Every channel's listing of the named SKUs, and the promotions that run or are announced for them."""


class ListingPort(EffectPort, ListingReads, Protocol):
    """How goods are offered on the channels: read, changed field by field, restored."""


class ComingPort(Protocol):
    """What our own purchase orders will bring."""

    async def coming(self, tenant: str, skus: Sequence[str], *, besides: str = "") -> Sequence[InboundSupply]:
        """Units of open orders, drafts among them, except those of the order ``besides``.

        Raises:
            StoreUnavailable: no answer.
        """
