"""A letter as a mail message: one recipient, no header but ours, an id that follows from the effect's key."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256

from domain.errors import ConnectorRejected
from domain.ids import EffectKey
from domain.intent import SendPurchaseOrder

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]|%0[ad]", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A document that goes with a letter."""

    name: str
    content_type: str
    content: bytes


def one_address(text: str, *, what: str) -> str:
    """A single plain ASCII mail address.

    Raises:
        ConnectorRejected: it is not exactly one, or holds anything that could become another header or recipient. A
            domain in other letters must be written in its ASCII form: look-alikes are told apart by nobody.
    """
    if not _ADDRESS.fullmatch(text) or _BREAKS.search(text):
        raise ConnectorRejected(f"{what} is not one plain mail address; mend it in the vendor master or the settings")
    return text


def message_id(key: EffectKey, domain: str) -> str:
    """The Message-ID of an effect: sent twice it is the same letter, and mail systems can tell."""
    return f"<{sha256(key.encode()).hexdigest()[:40]}@{domain}>"


def compose(
    letter: SendPurchaseOrder,
    *,
    sender: str,
    identity: str,
    at: datetime,
    html: str = "",
    attachments: Sequence[Attachment] = (),
) -> EmailMessage:
    """The mail message of a purchase order.

    Raises:
        ConnectorRejected: an address is not one address, or the subject holds a line break.
    """
    if _BREAKS.search(letter.subject):
        raise ConnectorRejected(f"the subject of {letter.number} holds a line break or control character")
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _header(one_address(sender, what="the sender"))
    mail["To"] = _header(one_address(letter.recipient, what=f"the address of {letter.vendor_id}"))
    mail["Reply-To"] = _header(one_address(letter.reply_to, what="the address for answers"))
    mail["Subject"] = letter.subject
    mail["Date"] = at
    mail["Message-ID"] = identity
    mail["Content-Language"] = letter.locale
    mail["X-Purchase-Order"] = f"{letter.number}/{letter.version}"
    mail.set_content(letter.body, cte="base64" if not letter.body.isascii() else "7bit")
    if html:
        mail.add_alternative(html, subtype="html", cte="base64")
    for each in attachments:
        kind, _, subtype = each.content_type.partition("/")
        mail.add_attachment(each.content, maintype=kind, subtype=subtype, filename=each.name)
    return mail


def _header(address: str) -> Address:
    name, _, domain = address.rpartition("@")
    return Address(username=name, domain=domain)
