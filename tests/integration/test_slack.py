"""Reviews in Slack, over real HTTP against the stand-in: cards, clicks, modals, and everything that must change nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import orjson
import pytest

from api.serving import application, listen, served, url_of
from api.tenants import Person, Role, Tenant
from domain.ids import TenantId
from domain.order import OrderProgress
from domain.review import ReviewAction, ReviewState
from domain.review_channel import seal
from graph.runtime.review_cards import Place
from tests.support.answering import answerer
from tests.support.slack import (
    BOSS,
    CHANNEL,
    MEI,
    OLD_SECRET,
    RAJ,
    SECRET,
    STRANGER,
    SlackRig,
    slack_rig,
    slack_served,
    tenants,
)
from tests.support.system import fast_settings, for_review, line, opened, working
from tests.support.waiting import wait_until
from tools.sandbox.faults import FaultMode
from tools.sandbox.slack import SlackFault, SlackStandIn
from tools.sandbox.slack_http import press
from tools.slack.signing import signature

STAMP, SIGNATURE = "X-Slack-Request-Timestamp", "X-Slack-Signature"
APPROVE, REJECT, DETAILS, OPEN = "review_approve", "review_reject", "review_details", "review_open"


@pytest.fixture
async def world() -> AsyncIterator[SlackStandIn]:
    async with slack_served() as served:
        yield served


@pytest.fixture
async def rig(world: SlackStandIn, tmp_path: Path) -> AsyncIterator[SlackRig]:
    async with slack_rig(tmp_path, world) as made:
        yield made


async def asked(rig: SlackRig, **changes: Any) -> tuple[str, str]:
    """An order that waits, with its card there: order id and review id."""
    record = await rig.reviewed(for_review(**changes))
    await rig.card_of(record.review_id)
    return record.order_id, record.review_id


async def unanswered(rig: SlackRig, review_id: str) -> None:
    """Nothing has been decided."""
    assert (await rig.review(review_id)).state is ReviewState.OPEN


async def test_a_click_on_approve_releases_the_order_and_the_card_tells_who_and_when(rig: SlackRig) -> None:
    """F29, P4: a signed click resumes the thread; person, channel and time are on record and on the card."""
    order_id, review_id = await asked(rig)
    started = time.monotonic()
    answer = await rig.click(review_id, APPROVE)
    assert (answer.status_code, answer.content) == (200, b"")
    assert time.monotonic() - started < 3
    assert (await rig.settled(order_id, at={OrderProgress.FULFILLED})).progress is OrderProgress.FULFILLED
    card = await rig.shows(review_id, "Approved by mei")
    assert "via slack" in str(card.blocks)
    assert not [b for b in card.blocks if b["type"] == "actions"]
    given = (await rig.review(review_id)).answer
    assert given is not None
    assert (given.decided_by, given.via) == ("user:mei", "slack")
    assert len(rig.cards(review_id)) == 1


async def test_a_click_on_reject_cancels(rig: SlackRig) -> None:
    """F29: one click."""
    order_id, review_id = await asked(rig)
    await rig.click(review_id, REJECT)
    await rig.settled(order_id, at={OrderProgress.CANCELLED})
    await rig.shows(review_id, "Rejected by mei")


async def test_the_card_follows_an_answer_from_elsewhere_and_a_cancellation(rig: SlackRig) -> None:
    """F29: decided on the command line, the card says so; a cancelled order's card is withdrawn; late clicks are told."""
    _, decided = await asked(rig)
    await rig.decide(decided, ReviewAction.REJECT, by="user:raj")
    await rig.shows(decided, "Rejected by raj")
    order_id, void = await asked(rig)
    await rig.cancel(order_id)
    await rig.shows(void, "No longer needed")


@pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=pytest.mark.chaos)])
async def test_slack_and_the_command_line_in_two_processes_leave_one_winner(
    rig: SlackRig, tmp_path: Path, rounds: int
) -> None:
    """P3, reliability/U02: a click against an answer of another process; the loser is told name and time within 3 s."""
    async with answerer(tmp_path, "raj", "reject") as raj:
        ends = []
        assert not (await raj.answer("rv0-none", 0.0))["done"]  # it is up
        for order_id, review_id in [await asked(rig) for _ in range(rounds)]:
            payload = rig.slack.click(CHANNEL, (await rig.card_of(review_id)).ts, APPROVE, user=MEI)
            at = time.time() + 0.02
            typing = asyncio.create_task(raj.answer(review_id, at))
            await asyncio.sleep(max(0.0, at - time.time()))
            started = time.monotonic()
            clicked, typed = await asyncio.gather(press(rig.slack, payload), typing)
            assert clicked.status_code == 200
            winner = (await rig.review(review_id)).answer
            assert winner is not None
            if winner.decided_by == "user:mei":
                assert not typed["done"]
                assert "user:mei" in typed["said"]
            else:
                told = await rig.told(MEI, f"{winner.decided_at:%Y-%m-%d %H:%M:%S} UTC")
                assert "already answered reject" in told.text
            assert time.monotonic() - started < 3
            ends.append((order_id, winner.decided_by))
        for order_id, who in ends:
            end = OrderProgress.FULFILLED if who == "user:mei" else OrderProgress.CANCELLED
            await rig.settled(order_id, at={end}, within_s=60)
        rows = await rig.history(ends[0][0])
        assert sum(row.event_type == "order.review.decided" for row in rows) == 1


async def test_a_large_amount_takes_clicks_of_two_people(rig: SlackRig) -> None:
    """P4, reliability/U03: the first click runs nothing, the same person's second is refused, a manager's releases."""
    order_id, review_id = await asked(rig, lines=[line(cents=1_100_000)])
    await rig.click(review_id, APPROVE)
    await rig.shows(review_id, "mei")
    await unanswered(rig, review_id)
    await rig.click(review_id, APPROVE)
    await rig.told(MEI, "you gave the first approval")
    await rig.click(review_id, APPROVE, by=RAJ)
    await rig.told(RAJ, "second approval is for manager")
    await unanswered(rig, review_id)
    assert await rig.progress(order_id) is OrderProgress.IN_REVIEW
    await rig.click(review_id, APPROVE, by=BOSS)
    await rig.settled(order_id, at={OrderProgress.FULFILLED, OrderProgress.BACKORDERED})
    await rig.shows(review_id, "Approved by boss")
    kinds = [row.event_type for row in await rig.history(order_id)]
    assert (kinds.count("order.review.endorsed"), kinds.count("order.review.decided")) == (1, 1)


async def test_many_clicks_at_once_decide_once(rig: SlackRig) -> None:
    """P3: of thirty simultaneous clicks by two people, one applies; every other clicker is told who was first."""
    order_id, review_id = await asked(rig)
    card = await rig.card_of(review_id)
    payloads = [
        rig.slack.click(CHANNEL, card.ts, REJECT if n % 3 else APPROVE, user=MEI if n % 2 else RAJ) for n in range(30)
    ]
    answers = await asyncio.gather(*(press(rig.slack, payload) for payload in payloads))
    assert {answer.status_code for answer in answers} == {200}
    first = (await rig.review(review_id)).answer
    assert first is not None
    await rig.settled(order_id)

    async def all_told() -> bool:
        return sum("already answered" in m.text for m in rig.slack.messages if m.only_for) == 29

    await wait_until(all_told, "the 29 losers are told")
    history = await rig.history(order_id)
    assert sum(row.event_type == "order.review.decided" for row in history) == 1


