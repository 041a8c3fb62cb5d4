"""What every route works with, built once by ``create_app`` and found on the application."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.requests import Request

from api.idempotency import IdempotencyStore
from api.metrics import ApiMetrics
from api.security import Guard
from api.services import OrderDesk
from api.tenants import Tenants
from graph.bootstrap.contacts import Contacts

if TYPE_CHECKING:
    from api.slack.interactions import SlackServices
    from api.support import SupportViews


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiContext:
    """The services behind the routes."""

    desk: OrderDesk
    tenants: Tenants
    guard: Guard
    idempotency: IdempotencyStore
    metrics: ApiMetrics
    now: Callable[[], datetime]
    """The current instant, UTC."""
    slack: "SlackServices | None" = None
    """What answers clicks from Slack, when a workspace is connected."""
    contacts: Contacts | None = None
    """What takes the news of carriers and help desks."""
    support: "SupportViews | None" = None
    """What is known about contacts."""


def context_of(request: Request) -> ApiContext:
    """The context of the application that serves the request."""
    context: ApiContext = request.app.state.context
    return context
