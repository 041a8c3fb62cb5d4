"""Purchase orders by real SMTP, and answers as real mail messages."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP as SmtpProtocol
from aiosmtpd.smtp import Envelope, Session
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.effect import Effect, EffectKind
from domain.errors import Ambiguous, ConnectorRejected, ConnectorUnavailable, MalformedPayload, PayloadTooLarge
from domain.ids import EffectKey, TenantId
from domain.intent import SendPurchaseOrder
from graph.runtime.database import open_database, upgrade
from graph.runtime.purchase_mail import PurchaseMail
from tools.mail.composing import Attachment, compose, one_address
from tools.mail.incoming import LONGEST_BYTES, read_mail
from tools.mail.smtp import Enclosed, MailServer, SmtpMail

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
ORDER = SendPurchaseOrder(
    number="PO-2026-000123", version=1, digest="d", vendor_id="V-1", recipient="sales@vendor.example",
    reply_to="po@harbour.example", locale="zh-Hant", subject="採購單 PO-2026-000123", body="陳經理 您好：\n\n敬請確認。\n",
)  # fmt: skip


class MailHost:
    """A mail server of a package, in this process, that can be told what to answer."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.say_rcpt = ""
        self.say_data = "250 taken"
        self.after_data: Callable[[Any], None] | None = None

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if self.say_rcpt:
            return self.say_rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        if self.say_data.startswith("2"):
            self.taken.append((envelope.mail_from or "", list(envelope.rcpt_tos), envelope.original_content or b""))
        if self.after_data is not None:
            self.after_data(server)
        return self.say_data


@pytest.fixture
async def host() -> AsyncIterator[tuple[MailHost, int]]:
    handler = MailHost()
    server = await asyncio.get_running_loop().create_server(
        lambda: SmtpProtocol(handler, hostname="mail.test"), "127.0.0.1", 0
    )
    yield handler, server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = open_database(f"sqlite+aiosqlite:///{tmp_path / 'mail.sqlite3'}")
    await upgrade(engine)
    yield engine
    await engine.dispose()


def mailer(engine: AsyncEngine, port: int, *, vendor: str = "sales@vendor.example") -> SmtpMail:
    async def recipient(tenant: str, vendor_id: str) -> str:
        return vendor

    async def enclosed(tenant: str, number: str, version: int) -> Enclosed:
        xml = Attachment(name=f"{number}.xml", content_type="application/xml", content=b"<Order/>")
        return Enclosed(html="<p>您好</p>", attachments=(xml,))

    server = MailServer(host="127.0.0.1", port=port, sender="po@harbour.example", tls=False, timeout_s=2)
    return SmtpMail(server, PurchaseMail(engine), lambda: NOW, recipient_of=recipient, enclosed=enclosed)


def effect(letter: SendPurchaseOrder = ORDER, key: str = "PO-2026-000123:send_purchase_order:1") -> Effect:
    return Effect(
        key=EffectKey(key), kind=EffectKind.SEND_PURCHASE_ORDER, tenant=TenantId("acme"), entity_id=letter.number,
        args=letter.model_dump(mode="json"), decision_id="d1",
    )  # fmt: skip


async def test_a_letter_goes_to_one_recipient_once(host: tuple[MailHost, int], engine: AsyncEngine) -> None:
    """P2, F35: sent, sent again under the same key and looked up: one mail, one receipt, all parts in it."""
    mailer_, (server, port) = mailer(engine, host[1]), host
    first = await mailer_.apply(effect())
    assert await mailer_.apply(effect()) == first
    assert await mailer(engine, port).lookup(effect()) == first
    [(sender, recipients, content)] = server.taken
    assert (sender, recipients) == ("po@harbour.example", ["sales@vendor.example"])
    mail = message_from_bytes(content, policy=default)
    assert mail["Subject"] == ORDER.subject
    assert mail["Message-ID"] == first.reference
    kinds = [part.get_content_type() for part in mail.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "application/xml"]
    assert await mailer_.lookup(effect(key="other")) is None


@pytest.mark.parametrize(
    ("rcpt", "data", "error"),
    [
        ("550 no such user", "250 x", ConnectorRejected),
        ("451 try later", "250 x", ConnectorUnavailable),
        ("", "554 refused", ConnectorRejected),
        ("", "452 full", ConnectorUnavailable),
    ],
)
async def test_what_the_server_refuses_was_not_sent(
    host: tuple[MailHost, int], engine: AsyncEngine, rcpt: str, data: str, error: type[Exception]
) -> None:
    """P2: a refusal in words leaves nothing behind; the next attempt is free to send."""
    server, port = host
    server.say_rcpt, server.say_data = rcpt, data
    with pytest.raises(error):
        await mailer(engine, port).apply(effect())
    assert await mailer(engine, port).lookup(effect()) is None
    server.say_rcpt, server.say_data = "", "250 taken"
    await mailer(engine, port).apply(effect())
    assert len(server.taken) == 1


async def test_a_lost_answer_is_never_answered_by_sending_again(
    host: tuple[MailHost, int], engine: AsyncEngine
) -> None:
    """P2, reliability/O02: taken and then cut off: nobody knows, so nobody sends it twice; a person is told where to look."""
    server, port = host
    server.after_data = lambda protocol: protocol.transport.abort()
    with pytest.raises(Ambiguous):
        await mailer(engine, port).apply(effect())
    server.after_data = None
    for again in (mailer(engine, port).apply, mailer(engine, port).lookup):
        with pytest.raises(Ambiguous, match="ask the supplier"):
            await again(effect())
    assert len(server.taken) == 1


