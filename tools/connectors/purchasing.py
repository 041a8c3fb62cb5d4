"""Purchasing in the ERP over HTTP. Prices and goods under way are asked for anew each time; an answer about others is refused."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import TypeAdapter

from domain.errors import ConnectorUnavailable
from domain.ids import Sku
from domain.purchasing import BuyerParty, Vendor
from domain.supply import SupplierOffer
from domain.supply_ports import InboundSupply, SalesHistory
from tools.connectors.http import HttpClient
from tools.connectors.reading import read_about

T = TypeVar("T", SupplierOffer, SalesHistory, InboundSupply)
_BUYER = TypeAdapter(BuyerParty)
_VENDORS = TypeAdapter(tuple[Vendor, ...])
_OFFERS = TypeAdapter(tuple[SupplierOffer, ...])
_SALES = TypeAdapter(tuple[SalesHistory, ...])
_INBOUND = TypeAdapter(tuple[InboundSupply, ...])
_SKUS_PER_CALL = 100


class PurchasingConnector:
    """``SupplyPort`` over HTTP."""

    def __init__(self, client: HttpClient) -> None:
        """The system named ``purchasing`` on the client's host."""
        self._client = client

    async def buyer(self) -> BuyerParty:
        """Our own side of a purchase order.

        Raises:
            ConnectorUnavailable: no usable answer in time.
        """
        return await read_about(self._client, "/purchasing/buyer", {}, subject="buyer", shape=_BUYER)

    async def vendors(self, vendor_ids: Sequence[str]) -> Sequence[Vendor]:
        """The named vendors that exist; with no names, all of them.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other vendors.
        """
        asked = tuple(dict.fromkeys(vendor_ids))
        found = await read_about(
            self._client, "/purchasing/vendors", {"vendor": asked}, subject=",".join(asked), shape=_VENDORS
        )
        if asked and any(one.vendor_id not in asked for one in found):
            raise ConnectorUnavailable("purchasing vendors answered about other vendors; try again")
        return found

    async def offers(self, skus: Sequence[Sku]) -> Sequence[SupplierOffer]:
        """Every supplier's present offer for the named SKUs.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other SKUs.
        """
        return await self._about("offers", skus, _OFFERS)

    async def sales(self, skus: Sequence[Sku], *, weeks: int) -> Sequence[SalesHistory]:
        """Weekly sales of the named SKUs; with no names, of all.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other SKUs.
        """
        if skus:
            return await self._about("sales", skus, _SALES, weeks=weeks)
        return await read_about(
            self._client, "/purchasing/sales", {"weeks": str(weeks)}, subject=f"{weeks} weeks of ", shape=_SALES
        )

    async def inbound(self, skus: Sequence[Sku]) -> Sequence[InboundSupply]:
        """Goods of the named SKUs that were ordered and have not arrived.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other SKUs.
        """
        return await self._about("inbound", skus, _INBOUND)

    async def _about(
        self, call: str, skus: Sequence[Sku], shape: TypeAdapter[tuple[T, ...]], *, weeks: int | None = None
    ) -> list[T]:
        found: list[T] = []
        wanted = tuple(dict.fromkeys(skus))
        for start in range(0, len(wanted), _SKUS_PER_CALL):
            part = wanted[start : start + _SKUS_PER_CALL]
            params: dict[str, str | Sequence[str]] = {"sku": part}
            subject = ",".join(part)
            if weeks is not None:
                params["weeks"], subject = str(weeks), f"{weeks} weeks of {subject}"
            read = await read_about(self._client, f"/purchasing/{call}", params, subject=subject, shape=shape)
            if any(one.sku not in part for one in read):
                raise ConnectorUnavailable(f"purchasing {call} answered about other SKUs; try again")
            found += read
        return found
