"""The console's door: who may come in, and whether a post really comes from one of our own forms.

A post must come from our own origin and carry the token of its session (or, before the sign-in, of its browser), so that
no other site can act in a person's name. Nothing here may be framed.
"""

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request

from api.console.console import console_of
from api.console.forms import Form, read_form
from api.console.sessions import Session
from api.console.visits import FORM_COOKIE, LIVE_HEADER, SESSION_COOKIE, Visit
from api.context import context_of
from api.problems import Unauthenticated
from api.security import ACCESS, Caller, Open, SignedIn, speaking_for
from domain.errors import Forbidden, SignalboxError

TOKEN_FIELD = "csrf"  # noqa: S105  # a field's name
_SAFE = frozenset({"GET", "HEAD"})
_FRAMES = frozenset({"iframe", "frame", "object", "embed"})
_OWN_SITES = frozenset({"same-origin", "none"})


class SignInFirst(Unauthenticated):
    """Nobody is signed in here."""


class SessionOver(Forbidden):
    """The browser holds the name of a session that has ended."""


async def admit(request: Request, path: str) -> Visit:
    """Let a request in to the page at ``path`` (as in the access table) or refuse it.

    Raises:
        SignInFirst: the page is for people who are signed in.
        SessionOver: the session has ended, or its key or person was withdrawn.
        Forbidden: the person's roles do not open the page, it is asked for inside a frame, or the post is not ours.
        TooManyRequests: the tenant sends faster than its share.
    """
    if request.headers.get("sec-fetch-dest", "") in _FRAMES:
        raise Forbidden("The console is not shown inside other pages; open it in its own tab")
    access = ACCESS.get((request.method if request.method != "HEAD" else "GET", path))
    if access is Open.PUBLIC:
        visit = stranger(request)
        if request.method not in _SAFE:
            visit.form = await _checked_form(request, visit.csrf)
        return visit
    if not isinstance(access, SignedIn):
        raise Forbidden("This page takes no such request")
    return await _member(request, access)


def stranger(request: Request) -> Visit:
    """The visit of somebody who is not signed in; the token of its forms lies in a cookie of its own."""
    token = request.cookies.get(FORM_COOKIE, "") or secrets.token_urlsafe(32)
    request.state.form_token = token
    return Visit(request=request, console=console_of(request), csrf=_derived(token))


def _derived(token: str) -> str:
    return hashlib.sha256(f"form:{token}".encode()).hexdigest()


async def _member(request: Request, access: SignedIn) -> Visit:
    console, name = console_of(request), request.cookies.get(SESSION_COOKIE, "")
    if not name:
        raise SignInFirst("Sign in to see this page")
    session = await console.sessions.find(name)
    if session is None:
        raise SessionOver("Your session has ended; sign in again")
    caller = _caller(request, session)
    context_of(request).guard.take(caller.tenant.tenant)
    if not caller.roles & access:
        needed = ", ".join(sorted(access))
        raise Forbidden(f"Your roles do not open this page; it takes one of: {needed}")
    visit = Visit(request=request, console=console, csrf=session.csrf, who=caller, session=session)
    if request.method not in _SAFE:
        visit.form = await _checked_form(request, session.csrf)
    elif LIVE_HEADER not in request.headers:
        visit.notice = await console.sessions.told(session)
    return visit


def _caller(request: Request, session: Session) -> Caller:
    """The person as the tenants file has them now."""
    holder, console = session.holder, console_of(request)
    try:
        tenant = console.tenants.get(holder.tenant)
        key = next((key for key in tenant.api_keys if key.key_id == holder.key_id), None)
        if key is None or (key.expires_at is not None and key.expires_at <= console.now()):
            raise SessionOver("The key you signed in with has ended; sign in with a valid one")
        return speaking_for(tenant, key, holder.person)
    except SessionOver:
        raise
    except SignalboxError as withdrawn:
        raise SessionOver("You are no longer listed for this tenant; ask an administrator") from withdrawn


async def _checked_form(request: Request, token: str) -> Form:
    """The posted form, once it is certain that one of our own pages sent it."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Forbidden("This form was sent from another site; nothing was done")
    if site is not None and site not in _OWN_SITES:
        raise Forbidden("This form was sent from another site; nothing was done")
    form = await read_form(request)
    if not hmac.compare_digest(form.one(TOKEN_FIELD).encode(), token.encode()):
        raise Forbidden(
            "The form is not one of this session, or too old; nothing was done. Reload the page and try again"
        )
    return form
