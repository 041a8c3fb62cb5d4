"""The support context on a whole system: sources at once, gaps named, who is meant, what is shown, and what is kept."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
import pytest_asyncio

from api.serving import application
from api.support import SupportViews
from domain.errors import Conflict, ConnectorUnavailable, InputError, NotFound
from domain.order import OrderProgress
from domain.support import SupportAction, SupportContext
from domain.support_identity import Subject
from domain.support_outcome import Contact
from domain.support_reason import parse_reason
from graph.runtime.support_book import Flag
from graph.support.compact import compact
from tests.support.api_desk import key_of, two_tenants
from tests.support.customers import PLACED, a_customer, hkd, order, profile
from tests.support.system import TENANT, Rig, fast_settings, for_review, native_order, order_id_of, running
from tools.sandbox import Fault, FaultMode
from tools.sandbox.customer_service import CustomerData

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDER = Subject(order="A-1")
WISMO = parse_reason("wismo/late")
ROLES = frozenset({"support"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path_factory.mktemp("support"))) as system:
        assert system.box.sandbox is not None
        await system.box.sandbox.put_customer_data(TENANT, a_customer())
        yield system


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def no_faults(rig: Rig) -> AsyncIterator[None]:
    yield
    assert rig.box.sandbox is not None
    await rig.box.sandbox.faults.clear()


async def ask(rig: Rig, subject: Subject = ORDER, reason: str = "", tenant: str = TENANT) -> SupportContext:
    why = parse_reason(reason) if reason else None
    return await rig.box.support.desk.context(tenant, subject, reason=why, role="support")


async def fault(rig: Rig, system: str, call: str, mode: FaultMode, seconds: float) -> None:
    assert rig.box.sandbox is not None
    await rig.box.sandbox.faults.set(Fault(system=system, call=call, mode=mode, seconds=seconds))


async def timed(rig: Rig, subject: Subject = ORDER) -> tuple[SupportContext, float]:
    loop = asyncio.get_running_loop()
    started = loop.time()
    return await ask(rig, subject), loop.time() - started


async def test_every_fact_says_where_it_is_from(rig: Rig) -> None:
    """F39: order, parcel, customer and variants in one document, each fact with source and time."""
    found = await ask(rig)
    assert found.missing == ()
    assert found.order is not None
    assert (found.order.state.value, found.order.state.source) == ("shipped", "oms")
    assert (found.customer.tier.value, found.customer.tier.source) == ("gold", "crm")
    (parcel,) = found.shipments.value or ()
    assert (parcel.tracking_number, parcel.status) == ("T-9", "InTransit")
    assert parcel.promised_at == PLACED + timedelta(days=5)
    assert parcel.days_late == (datetime.now(UTC).date() - (PLACED + timedelta(days=5)).date()).days
    assert [one.order_id for one in found.other_orders.value or ()] == ["storefront-A-2"]
    (product,) = found.exchange_options.value or ()
    assert ([one.sku for one in product.variants], product.sold_out) == (["P1-M", "P1-L"], ("P1-S",))
    (option,) = found.refunds.value or ()
    assert (option.amount, option.method_id) == (hkd(42_000), "card_1")


async def test_three_slow_sources_are_asked_at_once(rig: Rig) -> None:
    """F39, P18: three sources of 400 ms each answer in less than 600 ms together."""
    await ask(rig)
    for system, call in (("oms", "orders"), ("crm", "profiles"), ("tracking", "parcels")):
        await fault(rig, system, call, FaultMode.DELAY, 0.4)
    found, took_s = await timed(rig)
    assert found.missing == ()
    assert 0.4 <= took_s < 0.6


@pytest.mark.parametrize(
    ("system", "call", "source"),
    [("tracking", "parcels", "carrier"), ("crm", "profiles", "crm"), ("erp", "variants", "catalogue")],
)
async def test_a_hanging_source_is_named_and_the_rest_is_given(rig: Rig, system: str, call: str, source: str) -> None:
    """F39, domain/S2: a source that hangs costs its deadline, is named, and what it would have confirmed is less sure."""
    await fault(rig, system, call, FaultMode.TIMEOUT, 30)
    deadline_s = rig.box.support.workflow.agent(source).timeout_ms / 1000
    found, took_s = await timed(rig)
    assert found.missing == (source,)
    assert took_s < deadline_s + 0.1
    assert found.gaps[0].fields
    assert found.order is not None
    assert found.order.state.confidence == 1.0
    sure = {
        "carrier": found.shipments.confidence,
        "crm": found.customer.tier.confidence,
        "catalogue": found.exchange_options.confidence,
    }
    assert sure[source] == 0.69
    assert found.next_best_action.confidence <= (0.69 if source == "carrier" else 1)


async def test_a_source_that_refuses_costs_no_deadline(rig: Rig) -> None:
    await fault(rig, "tracking", "parcels", FaultMode.UNAVAILABLE, 0)
    found, took_s = await timed(rig)
    assert (found.missing, took_s < 1.0) == (("carrier",), True)


async def test_nobody_is_declared_unknown_while_a_source_is_silent(rig: Rig) -> None:
    """F39: not found is only said when everybody who might know has answered."""
    with pytest.raises(NotFound):
        await ask(rig, Subject(order="no-such"))
    await fault(rig, "oms", "orders", FaultMode.UNAVAILABLE, 0)
    with pytest.raises(ConnectorUnavailable):
        await ask(rig, Subject(order="no-such"))


@pytest.mark.parametrize(
    "subject",
    [
        Subject(order="order #a-1"),
        Subject(order="訂單編號：A-1"),
        Subject(order="đơn hàng số A-1"),
        Subject(order="＃Ａ－１"),
        Subject(order="STOREFRONT-A-1"),
        Subject(tracking="t-9"),
        Subject(order="A-1", email=" AMY@Mail.example.com "),
        Subject(order="A-1", phone="5123 4567"),
    ],
)
async def test_an_order_is_found_in_any_form(rig: Rig, subject: Subject) -> None:
    """F39: numbers as people and platforms write them."""
    found = await ask(rig, subject)
    assert found.order is not None
    assert found.order.order_id == "storefront-A-1"


@pytest.mark.parametrize(
    "subject",
    [
        Subject(customer="amy"),
        Subject(email="amy@MAIL.example.com"),
        Subject(phone="+85251234567"),
        Subject(name="LAM Amy", postcode="518 000"),
    ],
)
async def test_a_customer_with_several_orders_is_asked_which(rig: Rig, subject: Subject) -> None:
    """F39: a person is known by e-mail, phone, or name with postcode; which order is for them to say."""
    found = await ask(rig, subject)
    assert found.order is None
    assert len(found.other_orders.value or ()) == 2
    assert found.next_best_action.action is SupportAction.ASK


@pytest.mark.parametrize(
    "subject",
    [
        Subject(order="A-1", email="eve@mail.example.com"),
        Subject(order="A-1", customer="eve"),
        Subject(order="A-1", name="Eve Lam", postcode="518000"),
    ],
)
async def test_somebody_else_s_order_does_not_exist(rig: Rig, subject: Subject) -> None:
    """F39, reliability/S04: who names another person's order besides their own data learns nothing."""
    with pytest.raises(NotFound) as refused:
        await ask(rig, subject)
    assert "Amy" not in str(refused.value)


