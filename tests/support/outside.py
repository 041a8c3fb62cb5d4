"""The outside world for tests: effects with valid arguments, a settable clock, and apps served on a loopback port."""

import atexit
import functools
import itertools
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

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


class Stage:
    """One loopback server for the whole test session, in a thread of its own; each app has its own path prefix."""

    def __init__(self) -> None:
        self._apps: dict[str, ASGIApp] = {}
        self._count = itertools.count(1)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._dispatch,
            interface="asgi3",
            log_level="critical",
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        atexit.register(self._stop)

    def show(self, app: ASGIApp) -> str:
        """Serve the app; gives its base address."""
        prefix = f"/{next(self._count)}"
        self._apps[prefix] = app
        return self.address + prefix

    def hide(self, url: str) -> None:
        """Serve the app no longer."""
        del self._apps[url.removeprefix(self.address)]

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        first, slash, rest = scope["path"][1:].partition("/")
        inner = dict(scope, path=slash + rest, raw_path=(slash + rest).encode(), root_path="")
        await self._apps[f"/{first}"](inner, receive, send)

    def _stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=3)


_stage = functools.cache(Stage)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The app on a loopback port, reached through real sockets; gives its base address."""
    stage = _stage()
    url = stage.show(app)
    yield url
    stage.hide(url)


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


def recall(held: Effect, parcels: list[Effect], lines: list[dict[str, Any]], *, part: str = "w2") -> Effect:
    """Taking parcels back from picking and holding their goods at other places."""
    args = {"hold_key": held.key, "fulfilment_keys": [parcel.key for parcel in parcels], "lines": lines}
    return effect(EffectKind.RECALL_FULFILMENTS, args, order=held.entity_id, part=part)


def bare(kind: EffectKind, args: dict[str, Any]) -> Effect:
    """An effect that is about no order."""
    return effect(kind, args).model_copy(update={"args": args})


def story(sku: Sku, warehouse: str = "HKG") -> list[Effect]:
    """One order's effects of every kind, each possible after those before it."""
    held = hold([line(sku, warehouse)])
    booked = label(warehouse, "kite:priority", "HK")
    picked = fulfil(held, warehouse, {sku: 1}, "T-1")
    credited = effect(EffectKind.POST_LOYALTY, {"customer_id": "C-00001", "points": 12})
    money = {"amount_minor": 9_900, "currency": "HKD"}
    place = {"external_id": "1001", "shop": "shop-1"}
    mail = {"template": "shipped", "locale": "en", "recipient": "a@example.com", "subject": "On its way", "body": "Hi"}
    letter = {
        "number": "PO-2026-000001", "version": 1, "digest": "d" * 64, "vendor_id": "V-CN-01", "recipient": "sales@v-cn-01.example",
        "reply_to": "purchasing@example.com", "locale": "en", "subject": "Purchase order PO-2026-000001", "body": "Dear Ms Tan,",
    }  # fmt: skip
    listing = {"sku": "SB-00002", "channel": "shopee"}
    hidden = listing | {"values": {"visible": False}, "expected": {"visible": True}}
    shown = listing | {"values": {"visible": True}, "expected": {"visible": False}}
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
        recall(held, [picked], [line(sku, warehouse)]),
        effect(EffectKind.CANCEL_FULFILMENT, {"fulfilment_key": picked.key}),
        effect(EffectKind.VOID_LABEL, {"service": "kite:priority", "label_key": booked.key}),
        effect(EffectKind.REFUND_PAYMENT, {"amount": money, "reason": "customer asked"}),
        release(held),
        bare(EffectKind.SEND_PURCHASE_ORDER, letter),
        bare(EffectKind.CHANGE_LISTING, hidden),
        bare(EffectKind.RESTORE_LISTING, shown),
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
