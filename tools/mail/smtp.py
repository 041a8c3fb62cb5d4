"""Purchase orders by SMTP. What was handed to the server without its answer is never sent again by itself.

SMTP cannot be asked whether a message was taken, so the moment before the text leaves is noted, and the answer after it.
"""

import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from typing import NoReturn, Protocol

import aiosmtplib
from pydantic import ValidationError

from domain.effect import Effect, EffectKind, Receipt
from domain.errors import Ambiguous, ConnectorRejected, ConnectorUnavailable
from domain.intent import SendPurchaseOrder
from tools.mail.composing import Attachment, compose, message_id, one_address


class SentLog(Protocol):
    """Remembers which letters were handed over. Every call is durable when it returns."""

    async def handing_over(self, tenant: str, message_id: str, number: str, at: datetime) -> None:
        """Note that the text of a letter is about to leave."""

    async def handed_over(self, tenant: str, message_id: str, receipt: str, at: datetime) -> None:
        """Note the server's word that it has it."""

    async def not_taken(self, tenant: str, message_id: str) -> None:
        """Forget a hand-over the server refused in words."""

    async def find(self, tenant: str, message_id: str) -> str | None:
        """The receipt of a letter, empty text when it was on its way and nobody knows, None when it never left."""


@dataclass(frozen=True, kw_only=True)
class Enclosed:
    """What goes with a letter besides its text."""

    html: str = ""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Where mail is handed over."""

    host: str
    port: int
    sender: str
    """The address letters come from; its domain makes their ids."""
    user: str = ""
    password: str = ""
    tls: bool = True
    """STARTTLS (or TLS from the start on port 465); without it only loopback is spoken to."""
    timeout_s: float = 8.0


class SmtpMail:
    """``EffectPort`` for letters to suppliers."""

    kinds = frozenset({EffectKind.SEND_PURCHASE_ORDER})

    def __init__(
        self,
        server: MailServer,
        log: SentLog,
        clock: Callable[[], datetime],
        *,
        recipient_of: Callable[[str, str], Awaitable[str]],
        enclosed: Callable[[str, str, int], Awaitable[Enclosed]],
    ) -> None:
        """``recipient_of`` reads a vendor's address from the vendor master, ``enclosed`` what goes with a version."""
        self._server = server
        self._log = log
        self._clock = clock
        self._recipient_of = recipient_of
        self._enclosed = enclosed
        one_address(server.sender, what="SIGNALBOX_MAIL_FROM")

    async def apply(self, effect: Effect) -> Receipt:
        """Send the letter once.

        Raises:
            ConnectorUnavailable: the server did not take it; nothing was sent.
            Ambiguous: the text left and no answer came.
            ConnectorRejected: it may not be sent, or the server refused it for good.
        """
        letter = _letter(effect)
        identity = self._identity(effect)
        before = await self._known(effect)
        if before is not None:
            return before
        vendor = await self._recipient_of(effect.tenant, letter.vendor_id)
        if vendor != letter.recipient:
            raise ConnectorRejected(
                f"{letter.number} names another address than the vendor master has for {letter.vendor_id}; review it again"
            )
        more = await self._enclosed(effect.tenant, letter.number, letter.version)
        mail = compose(
            letter, sender=self._server.sender, identity=identity, at=self._clock(), html=more.html,
            attachments=more.attachments,
        )  # fmt: skip
        answer = await self._hand_over(mail, letter, effect.tenant, identity)
        now = self._clock()
        receipt = Receipt(
            key=effect.key, kind=effect.kind, reference=identity, applied_at=now, detail={"server": answer[:200]}
        )
        await self._log.handed_over(effect.tenant, identity, receipt.to_json(), now)
        return receipt

    async def lookup(self, effect: Effect) -> Receipt | None:
        """The receipt of a letter sent earlier, or None when its text never left.

        Raises:
            Ambiguous: it was on its way and no answer came; a person must look.
        """
        return await self._known(effect)

    async def _known(self, effect: Effect) -> Receipt | None:
        found = await self._log.find(effect.tenant, self._identity(effect))
        if found == "":
            raise Ambiguous(
                f"the mail server may have taken {self._identity(effect)}; look in its log or ask the supplier, then send a new version"
            )
        return None if found is None else Receipt.from_json(found)

    def _identity(self, effect: Effect) -> str:
        return message_id(effect.key, self._server.sender.rpartition("@")[2])

    async def _hand_over(self, mail: EmailMessage, letter: SendPurchaseOrder, tenant: str, identity: str) -> str:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host, port=server.port, timeout=server.timeout_s, use_tls=server.tls and server.port == 465,
            start_tls=server.tls and server.port != 465, tls_context=ssl.create_default_context() if server.tls else None,
        )  # fmt: skip
        try:
            await self._envelope(client, letter)
            await self._log.handing_over(tenant, identity, letter.number, self._clock())
            return await self._text(client, mail, tenant, identity)
        finally:
            with suppress(aiosmtplib.SMTPException, OSError):
                client.close()

    async def _envelope(self, client: aiosmtplib.SMTP, letter: SendPurchaseOrder) -> None:
        """Everything before the text: a failure here means that nothing left."""
        try:
            await client.connect()
            if self._server.user:
                await client.login(self._server.user, self._server.password)
            await client.mail(self._server.sender)
            await client.rcpt(letter.recipient)
        except aiosmtplib.SMTPResponseException as refused:
            _refuse(refused, letter.number)
        except (aiosmtplib.SMTPException, OSError) as away:
            raise ConnectorUnavailable(f"the mail server did not answer: {type(away).__name__}; try again") from None

    async def _text(self, client: aiosmtplib.SMTP, mail: EmailMessage, tenant: str, identity: str) -> str:
        try:
            response = await client.data(mail.as_bytes())
        except aiosmtplib.SMTPResponseException as refused:
            if refused.code <= 0:
                raise Ambiguous(f"the mail server broke off while it took {identity}") from None
            await self._log.not_taken(tenant, identity)
            _refuse(refused, identity)
        except (aiosmtplib.SMTPException, OSError) as lost:
            raise Ambiguous(
                f"no answer from the mail server after {identity} was sent: {type(lost).__name__}"
            ) from None
        return f"{response.code} {response.message}"


def _refuse(refused: aiosmtplib.SMTPResponseException, what: str) -> NoReturn:
    said = " ".join(refused.message.split())[:160]
    if 400 <= refused.code < 500 or refused.code <= 0:
        raise ConnectorUnavailable(f"the mail server cannot take {what} now: {refused.code} {said}")
    raise ConnectorRejected(f"the mail server refused {what}: {refused.code} {said}")


def _letter(effect: Effect) -> SendPurchaseOrder:
    try:
        return SendPurchaseOrder.model_validate(effect.args)
    except ValidationError:
        raise ConnectorRejected("the arguments of send_purchase_order are not a letter") from None
