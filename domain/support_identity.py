"""Who is meant: order numbers, e-mail addresses, phones, names and postcodes in the many forms people write them."""

import re
import unicodedata
from hashlib import blake2b

from pydantic import model_validator

from domain.errors import InputError
from domain.shipment import plain_postcode
from domain.values import Document

_ORDER_WORDS = re.compile(
    r"^\s*(?:order\s*(?:number|no\.?|id|#)?|no\.?|訂單(?:編號|號碼|號)?|订单(?:编号|号码|号)?|(?:mã\s*)?đơn\s*hàng(?:\s*số)?)\s*[:：#]?\s*",
    re.IGNORECASE,
)
_CHANNEL = re.compile(
    r"^(?:storefront|shopify|adobe_commerce|shopline|shopee|lazada|amazon|rakuten|b2b)-", re.IGNORECASE
)
_LEAST_PHONE = 8
_LONGEST = 200


def order_key(text: str) -> str:
    """An order number without the ways people and platforms dress it: ``Order #1001``, ``＃1001``, ``shopify-1001``."""
    plain = unicodedata.normalize("NFKC", text).strip()
    plain = _CHANNEL.sub("", _ORDER_WORDS.sub("", plain).strip())
    return "".join(sign for sign in plain.upper() if sign.isalnum())


def email_key(text: str) -> str:
    """An e-mail address as it is compared; empty when it is none."""
    plain = unicodedata.normalize("NFKC", text).strip().casefold()
    return plain if plain.count("@") == 1 and not plain.startswith("@") and not plain.endswith("@") else ""


def phone_key(text: str) -> str:
    """The digits two spellings of a phone number share: without country prefix marks and leading zeros."""
    digits = "".join(sign for sign in unicodedata.normalize("NFKC", text) if sign.isdigit()).lstrip("0")
    return digits if len(digits) >= _LEAST_PHONE else ""


def same_phone(one: str, other: str) -> bool:
    """Whether two keys may be the same phone: the national number may miss its country code."""
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return bool(shorter) and longer.endswith(shorter)


def name_key(text: str) -> str:
    """A name without case, accents' composition, order of its parts or spacing."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(sorted(re.findall(r"\w+", plain)))


def customer_hash(tenant: str, customer_id: str) -> str:
    """What stands for a customer in logs and contexts: the same person, the same hash, inside one tenant only."""
    return blake2b(
        customer_id.encode(), key=blake2b(tenant.encode(), digest_size=32).digest(), digest_size=12
    ).hexdigest()


class Subject(Document):
    """What a contact says about who and which order it is. At least one way to tell must be given."""

    order: str = ""
    """An order number in any form, or our order id."""
    customer: str = ""
    """The CRM's id."""
    tracking: str = ""
    email: str = ""
    phone: str = ""
    name: str = ""
    postcode: str = ""

    @model_validator(mode="after")
    def _bounded(self) -> "Subject":
        if any(len(value) > _LONGEST for value in vars(self).values()):
            raise ValueError(f"each part has {_LONGEST} characters at most")
        return self

    def require(self) -> None:
        """Make sure that it can lead to somebody.

        Raises:
            InputError: nothing was named, or only half of name and postcode, or something unreadable.
        """
        if bool(self.name) != bool(self.postcode):
            raise InputError(
                "A name identifies nobody without the postcode, nor a postcode without the name; give both."
            )
        if not self.ways:
            raise InputError(
                "Say who or what it is about: order, customer, tracking, email, phone, or name with postcode."
            )
        for name, key in (("order", order_key), ("tracking", order_key), ("email", email_key), ("phone", phone_key)):
            given = getattr(self, name)
            if given and not key(given):
                raise InputError(f"{name} is not readable as one; correct it or leave it out.", pointer=f"/{name}")

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to tell that were given, surest first."""
        named = [way for way in ("order", "tracking", "customer", "email", "phone") if getattr(self, way)]
        return (*named, "name_postcode") if self.name and self.postcode else tuple(named)

    def fits_profile(self, *, email: str, phone: str, name: str, postcode: str) -> bool:
        """Whether a person with these data is not contradicted by what was given about the person."""
        if self.email and email_key(email) != email_key(self.email):
            return False
        if self.phone and not same_phone(phone_key(phone), phone_key(self.phone)):
            return False
        if not self.name:
            return True
        return name_key(name) == name_key(self.name) and plain_postcode(postcode) == plain_postcode(self.postcode)