async def test_unproved_requests_change_nothing(rig: SlackRig) -> None:
    """reliability/S07: time stamps beyond 300 s, malformed or missing, and wrong or missing signatures get 401."""
    _, review_id = await asked(rig)
    card = await rig.card_of(review_id)
    payload, now = rig.slack.click(CHANNEL, card.ts, APPROVE, user=MEI), time.time()
    raw, good = rig.slack.signed(payload)
    attempts = [
        rig.slack.signed(payload, at=now - 303),
        rig.slack.signed(payload, at=now + 303),
        rig.slack.signed(payload, secret="0123456789abcdef0123456789abcdef"),
        *((raw, good | {STAMP: stamp}) for stamp in ("soon", f"{now:.1f}", "-1", "9" * 400, "")),
        *((raw, good | {SIGNATURE: mac}) for mac in ("", "v0=", good[SIGNATURE][3:], good[SIGNATURE].upper(), "v0=é")),
        (raw, {name: value for name, value in good.items() if name != STAMP}),
        (raw, {name: value for name, value in good.items() if name != SIGNATURE}),
    ]
    for body, headers in attempts:
        encoded = {name: value.encode("utf-8") for name, value in headers.items()}
        assert (await rig.send(body, encoded)).status_code == 401, headers
    await unanswered(rig, review_id)
    assert (await rig.send(*rig.slack.signed(payload, at=now - 297))).status_code == 200
    assert (await rig.review(review_id)).state is ReviewState.DECIDED


async def test_a_flipped_byte_is_refused_before_anything_is_parsed(rig: SlackRig) -> None:
    """reliability/S07: the raw body is what is signed; junk that is not signed is never parsed."""
    _, review_id = await asked(rig)
    card = await rig.card_of(review_id)
    raw, headers = rig.slack.signed(rig.slack.click(CHANNEL, card.ts, APPROVE, user=MEI))
    for changed in (raw[:-1] + bytes([raw[-1] ^ 1]), b"", b"\xff\xfe", raw + b"&x=1"):
        assert (await rig.send(changed, headers)).status_code == 401
    await unanswered(rig, review_id)


async def test_authentic_junk_is_one_clear_400(rig: SlackRig) -> None:
    """reliability/S07: signed, and not an interaction."""
    deep = b"payload=" + b"[" * 50_000
    for body in (
        b"",
        b"payload=",
        b"payload=%7B%7D",
        b"payload=[]",
        b"x=1",
        b"payload=%7B%7D&payload=1",
        b"\xff=1",
        deep,
    ):
        stamp = str(int(time.time()))
        headers = {STAMP: stamp, SIGNATURE: signature(body, stamp, SECRET)}
        answer = await rig.send(body, headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "input.malformed")


async def test_the_same_signed_body_again_gets_the_same_answer_and_no_second_effect(rig: SlackRig) -> None:
    """reliability/S07, U03: replayed at once and a second later, also while the first is still under way."""
    order_id, review_id = await asked(rig)
    card = await rig.card_of(review_id)
    raw, headers = rig.slack.signed(rig.slack.click(CHANNEL, card.ts, APPROVE, user=MEI))
    answers = await asyncio.gather(*(rig.send(raw, headers) for _ in range(3)))
    await rig.settled(order_id)
    answers.append(await rig.send(raw, headers))
    assert {(a.status_code, a.content) for a in answers} == {(200, b"")}
    await rig.shows(review_id, "Approved by mei")
    assert not [m for m in rig.slack.messages if m.only_for]
    history = await rig.history(order_id)
    assert sum(row.event_type == "order.review.decided" for row in history) == 1


async def test_double_clicks_and_clicks_after_the_end_are_told_what_happened(rig: SlackRig) -> None:
    """reliability/U03: three more clicks after the answer, after the resume and after a cancellation change nothing."""
    order_id, review_id = await asked(rig)
    card = await rig.card_of(review_id)
    payloads = [rig.slack.click(CHANNEL, card.ts, APPROVE, user=MEI) for _ in range(3)]
    for payload in payloads:
        assert (await press(rig.slack, payload)).status_code == 200
    await rig.told(MEI, "mei already answered approve at")
    await rig.settled(order_id, at={OrderProgress.FULFILLED})
    cancelled, void = await asked(rig)
    late = [rig.slack.click(CHANNEL, (await rig.card_of(void)).ts, APPROVE, user=RAJ) for _ in range(3)]
    await rig.cancel(cancelled)
    await rig.settled(cancelled, at={OrderProgress.CANCELLED})
    for payload in late:
        assert (await press(rig.slack, payload)).status_code == 200
    await rig.told(RAJ, "no longer stands")
    await rig.shows(void, "No longer needed")
    assert await rig.progress(cancelled) is OrderProgress.CANCELLED


