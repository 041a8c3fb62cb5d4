"""The OpenAPI document: which key opens a route comes from the access table, what can go wrong from the error types."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE
from api.security import ACCESS, PERSON_HEADER, Access, Open, SignedIn
from domain.errors import ConfigError

_DESCRIPTION = f"""The coordination layer for e-commerce operations.

* **Keys**: `Authorization: Bearer <key>` or `X-API-Key`. A key belongs to one tenant and has roles; each operation names the
  roles that open it. A key of the role ops or admin may name the person behind it in `{PERSON_HEADER}`.
* **Idempotency-Key**: every POST under `/v1` but the webhooks honours it for three days. The same key and body get the first
  answer again (`Idempotency-Replayed: true`), another body 422, a request still running 409.
* **Problems**: every refusal is an `application/problem+json` document (RFC 9457) with a stable `code`.
"""

_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "description": "What is wrong, where, and how to mend it (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {**_TEXT, "format": "uri-reference", "example": "/problems/input.order"},
        "title": {**_TEXT, "example": "Unprocessable order"},
        "status": {"type": "integer", "example": 422},
        "detail": {**_TEXT, "example": "/lines/0/quantity is not between 1 and 1000000"},
        "instance": {**_TEXT, "example": "/v1/orders"},
        "code": {**_TEXT, "description": "Stable; switch on this."},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"pointer": _TEXT, "in": _TEXT, "detail": _TEXT}},
        },
        "correlation_id": {**_TEXT, "description": "On a 500: names the log line."},
        "decided_by": {**_TEXT, "description": "On refused.already_decided: who was first."},
        "decided_at": {**_TEXT, "format": "date-time"},
        "action": _TEXT,
        "short": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}

_ALWAYS = {
    400: "The request is malformed: headers, path or JSON",
    500: "Something failed on our side; the problem carries a correlation id",
}
_KEYED = {
    401: "No API key, an unknown one, or one that has ended",
    403: "The key's roles do not open this",
    429: "The tenant sends faster than its share; see Retry-After",
    503: "A store or outside system is not available; see Retry-After",
}
_WITH_PATH = {404: "There is no such thing in this tenant", 422: "A parameter is not valid"}
_WITH_QUERY = {422: "A parameter is not valid"}
_WITH_BODY = {
    409: "The thing is in another state than the call assumes, or the Idempotency-Key is in use",
    413: "The body is too large",
    415: "The body is not plain application/json",
    422: "The body does not say what it must",
}

_WHO = {
    404: "Nobody in this tenant fits",
    409: "Several fit; the problem says what else to ask for",
}
_ASKS_WHO = frozenset({"/v1/support/context", "/v1/support/contacts"})


def _problems(path: str, method: str, operation: Mapping[str, Any], access: Access) -> dict[int, str]:
    listed = dict(_ALWAYS)
    if access is not Open.PUBLIC:
        listed |= _KEYED
    if access is Open.SIGNED:
        listed.pop(403)
        listed[401] = "No configured secret makes the signature that was sent"
    if operation.get("parameters"):
        listed |= _WITH_QUERY
    if "{" in path:
        listed |= _WITH_PATH
    if path in _ASKS_WHO:
        listed |= _WHO
    if method == "POST":
        listed |= _WITH_BODY
    if method == "DELETE":
        listed[409] = _WITH_BODY[409]
    return listed


_HEADERS = (
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Up to 255 printable ASCII characters, chosen by the client, one per request it means.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
    {
        "name": PERSON_HEADER,
        "in": "header",
        "description": "The person behind a key of the role ops or admin, when that desk has authenticated them.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"},
    },
)


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    access = ACCESS[method, path]
    if method == "POST" and not isinstance(access, Open):
        operation.setdefault("parameters", []).extend(_HEADERS)
    responses = operation["responses"]
    if not operation.get("parameters") and not operation.get("requestBody"):
        responses.pop("422", None)
    for status, description in _problems(path, method, operation, access).items():
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses[str(status)] = {"description": description, "content": content}
    match access:
        case Open.PUBLIC | Open.SIGNED:
            operation["security"] = []
        case Open.LOOPBACK:
            operation["security"] = [{"bearer": []}, {"apiKey": []}, {}]
        case SignedIn():
            raise ConfigError(f"{method} {path} is a page of the console and no part of the documented API")
        case roles:
            operation["security"] = [{"bearer": []}, {"apiKey": []}]
            operation["x-roles"] = sorted(roles)


def document(app: FastAPI) -> dict[str, Any]:
    """The application's OpenAPI document, made once."""
    if app.openapi_schema:
        return app.openapi_schema
    made = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    components = made.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    app.openapi_schema = made
    return made