async def test_two_that_fit_are_asked_apart_without_a_word_about_either(rig: Rig) -> None:
    """F39: ambiguous identity asks for one more detail."""
    assert rig.box.sandbox is not None
    twins = [
        profile(customer_id=name, name="Bo Chan", email=f"{name}@mail.example.com", order_numbers=())
        for name in ("b1", "b2")
    ]
    same = [
        order("Z-7", customer_id=name, order_id=f"{channel}-Z-7")
        for name, channel in (("b1", "shopee"), ("b2", "lazada"))
    ]
    await rig.box.sandbox.put_customer_data("twins", CustomerData(profiles=twins, orders=same))
    for subject in (Subject(name="Chan Bo", postcode="518000"), Subject(order="Z-7")):
        with pytest.raises(Conflict) as refused:
            await ask(rig, subject, tenant="twins")
        assert not re.search(r"b1|b2|Chan|518000", str(refused.value))


async def test_another_tenant_has_none_of_it(rig: Rig) -> None:
    """reliability/S04."""
    for subject in (ORDER, Subject(customer="amy"), Subject(tracking="T-9")):
        with pytest.raises(NotFound):
            await ask(rig, subject, tenant="other")


async def test_half_an_identity_is_refused(rig: Rig) -> None:
    for subject in (
        Subject(),
        Subject(name="Amy Lam"),
        Subject(postcode="518000"),
        Subject(email="amy"),
        Subject(phone="12"),
    ):
        with pytest.raises(InputError):
            await ask(rig, subject)


async def test_where_is_my_order_needs_no_street(rig: Rig) -> None:
    """domain/S3: the area only, no name, e-mail, phone or account; a change of address sees the whole."""
    found = await ask(rig, reason="wismo/late")
    text = found.to_json()
    for secret in ("Sam Chuk", "518000", "Amy", "amy@", "5123", "4242"):
        assert secret not in text
    assert found.order is not None
    assert found.order.ship_to.value is not None
    assert found.order.ship_to.value.postcode == "518"
    assert "[e-mail]" in (found.customer.last_3_ticket_summaries.value or ("",))[0]
    change = await ask(rig, reason="change/address")
    assert "8 Sam Chuk Street" in change.to_json()
    for text in (change.to_json(), (await ask(rig)).to_json()):
        assert not re.search(r"amy@|\+852|5123 ?4567", text)


