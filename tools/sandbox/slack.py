"""A stand-in Slack workspace: its channels, people, modals and faults, and a ledger of every call it got.

It checks what the real one checks (token, channel, Block Kit limits, trigger ids) and forgets everything when it ends.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlencode

import orjson
from pydantic import Field

from domain.values import Document
from tools.sandbox.faults import FaultMode
from tools.sandbox.slack_blocks import mentions, problems

TRIGGER_S = 3.0
"""Slack: a trigger id expires three seconds after the click."""
APP = "A0SIGNALBOX"


class SlackFault(Document):
    """One scripted fault of the stand-in."""

    method: str = "*"
    """A method (``chat.postMessage``), ``response_url`` or ``*``."""
    mode: FaultMode | None = None
    """What happens on the wire; None for an answer that says ``"ok": false``."""
    error: str = ""
    """The error code of such an answer."""
    seconds: float = 30.0
    retry_after_s: int | None = Field(default=None, ge=0)
    times: int | None = Field(default=None, ge=1)
    """How many calls it hits; None until cleared."""


@dataclass
class SlackMessage:
    """One message in a channel."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any]
    thread_ts: str = ""
    only_for: str = ""
    """The one person who sees it; empty for everybody."""
    edits: int = 0
    mentioned: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The message as the Web API gives it."""
        kept: dict[str, Any] = {
            "type": "message",
            "ts": self.ts,
            "text": self.text,
            "blocks": self.blocks,
            "app_id": APP,
        }
        kept |= {"metadata": self.metadata} if self.metadata else {}
        return kept | ({"thread_ts": self.thread_ts} if self.thread_ts else {})


@dataclass
class SlackView:
    """A modal somebody has before them."""

    view_id: str
    user: str
    view: dict[str, Any]


@dataclass
class SlackStandIn:
    """The workspace. Everything a test or a demo may set is a field."""

    token: str
    signing_secret: str
    interactions_url: str = ""
    """Where clicks are sent."""
    team: str = "T0SIGNALBOX"
    users: dict[str, str] = field(default_factory=lambda: {"U0MEI": "mei", "U0RAJ": "raj", "U0STRANGER": "stranger"})
    """Names by user id."""
    channels: set[str] = field(default_factory=lambda: {"C0REVIEWS"})
    groups: dict[str, list[str]] = field(default_factory=dict)
    """Members by user group id."""
    base_url: str = ""
    """Where it is served; response URLs point there."""
    messages: list[SlackMessage] = field(default_factory=list)
    views: dict[str, SlackView] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every call that arrived, faulty or not: method and arguments."""
    faults: list[SlackFault] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    _serial: "count[int]" = field(default_factory=lambda: count(1))
    _triggers: dict[str, float] = field(default_factory=dict)
    _hooks: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def fault_for(self, method: str) -> SlackFault | None:
        """The first armed fault of a method, counted down."""
        for at, fault in enumerate(self.faults):
            if fault.method in {"*", method}:
                if fault.times is not None:
                    left = fault.times - 1
                    self.faults[at : at + 1] = [fault.model_copy(update={"times": left})] if left else []
                return fault
        return None

    def posted(self, *, channel: str = "", only_for: str = "") -> list[SlackMessage]:
        """Top-level messages, oldest first; those only one person sees when that person is named."""
        return [
            m for m in self.messages
            if m.only_for == only_for and not m.thread_ts and channel in {"", m.channel}
        ]  # fmt: skip

    def answer(self, method: str, args: dict[str, Any], token: str) -> dict[str, Any]:
        """Do one call of the Web API."""
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return _refused("invalid_auth" if token else "not_authed")
        match method:
            case "auth.test":
                return {"ok": True, "team_id": self.team, "user_id": "U0SIGNALBOX", "bot_id": "B0SIGNALBOX"}
            case "chat.postMessage":
                return self._post(args)
            case "chat.update":
                return self._update(args)
            case "conversations.history" | "conversations.replies":
                return self._history(args)
            case "views.open":
                return self._open(args)
            case "usergroups.users.list":
                members = self.groups.get(str(args.get("usergroup")))
                return _refused("no_such_subteam") if members is None else {"ok": True, "users": members}
            case _:
                return _refused("unknown_method")

    def _post(self, args: dict[str, Any]) -> dict[str, Any]:
        if args.get("channel") not in self.channels:
            return _refused("channel_not_found")
        wrong = problems(args.get("blocks", []))
        if wrong:
            return _refused("invalid_blocks", response_metadata={"messages": wrong})
        if not args.get("text") and not args.get("blocks"):
            return _refused("no_text")
        message = self._keep(args)
        return {"ok": True, "channel": message.channel, "ts": message.ts, "message": message.document()}

    def _keep(self, args: dict[str, Any], *, only_for: str = "") -> SlackMessage:
        message = SlackMessage(
            channel=str(args["channel"]),
            ts=f"{self.clock():.0f}.{next(self._serial):06d}",
            text=str(args.get("text", "")),
            blocks=list(args.get("blocks", [])),
            metadata=dict(args.get("metadata") or {}),
            thread_ts=str(args.get("thread_ts", "")),
            only_for=only_for,
            mentioned=mentions(args),
        )
        self.messages.append(message)
        return message

    def message(self, channel: str, ts: str) -> SlackMessage | None:
        """The message at a place."""
        return next((m for m in self.messages if (m.channel, m.ts) == (channel, ts)), None)

    def _update(self, args: dict[str, Any]) -> dict[str, Any]:
        found = self.message(str(args.get("channel")), str(args.get("ts")))
        if found is None:
            return _refused("message_not_found")
        wrong = problems(args.get("blocks", []))
        if wrong:
            return _refused("invalid_blocks", response_metadata={"messages": wrong})
        found.text, found.blocks, found.edits = str(args.get("text", "")), list(args.get("blocks", [])), found.edits + 1
        return {"ok": True, "channel": found.channel, "ts": found.ts}

    def _history(self, args: dict[str, Any]) -> dict[str, Any]:
        thread, oldest = str(args.get("ts", "")), float(args.get("oldest", 0))
        found = [
            m for m in self.messages
            if m.channel == args.get("channel") and not m.only_for and float(m.ts) >= int(oldest)
            and (thread in {m.thread_ts, m.ts} if thread else not m.thread_ts)
        ]  # fmt: skip
        newest_first = [m.document() for m in reversed(found)]
        start, size = int(args.get("cursor") or 0), int(args.get("limit", 100))
        page = newest_first[start : start + size]
        more = str(start + size) if start + size < len(newest_first) else ""
        return {"ok": True, "messages": page, "has_more": bool(more), "response_metadata": {"next_cursor": more}}

    def _open(self, args: dict[str, Any]) -> dict[str, Any]:
        made = self._triggers.pop(str(args.get("trigger_id")), None)
        if made is None:
            return _refused("invalid_trigger_id")
        if self.clock() - made > TRIGGER_S:
            return _refused("expired_trigger_id")
        view = args.get("view")
        wrong = problems(view.get("blocks"), "modal") if isinstance(view, dict) else ["no view"]
        if wrong or not isinstance(view, dict):
            return _refused("invalid_arguments", response_metadata={"messages": wrong})
        opened = SlackView(f"V{next(self._serial):08d}", str(args["trigger_id"]).partition(".")[0], view)
        self.views[opened.view_id] = opened
        return {"ok": True, "view": {"id": opened.view_id}}

    def respond(self, hook: str, args: dict[str, Any]) -> bool:
        """Take a message through a response URL; False when there is no such URL."""
        place = self._hooks.get(hook)
        if place is None:
            return False
        channel, _, user = place
        only_for = "" if args.get("response_type") == "in_channel" else user
        self._keep({**args, "channel": channel}, only_for=only_for)
        return True

    def click(self, channel: str, ts: str, action_id: str, *, user: str) -> dict[str, Any]:
        """The payload of a click on a message's button."""
        message = self.message(channel, ts)
        if message is None:
            raise LookupError(f"there is no message {channel}/{ts}")
        button = next(
            e for b in message.blocks if b["type"] == "actions" for e in b["elements"] if e["action_id"] == action_id
        )
        trigger, hook = f"{user}.{secrets.token_hex(8)}", secrets.token_hex(12)
        self._triggers[trigger], self._hooks[hook] = self.clock(), (channel, ts, user)
        action = {"type": "button", "action_id": action_id, "block_id": "answer", "value": button.get("value", "")}
        return {
            "type": "block_actions",
            "user": self.user(user),
            "api_app_id": APP,
            "team": {"id": self.team, "domain": "stand-in"},
            "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": False},
            "channel": {"id": channel, "name": "reviews"},
            "message": message.document(),
            "trigger_id": trigger,
            "response_url": f"{self.base_url}/hooks/{hook}",
            "actions": [action | {"action_ts": f"{self.clock():.6f}"}],
        }

    def user(self, user: str) -> dict[str, str]:
        """A person as payloads name them."""
        return {"id": user, "username": self.users.get(user, user), "team_id": self.team}

    def submission(self, view_id: str, values: dict[str, Any], *, user: str) -> dict[str, Any]:
        """The payload of a modal that is submitted: ``values`` by block id and action id, as Slack nests them."""
        opened = self.views[view_id]
        view = {**opened.view, "id": view_id, "team_id": self.team, "state": {"values": values}}
        return {
            "type": "view_submission", "team": {"id": self.team}, "user": self.user(user), "api_app_id": APP,
            "trigger_id": f"{user}.{secrets.token_hex(8)}", "view": view,
        }  # fmt: skip

    def signed(
        self, payload: dict[str, Any], *, at: float | None = None, secret: str = ""
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the request that carries a payload."""
        raw = urlencode({"payload": orjson.dumps(payload).decode()}).encode()
        stamp = str(int(self.clock() if at is None else at))
        mac = hmac.new((secret or self.signing_secret).encode(), f"v0:{stamp}:".encode() + raw, hashlib.sha256)
        return raw, {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={mac.hexdigest()}",
        }


def _refused(error: str, **more: Any) -> dict[str, Any]:
    return {"ok": False, "error": error, **more}