async def test_who_may_not_is_told_so_alone_and_it_is_on_record(rig: SlackRig) -> None:
    """reliability/S07, P4, F29: unlisted, from another workspace, or without the role: ephemeral refusal and audit."""
    order_id, review_id = await asked(rig)
    cases: list[tuple[str, dict[str, Any], str]] = [
        (STRANGER, {}, "not listed as a reviewer"),
        (MEI, {"user": {"id": MEI, "team_id": "T0ELSEWHERE"}}, "guest from another workspace"),
        ("U0SAM", {}, "his review is for"),
    ]
    for user, changes, told in cases:
        assert (await rig.click(review_id, APPROVE, by=user, changes=changes)).status_code == 200
        await rig.told(user, told)
    await unanswered(rig, review_id)
    refused = [row for row in await rig.history(order_id) if row.event_type == "order.review.answer_refused"]
    team = rig.slack.team
    assert {row.actor for row in refused} >= {f"slack:{team}/{STRANGER}", f"slack:{team}/{MEI}"}


async def test_a_workspace_that_is_not_connected_is_refused(rig: SlackRig) -> None:
    """reliability/S07, S04: signed with our secret, from a team we do not know: nothing is said about our reviews."""
    _, review_id = await asked(rig)
    card = await rig.card_of(review_id)
    payload = rig.slack.click(CHANNEL, card.ts, APPROVE, user=MEI) | {"team": {"id": "T0ELSEWHERE"}}
    answer = await rig.send(*rig.slack.signed(payload))
    assert answer.status_code == 401
    assert review_id not in answer.text
    await unanswered(rig, review_id)


async def test_an_edited_button_is_refused(rig: SlackRig) -> None:
    """reliability/S07: another review, another seal, or another card's button: refused, told and on record."""
    order_id, review_id = await asked(rig)
    _, other_id = await asked(rig)
    own, other = seal(await rig.review(review_id)), seal(await rig.review(other_id))
    values = [
        f"{review_id}|{other}", f"{other_id}|{own}", f"{other_id}|{other}", review_id, "", "rv0-nothing|x",
        f"{review_id}|{own}|more", "x" * 2000, f"rv9-{review_id}|{own}",
    ]  # fmt: skip
    for value in values:
        answer = await rig.click(review_id, APPROVE, value=value)
        assert answer.status_code == 200, value
    for one in (review_id, other_id):
        await unanswered(rig, one)

    async def all_told() -> bool:
        return len([m for m in rig.slack.messages if m.only_for == MEI]) == len(values)

    await wait_until(all_told, "every edited click is refused")
    assert [row for row in await rig.history(order_id) if row.event_type == "order.review.answer_refused"]


async def test_old_and_new_secret_are_good_while_the_secret_is_changed(world: SlackStandIn, tmp_path: Path) -> None:
    """reliability/S07: rotation; the old secret ends when it was said to end."""
    until = datetime.now(UTC) + timedelta(minutes=10)
    old: dict[str, Any] = {"slack_signing_secret_old": OLD_SECRET, "slack_signing_secret_old_until": until.isoformat()}
    async with slack_rig(tmp_path, world, **old) as rig:
        for secret in (OLD_SECRET, SECRET):
            order_id, review_id = await asked(rig)
            card = await rig.card_of(review_id)
            payload = rig.slack.click(CHANNEL, card.ts, APPROVE, user=MEI)
            assert (await rig.send(*rig.slack.signed(payload, secret=secret))).status_code == 200
            await rig.settled(order_id, at={OrderProgress.FULFILLED})
    ended: dict[str, Any] = {
        "slack_signing_secret_old": OLD_SECRET,
        "slack_signing_secret_old_until": "2026-01-01T00:00:00Z",
    }
    async with slack_rig(tmp_path, world, **ended) as rig:
        _, review_id = await asked(rig)
        payload = rig.slack.click(CHANNEL, (await rig.card_of(review_id)).ts, APPROVE, user=MEI)
        assert (await rig.send(*rig.slack.signed(payload, secret=OLD_SECRET))).status_code == 401
        await unanswered(rig, review_id)


