"""The console over HTTP: who gets in, what a forged or stale request does, what each role sees, and that text stays text."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from api.console.links import one_time_link
from api.security import ACCESS, SignedIn
from api.tenants import Role
from domain.errors import Forbidden
from domain.order import OrderProgress
from tests.support.api_desk import key_of, two_tenants
from tests.support.console import Browser, browsing, console_of_rig
from tests.support.system import Rig, fast_settings, for_review, native_order, opened, running

PAGES = sorted(path for method, path in ACCESS if method == "GET" and isinstance(ACCESS[method, path], SignedIn))
NASTY = "<script>alert(1)</script>&<!channel><@U1><http://x|y>\"'"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path)) as rig:
        yield rig


@pytest.fixture
async def quiet(tmp_path: Path) -> AsyncIterator[FastAPI]:
    async with opened(fast_settings(tmp_path)) as rig:
        yield console_of_rig(rig)


@asynccontextmanager
async def signed_in(app: FastAPI, role: str, *, person: str = "mei", tenant: str = "default") -> AsyncIterator[Browser]:
    async with browsing(app) as browser:
        assert (await browser.sign_in(role, tenant=tenant, person=person)).status_code == 303
        await browser.get("/console")
        yield browser


async def test_signing_in_and_out(quiet: FastAPI) -> None:
    """reliability/S13: a session is HttpOnly and SameSite=Strict, and a cookie copied before the sign-out opens nothing after it."""
    async with browsing(quiet) as browser:
        away = await browser.get("/console/orders")
        assert (away.status_code, away.headers["location"]) == (303, "/console/sign-in?next=/console/orders")
        came = await browser.sign_in("ops")
        cookie = next(each for each in came.headers.get_list("set-cookie") if each.startswith("signalbox_session="))
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        stolen = browser.client.cookies["signalbox_session"]
        assert (await browser.get("/console/orders")).status_code == 200
        assert (await browser.post("/console/sign-out")).status_code == 303
    async with browsing(quiet) as thief:
        thief.client.cookies.set("signalbox_session", stolen, path="/console")
        refused = await thief.get("/console/orders")
        assert refused.status_code == 403
        assert "Your session has ended" in refused.text
        assert (await thief.post("/console/peak", {"mode": "on", "reason": "x"})).status_code == 403


async def test_sessions_are_secure_over_https(quiet: FastAPI) -> None:
    """reliability/S13: over https the session never travels unencrypted."""
    async with browsing(quiet) as browser:
        browser.client.base_url = "https://signalbox.example"
        await browser.get("/console/sign-in")
        fields = {"key": key_of("default", "ops"), "person": "mei"}
        came = await browser.post("/console/sign-in", fields, Origin="https://signalbox.example")
        assert came.status_code == 303
        assert all("Secure" in each for each in came.headers.get_list("set-cookie"))


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"key": "sbk_nobody"}, 401, "not known"),
        ({"key": key_of("default", "storefront")}, 403, "Keys of storefronts are for programs"),
        ({"key": key_of("default", "ops")}, 422, "say who you are"),
        ({"key": key_of("default", "ops"), "person": "nobody"}, 403, "not among the tenant"),
        ({"key": key_of("default", "ops"), "person": "<b>"}, 422, "user id"),
    ],
)
async def test_who_is_not_let_in(quiet: FastAPI, fields: dict[str, str], status: int, said: str) -> None:
    """P16: unknown and storefront keys, and names the tenant does not list, open no session."""
    async with browsing(quiet) as browser:
        await browser.get("/console/sign-in")
        answer = await browser.post("/console/sign-in", fields)
        assert answer.status_code == status
        assert said in answer.text
        assert "signalbox_session" not in browser.client.cookies


async def test_forged_requests_change_nothing(quiet: FastAPI) -> None:
    """reliability/S13: without the token, with another's, from another origin or site, by GET, or in a frame: 403, no effect."""
    change = {"mode": "on", "reason": "forged"}
    async with signed_in(quiet, "ops") as browser:
        refused = [
            await browser.post("/console/peak", change | {"csrf": ""}),
            await browser.post("/console/peak", change | {"csrf": "A" * 43}),
            await browser.post("/console/peak", change, Origin="https://evil.example"),
            await browser.post("/console/peak", change, Origin="null"),
            await browser.post("/console/peak", change, **{"Sec-Fetch-Site": "cross-site"}),
            await browser.client.post("/console/peak", json=change),
            await browser.get("/console/sign-out"),
            await browser.get("/console/dead-letters/drop?reason=x&letter=0:1-1"),
            await browser.post("/console/orders"),
            await browser.get("/console", **{"Sec-Fetch-Dest": "iframe"}),
        ]
        assert [each.status_code for each in refused] == [403] * 10
        page = await browser.get("/console/peak")
        assert "Peak mode" in page.text
        assert "forged" not in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["cache-control"].startswith("no-store")
        assert (await browser.post("/console/peak", change | {"reason": "real"})).status_code == 303
        assert "real" in (await browser.get("/console/peak")).text


