"""A mail message from outside as data: who sent it, what it answers, its words and the documents that came with it."""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from hashlib import sha256
from html.parser import HTMLParser

from domain.errors import MalformedPayload, PayloadTooLarge

LONGEST_BYTES = 10_000_000
MOST_PARTS = 100
_ID = re.compile(r"<[^<>\s]{3,250}>")


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One message. Every text in it is the sender's."""

    message_id: str
    """Made from its bytes when it has none."""
    sender: str
    """Address of the From header; empty unless there is exactly one."""
    authenticated: bool | None
    """What our own mail server's check (DMARC) said; None when it said nothing."""
    subject: str
    text: str
    answers: tuple[str, ...]
    """Message-IDs it refers to, the nearest first."""
    xml: tuple[bytes, ...]
    """XML documents that came with it."""


def read_mail(raw: bytes, *, checked_by: str = "") -> Incoming:
    """A message as data; ``checked_by`` names the mail server whose Authentication-Results are believed.

    Raises:
        PayloadTooLarge: more bytes or parts than are read.
        MalformedPayload: the bytes are not a mail message.
    """
    if len(raw) > LONGEST_BYTES:
        raise PayloadTooLarge(f"the mail has {len(raw)} bytes; at most {LONGEST_BYTES} are read")
    try:
        mail = message_from_bytes(raw, policy=default)
        parts = [part for part in mail.walk() if not part.is_multipart()]
        if len(parts) > MOST_PARTS:
            raise PayloadTooLarge(f"the mail has {len(parts)} parts; at most {MOST_PARTS} are read")
        if not mail.keys():
            raise MalformedPayload("the bytes have no mail header")
        found = _incoming(mail, parts, raw, checked_by)
    except (ValueError, LookupError, TypeError, AttributeError) as bad:
        raise MalformedPayload(f"the mail cannot be read: {type(bad).__name__}") from None
    return found


def _incoming(mail: EmailMessage, parts: list[EmailMessage], raw: bytes, checked_by: str) -> Incoming:
    identity = _ID.search(str(mail.get("Message-ID", "")))
    references = _ID.findall(str(mail.get("In-Reply-To", ""))) + _ID.findall(str(mail.get("References", "")))[::-1]
    senders = mail.get_all("From", [])
    return Incoming(
        message_id=identity.group() if identity else f"<{sha256(raw).hexdigest()[:40]}@without-id.invalid>",
        sender=parseaddr(str(senders[0]))[1].casefold() if len(senders) == 1 else "",
        authenticated=_authenticated(mail, checked_by),
        subject=" ".join(str(mail.get("Subject", "")).split())[:500],
        text=_words(parts),
        answers=tuple(dict.fromkeys(references))[:20],
        xml=tuple(_bytes(p) for p in parts if p.get_content_type() in {"application/xml", "text/xml"} or _named_xml(p)),
    )


def _authenticated(mail: EmailMessage, checked_by: str) -> bool | None:
    """Only a header our own server put on top counts: anybody can write one below it."""
    if not checked_by:
        return None
    first = next(iter(mail.get_all("Authentication-Results", [])), None)
    if first is None or str(first).split(";")[0].split()[0:1] != [checked_by]:
        return None
    return re.search(r"\bdmarc=pass\b", str(first)) is not None


def _words(parts: list[EmailMessage]) -> str:
    shown = [part for part in parts if part.get_content_disposition() != "attachment"]
    plain = [_text(part) for part in shown if part.get_content_type() == "text/plain"]
    if any(text.strip() for text in plain):
        return "\n".join(plain)
    return "\n".join(_stripped(_text(part)) for part in shown if part.get_content_type() == "text/html")


def _text(part: EmailMessage) -> str:
    content = _bytes(part)
    charset = part.get_content_charset() or "utf-8"
    try:
        return content.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return content.decode("utf-8", errors="replace")


def _bytes(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _named_xml(part: EmailMessage) -> bool:
    return (part.get_filename() or "").casefold().endswith(".xml")


class _Words(HTMLParser):
    """The words of a page; breaks where blocks end, nothing of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style", "head", "title"}:
            self._hidden += 1
        elif tag in {"br", "p", "div", "tr", "li", "blockquote"}:
            self.words.append("\n> " if tag == "blockquote" else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style", "head", "title"} and self._hidden:
            self._hidden -= 1

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def _stripped(page: str) -> str:
    parser = _Words()
    parser.feed(page)
    parser.close()
    return "".join(parser.words)