async def test_the_reviewer_group_is_asked_when_one_is_named(world: SlackStandIn, tmp_path: Path) -> None:
    """reliability/S07: listed in the tenants file and not in the Slack group is not enough; without an answer, nobody may."""
    world.groups["S0REVIEWERS"] = [RAJ]
    async with slack_rig(tmp_path, world, slack_reviewer_group="S0REVIEWERS") as rig:
        order_id, review_id = await asked(rig)
        world.faults.append(SlackFault(method="usergroups.users.list", error="missing_scope", times=1))
        await rig.click(review_id, APPROVE, by=RAJ)
        await rig.told(RAJ, "missing_scope")
        await rig.click(review_id, APPROVE, by=MEI)
        await rig.told(MEI, "not in the reviewer group")
        await unanswered(rig, review_id)
        await rig.click(review_id, APPROVE, by=RAJ)
        await rig.settled(order_id, at={OrderProgress.FULFILLED})


async def test_slack_down_leaves_the_review_in_the_console_at_once_and_the_card_comes_once(
    rig: SlackRig, world: SlackStandIn
) -> None:
    """reliability/U04: errors, silence, dropped answers, 429; journal and orders go on; one card in the end."""

    world.faults += [
        SlackFault(method="chat.postMessage", mode=FaultMode.UNAVAILABLE, times=2),
        SlackFault(method="chat.postMessage", mode=FaultMode.NO_REPLY, times=1),
        SlackFault(method="conversations.history", mode=FaultMode.ERROR, times=4),
    ]
    record = await rig.reviewed(for_review())
    assert record.review_id in {r["review_id"] for r in await rig.desk.reviews(record.tenant, state=ReviewState.OPEN)}
    other = await rig.reviewed(for_review())
    await rig.decide(other.review_id, ReviewAction.APPROVE)
    await rig.settled(other.order_id, at={OrderProgress.FULFILLED})
    await rig.idle()
    card = await rig.card_of(record.review_id)

    async def known() -> bool:
        place = await rig.box.redis.zcard(rig.box.keys.cards_due())
        return not place

    await wait_until(known, "the record of cards is at rest")
    assert [m.ts for m in rig.cards(record.review_id)] == [card.ts]
    await rig.click(record.review_id, APPROVE)
    await rig.settled(record.order_id, at={OrderProgress.FULFILLED})
    await rig.shows(record.review_id, "Approved by mei")


async def test_429_is_waited_out_and_a_refusal_of_slack_is_tried_again(rig: SlackRig, world: SlackStandIn) -> None:
    """reliability/U04: nothing is sent to the workspace before Retry-After has passed."""

    world.faults += [
        SlackFault(method="chat.postMessage", mode=FaultMode.RATE_LIMITED, retry_after_s=1, times=1),
        SlackFault(method="chat.postMessage", error="not_in_channel", times=1),
        SlackFault(method="chat.postMessage", error="internal_error", times=1),
    ]
    record = await rig.reviewed(for_review())

    async def refused() -> bool:
        return any(method == "chat.postMessage" for method, _ in world.calls)

    await wait_until(refused, "Slack was asked")
    at = time.monotonic()
    calls = len(world.calls)
    await rig.card_of(record.review_id)
    assert time.monotonic() - at > 0.8
    assert len(world.calls) > calls
    assert len(rig.cards(record.review_id)) == 1


async def test_answered_before_slack_came_back_no_card_is_posted(rig: SlackRig, world: SlackStandIn) -> None:
    """reliability/U04: a question that is no longer asked is not announced."""
    world.faults.append(SlackFault(method="chat.postMessage", error="service_unavailable"))
    record = await rig.reviewed(for_review())
    await rig.decide(record.review_id, ReviewAction.APPROVE)
    await rig.settled(record.order_id)
    await rig.idle()
    world.faults.clear()

    async def rest() -> bool:
        return not await rig.box.redis.zcard(rig.box.keys.cards_due())

    await wait_until(rest, "nothing is left to post")
    assert not rig.cards(record.review_id)


