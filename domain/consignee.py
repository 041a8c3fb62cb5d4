"""Whom parcels go to across orders and accounts, and what reached them before: what import relief is counted by."""

import unicodedata
from hashlib import sha256

from domain.address import Address
from domain.money import Money
from domain.values import Document

_MASK = "*"


class Consigned(Document):
    """What one consignee was sent across the border in other orders, as far as this shop knows."""

    imports: int
    """Parcels since the half year began at the destination."""
    today: tuple[Money, ...] = ()
    """Value of their goods since the day began there, one amount per currency."""


def consignee_of(address: Address) -> str | None:
    """Names the consignee: a digest of name, address and country in normal form; None when they do not tell who it is.

    Case, spaces, punctuation and full-width forms make no difference. What a platform has masked names nobody.
    """
    name = address.name or address.company
    place = (address.line1, address.line2, address.district, address.city, address.postcode)
    parts = [_plain(part) for part in (name, *place, address.country)]
    if not (parts[0] and any(parts[1:-1]) and parts[-1]) or any(_MASK in part for part in (name, *place)):
        return None
    return sha256("|".join(parts).encode()).hexdigest()[:32]


def _plain(text: str) -> str:
    return "".join(ch for ch in unicodedata.normalize("NFKC", text).casefold() if ch.isalnum())
