"""Every refusal and failure as one RFC 9457 problem: same shape, a stable code, and nothing of our insides.

The error types that only HTTP knows (no key, too fast, idempotency) live here too, under the tree of domain/errors.py.
"""

import math
import re
import secrets
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from domain.errors import (
    AlreadyDecided,
    Conflict,
    InputError,
    InsufficientStock,
    NotFound,
    Refused,
    SignalboxError,
    Transient,
)

MEDIA_TYPE = "application/problem+json"
CODE_SCOPE_KEY = "signalbox.problem"
"""Where the code of the problem is left for the metrics."""
RETRY_AFTER_S = 5
"""What a client is told to wait when the error itself does not know."""

_log = structlog.get_logger("api")


class Unauthenticated(InputError):
    """No API key, an unknown one, or one that has ended."""

    code = "input.unauthenticated"
    status = 401


class UnsupportedMediaType(InputError):
    """A body in a form that is not read here."""

    code = "input.media_type"
    status = 415


class TooManyRequests(Transient):
    """The tenant sends faster than its share."""

    code = "transient.too_many_requests"
    status = 429


class RequestInProgress(Conflict):
    """The first request with this Idempotency-Key is still running."""

    code = "refused.in_progress"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyReused(InputError):
    """The Idempotency-Key was used before for a different request."""

    code = "input.idempotency_key"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem document and the headers that go with it."""

    status: int
    code: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def response(self) -> Response:
        """The problem as a response."""
        return Response(self.body, self.status, headers=dict(self.headers), media_type=MEDIA_TYPE)


def _clean(text: str) -> str:
    """Text a client sent or caused, short and without lone surrogates, which JSON output cannot carry."""
    return text[:500].encode("utf-8", "replace").decode()


def _title(error: type[SignalboxError]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", error.__name__).lower()
    return words[0].upper() + words[1:]


def _problem(status: int, code: str, *, title: str, detail: str, instance: str, **more: Any) -> Problem:
    """A problem without headers; ``more`` holds extension members."""
    members = {"type": f"/problems/{code}", "title": title, "status": status, "detail": _clean(detail), "code": code}
    return Problem(status, code, orjson.dumps({**members, "instance": _clean(instance), **more}))


def _headers(error: SignalboxError) -> tuple[tuple[str, str], ...]:
    match error:
        case Unauthenticated():
            return (("WWW-Authenticate", 'Bearer realm="signalbox"'),)
        case Transient() | RequestInProgress():
            wait_s = RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
            return (("Retry-After", str(max(1, math.ceil(wait_s)))),)
        case _:
            return ()


def _extra(error: SignalboxError) -> dict[str, Any]:
    match error:
        case AlreadyDecided():
            at = error.decided_at.isoformat().replace("+00:00", "Z")
            return {"decided_by": error.decided_by, "decided_at": at, "action": error.action}
        case InsufficientStock():
            return {"short": error.short}
        case _:
            return {}


def of_error(error: SignalboxError, instance: str) -> Problem:
    """The problem for one of our own errors; one that is ours to mend (5xx, not Transient) shows only a correlation id."""
    if not isinstance(error, InputError | Refused | Transient) and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unexpected(error, instance)
    extra = _extra(error)
    if isinstance(error, InputError) and error.pointer is not None:
        extra["errors"] = [{"pointer": _clean(error.pointer), "detail": _clean(str(error))}]
    title = _title(type(error))
    problem = _problem(error.status, error.code, title=title, detail=str(error), instance=instance, **extra)
    return replace(problem, headers=_headers(error))


def of_status(status: int, instance: str, *, detail: str = "", headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for a plain HTTP status, such as the framework's own 404 and 405."""
    phrase = HTTPStatus(status).phrase
    problem = _problem(status, f"http.{status}", title=phrase, detail=detail or phrase, instance=instance)
    return replace(problem, headers=tuple((headers or {}).items()))


def _pointer(location: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _entry(error: Any) -> dict[str, str]:
    place, *location = error["loc"]
    detail = error["msg"].removeprefix("Value error, ")
    return {"pointer": _clean(_pointer(location)), "in": str(place), "detail": _clean(detail)}


def of_validation(errors: Sequence[Any], instance: str) -> Problem:
    """The problem for a request whose fields are wrong; names each field, repeats no value."""
    listed = [_entry(error) for error in errors[:20]]
    where = listed[0]["pointer"] or listed[0]["in"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    detail = f"{where}: {listed[0]['detail']}{more}"
    return _problem(422, InputError.code, title="Input error", detail=detail, instance=instance, errors=listed)


def unexpected(error: Exception, instance: str) -> Problem:
    """A 500 that shows a correlation id; the log line under the same id says where it happened, not with which values."""
    found = secrets.token_hex(8)
    frames = [f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    _log.error("api.request.failed", correlation_id=found, error=type(error).__name__, frames=frames[-8:])
    detail = f"Something failed on our side; quote {found} when you report it"
    code = SignalboxError.code
    return _problem(500, code, title="Internal error", detail=detail, instance=instance, correlation_id=found)


def of(error: Exception, instance: str) -> Problem:
    """The problem for any error a request can end with."""
    match error:
        case SignalboxError():
            return of_error(error, instance)
        case RequestValidationError():
            return of_validation(error.errors(), instance)
        case HTTPException(__cause__=SignalboxError() as cause):
            return of_error(cause, instance)
        case HTTPException():
            return of_status(error.status_code, instance, detail=error.detail, headers=error.headers)
        case _:
            return unexpected(error, instance)


async def handle(request: Request, error: Exception) -> Response:
    """The one error handler of the application."""
    problem = of(error, request.url.path)
    request.scope[CODE_SCOPE_KEY] = problem.code
    return problem.response()


def _family(root: type[SignalboxError]) -> dict[str, type[SignalboxError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found |= {code: error for code, error in _family(child).items() if code not in found}
    return found


def meaning_of(code: str) -> dict[str, str | int]:
    """What a problem code stands for, whatever the occurrence.

    Raises:
        NotFound: no problem has this code.
    """
    error = _family(SignalboxError).get(code)
    if error is not None:
        title, meaning = _title(error), (error.__doc__ or "").partition("\n")[0]
        return {"type": f"/problems/{code}", "code": code, "status": error.status, "title": title, "detail": meaning}
    family, _, status = code.partition(".")
    if family == "http" and status in {str(each.value) for each in HTTPStatus}:
        found = HTTPStatus(int(status))
        return {"type": f"/problems/{code}", "code": code, "status": found.value, "title": found.phrase, "detail": ""}
    raise NotFound(f"There is no problem with the code {code!r}")