async def test_two_workers_and_repeated_news_post_one_card(world: SlackStandIn, tmp_path: Path) -> None:
    """F29: two systems on one store; the event delivered again; the process begun anew: one card."""

    async with slack_rig(tmp_path, world) as rig:
        _, review_id = await asked(rig)

        place = Place(tenant="default", review_id=review_id, channel="slack")
        for _ in range(5):
            await rig.box.review_channels.cards.want(place, now=rig.box.clock.now())
        async with slack_rig(tmp_path, world, worker=False) as second, working(second):
            await asked(second)
    async with slack_rig(tmp_path, world) as again:
        await again.idle()
        assert len(again.cards(review_id)) == 1


def values(**filled: str) -> dict[str, Any]:
    """What a modal holds, as Slack nests it."""
    choice = filled.pop("choice", None)
    state: dict[str, Any] = {block.replace("__", "/"): {"value": {"value": given}} for block, given in filled.items()}
    if choice is not None:
        state["choice"] = {"value": {"selected_option": {"value": choice}}}
    return state


async def submit(rig: SlackRig, view_id: str, user: str = MEI, **filled: str) -> dict[str, Any]:
    payload = rig.slack.submission(view_id, values(**filled), user=user)
    answer = await press(rig.slack, payload)
    assert answer.status_code == 200
    return dict(orjson.loads(answer.content)) if answer.content else {}


async def opened_modal(rig: SlackRig, review_id: str, user: str = MEI) -> str:
    await rig.click(review_id, DETAILS, by=user)

    async def look() -> str | None:
        return next((name for name, v in rig.slack.views.items() if v.user == user), None)

    return await wait_until(look, "the modal is open")


async def test_an_edit_in_the_modal_is_what_runs(rig: SlackRig) -> None:
    """F29: mistakes are shown at their field, then the edited quantity is what is fulfilled."""
    order_id, review_id = await asked(rig, lines=[line(quantity=3)])
    view = await opened_modal(rig, review_id)
    assert (await submit(rig, view, choice="edit"))["errors"].keys() == {"reason"}
    assert (await submit(rig, view, reason="x"))["errors"].keys() == {"choice"}
    assert (await submit(rig, view, choice="edit", reason="x"))["errors"].keys() == {"choice"}
    wrong = {"choice": "approve", "reason": "x", "lines__0__quantity_open": "2"}
    assert (await submit(rig, view, **wrong))["errors"].keys() == {"choice"}
    for bad in ("9", "two", "-1"):
        said = await submit(rig, view, choice="edit", reason="less", lines__0__quantity_open=bad)
        assert said["errors"].keys() == {"lines/0/quantity_open"}, said
    said = await submit(rig, view, choice="edit", reason="x", deliver_by="tomorrow")
    assert said["errors"].keys() == {"deliver_by"}
    await unanswered(rig, review_id)
    done = await submit(rig, view, choice="edit", reason="only two *left* <!channel>", lines__0__quantity_open="2")
    assert done == {"response_action": "clear"}
    card = await rig.shows(review_id, "Approved with changes (lines) by mei")
    assert "<!channel>" not in orjson.dumps(card.blocks).decode()
    record = await rig.record(order_id)
    assert record.order is not None
    assert record.order.lines[0].quantity_open == 2


async def test_a_modal_left_open_meets_the_answer_of_somebody_else(rig: SlackRig) -> None:
    """P3: the submitter is told in the modal who was first; a forged modal is refused."""
    _, review_id = await asked(rig)
    view, forged = await opened_modal(rig, review_id), await opened_modal(rig, review_id, RAJ)
    rig.slack.views[forged].view["private_metadata"] = f"{review_id}|0000"
    said = await submit(rig, forged, RAJ, choice="approve", reason="x")
    assert "not as it was posted" in str(said["view"])
    await rig.decide(review_id, ReviewAction.REJECT, by="user:raj")
    said = await submit(rig, view, choice="approve", reason="looks fine")
    assert said["response_action"] == "update"
    assert "Raj already answered reject at" in str(said["view"])


async def test_the_open_button_and_closed_modals_do_nothing(rig: SlackRig) -> None:
    _, review_id = await asked(rig)
    card = await rig.card_of(review_id)
    button = next(e for b in card.blocks if b["type"] == "actions" for e in b["elements"] if e["action_id"] == OPEN)
    assert button["url"] == f"https://signalbox.example/console/reviews/{review_id}"
    assert (await rig.click(review_id, OPEN)).status_code == 200
    closed = {"type": "view_closed", "team": {"id": rig.slack.team}, "user": {"id": MEI}, "view": {}}
    assert (await rig.send(*rig.slack.signed(closed))).status_code == 200
    await unanswered(rig, review_id)


