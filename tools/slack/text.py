"""Text for Slack that is only ever text: it cannot mention, link, format, break lines or outgrow its place."""

from slack_sdk.models.blocks import MarkdownTextObject, PlainTextObject

from tools.review_summary import clean

SECTION_CHARS = 3000
HEADER_CHARS = 150
FIELD_CHARS = 2000
BUTTON_CHARS = 75


def escaped(text: str, limit: int) -> str:
    """``text`` with Slack's three control characters escaped, cut to ``limit`` without cutting an escape in half."""
    parts: list[str] = []
    length = 0
    for sign in text:
        part = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(sign, sign)
        if length + len(part) > limit - 1:
            return "".join(parts) + "…"
        parts.append(part)
        length += len(part)
    return "".join(parts)


def inert(text: str, limit: int) -> str:
    """Any text from outside, as one safe line of at most ``limit`` characters."""
    return escaped(clean(text, limit), limit)


def plain(text: str, limit: int = SECTION_CHARS) -> PlainTextObject:
    """A text object that Slack shows as it is: no mentions, no markup, no emoji codes."""
    return PlainTextObject(text=inert(text, limit) or "-", emoji=False)


def listed(lines: tuple[str, ...], limit: int = SECTION_CHARS) -> PlainTextObject:
    """Several lines in one such object; the line breaks are ours."""
    each = max(40, limit // max(1, len(lines)) - 4)
    return PlainTextObject(text="\n".join(f"• {inert(line, each)}" for line in lines)[:limit] or "-", emoji=False)


def label(words: str) -> MarkdownTextObject:
    """Words of our own in bold. Never give it text from outside."""
    return MarkdownTextObject(text=f"*{words}*")
