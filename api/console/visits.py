"""One request of one person: who it is, what was posted, and how an answer is made of it."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from api.console.console import Console
from api.console.forms import Form
from api.console.nav import menu
from api.console.sessions import Session
from api.security import ACCESS, Caller, SignedIn
from api.tenants import Role
from domain.ids import TenantId

SESSION_COOKIE = "signalbox_session"
FORM_COOKIE = "signalbox_form"
THEME_COOKIE = "signalbox_theme"
LIVE_HEADER = "x-signalbox-live"
"""Sent by the page's own script when it only wants fresh rows: it takes no notice away."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store, private",
    "Vary": "Cookie",
}
"""Without any referrer a browser would post with the origin "null", which is refused here."""


@dataclass(kw_only=True)
class Visit:
    """A request the door has let in."""

    request: Request
    console: Console
    csrf: str
    """What the page's forms carry."""
    form: Form = field(default_factory=Form)
    who: Caller | None = None
    """None on the pages before the sign-in."""
    session: Session | None = None
    notice: str = ""

    @property
    def caller(self) -> Caller:
        """The person; pages of the access table always have one."""
        if self.who is None:
            raise RuntimeError("this page is open to people who are not signed in")
        return self.who

    @property
    def tenant(self) -> TenantId:
        """Whose data the page may show."""
        return self.caller.tenant.tenant

    def may(self, method: str, path: str) -> bool:
        """Whether the person's roles open a route of the console, named as in the access table."""
        access = ACCESS.get((method, path))
        return isinstance(access, SignedIn) and self.who is not None and bool(self.who.roles & access)

    def is_one_of(self, *roles: Role) -> bool:
        """Whether the person has one of the roles."""
        return self.who is not None and bool(self.who.roles.intersection(roles))

    async def page(self, template: str, *, status: int = HTTPStatus.OK, **values: Any) -> Response:
        """A page from a template; ``values`` are what it shows beside the frame."""
        frame = {
            "visit": self,
            "now": self.console.now(),
            "path": self.request.url.path,
            "zone": self.who.tenant.timezone if self.who else "UTC",
            "theme": self.theme,
            "menu": await menu(self) if self.who else (),
        }
        body = self.console.templates.get_template(template).render(frame | values)
        return HTMLResponse(body, status, headers=_HEADERS)

    async def go(self, path: str, notice: str = "") -> Response:
        """Send the browser on to a page of ours after a form was taken; ``notice`` is shown there once."""
        if notice and self.session is not None:
            await self.console.sessions.tell(self.session, notice)
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)

    @property
    def theme(self) -> str:
        """``light``, ``dark``, or ``auto`` as the system says."""
        chosen = self.request.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in {"light", "dark"} else "auto"


def secure(request: Request) -> bool:
    """Whether cookies may be kept to encrypted connections."""
    return request.url.scheme == "https"


def own_path(wanted: str) -> str:
    """A path of the console to go on to; anything else becomes the home page."""
    plain = wanted.split("#", 1)[0]
    ours = plain == "/console" or plain.startswith(("/console/", "/console?"))
    if not ours or "\\" in plain or any(ord(sign) < 33 for sign in plain):
        return "/console"
    return quote(plain, safe="/?&=%:@+,;-._~")


def visit_of(request: Request) -> Visit:
    """The visit the door has let in."""
    visit: Visit = request.state.visit
    return visit