async def test_a_server_that_is_away_was_not_reached(engine: AsyncEngine, unused_tcp_port: int) -> None:
    """reliability/O01: nothing listens: try again later, nothing noted."""
    with pytest.raises(ConnectorUnavailable):
        await mailer(engine, unused_tcp_port).apply(effect())
    assert await mailer(engine, unused_tcp_port).lookup(effect()) is None


@pytest.fixture
async def unused_tcp_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_the_address_is_the_vendor_masters_own(host: tuple[MailHost, int], engine: AsyncEngine) -> None:
    """reliability/S09: an address that is not the master's at the moment of sending is refused before anything leaves."""
    server, port = host
    with pytest.raises(ConnectorRejected, match="vendor master"):
        await mailer(engine, port, vendor="other@vendor.example").apply(effect())
    assert server.taken == []


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example,c@d.example", "a@b.example\r\nBcc: c@d.example", "a@b.example%0aBcc:c", "a@b.example\u2028c@d.example",
        "Tan <a@b.example>", "a@b", "a b@c.example", "", "a@bücher.example", "a@b.example;c@d.example", "@b.example",
        "a@exаmple.example",
    ],
)  # fmt: skip
def test_what_is_not_one_plain_address_is_refused(address: str) -> None:
    """reliability/S09: line breaks, several addresses, encoded breaks, look-alike letters."""
    with pytest.raises(ConnectorRejected):
        one_address(address, what="it")
    with pytest.raises(ConnectorRejected):
        compose(ORDER.model_copy(update={"recipient": address}), sender="po@harbour.example", identity="<a@b>", at=NOW)


@pytest.mark.parametrize("subject", ["a\r\nBcc: x@y.z", "a\nb", "a\u2028b", "a%0d%0aBcc: x", "a\x00b"])
def test_a_subject_cannot_carry_another_header(subject: str) -> None:
    """reliability/S09: refused, never cleaned up in silence."""
    with pytest.raises(ConnectorRejected, match="subject"):
        compose(ORDER.model_copy(update={"subject": subject}), sender="po@harbour.example", identity="<a@b>", at=NOW)


def answer(text: str = "We confirm.", **headers: str) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    for name, value in ({"From": "Tan <Tan@vendor.example>", "Message-ID": "<m1@vendor.example>"} | headers).items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail


def test_an_answer_is_read_with_what_it_refers_to() -> None:
    """P26: sender, ids it answers, words and documents; html alone is read as words, quotes marked."""
    mail = answer(In_Reply_To="<ours@harbour.example>", References="<first@h.example> <ours@harbour.example>")
    mail.add_attachment(b"<OrderResponse/>", maintype="application", subtype="xml", filename="r.xml")
    found = read_mail(mail.as_bytes())
    assert (found.sender, found.message_id) == ("tan@vendor.example", "<m1@vendor.example>")
    assert found.answers == ("<ours@harbour.example>", "<first@h.example>")
    assert found.text.strip() == "We confirm."
    assert found.xml == (b"<OrderResponse/>",)
    page = EmailMessage(policy=SMTP)
    page["From"] = "a@vendor.example"
    page.set_content("<p>Price is&nbsp;12</p><script>x()</script><blockquote>ours</blockquote>", subtype="html")
    words = read_mail(page.as_bytes())
    assert "Price is\xa012" in words.text
    assert "x()" not in words.text
    assert "> ours" in words.text
    assert words.message_id.endswith("@without-id.invalid>")


def test_only_our_own_servers_check_of_the_sender_counts() -> None:
    """reliability/S09: a result anybody wrote, or one below our server's, is not believed."""
    good = answer(Authentication_Results="mx.harbour.example; dmarc=pass header.from=vendor.example")
    assert read_mail(good.as_bytes(), checked_by="mx.harbour.example").authenticated is True
    assert read_mail(good.as_bytes()).authenticated is None
    forged = answer(Authentication_Results="evil.example; dmarc=pass")
    assert read_mail(forged.as_bytes(), checked_by="mx.harbour.example").authenticated is None
    failed = answer(Authentication_Results="mx.harbour.example; dmarc=fail")
    assert read_mail(failed.as_bytes(), checked_by="mx.harbour.example").authenticated is False


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00\xff\xfe", b"no header at all", b"From: a@b.example\nContent-Type: text/plain; charset=nonsense\n\nhi",
     b"From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Transfer-Encoding: base64\n\n%%%",
     b"From: a@b.example\nFrom: c@d.example\n\ntwo senders", b"Subject: =?utf-8?b?////?=\n\nx"],
)  # fmt: skip
def test_broken_mail_is_data_or_a_clear_refusal(raw: bytes) -> None:
    """P26: nothing a stranger sends makes the reader fail; two senders are none."""
    try:
        found = read_mail(raw)
    except MalformedPayload:
        return
    assert found.sender in {"", "a@b.example"}
    if raw.count(b"From:") == 2:
        assert found.sender == ""


def test_a_mail_beyond_all_size_is_refused() -> None:
    """P26: by its bytes and by the number of its parts."""
    with pytest.raises(PayloadTooLarge):
        read_mail(b"From: a@b.example\n\n" + b"x" * LONGEST_BYTES)
    many = b"From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nhi\n" * 200 + b"--x--"
    with pytest.raises(PayloadTooLarge):
        read_mail(many)


async def test_an_answer_is_kept_once(engine: AsyncEngine) -> None:
    """P26: mail servers deliver twice; the same Message-ID is the same answer, in each tenant its own."""
    log = PurchaseMail(engine)
    kept = [await log.answered("acme", "<m1@v>", "PO-1", kind="confirm", at=NOW, body="{}") for _ in range(2)]
    assert kept == [True, False]
    assert await log.answered("rival", "<m1@v>", "PO-1", kind="confirm", at=NOW, body="{}")
    assert [one.direction for one in await log.of_order("acme", "PO-1")] == ["in"]
