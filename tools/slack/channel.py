"""Slack as a review channel: cards in the workspace of the review's tenant, each posted with a key it can be found by."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.errors import ConnectorRejected, ConnectorUnavailable
from domain.review_channel import Nudge, Posting
from tools.slack.card import METADATA_TYPE, card, nudge_message
from tools.slack.client import SlackClient
from tools.slack.workspace import SlackWorkspace

CLOCK_SLACK = timedelta(minutes=2)
"""Slack's clock and ours may differ by this much; a look-up starts that much earlier."""
PAGE = 200
MAX_PAGES = 50
GROUP_FRESH = timedelta(seconds=60)
_SAFE: Mapping[str, Any] = {
    "parse": "none", "link_names": False, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False
}  # fmt: skip
"""What keeps the fallback text from being read as markup."""
_GONE = ("message_not_found", "channel_not_found", "is_archived", "cant_update_message")


class SlackChannel:
    """Implements ``domain.review_channel.ReviewChannel``. Close it with ``close``."""

    name = "slack"
    updates = True

    def __init__(self, workspaces: Iterable[SlackWorkspace], *, console_url: str = "") -> None:
        """``console_url`` is where people open reviews; empty for no open button.

        Raises:
            ConfigError: an API address may not be used.
        """
        self._workspaces = {each.tenant: each for each in workspaces}
        self._clients = {
            tenant: SlackClient(each.api_url, each.bot_token.get_secret_value())
            for tenant, each in self._workspaces.items()
        }
        self._console_url = console_url
        self._groups: dict[str, tuple[datetime, frozenset[str]]] = {}

    async def close(self) -> None:
        """Let go of connections."""
        for client in self._clients.values():
            await client.close()

    @property
    def workspaces(self) -> tuple[SlackWorkspace, ...]:
        """Every workspace that is connected."""
        return tuple(self._workspaces.values())

    def client(self, tenant: str) -> SlackClient:
        """The Web API of a tenant's workspace."""
        return self._clients[tenant]  # type: ignore[index]

    def serves(self, tenant: str) -> bool:
        """Whether the tenant has a workspace."""
        return tenant in self._workspaces

    async def announce(self, posting: Posting) -> str:
        """Post the card; see the port."""
        return await self._post(
            posting, card(posting.review, posting.standing, console_url=self._console_url), thread=""
        )

    async def nudge(self, posting: Posting, nudge: Nudge) -> str:
        """Post a word in the card's thread; see the port."""
        return await self._post(posting, nudge_message(posting.review, nudge), thread=place(posting.receipt)[1])

    async def _post(self, posting: Posting, message: dict[str, Any], *, thread: str) -> str:
        channel = self._channel(posting)
        body = {"channel": channel, **message, **_SAFE, "metadata": _metadata(posting)}
        if thread:
            body |= {"thread_ts": thread, "channel": place(posting.receipt)[0], "mrkdwn": True}
        done = await self.client(posting.review.tenant).call("chat.postMessage", body, key=posting.key)
        return f"{done.get('channel', channel)}/{done['ts']}"

    async def lookup(self, posting: Posting, *, since: datetime) -> str | None:
        """The message with the posting's key, among those since then; see the port."""
        client, (channel, thread) = self.client(posting.review.tenant), place(posting.receipt)
        params = {
            "channel": channel or self._channel(posting),
            "oldest": f"{(since - CLOCK_SLACK).timestamp():.6f}",
            "limit": str(PAGE),
            "include_all_metadata": "true",
        }
        method = "conversations.replies" if thread else "conversations.history"
        params |= {"ts": thread} if thread else {}
        for _ in range(MAX_PAGES):
            page = await client.ask(method, params)
            for message in page.get("messages", ()):
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                if payload.get("key") == posting.key:
                    return f"{params['channel']}/{message['ts']}"
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
            params["cursor"] = cursor
        raise ConnectorUnavailable("the channel is too busy to tell whether a card is there; it is looked for again")

    async def show(self, posting: Posting) -> None:
        """Update the card; one that people have deleted stays deleted. See the port."""
        channel, ts = place(posting.receipt)
        message = card(posting.review, posting.standing, console_url=self._console_url)
        body = {"channel": channel, "ts": ts, **message, "parse": "none", "link_names": False}
        try:
            await self.client(posting.review.tenant).call("chat.update", body, key=posting.key)
        except ConnectorRejected as refused:
            if not str(refused).endswith(_GONE):
                raise

    async def in_reviewer_group(self, workspace: SlackWorkspace, user: str, *, now: datetime | None = None) -> bool:
        """Whether the user belongs to the workspace's reviewer group; True when it names none.

        Raises:
            ConnectorUnavailable, ConnectorRejected: Slack does not tell.
        """
        if not workspace.reviewer_group:
            return True
        at = now or datetime.now(UTC)
        known = self._groups.get(workspace.tenant)
        if known is None or at - known[0] > GROUP_FRESH:
            found = await self.client(workspace.tenant).ask(
                "usergroups.users.list", {"usergroup": workspace.reviewer_group}
            )
            known = at, frozenset(str(each) for each in found.get("users", ()))
            self._groups[workspace.tenant] = known
        return user in known[1]

    def _channel(self, posting: Posting) -> str:
        review = posting.review
        return self._workspaces[review.tenant].channel_of(review.queue)


def place(receipt: str) -> tuple[str, str]:
    """Channel and time stamp of a receipt; empty texts of an empty one."""
    channel, _, ts = receipt.partition("/")
    return channel, ts


def _metadata(posting: Posting) -> dict[str, Any]:
    payload = {"key": posting.key, "review": posting.review.review_id}
    return {"event_type": METADATA_TYPE, "event_payload": payload}
