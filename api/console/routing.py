"""The console's route class: the door comes first, and every refusal is a page a person can read."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from api import problems
from api.console.console import console_of
from api.console.door import SessionOver, SignInFirst, admit, stranger
from api.console.visits import FORM_COOKIE, SESSION_COOKIE, Visit, own_path, secure
from api.problems import CODE_SCOPE_KEY
from api.routing import GuardedRoute
from domain.errors import AlreadyDecided, Forbidden, InputError, NotFound, Refused, SignalboxError, Transient

_FORM_COOKIE_S = 3600


class ConsoleRoute(GuardedRoute):
    """A page, or what one of its forms does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler behind the console's door."""
        handle = APIRoute.get_route_handler(self)

        async def guarded(request: Request) -> Response:
            try:
                request.state.visit = await admit(request, self.path)
                response = await handle(request)
            except SignInFirst:
                response = await _to_sign_in(request)
            except (SignalboxError, RequestValidationError, HTTPException) as error:
                response = await refusal(request, error)
            except Exception as error:  # noqa: BLE001  # the edge of the console: a person must get a page, with a number to quote
                response = await failure(request, error)
            return _with_form_cookie(request, response)

        return guarded

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a method the path does not take is refused before anything is looked at."""
        if self.methods and scope["method"] not in self.methods:
            refused = Forbidden("This page takes no such request; nothing was done")
            await (await refusal(Request(scope, receive), refused))(scope, receive, send)
            return
        await super().handle(scope, receive, send)


def new_pages() -> APIRouter:
    """A router of console pages; they carry their full path, as the access table names them, and are no part of /v1."""
    return APIRouter(route_class=ConsoleRoute, include_in_schema=False)


async def refusal(request: Request, error: Exception) -> Response:
    """A refusal or failure as a page, with the status and code the API would give."""
    if not isinstance(error, SignalboxError):
        error = NotFound("There is no such page")
    problem = problems.of_error(error, request.url.path)
    request.scope[CODE_SCOPE_KEY] = problem.code
    known = isinstance(error, InputError | Refused | Transient)
    bare = Visit(request=request, console=console_of(request), csrf="")
    visit: Visit = bare if isinstance(error, Transient) else getattr(request.state, "visit", bare)
    if isinstance(error, SessionOver):
        return await _session_over(request, error)
    response = await visit.page(
        "refusal.html",
        status=problem.status,
        title=_TITLES.get(HTTPStatus(problem.status), "This did not work"),
        said=str(error) if known else orjson.loads(problem.body)["detail"],
        decided=error if isinstance(error, AlreadyDecided) else None,
        back=request.url.path if request.method == "GET" else request.headers.get("referer", ""),
    )
    for name, value in problem.headers:
        response.headers[name] = value
    return response


async def failure(request: Request, error: Exception) -> Response:
    """What nobody foresaw, as a page without a menu, which may be what failed; the log has the rest under its number."""
    problem = problems.unexpected(error, request.url.path)
    request.scope[CODE_SCOPE_KEY] = problem.code
    visit = Visit(request=request, console=console_of(request), csrf="")
    said = orjson.loads(problem.body)["detail"]
    return await visit.page(
        "refusal.html", status=problem.status, title="This did not work", said=said, decided=None, back=""
    )


_TITLES = {
    HTTPStatus.FORBIDDEN: "Not for you",
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.CONFLICT: "Somebody or something was first",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now",
    HTTPStatus.TOO_MANY_REQUESTS: "Too fast",
}


async def _session_over(request: Request, error: SignalboxError) -> Response:
    """The sign-in page with the status of a refusal; the dead name is taken from the browser."""
    response = await stranger(request).page(
        "sign_in.html", status=HTTPStatus.FORBIDDEN, said=str(error), person="", next_path=request.url.path
    )
    response.delete_cookie(SESSION_COOKIE, path="/console")
    return response


async def _to_sign_in(request: Request) -> Response:
    """The way to the sign-in page.

    A browser that follows a link from another site (a chat message) leaves a strict cookie at home; the same address asked
    for once more from a page of ours brings it along.
    """
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        return await stranger(request).page("again.html", wanted=own_path(wanted))
    goes_on = f"?next={quote(wanted)}" if request.method == "GET" and wanted != "/console" else ""
    return RedirectResponse(f"/console/sign-in{goes_on}", HTTPStatus.SEE_OTHER)


def _with_form_cookie(request: Request, response: Response) -> Response:
    token = getattr(request.state, "form_token", "")
    if token and request.cookies.get(FORM_COOKIE) != token:
        response.set_cookie(
            FORM_COOKIE, token, max_age=_FORM_COOKIE_S, path="/console", httponly=True, samesite="strict",
            secure=secure(request),
        )  # fmt: skip
    return response
