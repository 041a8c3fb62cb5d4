"""The application factory: routes, guard, limits and the one error handler around an order desk."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from api import documentation, problems
from api.console.console import Console
from api.console.install import install
from api.console.routing import ConsoleRoute
from api.context import ApiContext
from api.idempotency import IdempotencyStore
from api.limits import Gate, Limits, RateLimiter
from api.metrics import ApiMetrics
from api.routes import (
    agents,
    automations,
    channels,
    clocks,
    costs,
    customers,
    examples,
    governance,
    health,
    hooks,
    orders,
    problem_types,
    purchase_orders,
    reviews,
    slack,
    stream,
    support,
)
from api.routing import GuardedRoute
from api.security import ACCESS, Guard, Open, SignedIn
from api.services import OrderDesk
from api.slack.interactions import SlackServices
from api.support import SupportViews
from api.tenants import Tenants
from domain.errors import ConfigError, SignalboxError
from graph.bootstrap.contacts import Contacts

API_VERSION = "1"
"""Of the contract under /v1."""
_ROUTERS = (
    orders,
    channels,
    customers,
    clocks,
    reviews,
    purchase_orders,
    agents,
    automations,
    examples,
    governance,
    costs,
    stream,
    health,
    hooks,
    problem_types,
    slack,
    support,
)


def create_app(
    desk: OrderDesk,
    tenants: Tenants,
    idempotency: IdempotencyStore,
    *,
    console: Console | None = None,
    limits: Limits | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    slack: SlackServices | None = None,
    contacts: Contacts | None = None,
    support_desk: SupportViews | None = None,
) -> FastAPI:
    """The HTTP API in front of a desk, with the console's pages when there is one.

    Raises:
        ConfigError: a route is missing from the access table.
    """
    limits, metrics = limits or Limits(), ApiMetrics()
    limiter = RateLimiter(rate_per_s=limits.rate_per_s, burst=limits.burst)
    guard = Guard(tenants, limiter, now=now)
    app = FastAPI(title="Signalbox", version=API_VERSION, docs_url=None, redoc_url=None)
    app.state.context = ApiContext(
        desk=desk,
        tenants=tenants,
        guard=guard,
        idempotency=idempotency,
        metrics=metrics,
        now=now,
        slack=slack,
        contacts=contacts,
        support=support_desk,
    )
    for module in _ROUTERS:
        app.include_router(module.router)
    if console is not None:
        install(app, console)
    for kind in (SignalboxError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, problems.handle)
    app.add_middleware(Gate, limits=limits, metrics=metrics)
    app.openapi = partial(documentation.document, app)  # type: ignore[method-assign]
    refuse_unlisted_routes(app)
    return app


def refuse_unlisted_routes(app: FastAPI) -> None:
    """Make sure that every route stands in the access table and is guarded by it.

    Raises:
        ConfigError: one does not or is not.
    """
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        path = getattr(route, "path", "")
        access = [
            ACCESS.get((method, path)) for method in getattr(route, "methods", None) or ["GET"] if method != "HEAD"
        ]
        guarded = isinstance(route, GuardedRoute) or set(access) == {Open.PUBLIC}
        misplaced = any(isinstance(one, SignedIn) for one in access) and not isinstance(route, ConsoleRoute)
        if not guarded or misplaced or None in access:
            raise ConfigError(f"The route {path} is not in the access table of api/security.py or is not guarded")
