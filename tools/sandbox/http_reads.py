"""The reads of the served sandbox. Each answers ``{"about": <what was asked>, "data": ...}``, so a lying answer shows."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import TypeAdapter

from domain.catalogue import Product
from domain.errors import NotFound
from domain.fx import Rate
from domain.ids import EffectKey, Sku
from domain.inventory import StockLevel
from domain.order import Channel
from domain.ports import CustomerHistory
from domain.shipment import Lane, Warehouse
from tools.sandbox.carrier import CarrierSystem
from tools.sandbox.channel import shopee_envelope
from tools.sandbox.faults import Fault
from tools.sandbox.http_faults import Answers
from tools.sandbox.sandbox import Desks
from tools.sandbox.wms import aged

_WAREHOUSES = TypeAdapter(list[Warehouse])
_LEVELS = TypeAdapter(list[StockLevel])
_LANES = TypeAdapter(list[Lane])
_PRODUCTS = TypeAdapter(list[Product])
_RATES = TypeAdapter(list[Rate])
_HISTORY = TypeAdapter(CustomerHistory)

Names = Annotated[list[str], Query(max_length=500)]


def read_routes(desks: Desks, answers: Answers) -> APIRouter:
    """The read routes over fault-free desks; faults are met by ``answers``."""
    routes = APIRouter(tags=["reads"])
    _warehouse_reads(routes, desks, answers)
    _carrier_reads(routes, desks, answers)
    _erp_reads(routes, desks, answers)
    _party_reads(routes, desks, answers)
    _platform_reads(routes, desks, answers)
    return routes


def about(subject: str, data: bytes) -> bytes:
    """A read's answer: what it is about, and the data."""
    return b'{"about":' + orjson.dumps(subject) + b',"data":' + data + b"}"


def _warehouse_reads(routes: APIRouter, desks: Desks, answers: Answers) -> None:
    @routes.get("/wms/warehouses")
    async def warehouses() -> Response:
        """Every site."""

        async def body(_: Fault | None) -> bytes:
            return about("warehouses", _WAREHOUSES.dump_json(list(await desks.wms.warehouses())))

        return await answers.give("wms", "warehouses", body)

    @routes.get("/wms/stock")
    async def stock(sku: Names) -> Response:
        """Levels of the named SKUs in every warehouse."""

        async def body(fault: Fault | None) -> bytes:
            levels = await desks.wms.stock([Sku(one) for one in sku])
            levels = levels if fault is None else aged(levels, fault)
            return about(",".join(sku), _LEVELS.dump_json(list(levels)))

        return await answers.give("wms", "stock", body)


def _carrier_reads(routes: APIRouter, desks: Desks, answers: Answers) -> None:
    @routes.get("/carriers/{code}/lanes")
    async def lanes(code: str, country: str) -> Response:
        """Every lane a carrier sells to a country."""
        carrier = _carrier(desks, code)

        async def body(_: Fault | None) -> bytes:
            return about(country, _LANES.dump_json(list(await carrier.lanes(country))))

        return await answers.give(carrier.name, "lanes", body)

    @routes.get("/carriers/{code}/scanned")
    async def scanned(code: str, label_key: str) -> Response:
        """Whether a carrier has taken over the parcel of a label."""
        carrier = _carrier(desks, code)

        async def body(_: Fault | None) -> bytes:
            return about(label_key, orjson.dumps(await carrier.scanned(EffectKey(label_key))))

        return await answers.give(carrier.name, "scanned", body)


def _erp_reads(routes: APIRouter, desks: Desks, answers: Answers) -> None:
    @routes.get("/erp/products")
    async def products(sku: Names) -> Response:
        """The products that exist among the named SKUs."""

        async def body(_: Fault | None) -> bytes:
            found = await desks.erp.products([Sku(one) for one in sku])
            return about(",".join(sku), _PRODUCTS.dump_json(list(found.values())))

        return await answers.give("erp", "products", body)

    @routes.get("/erp/rates")
    async def rates(currency: Names) -> Response:
        """Recent dated rates per US dollar."""

        async def body(_: Fault | None) -> bytes:
            return about(",".join(currency), _RATES.dump_json(list(await desks.erp.rates(currency))))

        return await answers.give("erp", "rates", body)


def _carrier(desks: Desks, code: str) -> CarrierSystem:
    try:
        return desks.carriers[code]
    except KeyError:
        raise NotFound(f"there is no carrier {code}; there are {', '.join(desks.carriers)}") from None


def _party_reads(routes: APIRouter, desks: Desks, answers: Answers) -> None:
    @routes.get("/crm/history")
    async def history(customer_id: str) -> Response:
        """What is known of a customer."""

        async def body(_: Fault | None) -> bytes:
            return about(customer_id, _HISTORY.dump_json(await desks.crm.history(customer_id)))

        return await answers.give("crm", "history", body)

    @routes.get("/oms/record")
    async def oms_record(order_id: str, tenant: str) -> Response:
        """An order's record."""

        async def body(_: Fault | None) -> bytes:
            return about(order_id, (await desks.oms.record(order_id, tenant=tenant)).to_json().encode())

        return await answers.give("oms", "record", body)


def _platform_reads(routes: APIRouter, desks: Desks, answers: Answers) -> None:
    @routes.get("/channels/order")
    async def platform_order(channel: str, external_id: str, shop: str = "") -> Response:
        """The platform's own copy of an order, as text."""

        async def body(_: Fault | None) -> bytes:
            text = await desks.channels.fetch_platform_order(channel, shop, external_id)
            return about(external_id, orjson.dumps(text))

        return await answers.give("channels", "fetch_platform_order", body)

    @routes.get("/api/v2/order/get_order_detail")
    async def shopee_order_detail(order_sn_list: str, shop_id: str = "") -> Response:
        """Shopee's order detail for up to 50 order numbers; numbers it does not know are left out, as Shopee does."""

        async def body(_: Fault | None) -> bytes:
            found = []
            for number in order_sn_list.split(",")[:50]:
                try:
                    found.append(await desks.channels.fetch_platform_order(Channel.SHOPEE, shop_id, number))
                except NotFound:
                    continue
            envelope = shopee_envelope(found, order_sn_list)
            if not found:
                request_id = orjson.loads(envelope)["request_id"]
                said = "Wrong parameters, detail: the order is not found."
                return orjson.dumps({"error": "error_not_found", "message": said, "request_id": request_id})
            return envelope.encode()

        return await answers.give("channels", "fetch_platform_order", body)