async def test_the_sign_in_form_needs_its_own_token(quiet: FastAPI) -> None:
    """reliability/S13: nobody is signed in to somebody else's session by another site's form."""
    fields = {"key": key_of("default", "ops"), "person": "mei"}
    async with browsing(quiet) as browser:
        await browser.get("/console/sign-in")
        assert (await browser.post("/console/sign-in", fields | {"csrf": "x"})).status_code == 403
        assert (await browser.post("/console/sign-in", fields, Origin="https://evil.example")).status_code == 403
        assert "signalbox_session" not in browser.client.cookies


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/consoles", "/console/..\\x", "javascript:1"]
)
async def test_signing_in_leads_nowhere_else(quiet: FastAPI, wanted: str) -> None:
    """reliability/S13: the page to go on to is one of ours."""
    async with browsing(quiet) as browser:
        await browser.get("/console/sign-in")
        answer = await browser.post(
            "/console/sign-in", {"key": key_of("default", "ops"), "person": "mei", "next": wanted}
        )
        assert answer.headers["location"] == "/console"


@pytest.mark.parametrize("role", ["support", "procurement", "ops", "admin"])
async def test_role_matrix(quiet: FastAPI, role: str) -> None:
    """reliability/S04, P16: a role opens exactly its pages, and the menu shows no others."""
    person = "boss" if role == "admin" else "mei"
    async with signed_in(quiet, role, person=person) as browser:
        menu = set(re.findall(r'href="(/console[a-z/-]*)"', (await browser.get("/console")).text))
        for path in PAGES:
            if "{" in path or path == "/console/stream":
                continue
            access = ACCESS["GET", path]
            assert isinstance(access, SignedIn)
            allowed = Role(role) in access
            assert ((await browser.get(path)).status_code == 200) == allowed, path
            assert allowed or path not in menu


async def test_another_tenants_things_do_not_exist(rig: Rig) -> None:
    """reliability/S04: ids of the other tenant give 404 on every page and form, and nothing of it."""
    record = await rig.reviewed(for_review(note="for default only"))
    app = console_of_rig(rig)
    async with signed_in(app, "admin", tenant="bolt", person="eve") as browser:
        order, review = f"/console/orders/{record.order_id}", f"/console/reviews/{record.review_id}"
        answers = [
            await browser.get(order),
            await browser.get(review),
            await browser.post(f"{order}/cancel", {"reason": "mine"}),
            await browser.post(f"{review}/decision", {"action": "approve", "reason": "mine", "digest": "x"}),
        ]
        assert [each.status_code for each in answers] == [404] * 4
        listed = [
            await browser.get("/console"),
            await browser.get("/console/orders"),
            await browser.get("/console/reviews"),
        ]
        for page in [*answers, *listed]:
            assert "for default only" not in page.text
            assert "Queen" not in page.text
        assert str(record.order_id) not in "".join(page.text for page in listed)
    assert await rig.progress(record.order_id) is OrderProgress.IN_REVIEW


def hostile() -> dict[str, Any]:
    """An order whose every free text tries to be something else."""
    words = {"name": NASTY, "line1": NASTY, "city": NASTY, "country": "HK", "phone": "+85220000000"}
    given = for_review(
        ship_to=words, note=NASTY, customer={"customer_id": NASTY, "name": NASTY, "email": "a@b.example"}
    )
    given["lines"][0]["title"] = NASTY
    return given


async def test_text_of_outsiders_stays_text(rig: Rig) -> None:
    """reliability/S11: mark-up in names, titles, notes, reasons and searches is shown, never run."""
    record = await rig.reviewed(hostile())
    app = console_of_rig(rig)
    async with signed_in(app, "ops") as browser:
        pages = [
            await browser.get("/console"),
            await browser.get("/console/reviews"),
            await browser.get(f"/console/reviews/{record.review_id}"),
            await browser.get(f"/console/orders/{record.order_id}"),
            await browser.client.get("/console/orders", params={"q": NASTY}),
            await browser.client.get("/console/reviews", params={"q": NASTY, "stage": NASTY}),
            await browser.client.get("/console/orders/" + "%3Cscript%3Ealert(1)"),
        ]
        for page in pages:
            assert "<script>alert" not in page.text
            assert "<!channel>" not in page.text
            assert "<@U1>" not in page.text
        assert "&lt;script&gt;alert(1)" in pages[2].text
        assert "&lt;script&gt;alert(1)" in pages[3].text


