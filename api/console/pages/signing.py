"""Coming and going: sign in with a key or a one-time link, sign out, choose light or dark."""

from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from api.console.routing import new_pages
from api.console.sessions import SESSION_S, Holder
from api.console.visits import SESSION_COOKIE, THEME_COOKIE, Visit, own_path, secure, visit_of
from api.problems import Unauthenticated
from api.security import ACCESS, SignedIn, from_this_machine, speaking_for
from api.tenants import Role
from domain.errors import Forbidden, InputError, NotFound, Refused

router = new_pages()

Token = Annotated[str, Path(max_length=200)]
_THEME_S = 365 * 24 * 3600
_HOME = ACCESS["GET", "/console"]


@router.get("/console/sign-in")
async def ask(request: Request) -> Response:
    """The form."""
    wanted = own_path(request.query_params.get("next", ""))
    return await visit_of(request).page("sign_in.html", said="", person="", next_path=wanted)


@router.post("/console/sign-in")
async def sign_in(request: Request) -> Response:
    """Take a key, and the name behind it when it is shared; wrong ones are asked for again."""
    visit = visit_of(request)
    wanted, person = own_path(visit.form.one("next")), visit.form.one("person")
    try:
        holder = _holder(visit, visit.form.one("key"), person or None)
    except (Unauthenticated, Refused, InputError) as refused:
        return await visit.page(
            "sign_in.html", status=refused.status, said=str(refused), person=person, next_path=wanted
        )
    return await _signed_in(visit, holder, wanted)


def _holder(visit: Visit, presented: str, person: str | None) -> Holder:
    found = visit.console.tenants.holder(presented) if presented else None
    if found is None:
        raise Unauthenticated("This key is not known here; 'signalbox keys' says where the keys are")
    tenant, key = found
    if key.expires_at is not None and key.expires_at <= visit.console.now():
        raise Unauthenticated("This key has ended; ask for a new one")
    if not isinstance(_HOME, SignedIn) or not key.roles & _HOME:
        raise Forbidden("Keys of storefronts are for programs; sign in with a support, procurement, ops or admin key")
    speaks = key.roles & {Role.OPS, Role.ADMIN}
    if speaks and person is None and key.user is None:
        raise InputError("This key is shared: say who you are, so that the audit can name you")
    caller = speaking_for(tenant, key, person if speaks else None)
    if not caller.roles & _HOME:
        raise Forbidden(f"{person} has no role that opens the console")
    return Holder(tenant=tenant.tenant, key_id=key.key_id, person=person if speaks else None)


async def _signed_in(visit: Visit, holder: Holder, wanted: str) -> Response:
    name = await visit.console.sessions.open(holder)
    response = await visit.go(wanted)
    response.set_cookie(
        SESSION_COOKIE, name, max_age=SESSION_S, path="/console", httponly=True, samesite="strict",
        secure=secure(visit.request),
    )  # fmt: skip
    return response


@router.get("/console/link/{token}")
async def ask_link(request: Request, token: Token) -> Response:
    """Offer to sign in by a link printed on this machine; looking does not use it up."""
    visit = visit_of(request)
    _refuse_from_outside(request)
    if not await visit.console.sessions.linked(token):
        raise NotFound("This sign-in link has been used or is too old; 'signalbox console' prints a new one")
    return await visit.page("sign_in_link.html")


@router.post("/console/link/{token}")
async def use_link(request: Request, token: Token) -> Response:
    """Sign in by the link, once."""
    visit = visit_of(request)
    _refuse_from_outside(request)
    holder = await visit.console.sessions.redeem(token)
    if holder is None:
        raise NotFound("This sign-in link has been used or is too old; 'signalbox console' prints a new one")
    return await _signed_in(visit, holder, "/console")


def _refuse_from_outside(request: Request) -> None:
    if not from_this_machine(request):
        raise Forbidden("Sign-in links work on the machine that printed them only; sign in with a key")


@router.post("/console/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session, in this browser and wherever its cookie was copied to."""
    visit = visit_of(request)
    if visit.session is not None:
        await visit.console.sessions.close(visit.session)
    response = await visit.go("/console/sign-in")
    response.delete_cookie(SESSION_COOKIE, path="/console")
    return response


@router.post("/console/theme")
async def theme(request: Request) -> Response:
    """Keep light, dark, or as the system says."""
    visit = visit_of(request)
    chosen = visit.form.one("theme")
    response = await visit.go(own_path(visit.form.one("back")))
    if chosen in {"light", "dark"}:
        response.set_cookie(
            THEME_COOKIE, chosen, max_age=_THEME_S, path="/console", httponly=True, samesite="strict",
            secure=secure(request),
        )  # fmt: skip
    else:
        response.delete_cookie(THEME_COOKIE, path="/console")
    return response
