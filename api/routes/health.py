"""What probes and scrapers ask: is the process alive, can it take orders, what has it counted."""

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.metrics import CONTENT_TYPE
from api.routing import new_router

router = new_router("health")


class Liveness(BaseModel):
    """The process answers."""

    status: str


class CheckView(BaseModel):
    """One thing that must work."""

    ok: bool
    detail: str


class Readiness(BaseModel):
    """Whether orders can be taken now."""

    ready: bool
    checks: dict[str, CheckView]


@router.get("/healthz", summary="Is the process alive", responses={200: {"model": Liveness}})
async def healthz(request: Request) -> Response:
    """Answers as long as the process does; says nothing about what it depends on."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get(
    "/readyz",
    summary="Can orders be taken now",
    responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Not now; the checks say why"}},
)
async def readyz(request: Request) -> Response:
    """200 when every check is green, else 503; each red check says what is wrong in a sentence."""
    health = await context_of(request).desk.health()
    checks = {name: {"ok": check.ok, "detail": check.detail} for name, check in health.checks.items()}
    body = orjson.dumps({"ready": health.ready, "checks": checks})
    return Response(body, 200 if health.ready else 503, media_type="application/json")


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text format 0.0.4"}},
    response_class=Response,
)
async def metrics(request: Request) -> Response:
    """Counters without order, customer or tenant data. Free to scrapers on this machine, else for ops and admin keys."""
    context = context_of(request)
    return Response(context.desk.metrics() + context.metrics.exposition(), media_type=CONTENT_TYPE)
