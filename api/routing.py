"""The one route class: it asks the guard before it reads a byte of the body, and reads JSON by the strict loader only."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.problems import UnsupportedMediaType
from tools.channels import load_object


class StrictRequest(Request):
    """A request whose JSON is bounded and exact: no duplicate keys, no NaN, no floats, no bombs."""

    async def json(self) -> Any:
        """The body as one JSON object.

        Raises:
            MalformedPayload: the body is not strict JSON.
        """
        return load_object(await self.body())


def require_json(request: Request) -> None:
    """Refuse a body that is not plain JSON by its own account.

    Raises:
        UnsupportedMediaType: another content type, or an encoded body.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("Send the body as application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body without Content-Encoding")


class GuardedRoute(APIRoute):
    """A route that is closed unless the guard opens it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler behind the guard."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            context_of(request).guard.admit(request, self.path)
            if self.body_field is not None:
                require_json(request)
            return await handle(StrictRequest(request.scope, request.receive))

        return guarded


def new_router(tag: str) -> APIRouter:
    """A router of guarded routes. Routes carry their full path, as the access table names them."""
    return APIRouter(route_class=GuardedRoute, tags=[tag])
