"""What every console page works with, built once beside the API."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jinja2 import Environment
from starlette.requests import Request

from api.console.sessions import Sessions
from api.console.templating import environment
from api.desk import Desk
from api.tenants import Tenants
from graph.bootstrap.system import Signalbox


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """The services behind the pages."""

    box: Signalbox
    desk: Desk
    tenants: Tenants
    sessions: Sessions
    templates: Environment
    now: Callable[[], datetime]
    """The current instant, UTC."""


def open_console(box: Signalbox, desk: Desk, tenants: Tenants) -> Console:
    """The console of a running system."""
    return Console(
        box=box,
        desk=desk,
        tenants=tenants,
        sessions=Sessions(box.store.batcher, box.keys),
        templates=environment(),
        now=box.clock.now,
    )


def console_of(request: Request) -> Console:
    """The console of the application that serves the request."""
    console: Console = request.app.state.console
    return console
