"""How much of a person a context shows: by contact reason and by the reader's role. Card numbers never."""

import re

from domain.address import Address
from domain.shipment import plain_postcode
from domain.support import AddressView
from domain.support_reason import Reason, Topic

_WHOLE_ADDRESS = frozenset({Topic.CHANGE, Topic.ACCOUNT})
_READERS = frozenset({"support", "admin"})
"""Roles that talk to customers; others see the area only."""
_AREA = 3
"""Characters of a postcode that tell the area."""
_EMAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")
_PHONE = re.compile(r"(?<![\w-])\+?\d(?:[ ().-]{0,2}\d){7,14}(?![\w-])")
LONGEST_NOTE = 300
_NAMES = {
    "AU": "Australia", "CN": "China", "HK": "Hong Kong", "ID": "Indonesia", "JP": "Japan", "KR": "South Korea",
    "MO": "Macao", "MY": "Malaysia", "NZ": "New Zealand", "PH": "Philippines", "SG": "Singapore", "TH": "Thailand",
    "TW": "Taiwan", "US": "USA", "VN": "Vietnam",
}  # fmt: skip


def shows_whole_address(reason: Reason | None, role: str) -> bool:
    """Whether the answer may need the street: changes and accounts do, and nobody knows yet when no reason was named."""
    return role in _READERS and (reason is None or reason.topic in _WHOLE_ADDRESS)


def shows_account(reason: Reason | None, role: str) -> bool:
    """Whether the profile itself (its id, default address, ways to pay) is of use."""
    wide = reason is None or reason.topic not in {Topic.WISMO, Topic.PRODUCT, Topic.PRESALES}
    return role in _READERS and wide


def shown_address(address: Address, *, whole: bool) -> AddressView:
    """The address, or only its area."""
    if not whole:
        return AddressView(
            city=address.city, postcode=plain_postcode(address.postcode)[:_AREA], country=address.country
        )
    return AddressView(
        name=address.name,
        line1=address.line1,
        line2=" ".join(part for part in (address.line2, address.district) if part),
        city=address.city,
        region=address.region,
        postcode=address.postcode,
        country=address.country,
        country_name=_NAMES.get(address.country, ""),
    )


def masked(text: str) -> str:
    """Free text without e-mail addresses, card and phone numbers, and not too long."""
    hidden = _CARD.sub("[number]", _EMAIL.sub("[e-mail]", text))
    return _PHONE.sub("[phone]", hidden)[:LONGEST_NOTE]