async def test_a_decision_is_taken_once_and_the_second_person_is_told(rig: Rig) -> None:
    """P3, P4, P8: the first answer counts, with person, reason and way; the second person sees who was first."""
    record = await rig.reviewed(for_review())
    app, path = console_of_rig(rig), f"/console/reviews/{record.review_id}"
    async with signed_in(app, "ops", person="mei") as mei, signed_in(app, "admin", person="boss") as boss:
        digest = re.findall(r'name="digest" value="([0-9a-f]+)"', (await mei.get(path)).text)[0]
        await boss.get(path)
        answer = {"action": "approve", "reason": "known customer", "digest": digest}
        assert (await mei.post(f"{path}/decision", answer | {"reason": ""})).status_code == 422
        assert (await mei.post(f"{path}/decision", answer | {"digest": "0" * 64})).status_code == 409
        assert (await mei.post(f"{path}/decision", answer)).status_code == 303
        assert "approved, it goes on" in (await mei.get("/console/reviews")).text
        late = await boss.post(f"{path}/decision", answer | {"action": "reject"})
        assert late.status_code == 409
        assert re.search(r"mei was first:</strong>\s+approve", late.text)
        after = await boss.get(path)
        assert "known customer" in after.text
    stored = await rig.box.store.reviews.find("default", record.review_id)
    assert stored.answer is not None
    assert (stored.answer.decided_by, stored.answer.via) == ("user:mei", "console")


async def test_edited_fields_are_what_runs(rig: Rig) -> None:
    """P8: only what was changed in the form is an edit, and the order goes on with it."""
    record = await rig.reviewed(for_review())
    app, path = console_of_rig(rig), f"/console/reviews/{record.review_id}"
    async with signed_in(app, "ops") as mei:
        page = (await mei.get(path)).text
        shown = {name: unescape(value) for name, value in re.findall(r'name="(edit\.[^"]+)" value="([^"]*)"', page)}
        digest = re.findall(r'name="digest" value="([0-9a-f]+)"', page)[0]
        answer = {"action": "edit", "reason": "street was wrong", "digest": digest}
        untouched = await mei.post(f"{path}/decision", shown | answer)
        assert untouched.status_code == 422
        assert "Nothing in the form differs" in untouched.text
        assert (
            await mei.post(f"{path}/decision", shown | answer | {"edit.ship_to.line1": "9 Nathan Road"})
        ).status_code == 303
    stored = await rig.box.store.reviews.find("default", record.review_id)
    assert stored.answer is not None
    assert stored.answer.edits == {"ship_to": {"line1": "9 Nathan Road"}}


async def test_an_order_tells_its_story(rig: Rig) -> None:
    """P28: one page has acceptance, every agent's decision with its version, and every effect, in time order."""
    record = await rig.run(native_order(), at=OrderProgress.FULFILLED)
    async with signed_in(console_of_rig(rig), "support") as browser:
        page = (await browser.get(f"/console/orders/{record.order_id}")).text
        places = [
            page.index(word)
            for word in ("<strong>accepted", "<strong>fraud detection", "<strong>order routing", "<strong>book label")
        ]
        assert places == sorted(places)
        assert "fd-1.0" in page
        assert 'class="sb-diagram"' in page
        assert "/console/reviews/" not in page


def test_no_page_needs_anything_from_outside() -> None:
    """No template or asset names another host, and none carries a script or style the policy would refuse."""
    folder = Path(__file__).parents[2] / "api" / "console"
    for path in [*(folder / "templates").glob("*.html"), *(folder / "static").iterdir()]:
        text = path.read_text().replace("http://www.w3.org/", "")
        assert not re.search(r"https?://|//[a-z]+\.", text), path.name
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script>", text), path.name


