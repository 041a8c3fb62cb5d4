"""Who may call what: the role matrix over the OpenAPI document, keys, named people, tenants that do not see each other."""

import hashlib
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app, refuse_unlisted_routes
from api.security import ACCESS, Open
from api.tenants import ApiKey, Role, Tenant, Tenants
from domain.errors import ConfigError
from domain.ids import TenantId
from tests.support.api_desk import MemoryIdempotencyStore, World, approval, key_of, order_document

MATRIX = """
                                                  storefront support procurement ops manager admin automation
DELETE /v1/customers/{customer_id}                no         no      no          no  no      yes     no
GET  /v1/support/context                          no         yes     no          yes no      yes     no
GET  /v1/support/context/stream                   no         yes     no          yes no      yes     no
GET  /v1/support/outcomes                         no         yes     no          yes yes     yes     no
POST /v1/support/contacts                         no         yes     no          yes no      yes     no
POST /v1/support/contexts/{context_id}/flags      no         yes     no          yes no      yes     no
GET  /v1/agents                                   no         yes     yes         yes no      yes     no
GET  /v1/agents/autonomy                          no         no      no          yes no      yes     no
POST /v1/outcomes                                 no         no      no          yes no      yes     no
GET  /v1/audit/{entity}                           no         yes     no          yes no      yes     no
GET  /v1/clocks                                   no         yes     no          yes yes     yes     no
GET  /v1/costs                                    no         no      no          yes yes     yes     no
GET  /v1/decisions/{decision_id}/replay           no         no      no          yes no      yes     no
GET  /v1/examples                                 no         yes     yes         yes yes     yes     no
GET  /v1/examples/{example_id}                    no         yes     yes         yes yes     yes     no
GET  /v1/orders/{order_id}                        yes        yes     no          yes no      yes     no
GET  /v1/orders/{order_id}/replay                 no         no      no          yes no      yes     no
GET  /v1/policies                                 no         no      no          yes no      yes     no
GET  /v1/purchase-orders                          no         no      yes         yes yes     yes     no
GET  /v1/purchase-orders/{number}                 no         no      yes         yes yes     yes     no
GET  /v1/registry                                 no         yes     yes         yes no      yes     no
GET  /v1/reviews                                  no         yes     yes         yes yes     yes     no
GET  /v1/reviews/measures                         no         no      no          yes yes     yes     no
GET  /v1/reviews/{review_id}                      no         yes     yes         yes yes     yes     no
GET  /v1/shadow-reports                           no         no      no          yes no      yes     no
GET  /v1/shadow-reports/{report_id}               no         no      no          yes no      yes     no
GET  /v1/support/tickets/{provider}/{ticket_id}   no         yes     no          yes no      yes     no
GET  /v1/stream                                   no         no      no          yes no      yes     no
POST /v1/events                                   no         no      no          yes no      yes     yes
POST /v1/clocks                                   no         yes     no          yes no      yes     no
POST /v1/clocks/{clock_id}/end                    no         yes     no          yes no      yes     no
POST /v1/examples/{example_id}/restore            no         no      no          yes no      yes     no
POST /v1/examples/{example_id}/undo               no         no      no          yes no      yes     no
POST /v1/orders                                   yes        no      no          yes no      yes     no
POST /v1/orders/{order_id}/cancel                 yes        yes     no          yes no      yes     no
POST /v1/orders/{order_id}/what-if                no         no      no          yes no      yes     no
POST /v1/purchase-orders                          no         no      yes         yes no      yes     yes
POST /v1/purchase-orders/answers                  no         no      yes         no  no      yes     yes
POST /v1/purchase-orders/{number}/decision        no         no      yes         no  yes     yes     no
POST /v1/reviews/bulk                             no         yes     yes         yes yes     yes     no
POST /v1/reviews/{review_id}/ask                  no         yes     yes         yes yes     yes     no
POST /v1/reviews/{review_id}/assign               no         yes     yes         yes yes     yes     no
POST /v1/reviews/{review_id}/claim                no         yes     yes         yes yes     yes     no
POST /v1/reviews/{review_id}/comment              no         yes     yes         yes yes     yes     no
POST /v1/reviews/{review_id}/decision             no         yes     yes         yes yes     yes     no
POST /v1/reviews/{review_id}/release              no         yes     yes         yes yes     yes     no
POST /v1/reviews/{review_id}/snooze               no         yes     yes         yes yes     yes     no
"""
"""What each role may call. A route not listed here takes no key: it is in ``WITHOUT_KEY``."""

