"""What the review routes share: seeing, acting once per Idempotency-Key, and whether a named person exists."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import orjson
from pydantic import AwareDatetime, BaseModel, BeforeValidator
from starlette.requests import Request
from starlette.responses import Response

from api import idempotency
from api.context import context_of
from api.security import caller_of
from api.services import Json
from domain.errors import InputError
from domain.review_acts import Act
from domain.review_case import SEES_ALL

_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d")


def _text_of_instant(value: object) -> object:
    if not isinstance(value, str) or not _ISO.match(value):
        raise ValueError("give a time as ISO 8601 with its zone, like 2026-11-23T09:00:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_text_of_instant)]
"""A time as ISO 8601 text with its zone; numbers are not times."""


def as_json(value: Json) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(value), media_type="application/json")


def may_see(review: Json, roles: frozenset[str]) -> bool:
    """Whether a case concerns somebody with these roles: theirs to answer, or asked of them."""
    question = (review.get("case") or {}).get("question") or {}
    asked = "support" in roles and question.get("to") == "customer_service"
    mine = {*SEES_ALL, *review["allowed_roles"], *review.get("second_roles", ())}
    return bool(roles & mine) or asked


async def act_once(
    request: Request, review_id: str, act: Act, body: BaseModel | None = None, *, if_match: str = ""
) -> Response:
    """Do one act as the caller."""

    async def work() -> Json:
        context, caller = context_of(request), caller_of(request)
        return await context.desk.act(
            caller.tenant.tenant, review_id, act, caller.acting(), seen_digest=if_match.strip('"')
        )

    return await once(request, body, work)


async def once(request: Request, body: BaseModel | None, work: Callable[[], Awaitable[Json]]) -> Response:
    """Do it once per Idempotency-Key."""
    context, caller = context_of(request), caller_of(request)

    async def run() -> idempotency.Reply:
        return idempotency.Reply(200, orjson.dumps(await work()))

    content = body.model_dump_json().encode() if body is not None else b""
    return await idempotency.answer(request, context.idempotency, caller.tenant.tenant, content=content, run=run)


def check_known(request: Request, to: str) -> None:
    """Refuse a person the tenant does not list, where it lists its people.

    Raises:
        InputError: there is no such person.
    """
    tenant, (kind, _, user) = caller_of(request).tenant, to.partition(":")
    if kind == "user" and tenant.staff and tenant.person(user) is None:
        raise InputError(f"{user!r} is not among the tenant's people in the tenants file", pointer="/to")