async def test_working_on_a_case(rig: Rig) -> None:
    """P6, P8: claim, comment, ask, snooze and assign by form; a colleague is told who has the case."""
    record = await rig.reviewed(for_review())
    app, path = console_of_rig(rig), f"/console/reviews/{record.review_id}"
    async with signed_in(app, "ops", person="mei") as mei, signed_in(app, "admin", person="boss") as boss:
        digest = re.findall(r'name="digest" value="([0-9a-f]+)"', (await mei.get(path)).text)[0]
        assert (await mei.post(f"{path}/act", {"act": "claim", "digest": digest})).status_code == 303
        await boss.get(path)
        late = await boss.post(f"{path}/act", {"act": "claim", "digest": digest})
        assert late.status_code == 409
        assert "user:mei has claimed this case" in late.text
        assert (await mei.post(f"{path}/act", {"act": "comment", "text": NASTY})).status_code == 303
        assert (
            await mei.post(f"{path}/act", {"act": "ask", "text": "is it a gift?", "to": "customer_service"})
        ).status_code == 303
        page = (await boss.get(path)).text
        assert "is it a gift?" in page
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert (await mei.post(f"{path}/act", {"act": "snooze", "minutes": "30"})).status_code == 303
        assert (await mei.post(f"{path}/act", {"act": "snooze", "minutes": "soon"})).status_code == 422
        assert (await mei.post(f"{path}/act", {"act": "assign", "to": "a b"})).status_code == 422
        assert (await mei.post(f"{path}/act", {"act": "destroy"})).status_code == 422
        assert str(record.review_id) in (await mei.get("/console/reviews?state=snoozed")).text
        assert str(record.review_id) not in (await mei.get("/console/reviews")).text


async def test_support_sees_what_it_is_asked_and_no_approvals(rig: Rig) -> None:
    """P16, P6: an order's approval is not there for support; a question to customer service is, and they can answer it."""
    record = await rig.reviewed(for_review())
    app, path = console_of_rig(rig), f"/console/reviews/{record.review_id}"
    async with signed_in(app, "ops") as mei, signed_in(app, "support") as desk:
        assert (await desk.get(path)).status_code == 404
        assert str(record.review_id) not in (await desk.get("/console/reviews")).text
        await mei.get(path)
        asked = {"act": "ask", "text": "is it a gift?", "to": "customer_service"}
        assert (await mei.post(f"{path}/act", asked)).status_code == 303
        page = (await desk.get(path)).text
        assert "is it a gift?" in page
        assert 'value="approve"' not in page
        assert (await desk.post(f"{path}/act", {"act": "comment", "text": "yes, a gift"})).status_code == 303
        assert "yes, a gift" in (await mei.get(path)).text


async def test_bulk_answers_are_each_their_own(rig: Rig) -> None:
    """P6: of many chosen cases each is decided with what its row showed; one that cannot be is named and the rest is done."""
    records = [await rig.reviewed(for_review()) for _ in range(3)]
    app = console_of_rig(rig)
    async with signed_in(app, "ops") as mei:
        page = (await mei.get("/console/reviews")).text
        digests = dict(re.findall(r'name="(digest\.[^"]+)" value="([0-9a-f]+)"', page))
        assert len(digests) == 3
        wrong = {f"digest.{records[0].review_id}": "0" * 64}
        fields = digests | wrong | {"act": "approve", "review": [str(one.review_id) for one in records]}
        assert (await mei.post("/console/reviews/bulk", fields)).status_code == 422
        answer = await mei.post("/console/reviews/bulk", fields | {"reason": "trial orders are fine"})
        assert "2 of 3 approved" in answer.text
        assert f"{records[0].review_id}</a>: what you were shown is not what stands now" in answer.text
    states = [(await rig.box.store.reviews.find("default", one.review_id)).state.value for one in records]
    assert states == ["open", "decided", "decided"]


async def test_a_one_time_link_works_once_and_here_only(tmp_path: Path) -> None:
    """reliability/S13: the link of a demo signs in once, from this machine; looking at it uses nothing up."""
    async with opened(fast_settings(tmp_path)) as rig:
        tenants = two_tenants(first="default")
        app = console_of_rig(rig, tenants)
        link = await one_time_link(rig.box, tenants.get("default"), "", person="mei")
        async with browsing(app) as outside:
            assert (await outside.get(link)).status_code == 403
            assert (await outside.post(link)).status_code == 403
        async with browsing(app, host="127.0.0.1") as here:
            assert (await here.get(link, **{"X-Forwarded-For": "203.0.113.9"})).status_code == 403
            assert (await here.get(link)).status_code == 200
            assert (await here.post(link)).status_code == 303
            assert "mei" in (await here.get("/console")).text
            assert (await here.get(link)).status_code == 404
        with pytest.raises(Forbidden):
            await one_time_link(rig.box, tenants.get("default"), "", person="nobody")


async def test_a_failure_is_a_page_too(tmp_path: Path) -> None:
    """A broken database gives a readable page with a number to quote, and nothing of our insides."""
    async with opened(fast_settings(tmp_path)) as rig, signed_in(console_of_rig(rig), "ops") as browser:
        async with rig.box.engine.begin() as connection:
            await connection.exec_driver_sql("DROP TABLE audit_events")
        page = await browser.get("/console")
        assert (page.status_code, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
        assert "quote" in page.text
        assert "audit_events" not in page.text
        assert (await browser.get("/console/orders")).status_code == 200