WITHOUT_KEY = {
    ("POST", "/v1/channels/{channel}/webhooks"),
    ("POST", "/v1/tracking/{provider}/webhooks"),
    ("POST", "/v1/support/webhooks/{provider}"),
    ("POST", "/slack/interactions"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/problems/{code}"),
}
BODIES: dict[str, Any] = {
    "/v1/orders": order_document("web-2"),
    "/v1/events": {
        "event_id": "e-1",
        "event_type": "order.vip.tagged",
        "entity_type": "order",
        "entity_id": "web-1",
        "agent_name": "automation:tagger",
        "timestamp": "2026-11-11T03:00:00Z",
    },
    "/v1/orders/{order_id}/cancel": {"reason": "changed mind"},
    "/v1/outcomes": {
        "order_id": "storefront-web-1",
        "agent": "fraud_detection",
        "kind": "chargeback",
        "reason": "the bank says so",
    },
    "/v1/orders/{order_id}/what-if": {"set": {"ship_to.country": "SG"}},
    "/v1/reviews/{review_id}/decision": approval(),
    "/v1/purchase-orders": {"alert_id": "a-1", "skus": ["SB-00001"]},
    "/v1/purchase-orders/answers": {"message_base64": "RnJvbTogYUBiLmV4YW1wbGU="},
    "/v1/purchase-orders/{number}/decision": approval(),
    "/v1/reviews/{review_id}/assign": {"to": "user:mei"},
    "/v1/reviews/{review_id}/snooze": {"until": "2026-11-23T00:00:00Z"},
    "/v1/reviews/{review_id}/comment": {"text": "seen"},
    "/v1/reviews/{review_id}/ask": {"text": "which floor?"},
    "/v1/reviews/bulk": {"review_ids": ["rev-1"], "action": "claim"},
    "/v1/clocks": {"kind": "refund", "entity_id": "o-1"},
    "/v1/clocks/{clock_id}/end": {},
    "/v1/support/contacts": {
        "contact_id": "t-1",
        "order_id": "o-1",
        "reason": "wismo",
        "opened_at": "2026-11-22T00:00:00Z",
    },
    "/v1/support/contexts/{context_id}/flags": {"field": "order.state", "problem": "wrong"},
    "/v1/examples/{example_id}/undo": {"reason": "a mistake"},
    "/v1/examples/{example_id}/restore": {"reason": "it was none"},
}


QUERIES: dict[str, dict[str, str]] = {
    "/v1/support/context": {"order": "A-1"},
    "/v1/support/context/stream": {"order": "A-1"},
}


def _matrix() -> dict[tuple[str, str, str], bool]:
    header, *rows = MATRIX.strip().splitlines()
    return {
        (row.split()[0], row.split()[1], role): word == "yes"
        for row in rows
        for role, word in zip(header.split(), row.split()[2:], strict=True)
    }


@pytest.fixture
async def world() -> World:
    world = World()
    world.add_review("rev-1", allowed_roles=("ops", "support", "procurement", "manager"))
    world.desk.taught["acme", "ex-1"] = {"example_id": "ex-1", "undone_by": ""}
    async with world.client("admin") as client:
        assert (await client.post("/v1/orders", json=order_document())).status_code == 202
    return world


def _operations(world: World) -> set[tuple[str, str]]:
    paths = world.app.openapi()["paths"]
    return {(method.upper(), path) for path, operations in paths.items() for method in operations}


async def _call(client: httpx2.AsyncClient, method: str, path: str) -> httpx2.Response:
    filled = path.format(
        order_id="storefront-web-1", review_id="rev-1", entity="storefront-web-1", example_id="ex-1",
        decision_id="d-1", report_id="st-1", number="PO-2026-000001", clock_id="c1", customer_id="C-1",
        provider="gorgias", ticket_id="9", context_id="ctx-1",
    )  # fmt: skip
    asked = {"reason": "asked to"} if method == "DELETE" else QUERIES.get(path)
    return await client.request(method, filled, json=BODIES.get(path), params=asked)


def test_every_documented_route_is_in_the_checked_in_matrix(world: World) -> None:
    """reliability/S04: no route escapes the matrix, and the matrix names no route that is gone."""
    listed = {(method, path) for method, path, _ in _matrix()}
    assert _operations(world) == listed | WITHOUT_KEY


@pytest.mark.parametrize(("method", "path", "role"), [key for key in _matrix() if key[1] != "/v1/stream"])
async def test_role_matrix(world: World, method: str, path: str, role: str) -> None:
    """reliability/S04, P16: a role opens exactly the routes its column says."""
    async with world.client(role) as client:
        answer = await _call(client, method, path)
    if path.startswith("/v1/support/tickets/") and _matrix()[method, path, role]:
        assert answer.status_code == 404  # let in; no help desk is connected to this stand-in
    elif _matrix()[method, path, role]:
        assert answer.status_code in {200, 201, 202}, answer.text
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "refused.forbidden")