async def test_a_response_url_of_somebody_else_is_not_called(rig: SlackRig) -> None:
    """reliability/S12: a click names where answers go; only Slack's own host is believed."""
    called: list[bytes] = []

    def taken(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(b"x")
        writer.close()

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, review_id = await asked(rig)
    for url in (f"http://127.0.0.1:{port}/steal", "file:///etc/passwd", "https://hooks.slack.com.evil.example/x", ""):
        answer = await rig.click(review_id, APPROVE, by=STRANGER, changes={"response_url": url})
        assert answer.status_code == 200
    server.close()
    await server.wait_closed()
    assert not called


async def test_another_tenants_workspace_sees_and_answers_only_its_own(world: SlackStandIn, tmp_path: Path) -> None:
    """reliability/S04: a click from tenant B's workspace, signed with B's secret, about A's review: it does not exist."""
    person = Person(id="bo", roles=frozenset({Role.OPS, Role.ADMIN}), slack_user="U0BO")
    other = Tenant(
        tenant=TenantId("other"), settlement_currency="SGD", locale="en", timezone="Asia/Singapore", people=(person,)
    )
    workspace: dict[str, Any] = {
        "tenant": "other", "team": "T0OTHER", "bot_token": "xoxb-other", "channel": "C0OTHER",
        "signing_secrets": [{"secret": OLD_SECRET}], "api_url": f"{world.base_url}/api",
    }  # fmt: skip
    async with slack_rig(tmp_path, world, known=tenants(other), slack_workspaces=[workspace]) as rig:
        order_id, review_id = await asked(rig)
        ts = (await rig.card_of(review_id)).ts
        bo: Any = {"id": "U0BO", "team_id": "T0OTHER"}
        place: dict[str, Any] = {"user": bo, "team": {"id": "T0OTHER"}}
        theirs = rig.slack.click(CHANNEL, ts, APPROVE, user="U0BO") | place
        assert (await rig.send(*rig.slack.signed(theirs, secret=OLD_SECRET))).status_code == 200
        mixed = rig.slack.click(CHANNEL, ts, APPROVE, user=MEI)
        assert (await rig.send(*rig.slack.signed(mixed, secret=OLD_SECRET))).status_code == 401
        await unanswered(rig, review_id)
        history = await rig.history(order_id)
        assert not [row for row in history if "U0BO" in row.actor]


async def test_without_slack_the_route_does_not_exist(tmp_path: Path) -> None:
    """Keyless: nothing is posted, and clicks have nowhere to go."""

    async with opened(fast_settings(tmp_path)) as plain:
        with listen("127.0.0.1", 0) as listener:
            async with served(application(plain.box, tenants()), listener), httpx2.AsyncClient() as client:
                body = urlencode({"payload": "{}"}).encode()
                answer = await client.post(f"{url_of(listener)}/slack/interactions", content=body)
        assert answer.status_code == 404
        assert plain.box.review_channels.slack is None


async def test_the_stand_ins_page_presses_buttons_for_its_own_pages_only(rig: SlackRig) -> None:
    """The stand-in is a product: its page shows the card, escaped, and its button answers the review."""
    order_id, review_id = await asked(rig, lines=[line() | {"title": "<script>alert(1)</script>"}])
    card = await rig.card_of(review_id)
    form = {"channel": CHANNEL, "ts": card.ts, "action": APPROVE, "user": MEI}
    async with httpx2.AsyncClient(base_url=rig.slack.base_url) as browser:
        shown = (await browser.get("/")).text
        assert "&lt;script&gt;" in shown
        assert "<script>" not in shown
        foreign = await browser.post("/", data=form, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
        await unanswered(rig, review_id)
        assert (await browser.post("/", data=form)).status_code == 303
    await rig.settled(order_id, at={OrderProgress.FULFILLED})
