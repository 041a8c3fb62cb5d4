"""Purchasing and listings of the served sandbox: the reads, and the levers that change prices, sales and goods under way."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import TypeAdapter

from domain.ids import Sku
from domain.listing import Listing, RunningPromotion
from domain.purchasing import Vendor
from domain.supply import SupplierOffer
from domain.supply_ports import InboundSupply, SalesHistory
from tools.sandbox.faults import Fault
from tools.sandbox.http_faults import Answers
from tools.sandbox.http_reads import Names, about
from tools.sandbox.sandbox import Desks, Sandbox

_VENDORS = TypeAdapter(list[Vendor])
_OFFERS = TypeAdapter(list[SupplierOffer])
_SALES = TypeAdapter(list[SalesHistory])
_INBOUND = TypeAdapter(list[InboundSupply])
_OptionalNames = Annotated[list[str], Query(max_length=500, default_factory=list)]


def supply_routes(desks: Desks, answers: Answers) -> APIRouter:
    """The read routes."""
    routes = APIRouter(tags=["reads"])
    _masters(routes, desks, answers)
    _movements(routes, desks, answers)

    @routes.get("/listings")
    async def listings(sku: Names, tenant: str) -> Response:
        """Listings and promotions of the named SKUs."""

        async def body(_: Fault | None) -> bytes:
            report = await desks.listings.listings([Sku(one) for one in sku], tenant=tenant)
            return about(",".join(sku), report.to_json().encode())

        return await answers.give("listings", "listings", body)

    return routes


def supply_levers(sandbox: Sandbox) -> APIRouter:
    """What the world may do to purchasing and listings."""
    routes = APIRouter(tags=["sandbox"])

    @routes.put("/_purchasing/offers", status_code=204)
    async def offer(offer: SupplierOffer) -> None:
        """A supplier changes its offer."""
        await sandbox.purchasing.put_offer(offer)

    @routes.put("/_purchasing/sales", status_code=204)
    async def sales(history: SalesHistory) -> None:
        """Replace what an SKU sold."""
        await sandbox.purchasing.put_sales(history)

    @routes.put("/_purchasing/inbound", status_code=204)
    async def inbound(supply: InboundSupply) -> None:
        """Goods are on their way."""
        await sandbox.purchasing.put_inbound(supply)

    @routes.put("/_listings", status_code=204)
    async def listing(listing: Listing, tenant: str) -> None:
        """Somebody changes a listing by hand."""
        await sandbox.listings.put(listing, tenant=tenant)

    @routes.put("/_promotions", status_code=204)
    async def promotion(promotion: RunningPromotion, tenant: str) -> None:
        """A promotion is announced."""
        await sandbox.listings.put_promotion(promotion, tenant=tenant)

    return routes


def _masters(routes: APIRouter, desks: Desks, answers: Answers) -> None:
    @routes.get("/purchasing/buyer")
    async def buyer() -> Response:
        """Our own side of a purchase order."""

        async def body(_: Fault | None) -> bytes:
            return about("buyer", (await desks.purchasing.buyer()).to_json().encode())

        return await answers.give("purchasing", "buyer", body)

    @routes.get("/purchasing/vendors")
    async def vendors(vendor: _OptionalNames) -> Response:
        """The named vendors, or all."""

        async def body(_: Fault | None) -> bytes:
            return about(",".join(vendor), _VENDORS.dump_json(list(await desks.purchasing.vendors(vendor))))

        return await answers.give("purchasing", "vendors", body)


def _movements(routes: APIRouter, desks: Desks, answers: Answers) -> None:
    @routes.get("/purchasing/offers")
    async def offers(sku: Names) -> Response:
        """Present offers for the named SKUs."""

        async def body(_: Fault | None) -> bytes:
            return about(",".join(sku), _OFFERS.dump_json(list(await desks.purchasing.offers([Sku(s) for s in sku]))))

        return await answers.give("purchasing", "offers", body)

    @routes.get("/purchasing/sales")
    async def sales(sku: _OptionalNames, weeks: int) -> Response:
        """Weekly sales of the named SKUs, or of all."""

        async def body(_: Fault | None) -> bytes:
            found = await desks.purchasing.sales([Sku(one) for one in sku], weeks=weeks)
            return about(f"{weeks} weeks of {','.join(sku)}", _SALES.dump_json(list(found)))

        return await answers.give("purchasing", "sales", body)

    @routes.get("/purchasing/inbound")
    async def inbound(sku: Names) -> Response:
        """Goods of the named SKUs that were ordered and have not arrived."""

        async def body(_: Fault | None) -> bytes:
            found = await desks.purchasing.inbound([Sku(one) for one in sku])
            return about(",".join(sku), _INBOUND.dump_json(list(found)))

        return await answers.give("purchasing", "inbound", body)
