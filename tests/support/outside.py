"""The outside world for tests: effects with valid arguments, a settable clock, and apps served on a loopback port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI

from domain.effect import Effect, EffectKind
from domain.ids import EffectKey, Sku, TenantId
from tools.connectors.directory import Systems
from tools.sandbox import Sandbox

TENANT = TenantId("acme")
TOKEN = "sandbox-token-for-tests"
START = datetime(2026, 11, 11, 3, 0, tzinfo=UTC)


class SettableClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app on a free loopback port; gives the base address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
                await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


def effect(kind: EffectKind, args: dict[str, Any], *, order: str = "o-1", part: str = "") -> Effect:
    """An effect on an order, with the key the product would give it."""
    key = EffectKey(f"{TENANT}/{order}/{kind.value}/{part or '-'}/1")
    return Effect(
        key=key, kind=kind, tenant=TENANT, entity_id=order, args={"order_id": order} | args, decision_id="decision-1"
    )


def line(sku: str, warehouse: str, quantity: int = 1, *, line_id: str = "1") -> dict[str, Any]:
    return {"line_id": line_id, "sku": sku, "warehouse": warehouse, "quantity": quantity}


def hold(lines: list[dict[str, Any]], *, order: str = "o-1", expires_at: datetime | None = None) -> Effect:
    """Holding stock for an order."""
    until = None if expires_at is None else expires_at.isoformat()
    return effect(EffectKind.HOLD_STOCK, {"lines": lines, "expires_at": until}, order=order)


def confirm(held: Effect, lines: list[dict[str, Any]] | None = None, *, part: str = "") -> Effect:
    """Confirming a hold, on its own lines unless others are given."""
    args = {"hold_key": held.key, "lines": held.args["lines"] if lines is None else lines}
    return effect(EffectKind.CONFIRM_HOLD, args, order=held.entity_id, part=part)


def release(held: Effect, *, part: str = "") -> Effect:
    """Giving a hold back."""
    return effect(EffectKind.RELEASE_HOLD, {"hold_key": held.key}, order=held.entity_id, part=part)


def label(warehouse: str, service: str, country: str, *, order: str = "o-1", **more: Any) -> Effect:
    """Booking a label for one parcel."""
    args: dict[str, Any] = {
        "parcel": 1,
        "warehouse": warehouse,
        "service": service,
        "billable_g": 400,
        "ship_to": {"name": "A. Buyer", "line1": "1 Test Street", "city": "Town", "country": country},
        "declared_value": {"amount_minor": 9_900, "currency": "USD"},
    }
    return effect(EffectKind.BOOK_LABEL, args | more, order=order)


def fulfil(held: Effect, warehouse: str, skus: dict[str, int], tracking: str, *, part: str = "1") -> Effect:
    """Having a parcel picked."""
    args = {"parcel": int(part), "warehouse": warehouse, "hold_key": held.key, "skus": skus, "tracking": tracking}
    return effect(EffectKind.CREATE_FULFILMENT, args, order=held.entity_id, part=part)


def story(sku: Sku, warehouse: str = "HKG") -> list[Effect]:
    """One order's effects of every kind, each possible after those before it."""
    held = hold([line(sku, warehouse)])
    booked = label(warehouse, "kite:priority", "HK")
    picked = fulfil(held, warehouse, {sku: 1}, "T-1")
    credited = effect(EffectKind.POST_LOYALTY, {"customer_id": "C-00001", "points": 12})
    money = {"amount_minor": 9_900, "currency": "HKD"}
    place = {"external_id": "1001", "shop": "shop-1"}
    mail = {"template": "shipped", "locale": "en", "recipient": "a@example.com", "subject": "On its way", "body": "Hi"}
    return [
        held,
        confirm(held),
        effect(EffectKind.CAPTURE_PAYMENT, {"amount": money}),
        booked,
        picked,
        effect(EffectKind.UPDATE_OMS, {"state": "ready_to_ship", "warehouses": [warehouse], "tracking": ["T-1"]}),
        effect(EffectKind.UPDATE_CHANNEL, place | {"state": "ready_to_ship", "tracking": ["T-1"], "carrier": "kite"}),
        effect(EffectKind.SEND_MESSAGE, mail),
        credited,
        effect(EffectKind.TAG_ORDER, {"tags": ["gift", "first"]}),
        effect(EffectKind.REVERSE_LOYALTY, {"customer_id": "C-00001", "loyalty_key": credited.key}),
        effect(EffectKind.CANCEL_CHANNEL, place | {"reason": "customer asked"}),
        effect(EffectKind.CANCEL_OMS, {"reason": "customer asked"}),
        effect(EffectKind.CANCEL_FULFILMENT, {"fulfilment_key": picked.key}),
        effect(EffectKind.VOID_LABEL, {"service": "kite:priority", "label_key": booked.key}),
        effect(EffectKind.REFUND_PAYMENT, {"amount": money, "reason": "customer asked"}),
        release(held),
    ]


async def apply(systems: Systems, wanted: Effect) -> Any:
    """Apply an effect at the system that does its kind."""
    return await systems.effect_port(wanted.kind, wanted.args).apply(wanted)


async def lookup(systems: Systems, wanted: Effect) -> Any:
    """Look an effect up at the system that does its kind."""
    return await systems.effect_port(wanted.kind, wanted.args).lookup(wanted)


async def shelf(sandbox: Sandbox, sku: str, warehouse: str) -> tuple[int, int]:
    """Units on hand and in holds of one SKU in one warehouse."""
    levels = [one for one in await sandbox.wms.stock([Sku(sku)]) if one.warehouse == warehouse]
    return levels[0].on_hand, levels[0].held
