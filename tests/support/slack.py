"""A stand-in Slack on a port, and a whole Signalbox connected to it: API and worker in this process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from api.serving import application, listen, served, url_of
from api.tenants import Person, Role, Tenant, Tenants
from domain.review import Review
from graph.bootstrap.system import Staff
from graph.runtime.review_posting import Pace
from tests.support.system import TENANT, Rig, fast_settings, opened, working
from tests.support.waiting import wait_until
from tools.sandbox.slack import SlackMessage, SlackStandIn
from tools.sandbox.slack_http import create_slack, press

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
OLD_SECRET = "1c3f2be07a55d2e84b6f0a91c7d2e3b8"
TOKEN = "xoxb-stand-in"
CHANNEL = "C0REVIEWS"
MEI, RAJ, BOSS, STRANGER = "U0MEI", "U0RAJ", "U0BOSS", "U0STRANGER"
QUICK = Pace(poll_s=0.03, first_s=0.1, most_s=0.4, unclear_s=0.3, refused_s=0.3)


def tenants(*others: Tenant) -> Tenants:
    """One tenant with two reviewers who have Slack ids, and more when wanted."""
    people = (
        Person(id="mei", roles=frozenset({Role.OPS}), slack_user=MEI),
        Person(id="raj", roles=frozenset({Role.OPS}), slack_user=RAJ),
        Person(id="boss", roles=frozenset({Role.MANAGER}), slack_user=BOSS),
        Person(id="sam", roles=frozenset({Role.SUPPORT}), slack_user="U0SAM"),
    )
    ours = Tenant(tenant=TENANT, settlement_currency="USD", locale="en", timezone="Asia/Hong_Kong", people=people)
    return Tenants((ours, *others))


@asynccontextmanager
async def slack_served(**given: Any) -> AsyncIterator[SlackStandIn]:
    """The stand-in on a free port."""
    world = SlackStandIn(token=TOKEN, signing_secret=SECRET, **given)
    with listen("127.0.0.1", 0) as listener:
        world.base_url = url_of(listener)
        async with served(create_slack(world), listener):
            yield world


def slack_settings(world: SlackStandIn, **more: object) -> dict[str, object]:
    """The settings that connect a system to the stand-in."""
    return {
        "slack_bot_token": TOKEN,
        "slack_signing_secret": SECRET,
        "slack_team": world.team,
        "slack_channel": CHANNEL,
        "slack_api_url": f"{world.base_url}/api",
        "public_url": "https://signalbox.example",
        **more,
    }


@dataclass
class SlackRig(Rig):
    """A system with Slack, and what a test asks of both."""

    slack: SlackStandIn = None  # type: ignore[assignment]
    url: str = ""

    async def card_of(self, review_id: str) -> SlackMessage:
        """Wait for the one card of a review."""

        async def look() -> SlackMessage | None:
            found = self.cards(review_id)
            return found[0] if found else None

        return await wait_until(look, f"a card for {review_id}")

    def cards(self, review_id: str) -> list[SlackMessage]:
        """Every card of a review."""
        return [m for m in self.slack.posted(channel=CHANNEL) if _about(m) == review_id]

    async def shows(self, review_id: str, words: str) -> SlackMessage:
        """Wait until the card says something."""

        async def look() -> SlackMessage | None:
            found = self.cards(review_id)
            return found[0] if found and words in str(found[0].blocks) else None

        return await wait_until(look, f"the card of {review_id} says {words!r}")

    async def click(
        self,
        review_id: str,
        action: str,
        *,
        by: str = MEI,
        value: str | None = None,
        changes: dict[str, Any] | None = None,
    ) -> httpx2.Response:
        """Press a button of the review's card; ``value`` and ``changes`` forge parts of the payload."""
        card = await self.card_of(review_id)
        payload = self.slack.click(CHANNEL, card.ts, action, user=by) | (changes or {})
        if value is not None:
            payload["actions"][0]["value"] = value
        return await press(self.slack, payload)

    async def told(self, user: str, words: str) -> SlackMessage:
        """Wait for a message only this person sees."""

        async def look() -> SlackMessage | None:
            return next((m for m in self.slack.posted(only_for=user) if words.lower() in m.text.lower()), None)

        return await wait_until(look, f"{user} is told {words!r}")

    async def review(self, review_id: str) -> Review:
        """The review as stored."""
        return await self.box.store.reviews.find(TENANT, review_id)

    async def send(self, raw: bytes, headers: Mapping[str, str | bytes]) -> httpx2.Response:
        """A request to the interactions route, as it is."""
        async with httpx2.AsyncClient(timeout=5.0) as client:
            return await client.post(self.slack.interactions_url, content=raw, headers=dict(headers))  # type: ignore[arg-type]


def _about(message: SlackMessage) -> str:
    payload = message.metadata.get("event_payload") or {}
    return str(payload.get("review", ""))


@asynccontextmanager
async def slack_rig(
    home: Path,
    world: SlackStandIn,
    *,
    known: Tenants | None = None,
    worker: bool = True,
    staff: Staff | None = None,
    **more: object,
) -> AsyncIterator[SlackRig]:
    """A system connected to the stand-in, its API on a port, with a worker when wanted."""
    settings = fast_settings(home, **slack_settings(world, **more))
    async with opened(settings, staff=staff) as rig:
        assert rig.box.review_channels.poster is not None
        rig.box.review_channels.poster.pace = QUICK
        with listen("127.0.0.1", 0) as listener:
            url = url_of(listener)
            world.interactions_url = f"{url}/slack/interactions"
            async with served(application(rig.box, known or tenants()), listener):
                made = SlackRig(box=rig.box, desk=rig.desk, slack=world, url=url)
                if worker:
                    async with working(made):
                        yield made
                else:
                    yield made
