"""Slack's request signature (version v0): checked on the raw bytes, in constant time, within five minutes of its time stamp."""

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr

from domain.errors import BadSignature

WINDOW_S = 300
"""Slack: requests whose time stamp differs from now by more than five minutes may be replays."""
MIN_SECRET_CHARS = 16


class SigningSecret(BaseModel):
    """One signing secret of a Slack app."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secret: SecretStr
    until: AwareDatetime | None = None
    """An old secret is still good until then; None: for as long as it is configured."""


def signature(raw: bytes, timestamp: str, secret: str) -> str:
    """The signature header of a request."""
    signed = b"v0:" + timestamp.encode() + b":" + raw
    return f"v0={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def verify(
    raw: bytes, *, timestamp: str | None, signed: str | None, secrets: Iterable[SigningSecret], now: datetime
) -> SigningSecret:
    """The secret that signed the request.

    Raises:
        BadSignature: a header is missing or malformed, the time stamp is too far from ``now``, or no secret fits.
    """
    if timestamp is None or signed is None:
        raise BadSignature("The request lacks X-Slack-Request-Timestamp or X-Slack-Signature")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise BadSignature("X-Slack-Request-Timestamp is not a time in seconds")
    if abs(now.timestamp() - int(timestamp)) > WINDOW_S:
        raise BadSignature("The request's time stamp is more than five minutes from now; check the clocks")
    found: SigningSecret | None = None
    for each in secrets:
        expected = signature(raw, timestamp, each.secret.get_secret_value())
        fits = hmac.compare_digest(expected.encode(), signed.encode("utf-8", "surrogateescape"))
        if fits and (each.until is None or now < each.until):
            found = each
    if found is None:
        raise BadSignature("The request's signature does not fit its bytes")
    return found
