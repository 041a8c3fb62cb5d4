"""Calls to Slack's Web API, and what each kind of answer means for the caller.

A call is sent once. 429 is waited out for the whole workspace; an answer that leaves open whether something happened is
``Ambiguous``, never repeated blindly.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from domain.errors import Ambiguous, ConnectorRejected, ConnectorUnavailable
from tools.connectors.http import Answer, HttpClient

TIMEOUT_S = 4.0
HOOK_HOSTS = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
"""Where Slack's response URLs point; they come with a request, so nothing else is called on their word."""
_BUSY = frozenset({"ratelimited", "rate_limited", "service_unavailable", "team_added_to_org", "accesslimited"})
_UNCLEAR = frozenset({"internal_error", "fatal_error", "request_timeout"})
"""Slack: some aspect of the operation may have succeeded before the error was raised."""
DEFAULT_WAIT_S = 30.0


class SlackClient:
    """One workspace's Web API. Close it with ``close``."""

    def __init__(self, base_url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """``base_url`` ends with ``/api`` at Slack itself.

        Raises:
            ConfigError: the address may not be used.
        """
        self._client = HttpClient(base_url, token, timeout_s=timeout_s)
        self._origin = urlsplit(self._client.base_url)[:2]
        self._quiet_until = 0.0
        self._hooks: dict[tuple[str, str], HttpClient] = {}

    async def close(self) -> None:
        """Let go of connections."""
        for client in (self._client, *self._hooks.values()):
            await client.close()

    async def call(self, method: str, document: Mapping[str, Any], *, key: str) -> dict[str, Any]:
        """Call a method that changes something.

        Raises:
            ConnectorUnavailable: nothing was done; ``retry_after_s`` says when to come back, where Slack says so.
            Ambiguous: it may have been done.
            ConnectorRejected: refused until an operator changes something.
        """
        self._refuse_while_quiet(method)
        answer = await self._client.send(f"/{method}", orjson.dumps(document), key=key)
        self._heed(answer, method)
        return understood(answer, method)

    async def ask(self, method: str, params: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
        """Call a method that only reads.

        Raises:
            ConnectorUnavailable: no usable answer in time.
            ConnectorRejected: refused until an operator changes something.
        """
        self._refuse_while_quiet(method)

        def parse(answer: Answer) -> dict[str, Any]:
            self._heed(answer, method)
            try:
                return understood(answer, method)
            except Ambiguous as unclear:
                raise ConnectorUnavailable(str(unclear)) from unclear

        return await self._client.read(f"/{method}", params, parse)

    async def respond(self, response_url: str, document: Mapping[str, Any]) -> None:
        """Send a message back through the URL a click came with.

        Raises:
            ConnectorRejected: the URL is not Slack's.
            ConnectorUnavailable, Ambiguous: it may not have arrived.
        """
        parts = urlsplit(response_url)
        own = parts[:2] == self._origin
        if not own and not (parts.scheme == "https" and parts.netloc in HOOK_HOSTS):
            raise ConnectorRejected("a response URL must be one of Slack's; this one was not called")
        hook = self._hooks.setdefault(
            (parts.scheme, parts.netloc), HttpClient(f"{parts.scheme}://{parts.netloc}", "", timeout_s=TIMEOUT_S)
        )
        answer = await hook.send(parts.path, orjson.dumps(document), key="response")
        if answer.status >= 300:
            raise ConnectorUnavailable(f"a response URL was answered {answer.status}")

    def _refuse_while_quiet(self, method: str) -> None:
        left = self._quiet_until - asyncio.get_running_loop().time()
        if left > 0:
            raise ConnectorUnavailable(f"Slack asked to wait; {method} was not sent", retry_after_s=left)

    def _heed(self, answer: Answer, method: str) -> None:
        """On 429 nothing is sent to this workspace for as long as Slack says."""
        if answer.status == 429:
            wait_s = answer.retry_after_s if answer.retry_after_s is not None else DEFAULT_WAIT_S
            self._quiet_until = asyncio.get_running_loop().time() + wait_s
            raise ConnectorUnavailable(f"Slack takes no more calls now ({method})", retry_after_s=wait_s)


def understood(answer: Answer, method: str) -> dict[str, Any]:
    """The document of a successful call.

    Raises:
        ConnectorUnavailable, Ambiguous, ConnectorRejected: see ``SlackClient.call``.
    """
    if answer.status >= 500:
        raise Ambiguous(f"Slack answered {method} with {answer.status}", retry_after_s=answer.retry_after_s)
    if answer.status >= 300:
        raise ConnectorRejected(f"Slack answered {method} with {answer.status}; check SIGNALBOX_SLACK_API_URL")
    try:
        document = answer.document()
    except ValueError:
        raise Ambiguous(f"Slack answered {method} with something that is not JSON") from None
    if isinstance(document, dict) and document.get("ok") is True:
        return document
    error = str(document.get("error", ""))[:80] if isinstance(document, dict) else ""
    if error in _BUSY:
        raise ConnectorUnavailable(f"Slack cannot do {method} now: {error}", retry_after_s=answer.retry_after_s)
    if error in _UNCLEAR or not error:
        raise Ambiguous(f"Slack left {method} open: {error or 'no reason given'}")
    raise ConnectorRejected(f"Slack refuses {method}: {error}")