@pytest.mark.parametrize("role", ["storefront", "support", "procurement"])
async def test_the_stream_is_closed_to_others(world: World, role: str) -> None:
    """reliability/S04: the event stream is for ops and admin."""
    async with world.client(role) as client:
        assert (await client.get("/v1/stream")).status_code == 403


@pytest.mark.parametrize(("method", "path"), sorted({key[:2] for key in _matrix()}))
async def test_without_a_key_nothing_opens(world: World, method: str, path: str) -> None:
    """reliability/P10: no key, an unknown key and another scheme all get 401 with a challenge, and change nothing."""
    refused: list[dict[bytes, bytes]] = [
        {},
        {b"Authorization": b"Bearer nobody"},
        {b"Authorization": b"Basic b3BzOm9wcw=="},
        {b"X-API-Key": b"\xc3\xa9"},
    ]
    for headers in refused:
        async with world.client(None) as client:
            client.headers.update(headers)
            answer = await _call(client, method, path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert len(world.desk.submissions) == 1
    assert not world.desk.answers


@pytest.mark.parametrize(("method", "path"), sorted({key[:2] for key in _matrix() if "{" in key[1]}))
@pytest.mark.parametrize("role", ["storefront", "support", "procurement", "ops", "admin"])
async def test_another_tenants_things_do_not_exist(world: World, method: str, path: str, role: str) -> None:
    """reliability/S04: ids of the other tenant give 404, and nothing of it."""
    if not _matrix()[method, path, role]:
        return
    async with world.client(role, tenant="bolt") as client:
        answer = await _call(client, method, path)
    assert answer.status_code == 404
    assert "acme" not in answer.text
    assert "CARD_VELOCITY" not in answer.text
    assert not world.desk.answers
    assert world.desk.known["acme", "storefront-web-1"]["progress"] == "accepted"


async def test_the_same_order_id_in_two_tenants_is_two_orders(world: World) -> None:
    """P16: tenants share no ids."""
    async with world.client("ops", tenant="bolt") as client:
        await client.post("/v1/orders", json=order_document())
    assert {(s.tenant, s.order_hint) for s in world.desk.submissions} == {("acme", "web-1"), ("bolt", "web-1")}


async def test_a_key_may_come_in_its_own_header(world: World) -> None:
    """X-API-Key works like a bearer token."""
    async with world.client(None) as client:
        answer = await client.get("/v1/agents", headers={"X-API-Key": key_of("acme", "ops")})
    assert answer.status_code == 200


@pytest.mark.parametrize(("left", "status"), [(timedelta(0), 401), (timedelta(seconds=1), 200)])
async def test_a_key_ends_at_its_hour(left: timedelta, status: int) -> None:
    """An expired key is refused."""
    world = World()
    key = ApiKey(
        key_id="short",
        sha256=hashlib.sha256(b"sbk_short_0123456789abcdef").hexdigest(),
        roles=frozenset({Role.OPS}),
        expires_at=world.now + left,
    )
    tenant = Tenant(
        tenant=TenantId("acme"), settlement_currency="HKD", locale="en", timezone="Asia/Hong_Kong", api_keys=(key,)
    )
    app = create_app(world.desk, Tenants([tenant]), MemoryIdempotencyStore(), now=lambda: world.now)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://x") as client:
        answer = await client.get("/v1/agents", headers={"X-API-Key": "sbk_short_0123456789abcdef"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("role", "named", "allowed", "status", "decider"),
    [
        ("ops", None, "ops", 200, "key:acme-ops"),
        ("ops", "mei", "ops", 200, "user:mei"),
        ("ops", "tan", "procurement", 200, "user:tan"),
        ("ops", "mei", "procurement", 403, None),  # the person's roles count, not the key's
        ("ops", "boss", "admin", 403, None),  # an ops key cannot lend admin
        ("admin", "boss", "admin", 200, "user:boss"),
        ("ops", "stranger", "ops", 403, None),
        ("support", "mei", "ops", 403, None),
        ("ops", "mei\tx", "ops", 422, None),
        ("procurement", None, "ops", 403, None),
        ("admin", None, "procurement", 200, "key:acme-admin"),
    ],
)
async def test_the_person_behind_a_key(
    world: World, role: str, named: str | None, allowed: str, status: int, decider: str | None
) -> None:
    """P16: only desks that authenticate people may name them, and a named person brings their own roles."""
    world.add_review("rev-9", allowed_roles=(allowed,))
    headers = {"X-Signalbox-User": named} if named else {}
    async with world.client(role) as client:
        answer = await client.post("/v1/reviews/rev-9/decision", json=approval(), headers=headers)
    assert answer.status_code == status, answer.text
    given = world.desk.answers.get("rev-9")
    assert (given.decided_by if given else None) == decider


async def test_a_key_sees_only_reviews_it_may_answer(world: World) -> None:
    """P16: procurement's list holds procurement's reviews; ops sees all."""
    world.add_review("po-1", allowed_roles=("procurement",))
    world.add_review("po-2", tenant="bolt", allowed_roles=("procurement",))
    seen = {}
    for role in ("support", "procurement", "ops"):
        async with world.client(role) as client:
            reviews = (await client.get("/v1/reviews")).json()["reviews"]
        seen[role] = [review["review_id"] for review in reviews]
    assert seen == {"support": ["rev-1"], "procurement": ["rev-1", "po-1"], "ops": ["rev-1", "po-1"]}


async def test_a_storefront_sees_no_reasons(world: World) -> None:
    """What a storefront may pass on to a customer holds no agent's decisions."""
    async with world.client("storefront") as shop, world.client("support") as support:
        shown = (await shop.get("/v1/orders/storefront-web-1")).json()
        full = (await support.get("/v1/orders/storefront-web-1")).json()
    assert shown == {"order_id": "storefront-web-1", "progress": "accepted"}
    assert full["decisions"]


@pytest.mark.parametrize(
    ("host", "role", "headers", "status"),
    [
        ("127.0.0.1", None, {}, 200),
        ("::1", None, {}, 200),
        ("203.0.113.9", None, {}, 401),
        ("127.0.0.1", None, {"X-Forwarded-For": "203.0.113.9"}, 401),
        ("203.0.113.9", "ops", {}, 200),
        ("203.0.113.9", "support", {}, 403),
    ],
)
async def test_metrics_are_free_on_this_machine_only(
    world: World, host: str, role: str | None, headers: dict[str, str], status: int
) -> None:
    """A scraper beside the process needs no key; anyone further away does."""
    async with world.client(role, host=host) as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == status
    if status == 200:
        families = {family.name for family in text_string_to_metric_families(answer.text)}
        assert {"signalbox_orders", "signalbox_http_requests"} <= families


def test_a_route_outside_the_table_stops_the_start(world: World) -> None:
    """reliability/S04: a new route that nobody placed in the table cannot go live."""

    @world.app.get("/v1/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(ConfigError, match="/v1/forgotten"):
        refuse_unlisted_routes(world.app)


def test_every_keyed_route_lets_admin_in() -> None:
    """The table gives admin everything that takes a role."""
    assert all(Role.ADMIN in access for access in ACCESS.values() if not isinstance(access, Open))
