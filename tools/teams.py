"""Microsoft Teams as a review channel: adaptive cards through an incoming webhook.

A webhook only takes messages in: it sends no signed clicks back, changes no card and cannot be asked what it holds. So the
card's button opens the console, the outcome is a card of its own, and a message that may have been posted is not repeated.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from domain.errors import Ambiguous, ConfigError, ConnectorRejected, ConnectorUnavailable
from domain.review import ReviewState
from domain.review_channel import Nudge, NudgeKind, Posting
from tools.connectors.http import HttpClient
from tools.review_summary import Summary, clean, instant, summary_of

TIMEOUT_S = 4.0
TEXT_CHARS = 1000
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~<>&-])")
"""Adaptive Cards read a part of Markdown in text blocks; a backslash before a sign makes it a sign."""
UNCONFIRMED = "unconfirmed"


class TeamsChannel:
    """Implements ``domain.review_channel.ReviewChannel``. Close it with ``close``."""

    name = "teams"
    updates = False

    def __init__(self, webhooks: Mapping[str, str], *, console_url: str = "") -> None:
        """``webhooks`` are incoming webhook addresses by tenant; ``console_url`` is where people answer.

        Raises:
            ConfigError: an address may not be used.
        """
        self._targets = {tenant: _target(url) for tenant, url in webhooks.items()}
        self._console_url = console_url

    async def close(self) -> None:
        """Let go of connections."""
        for client, _ in self._targets.values():
            await client.close()

    def serves(self, tenant: str) -> bool:
        """Whether the tenant has a webhook."""
        return tenant in self._targets

    async def announce(self, posting: Posting) -> str:
        """Post the card; see the port."""
        return await self._post(posting, _body(summary_of(posting.review), posting.standing), self._open(posting))

    async def nudge(self, posting: Posting, nudge: Nudge) -> str:
        """Post a word to a person as a card of its own; see the port."""
        words = {NudgeKind.REMINDER: "still waits for an answer", NudgeKind.ESCALATION: "has been passed on"}[
            nudge.kind
        ]
        to = f" to {nudge.name}" if nudge.kind is NudgeKind.ESCALATION and nudge.name else ""
        title = summary_of(posting.review).title.partition(":")[0]
        line = f"{title} {words}{to} (until {instant(posting.review.deadline)})."
        return await self._post(posting, [_text(line)], self._open(posting))

    async def lookup(self, posting: Posting, *, since: datetime) -> str | None:
        """A webhook cannot be asked; what may have been posted counts as posted. See the port."""
        return UNCONFIRMED

    async def show(self, posting: Posting) -> None:
        """A posted card cannot be changed through a webhook."""

    def _open(self, posting: Posting) -> list[dict[str, Any]]:
        if not self._console_url or posting.review.state is not ReviewState.OPEN:
            return []
        url = f"{self._console_url}/console/reviews/{posting.review.review_id}"
        return [{"type": "Action.OpenUrl", "title": "Open in the console", "url": url}]

    async def _post(self, posting: Posting, body: list[dict[str, Any]], actions: list[dict[str, Any]]) -> str:
        client, path = self._targets[posting.review.tenant]
        content = {"$schema": SCHEMA, "type": "AdaptiveCard", "version": "1.4", "body": body, "actions": actions}
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
        document = orjson.dumps({"type": "message", "attachments": [attachment]})
        answer = await client.send(path, document, key=posting.key)
        if answer.status in {408, 425, 429, 503}:
            raise ConnectorUnavailable(f"Teams answered {answer.status}", retry_after_s=answer.retry_after_s)
        if answer.status >= 500:
            raise Ambiguous(f"Teams answered {answer.status}")
        if answer.status >= 300:
            raise ConnectorRejected(f"Teams answered {answer.status}; check SIGNALBOX_TEAMS_WEBHOOK")
        return posting.key


def _target(url: str) -> tuple[HttpClient, str]:
    parts = urlsplit(url)
    if not parts.path.strip("/"):
        raise ConfigError("a Teams webhook address has a path; copy the whole address")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return HttpClient(f"{parts.scheme}://{parts.netloc}", "", timeout_s=TIMEOUT_S), path


def _body(told: Summary, standing: tuple[str, ...]) -> list[dict[str, Any]]:
    until = [("Answer by", instant(told.deadline))] if not told.outcome else []
    body = [
        _text(told.title, size="Large", weight="Bolder"),
        _text(told.subtitle, isSubtle=True),
        *(
            [_text("Blind sample: what the machine thinks is shown after the answer.", isSubtle=True)]
            if told.blind
            else []
        ),
        _facts((*told.opinion, *told.facts, *until)),
    ]
    desk = () if told.outcome else standing
    lists = (
        ("On the desk", desk),
        ("Items", told.items),
        ("What the agents say", told.agents),
        ("Why a person is asked", told.reasons),
    )
    for title, lines in lists:
        if lines:
            body += [_text(title, weight="Bolder"), *(_text(line, spacing="None") for line in lines)]
    if told.outcome:
        body += [_text(told.outcome, weight="Bolder")]
    if told.outcome_reason:
        body += [_text(f"“{told.outcome_reason}”")]
    return body


def _facts(pairs: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {"type": "FactSet", "facts": [{"title": name, "value": _inert(value)} for name, value in pairs]}


def _text(words: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _inert(words) or "-", "wrap": True, **style}


def _inert(text: str) -> str:
    """Text in which no sign is read as markup. Addresses are broken up, because Teams makes links of bare ones."""
    return _MARKUP.sub(r"\\\1", clean(text, TEXT_CHARS).replace("://", ": //"))
