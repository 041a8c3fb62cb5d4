"""Webhooks that are no channel's: how tracking aggregators and help desks sign, checked on the raw bytes before any parsing.

AfterShip: base64 HMAC-SHA256 in ``aftership-hmac-sha256``. EasyPost: ``X-Hmac-Signature: hmac-sha256-hex=<hex>``, the secret
in Unicode form NFKD. Intercom: ``X-Hub-Signature: sha1=<hex>`` (or ``sha256=``). Gorgias signs nothing by itself, so the
header is ours: ``X-Signalbox-Signature: sha256=<hex>`` over the raw body.
"""

import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from domain.errors import BadSignature, NotFound
from domain.ids import TenantId
from tools.channels.protocol import HeaderLines
from tools.channels.signing import DeliveryHeaders, same


class Sender(StrEnum):
    """Who sends signed webhooks beside the sales channels."""

    AFTERSHIP = "aftership"
    EASYPOST = "easypost"
    INTERCOM = "intercom"
    GORGIAS = "gorgias"


TRACKERS = frozenset({Sender.AFTERSHIP, Sender.EASYPOST})
HELP_DESKS = frozenset({Sender.INTERCOM, Sender.GORGIAS})


@dataclass(frozen=True, kw_only=True)
class SenderSecret:
    """What proves that a webhook comes from one tenant's account at a sender."""

    tenant: TenantId
    secret: str = field(repr=False)


def sender_named(name: str, among: frozenset[Sender]) -> Sender:
    """The sender of that name.

    Raises:
        NotFound: nobody of that name sends these webhooks.
    """
    found = next((one for one in among if one.value == name), None)
    if found is None:
        raise NotFound(f"There are no webhooks of {name[:40]!r} here; there are {', '.join(sorted(among))}")
    return found


def verify(sender: Sender, raw: bytes, headers: HeaderLines, secrets: Sequence[SenderSecret]) -> TenantId:
    """The tenant whose secret signed exactly these bytes.

    Raises:
        BadSignature: nobody's did, or the header is missing, empty, sent twice or not ASCII.
    """
    name, forms = _SIGNED[sender]
    given = DeliveryHeaders(headers).required(name)
    signed = None
    for known in secrets:
        for form in forms:
            # No early end: how long it takes tells nothing about whose secret it was.
            if same(form(known.secret, raw), given) and signed is None:
                signed = known.tenant
    if signed is None:
        raise BadSignature(f"the header {name} does not fit the body; sign the bytes as sent with the agreed secret")
    return signed


def _hex(algorithm: str, prefix: str) -> Callable[[str, bytes], str]:
    def form(secret: str, raw: bytes) -> str:
        return prefix + hmac.new(secret.encode(), raw, algorithm).hexdigest()

    return form


def _base64(secret: str, raw: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()


def _easypost(secret: str, raw: bytes) -> str:
    return _hex("sha256", "hmac-sha256-hex=")(unicodedata.normalize("NFKD", secret), raw)


_SIGNED: Mapping[Sender, tuple[str, tuple[Callable[[str, bytes], str], ...]]] = {
    Sender.AFTERSHIP: ("aftership-hmac-sha256", (_base64,)),
    Sender.EASYPOST: ("X-Hmac-Signature", (_easypost,)),
    Sender.INTERCOM: ("X-Hub-Signature", (_hex("sha1", "sha1="), _hex("sha256", "sha256="))),
    Sender.GORGIAS: ("X-Signalbox-Signature", (_hex("sha256", "sha256="),)),
}