async def test_an_order_of_our_own_is_known_without_order_management(rig: Rig) -> None:
    """F39: decisions, prediction and parcels come from the working state and the carriers."""
    payload = native_order()
    record = await rig.run(payload, at=OrderProgress.FULFILLED)
    found = await ask(rig, Subject(order=payload["external_id"]), reason="wismo")
    assert found.order is not None
    assert found.order.order_id == order_id_of(payload)
    assert found.order.progress is not None
    assert found.order.progress.value == "fulfilled"
    assert {one.agent for one in found.order.decisions.value or ()} >= {"fraud_detection", "order_routing"}
    (parcel,) = found.shipments.value or ()
    assert (parcel.status, parcel.predicted_p50_at is not None) == ("InfoReceived", True)
    by_mail = await ask(rig, Subject(email=payload["customer"]["email"]))
    assert by_mail.order is not None
    assert by_mail.order.order_id == record.order_id


async def test_a_held_order_tells_the_customer_nothing_of_why(rig: Rig) -> None:
    """F39: our people see reason codes; what may be said is a sentence without them."""
    payload = for_review()
    await rig.reviewed(payload)
    found = await ask(rig, Subject(order=order_id_of(payload)), reason="wismo")
    assert found.order is not None
    (hold,) = found.order.holds.value or ()
    assert hold.reason_codes
    assert "fraud" not in hold.tell_customer.lower()
    assert found.next_best_action.why == hold.tell_customer


async def test_compact_keeps_within_its_limit_and_names_what_it_leaves_out(rig: Rig) -> None:
    found = await ask(rig)
    for limit in (900, 1_500, 8_000):
        shown = compact(found, limit=limit)
        assert len(json.dumps(shown, ensure_ascii=False)) <= limit
        assert bool(shown["left_out"]) == (limit < 8_000)


async def test_contexts_are_kept_flagged_and_counted(rig: Rig) -> None:
    """F40, domain/S5: a context has an id; a wrong fact becomes an evaluation case; contacts are counted by it."""
    views = SupportViews(rig.box)
    found = await views.context(TENANT, ORDER, reason=WISMO, roles=ROLES, actor="user:mei")
    noted = Flag(context_id=found.context_id, field="shipments.0.status", problem="wrong", expected="Delivered")
    first = await views.flag(TENANT, noted, actor="user:mei")
    assert await views.flag(TENANT, noted, actor="user:mei") == first
    (case,) = [one for one in await views.cases(TENANT) if one["case_id"] == first]
    assert (case["shown"], case["expected"]) == ("InTransit", "Delivered")
    assert "Kowloon" not in str(case["context"])
    with pytest.raises(NotFound):
        await views.flag("other", noted, actor="user:mei")
    with pytest.raises(InputError):
        await views.flag(TENANT, noted.model_copy(update={"field": "order.nothing"}), actor="user:mei")
    long_ago = datetime.now(UTC) - timedelta(days=30)
    contact = Contact(contact_id="c1", order_id="o", reason="wismo", opened_at=long_ago, context_id=found.context_id)
    await views.contact(TENANT, contact)
    await views.contact(TENANT, contact.model_copy(update={"contact_id": "c2", "order_id": "p", "context_id": ""}))
    await views.contact(
        TENANT,
        contact.model_copy(
            update={"contact_id": "c3", "order_id": "p", "context_id": "", "opened_at": long_ago + timedelta(days=3)}
        ),
    )
    rows = {(row["reason"], row["with_context"]): row for row in await views.outcomes(TENANT, days=90)}
    assert (rows["wismo", True]["resolved"], rows["wismo", True]["contacts"]) == (1, 1)
    assert (rows["wismo", False]["resolved"], rows["wismo", False]["contacts"]) == (1, 2)


async def test_over_http(rig: Rig) -> None:
    """F39, reliability/S04, S05: the route, its roles, the other tenant, the stream, no caching."""
    app = application(rig.box, two_tenants(first=TENANT))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t") as client:
        support = {"Authorization": f"Bearer {key_of(TENANT, 'support')}"}
        found = await client.get("/v1/support/context", params={"order": "#A-1", "reason": "wismo"}, headers=support)
        assert (found.status_code, found.headers["cache-control"]) == (200, "no-store")
        assert found.json()["order"]["order_id"] == "storefront-A-1"
        short = await client.get("/v1/support/context", params={"order": "A-1", "compact": "true"}, headers=support)
        assert len(short.text) <= 8_000
        other = {"Authorization": f"Bearer {key_of('bolt', 'support')}"}
        assert (await client.get("/v1/support/context", params={"order": "A-1"}, headers=other)).status_code == 404
        flags = f"/v1/support/contexts/{found.json()['context_id']}/flags"
        body = {"field": "order.state", "problem": "stale"}
        assert (await client.post(flags, json=body, headers=other)).status_code == 404
        assert (await client.post(flags, json=body, headers=support)).status_code == 201
        bad = await client.get("/v1/support/context", params={"order": "A-1", "reason": "nonsense"}, headers=support)
        assert bad.status_code == 422
        assert (await client.get("/v1/support/context", headers=support)).status_code == 422
        await fault(rig, "tracking", "parcels", FaultMode.DELAY, 0.6)
        stream = await client.get("/v1/support/context/stream", params={"order": "A-1"}, headers=support)
        assert re.findall(r"^event: (\w+)", stream.text, re.MULTILINE) == ["partial", "context"]
