"""The stand-in Slack's page: its channel, threads and modals as one person sees them. Everything shown is escaped."""

import re
from html import escape, unescape
from typing import Any

from tools.sandbox.slack import SlackMessage, SlackStandIn, SlackView

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:0;background:#f4f1f4;color:#1d1c1d}
header{background:#3f0e40;color:#fff;padding:10px 20px}header a{color:#fff;margin-left:12px}
main{max-width:760px;margin:20px auto}article,dialog{background:#fff;border:1px solid #ddd;border-radius:8px;
padding:14px 20px;margin:0 0 16px;overflow-wrap:anywhere}h2{font-size:18px;margin:4px 0}p{margin:6px 0;white-space:pre-line}
.context{color:#616061;font-size:13px}.fields{display:grid;grid-template-columns:200px 1fr;gap:2px 12px}
.only{border-left:4px solid #e8912d}.thread{margin-left:40px}button{font:inherit;border:1px solid #bbb;border-radius:5px;
padding:6px 14px;background:#fff;cursor:pointer}.primary{background:#007a5a;color:#fff}.danger{background:#e01e5a;color:#fff}
form{display:inline-block;margin:4px 8px 4px 0}dialog form{display:block}label{display:block;margin:10px 0 2px;font-weight:600}
input,textarea{font:inherit;width:100%;box-sizing:border-box;padding:6px}input[type=radio]{width:auto}.error{color:#e01e5a}
"""
_DATE = re.compile(r"<!date\^\d+\^[^|>]*\|([^>]*)>")
_MENTION = re.compile(r"<(?:@|!)([^>|]*)(?:\|[^>]*)?>")
_BOLD = re.compile(r"\*([^*\n]+)\*")


def page(world: SlackStandIn, user: str) -> str:
    """The page."""
    others = "".join(f'<a href="/?user={escape(u)}">{escape(name)}</a>' for u, name in world.users.items())
    seen = [m for m in world.messages if m.only_for in {"", user} and not m.thread_ts]
    body = "".join(_with_thread(world, m, user) for m in seen) or "<p>Nothing has been posted yet.</p>"
    modals = "".join(_modal(v, user) for v in world.views.values() if v.user == user)
    name = escape(world.users.get(user, user))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Stand-in Slack</title><style>{_STYLE}</style>'
        f"</head><body><header>Stand-in Slack, seen by <b>{name}</b> {others}</header><main>{modals}{body}</main></body></html>"
    )


def _with_thread(world: SlackStandIn, message: SlackMessage, user: str) -> str:
    replies = "".join(_message(m, user, "thread") for m in world.messages if m.thread_ts == message.ts)
    return _message(message, user, "only" if message.only_for else "") + replies


def _message(message: SlackMessage, user: str, kind: str) -> str:
    blocks = "".join(_block(block, message, user) for block in message.blocks) or f"<p>{_shown(message.text)}</p>"
    note = '<p class="context">Only visible to you</p>' if message.only_for else ""
    return f'<article class="{kind}">{note}{blocks}</article>'


def _block(block: dict[str, Any], message: SlackMessage, user: str) -> str:
    match block["type"]:
        case "header":
            return f"<h2>{_text(block['text'])}</h2>"
        case "section" if block.get("fields"):
            return '<div class="fields">' + "".join(f"<div>{_text(f)}</div>" for f in block["fields"]) + "</div>"
        case "section":
            return f"<p>{_text(block['text'])}</p>"
        case "context":
            return '<p class="context">' + " &nbsp; ".join(_text(e) for e in block["elements"]) + "</p>"
        case "actions":
            return "".join(_button(e, message, user) for e in block["elements"])
        case _:
            return ""


def _button(element: dict[str, Any], message: SlackMessage, user: str) -> str:
    words, style = _text(element["text"]), escape(element.get("style", ""))
    if "url" in element:
        return f'<form action="{escape(element["url"])}"><button>{words}</button></form>'
    hidden = {"channel": message.channel, "ts": message.ts, "action": element["action_id"], "user": user}
    return f'<form method="post">{_hidden(hidden)}<button class="{style}">{words}</button></form>'


def _hidden(values: dict[str, str]) -> str:
    return "".join(f'<input type="hidden" name="{k}" value="{escape(v)}">' for k, v in values.items())


def _modal(opened: SlackView, user: str) -> str:
    view, errors = opened.view, opened.view.get("errors", {})
    rows = "".join(_input(block, errors) for block in view.get("blocks", []))
    submit = f"<p><button class=primary>{_text(view['submit'])}</button></p>" if view.get("submit") else ""
    hidden = _hidden({"view": opened.view_id, "user": user})
    return f'<dialog open style="position:static"><h2>{_text(view["title"])}</h2><form method="post">{hidden}{rows}{submit}</form></dialog>'


def _input(block: dict[str, Any], errors: dict[str, str]) -> str:
    if block["type"] != "input":
        return f"<p>{_text(block['text'])}</p>" if "text" in block else ""
    element, name = block["element"], escape(block["block_id"])
    wrong = f'<p class="error">{escape(errors[block["block_id"]])}</p>' if block["block_id"] in errors else ""
    if element["type"] == "radio_buttons":
        chosen = (element.get("initial_option") or {}).get("value")
        options = "".join(
            f'<label><input type="radio" name="{name}" value="{escape(o["value"])}"{" checked" * (o["value"] == chosen)}> '
            f"{_text(o['text'])}</label>"
            for o in element["options"]
        )
        return f"<label>{_text(block['label'])}</label>{options}{wrong}"
    given = escape(str(element.get("initial_value", "")))
    field = (
        f'<textarea name="{name}">{given}</textarea>'
        if element.get("multiline")
        else f'<input name="{name}" value="{given}">'
    )
    return f"<label>{_text(block['label'])}</label>{field}{wrong}"


def _text(text: dict[str, Any]) -> str:
    return escape(unescape(text["text"])) if text["type"] == "plain_text" else _shown(text["text"])


def _shown(marked_up: str) -> str:
    """Markup as Slack reads it: dates, mentions and bold; nothing else is needed here."""
    named = _MENTION.sub(r"@\1", _DATE.sub(r"\1", marked_up))
    return _BOLD.sub(r"<b>\1</b>", escape(unescape(named)))
