"""The served sandbox's own levers and books: faults, scans, counts, platform orders, the ledger of applied effects."""

import orjson
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field, TypeAdapter

from domain.errors import NotFound
from domain.values import Document
from tools.sandbox.faults import Fault
from tools.sandbox.messages import SentMessage
from tools.sandbox.sandbox import Sandbox
from tools.sandbox.system import AppliedEffect

_APPLIED = TypeAdapter(list[AppliedEffect])
_FAULTS = TypeAdapter(list[Fault])
_SENT = TypeAdapter(list[SentMessage])


class Scan(Document):
    """A carrier's first scan of a parcel."""

    tracking: str


class Count(Document):
    """A physical stock count."""

    warehouse: str
    sku: str
    on_hand: int = Field(ge=0)
    safety: int = Field(default=0, ge=0)
    quarantine: int = Field(default=0, ge=0)


class Arrival(Document):
    """Goods that arrive."""

    warehouse: str
    sku: str
    quantity: int = Field(gt=0)


class FeedDelay(Document):
    """How far a warehouse's counts are behind, seconds; negative when its clock is ahead."""

    warehouse: str
    seconds: float


class PlatformOrder(Document):
    """A platform's own copy of an order."""

    channel: str
    external_id: str
    shop: str = ""
    payload: str


def admin_routes(sandbox: Sandbox) -> APIRouter:
    """Everything that is not one of the imitated systems."""
    routes = APIRouter(tags=["sandbox"])
    _fault_routes(routes, sandbox)
    _world_routes(routes, sandbox)
    _book_routes(routes, sandbox)
    return routes


def _fault_routes(routes: APIRouter, sandbox: Sandbox) -> None:
    @routes.post("/_faults", status_code=201)
    async def arm(fault: Fault) -> dict[str, int]:
        """Arm a fault."""
        return {"fault_id": await sandbox.faults.set(fault)}

    @routes.get("/_faults")
    async def armed() -> Response:
        """The armed faults, oldest first."""
        return _json(_FAULTS.dump_json(await sandbox.faults.active()))

    @routes.delete("/_faults", status_code=204)
    async def disarm() -> None:
        """Disarm every fault."""
        await sandbox.faults.clear()


def _world_routes(routes: APIRouter, sandbox: Sandbox) -> None:
    @routes.post("/carriers/{code}/scans", status_code=204)
    async def scan(code: str, scanned: Scan) -> None:
        """The carrier scans a parcel for the first time."""
        if code not in sandbox.carriers:
            raise NotFound(f"there is no carrier {code}")
        await sandbox.carriers[code].mark_scanned(scanned.tracking)

    @routes.post("/_stock", status_code=204)
    async def count(counted: Count) -> None:
        """Book a physical count."""
        await sandbox.wms.count_stock(
            counted.warehouse,
            counted.sku,
            counted.on_hand,
            safety=counted.safety,
            quarantine=counted.quarantine,
        )

    @routes.post("/_arrivals", status_code=204)
    async def arrive(arrival: Arrival) -> None:
        """Put arriving goods on the shelf."""
        await sandbox.wms.receive(arrival.sku, arrival.warehouse, arrival.quantity)

    @routes.put("/_feed_delays", status_code=204)
    async def delay(delayed: FeedDelay) -> None:
        """Let a warehouse's counts be behind."""
        await sandbox.wms.set_feed_delay(delayed.warehouse, delayed.seconds)

    @routes.put("/_platform_orders", status_code=204)
    async def platform_order(order: PlatformOrder) -> None:
        """Keep a platform's own copy of an order."""
        await sandbox.channels.put_platform_order(order.channel, order.external_id, order.payload, shop=order.shop)


def _book_routes(routes: APIRouter, sandbox: Sandbox) -> None:
    @routes.get("/_applied")
    async def applied(order_id: str | None = None) -> Response:
        """The ledger of applied effects, oldest first."""
        return _json(_APPLIED.dump_json(await sandbox.applied(order_id)))

    @routes.get("/_stock_totals")
    async def totals() -> Response:
        """The stock equation."""
        found = await sandbox.stock_totals()
        return _json(orjson.dumps(found.model_dump() | {"balanced": found.balanced}))

    @routes.get("/messages/outbox")
    async def outbox(order_id: str, tenant: str) -> Response:
        """What was sent about one order."""
        return _json(_SENT.dump_json(await sandbox.messages.outbox(order_id, tenant=tenant)))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
