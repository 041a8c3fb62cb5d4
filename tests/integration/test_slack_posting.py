"""Cards across crashes, two approvals, words to the next person, and Teams: over real HTTP against stand-ins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.serving import listen, served, url_of
from domain.event import Event
from domain.ids import EventId, ThreadId
from domain.order import OrderProgress
from domain.review import ReviewAction, ReviewState
from domain.review_acts import Claim
from domain.review_case import Actor
from tests.support.slack import MEI, QUICK, slack_rig, slack_served, slack_settings
from tests.support.system import TENANT, fast_settings, for_review, opened, working
from tests.support.waiting import wait_until
from tests.support.worker_process import KILLED, Workers, worker_processes
from tools.sandbox.slack_blocks import mentions


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    async with worker_processes() as parent:
        yield parent


async def test_a_worker_killed_around_the_posting_leaves_one_card(workers: Workers, tmp_path: Path) -> None:
    """F29, reliability/P5: killed after the note and before the post, and after the post and before the receipt."""
    async with slack_served() as world:
        for number, point in enumerate(("card.begun", "card.posted")):
            home, given = tmp_path / str(number), slack_settings(world)
            home.mkdir()
            process = await workers.start(home, crash_at=point, submit=[for_review()], settings=given)
            assert await process.ended() == KILLED, process.log()
            before = len(world.messages)
            assert before == (0 if number == 0 else 2)
            async with slack_rig(home, world) as rig:
                review_id = next(iter(await rig.desk.reviews(TENANT, state=ReviewState.OPEN)))["review_id"]
                await rig.click(review_id, "review_approve")
                await rig.shows(review_id, "Approved by mei")
                assert len(rig.cards(review_id)) == 1


async def test_reminders_and_escalations_speak_to_the_next_person_once(tmp_path: Path) -> None:
    """P7 (Slack part): a word below the card, once however often the news comes; none once the review is closed."""
    async with slack_served() as world, slack_rig(tmp_path, world) as rig:
        record = await rig.reviewed(for_review())
        card = await rig.card_of(record.review_id)

        def news(kind: str, to: str) -> Event:
            return Event(
                event_id=EventId(f"e-{kind}-{to}"), event_type=f"order.review.{kind}", entity_type="order",
                entity_id=record.order_id, agent_name="signalbox", timestamp=rig.box.clock.now(), tenant=TENANT,
                result={"review_id": record.review_id, "to": to}, sequence=0, correlation_id="c", currency="", locale="",
            )  # fmt: skip

        told = [news("reminded", "queue:orders"), news("escalated", "user:mei"), news("escalated", "role:manager")]
        for _ in range(3):
            await rig.box.store.journal.publish(ThreadId(record.thread), told, at=rig.box.clock.now())

        async def spoken() -> bool:
            return len([m for m in world.messages if m.thread_ts == card.ts]) == 3

        await wait_until(spoken, "three words below the card")
        await rig.idle()
        replies = [m for m in world.messages if m.thread_ts == card.ts]
        assert len(replies) == 3
        assert [m for m in replies if "@U0MEI" in m.mentioned and "passed on" in m.text]
        assert [m for m in replies if not m.mentioned and "everybody with the role manager" in m.text]
        assert not mentions({"text": card.text, "blocks": card.blocks})
        await rig.decide(record.review_id, ReviewAction.APPROVE)
        await rig.shows(record.review_id, "Approved by mei")


async def test_a_claim_is_shown_and_holds_a_click_of_somebody_else(tmp_path: Path) -> None:
    """P6 (Slack part): the card says in whose hands the case is."""
    async with slack_served() as world, slack_rig(tmp_path, world) as rig:
        record = await rig.reviewed(for_review())
        await rig.card_of(record.review_id)
        raj = Actor(name="user:raj", roles=frozenset({"ops"}), via="console")
        await rig.box.reviews.cases.act(TENANT, record.review_id, Claim(), raj)
        await rig.shows(record.review_id, "In the hands of raj")
        await rig.click(record.review_id, "review_approve", by=MEI)
        await rig.told(MEI, "raj")
        assert (await rig.review(record.review_id)).state is ReviewState.OPEN
        await rig.click(record.review_id, "review_approve", by="U0RAJ")
        await rig.settled(record.order_id, at={OrderProgress.FULFILLED})


class Hook:
    """An incoming webhook: what came in, and how it answers next."""

    def __init__(self) -> None:
        self.cards: list[dict[str, Any]] = []
        self.answers: list[int] = []

    async def receive(self, request: Request) -> Response:
        status = self.answers.pop(0) if self.answers else 202
        if status < 300:
            document = orjson.loads(await request.body())
            assert document["type"] == "message"
            self.cards.append(document["attachments"][0]["content"])
        return Response(status_code=status)


@asynccontextmanager
async def hooked() -> AsyncIterator[tuple[Hook, str]]:
    hook = Hook()
    with listen("127.0.0.1", 0) as listener:
        app: Any = Starlette(routes=[Route("/hook", hook.receive, methods=["POST"])])
        async with served(app, listener):
            yield hook, f"{url_of(listener)}/hook?sig=secret"


async def test_teams_gets_a_card_and_an_outcome_each_once(tmp_path: Path) -> None:
    """F29 (Teams): an adaptive card that opens the console; busy answers are tried again; the outcome is its own card."""
    async with hooked() as (hook, url):
        hook.answers = [503, 429]
        settings = fast_settings(tmp_path, teams_webhook=url, public_url="https://signalbox.example")
        async with opened(settings) as rig:
            assert rig.box.review_channels.poster is not None
            rig.box.review_channels.poster.pace = QUICK
            async with working(rig):
                record = await rig.reviewed(for_review())

                async def posted(many: int) -> bool:
                    return len(hook.cards) == many

                await wait_until(lambda: posted(1), "the card is in Teams")
                assert hook.cards[0]["type"] == "AdaptiveCard"
                opens = f"https://signalbox.example/console/reviews/{record.review_id}"
                assert [a["url"] for a in hook.cards[0]["actions"]] == [opens]
                await rig.decide(record.review_id, ReviewAction.REJECT)
                await rig.settled(record.order_id, at={OrderProgress.CANCELLED})
                await wait_until(lambda: posted(2), "the outcome is in Teams")
                await rig.idle()
                assert "Rejected by mei" in str(hook.cards[1])
                assert not hook.cards[1]["actions"]
                assert len(hook.cards) == 2
