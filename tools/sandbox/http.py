# ruff: noqa: A005 - the module is only ever imported as tools.sandbox.http
"""The sandbox over HTTP, in the one shape the connectors of ``tools.connectors`` speak. ``/docs`` lists every route.

Effects: ``POST /{system}/effects/{kind}`` with ``Idempotency-Key`` gives the receipt; ``GET /{system}/effects/{key}``
with ``?tenant=`` gives it again, or 404 ``effect.unknown``. Systems: wms, payment, oms, crm, channels, messages,
listings, carriers/<code>. Errors carry ``{"code", "message"}`` with our own stable codes. Every route but ``/healthz`` wants
``Authorization: Bearer <token>``.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import unquote

import orjson
from fastapi import APIRouter, Depends, FastAPI, Header, Request
from fastapi.responses import Response

from domain.effect import Effect, EffectKind, Receipt
from domain.errors import ConfigError, Forbidden, InsufficientStock, NotFound, SignalboxError, Transient
from domain.ids import EffectKey, TenantId
from domain.values import Document, Plain
from tools.sandbox.faults import Fault
from tools.sandbox.http_admin import admin_routes
from tools.sandbox.http_customers import customer_routes
from tools.sandbox.http_faults import Answers, problem
from tools.sandbox.http_reads import read_routes
from tools.sandbox.http_supply import supply_levers, supply_routes
from tools.sandbox.sandbox import Desks, Sandbox
from tools.sandbox.system import System

RETRY_AFTER_S = 1
KeyHeader = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=512)]


class EffectRequest(Document):
    """The body of an effect; its key is in the ``Idempotency-Key`` header."""

    tenant: TenantId
    entity_id: str
    args: dict[str, Plain]
    decision_id: str


def create_app(sandbox: Sandbox, token: str) -> FastAPI:
    """The app that serves an open sandbox to holders of ``token``.

    Raises:
        ConfigError: the token is empty.
    """
    if not token:
        raise ConfigError("the served sandbox needs a token; set one and give it to the connectors")
    app = FastAPI(title="Signalbox sandbox", version="1", docs_url="/docs", redoc_url=None)
    app.add_exception_handler(SignalboxError, _refuse)
    desks, answers = sandbox.faultless(), Answers(sandbox.faults)
    guarded = [Depends(_bearer(token))]
    app.include_router(admin_routes(sandbox), dependencies=guarded)
    app.include_router(effect_routes(EffectDesk(desks, answers)), dependencies=guarded)
    app.include_router(read_routes(desks, answers), dependencies=guarded)
    app.include_router(customer_routes(desks, answers), dependencies=guarded)
    app.include_router(supply_routes(desks, answers), dependencies=guarded)
    app.include_router(supply_levers(sandbox), dependencies=guarded)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the server is up."""
        return {"status": "ok"}

    return app


class EffectDesk:
    """Applies effects and looks them up, at every system and carrier by name."""

    def __init__(self, desks: Desks, answers: Answers) -> None:
        """Desks without faults; ``answers`` meets them."""
        everyone = (desks.wms, desks.payment, desks.oms, desks.crm, desks.channels, desks.messages, desks.listings)
        self._systems: dict[str, System] = {system.name: system for system in (*everyone, *desks.carriers.values())}
        self._answers = answers

    async def apply(self, name: str, kind: EffectKind, key: str, request: EffectRequest) -> Response:
        """Apply an effect once per key."""
        system = self._named(name)
        effect = Effect(
            key=EffectKey(unquote(key)),
            kind=kind,
            tenant=request.tenant,
            entity_id=request.entity_id,
            args=request.args,
            decision_id=request.decision_id,
        )

        async def body(_: Fault | None) -> bytes:
            return (await system.apply(effect)).to_json().encode()

        return await self._answers.give(name, kind.value, body)

    async def look_up(self, name: str, key: str, tenant: str) -> Response:
        """The receipt of an effect applied earlier, or 404 ``effect.unknown``."""
        system = self._named(name)
        unknown = orjson.dumps({"code": "effect.unknown", "message": f"{name} never applied {key}", "key": key})
        found: list[Receipt | None] = []

        async def body(_: Fault | None) -> bytes:
            found.append(await system.receipt(EffectKey(key), tenant=TenantId(tenant)))
            return unknown if found[0] is None else found[0].to_json().encode()

        response = await self._answers.give(name, "lookup", body)
        if found == [None]:
            response.status_code = 404
        return response

    def _named(self, name: str) -> System:
        try:
            return self._systems[name]
        except KeyError:
            raise NotFound(f"there is no system {name} here; there are {', '.join(self._systems)}") from None


def effect_routes(desk: EffectDesk) -> APIRouter:
    """The effect routes."""
    routes = APIRouter(tags=["effects"])

    @routes.post("/{name}/effects/{kind}")
    async def apply(name: str, kind: EffectKind, idempotency_key: KeyHeader, request: EffectRequest) -> Response:
        """Apply an effect once per key; the key is percent-encoded in the header."""
        return await desk.apply(name, kind, idempotency_key, request)

    @routes.post("/carriers/{code}/effects/{kind}")
    async def book(code: str, kind: EffectKind, idempotency_key: KeyHeader, request: EffectRequest) -> Response:
        """Apply an effect at a carrier once per key."""
        return await desk.apply(f"carriers/{code}", kind, idempotency_key, request)

    @routes.get("/{name}/effects/{key:path}")
    async def look_up(name: str, key: str, tenant: str) -> Response:
        """The receipt of an effect applied earlier."""
        return await desk.look_up(name, key, tenant)

    @routes.get("/carriers/{code}/effects/{key:path}")
    async def look_up_label(code: str, key: str, tenant: str) -> Response:
        """The receipt of an effect applied earlier at a carrier."""
        return await desk.look_up(f"carriers/{code}", key, tenant)

    return routes


class _Unauthorised(Forbidden):
    code = "refused.token"
    status = 401


def _bearer(token: str) -> Callable[[Request], Awaitable[None]]:
    expected = f"Bearer {token}".encode()

    async def check(request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            raise _Unauthorised("the bearer token is missing or wrong; use the token the sandbox was started with")

    return check


async def _refuse(_: Request, error: Exception) -> Response:
    if isinstance(error, InsufficientStock):
        body = orjson.dumps({"code": error.code, "message": str(error), "short": error.short})
        return Response(body, status_code=error.status, media_type="application/json")
    if isinstance(error, SignalboxError):
        retry_after_s = RETRY_AFTER_S if isinstance(error, Transient) else None
        return problem(error.status, error.code, str(error), retry_after_s=retry_after_s)
    raise error
