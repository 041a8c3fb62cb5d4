"""A blind review in the running system: no way in shows what the agents think until somebody has answered."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import orjson
import pytest

from domain.decision import Outcome, Verdict
from domain.order import OrderProgress
from domain.ports import Agent, AgentCase
from domain.review import ReviewAction
from graph.runtime.orders import OrderRecord
from tests.support.api_desk import key_of, two_tenants
from tests.support.autonomy import AGENT, earning_settings, suggestion_order
from tests.support.console import browsing, console_of_rig
from tests.support.slack import SlackRig, slack_rig, slack_served
from tests.support.staff import staffed
from tests.support.system import TENANT, order_id_of
from tools.review_summary import summary_of
from tools.teams import _body

WORD = "wavethrough"
"""What the agent proposes: a word that stands nowhere else."""
CONSOLE = "/console"
ADMIN, OPS = "admin", "ops"


async def waves_through(real: Agent, case: AgentCase) -> Verdict:
    """Goes on with whatever comes, very sure."""
    verdict = await real.decide(case)
    made = {"decision": WORD, "outcome": Outcome.PROCEED, "confidence": 0.97}
    return Verdict.model_validate(verdict.model_dump() | made)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[SlackRig]:
    settings = earning_settings(tmp_path)
    known, staff = two_tenants(first=TENANT), staffed({AGENT: waves_through})
    async with (
        slack_served() as world,
        slack_rig(tmp_path, world, known=known, staff=staff, topology_file=settings.topology_file) as made,
    ):
        yield made


async def _over_http(rig: SlackRig, record: OrderRecord, role: str = OPS) -> dict[str, str]:
    """What each route says about the order."""
    order, review = record.order_id, record.review_id
    decision = (await rig.box.store.journal.latest(record.thread))[AGENT].decision_id
    headers = {"Authorization": f"Bearer {key_of(TENANT, role)}"}
    said = {}
    async with httpx2.AsyncClient(base_url=rig.url, headers=headers, timeout=30.0) as client:
        for path in (
            "/v1/reviews",
            f"/v1/reviews/{review}",
            f"/v1/orders/{order}",
            f"/v1/audit/{order}",
            f"/v1/orders/{order}/replay",
            f"/v1/decisions/{decision}/replay",
        ):
            said[path.replace(order, "O").replace(review, "R").replace(decision, "D")] = (await client.get(path)).text
        said["/v1/orders/O/what-if"] = (await client.post(f"/v1/orders/{order}/what-if", json={})).text
    return said


async def _streamed(rig: SlackRig, *, blind: bool) -> tuple[OrderRecord, str]:
    """A waiting order, and what a stream that was open all the time said about it."""
    first = await rig.reviewed(suggestion_order(rig, blind=blind))
    await rig.history(first.order_id)  # the relay trims what it has carried with its first batch, then seldom
    payload = suggestion_order(rig, blind=blind)
    order, said = order_id_of(payload), []
    headers = {"Authorization": f"Bearer {key_of(TENANT, OPS)}"}
    async with (
        asyncio.timeout(20),
        httpx2.AsyncClient(base_url=rig.url, headers=headers, timeout=30.0) as client,
        client.stream("GET", "/v1/stream") as answer,
    ):
        await rig.submit(payload)
        async for text in answer.aiter_lines():
            if not text.startswith("data:") or order not in text:
                continue
            said.append(text)
            if orjson.loads(text[5:])["event_type"] == "order.review.requested":
                break
    assert any(AGENT in one and ".completed" in one for one in said), "the decision's event itself is told"
    record = await rig.waiting(order)
    await rig.history(order)
    await rig.box.governance.keeper.drain()
    return record, "\n".join(said)


async def _elsewhere(rig: SlackRig, record: OrderRecord) -> dict[str, str]:
    """What pages, cards and the thread itself say."""
    review = await rig.review(record.review_id)
    said = {"teams": orjson.dumps(_body(summary_of(review), ())).decode()}
    said["slack"] = str((await rig.card_of(record.review_id)).blocks)
    graph = rig.box.threads._graphs[rig.box.threads.current]
    state = await graph.aget_state({"configurable": {"thread_id": record.thread}})
    said["interrupt"] = str([one.value for one in state.interrupts])
    async with browsing(console_of_rig(rig)) as browser:
        await browser.sign_in(OPS)
        for path in (CONSOLE, "/console/reviews", "/console/orders"):
            said[path] = (await browser.get(path)).text
        said["/console/reviews/R"] = (await browser.get(f"/console/reviews/{record.review_id}")).text
        said["/console/orders/O"] = (await browser.get(f"/console/orders/{record.order_id}")).text
    return said


def _leaks(said: dict[str, str]) -> list[str]:
    return sorted(where for where, text in said.items() if WORD in text)


async def test_no_way_in_shows_what_the_agents_think_before_the_answer(rig: SlackRig) -> None:
    """F30, P22: of a blind question nothing leaks anywhere; of any other, and once answered, everything is shown."""
    blind, streamed = await _streamed(rig, blind=True)
    before = {"/v1/stream": streamed} | await _over_http(rig, blind) | await _elsewhere(rig, blind)
    assert not _leaks(before)
    assert all(text for text in before.values())
    for refused in ("/v1/orders/O/what-if", "/v1/orders/O/replay", "/v1/decisions/D/replay"):
        assert "shown once the open review is answered" in before[refused]
    assert "0.97" not in before["/v1/reviews/R"] + before["slack"] + before["teams"] + before["/console/reviews/R"]
    for_admins = await _over_http(rig, blind, ADMIN)
    assert WORD in for_admins["/v1/orders/O/what-if"]
    assert WORD in for_admins["/v1/orders/O/replay"]
    await rig.decide(blind.review_id, ReviewAction.APPROVE)
    await rig.settled(blind.order_id, at={OrderProgress.FULFILLED})
    await rig.idle()
    await rig.history(blind.order_id)
    await rig.box.governance.keeper.drain()
    after = await _over_http(rig, blind)
    assert set(_leaks(after)) == set(after) - {"/v1/reviews"}, "answered, it is no secret any more"


async def test_what_is_not_blind_is_shown_everywhere(rig: SlackRig) -> None:
    """F30: the same ways in, for a question whose recommendation may be seen: so the check above can fail."""
    seen, streamed = await _streamed(rig, blind=False)
    said = {"/v1/stream": streamed} | await _over_http(rig, seen) | await _elsewhere(rig, seen)
    assert set(_leaks(said)) == set(said)
