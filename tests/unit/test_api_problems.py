"""Every refusal is one RFC 9457 problem: the right status, a stable code, a sentence, and nothing of our insides."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from domain.errors import (
    AlreadyDecided,
    Ambiguous,
    ConfigError,
    Conflict,
    Forbidden,
    InsufficientStock,
    LeaseBusy,
    MissingRate,
    NotFound,
    StoreUnavailable,
    TooLate,
    UnprocessableOrder,
)
from tests.support.api_desk import NOW, World, order_document

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ERRORS: list[tuple[Exception, int, str, dict[str, Any]]] = [
    (NotFound("no such order"), 404, "refused.not_found", {"detail": "no such order", "title": "Not found"}),
    (Forbidden("not you"), 403, "refused.forbidden", {}),
    (Conflict("changed"), 409, "refused.conflict", {}),
    (TooLate("left"), 409, "refused.too_late", {"title": "Too late"}),
    (
        AlreadyDecided("mei was first", decided_by="user:mei", decided_at=NOW, action="approve"),
        409,
        "refused.already_decided",
        {"decided_by": "user:mei", "decided_at": "2026-11-22T12:00:00Z", "action": "approve"},
    ),
    (InsufficientStock("short", short={"MUG-01": 3}), 409, "refused.stock", {"short": {"MUG-01": 3}}),
    (
        UnprocessableOrder("no lines", pointer="/lines"),
        422,
        "input.order",
        {"errors": [{"pointer": "/lines", "detail": "no lines"}]},
    ),
    (StoreUnavailable("Redis is away", retry_after_s=2.2), 503, "transient.store", {"retry_after": "3"}),
    (LeaseBusy("busy"), 503, "transient.lease", {"retry_after": "5"}),
    (Ambiguous("sent, no answer", retry_after_s=0), 503, "transient.ambiguous", {"retry_after": "1"}),
    (MissingRate("no VND rate of today"), 409, "rate.missing", {}),
]


@pytest.mark.parametrize(("error", "status", "code", "members"), ERRORS, ids=lambda value: type(value).__name__)
async def test_each_error_type_has_its_problem(
    error: Exception, status: int, code: str, members: dict[str, Any]
) -> None:
    """The type of the error alone decides status, code and extra members."""
    world = World()
    world.desk.fail = error
    async with world.client("ops") as client:
        answer = await client.get("/v1/orders/storefront-1")
        meaning = await client.get(f"/problems/{code}")
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert (problem["type"], problem["instance"]) == (f"/problems/{code}", "/v1/orders/storefront-1")
    retry_after = members.pop("retry_after", None)
    assert answer.headers.get("retry-after") == retry_after
    assert {name: problem[name] for name in members} == members
    assert meaning.json()["status"] == status
    assert meaning.json()["detail"]


@pytest.mark.parametrize("error", [ConfigError("/etc/secret.yaml is wrong"), RuntimeError("card 4111111111111111")])
async def test_what_is_ours_to_mend_shows_only_a_correlation_id(error: Exception) -> None:
    """reliability/S05 part: an unexpected error tells the client an id and the log the place, neither the values."""
    world = World()
    world.desk.fail = error
    with capture_logs() as logs:
        async with world.client("ops") as client:
            answer = await client.get("/v1/orders/storefront-1")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "error")
    assert str(error) not in answer.text
    (line,) = [log for log in logs if log["event"] == "api.request.failed"]
    assert line["correlation_id"] == problem["correlation_id"]
    assert line["error"] == type(error).__name__
    assert any("api_desk.py" in frame for frame in line["frames"])
    assert str(error) not in str(logs)


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "http.404"),
        ("DELETE", "/v1/orders", {}, 405, "http.405"),
        ("GET", "/v1/reviews?state=asleep", {}, 422, "input.invalid"),
        ("POST", "/v1/orders", {"content": b"{"}, 415, "input.media_type"),
        ("POST", "/v1/orders", {"content": b"a=1", "headers": FORM}, 415, "input.media_type"),
        ("POST", "/v1/orders", {"json": {}}, 422, "input.invalid"),
        ("POST", "/v1/orders", {"json": []}, 400, "input.malformed"),
        ("POST", "/v1/orders?channel=shopify", {"json": order_document()}, 422, "input.invalid"),
        ("POST", "/v1/orders", {"json": {**order_document(), "currency": "XXX"}}, 422, "input.invalid"),
        ("POST", "/v1/orders", {"json": {**order_document(), "currency": "USD"}}, 422, "input.order"),
        ("POST", "/v1/orders", {"json": order_document(quantity=-1)}, 422, "input.invalid"),
        ("POST", "/v1/orders", {"json": {**order_document(), "surprise": 1}}, 422, "input.invalid"),
        ("POST", "/v1/channels/myspace/webhooks", {"content": b"{}"}, 404, "input.channel"),
        ("POST", "/v1/reviews/r/decision", {"json": {"action": "edit", "reason": "x"}}, 422, "input.invalid"),
        ("POST", "/v1/reviews/r/decision", {"json": {"action": "approve", "reason": ""}}, 422, "input.invalid"),
        ("GET", f"/v1/orders/{'x' * 300}", {}, 422, "input.invalid"),
        ("GET", "/problems/no.such", {}, 404, "refused.not_found"),
        ("GET", "/problems/http.405", {}, 200, "http.405"),
    ],
)
async def test_bad_requests(method: str, path: str, arguments: dict[str, Any], status: int, code: str) -> None:
    """Each kind of bad request gets its own status and one clear sentence, changes nothing, and is counted."""
    world = World()
    async with world.client("ops", host="127.0.0.1") as client:
        answer = await client.request(method, path, **arguments)
        counted = (await client.get("/metrics")).text
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert not world.desk.submissions
    assert status == 200 or f'code="{code}"' in counted


async def test_a_wrong_field_is_named_without_its_value() -> None:
    """The problem points at the field and does not repeat what was sent."""
    world = World()
    document = order_document()
    document["payment"]["method"] = "4111111111111111"
    async with world.client("storefront") as client:
        answer = await client.post("/v1/orders", json=document)
    assert answer.json()["errors"][0]["pointer"] == "/payment/method"
    assert "4111111111111111" not in answer.text


async def test_every_answer_carries_security_headers() -> None:
    """reliability/S13 part: no sniffing, no framing, no caching, also on errors."""
    world = World()
    async with world.client("ops") as client:
        for path in ("/healthz", "/nowhere", "/v1/agents", "/openapi.json"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["cache-control"] == "no-store"
