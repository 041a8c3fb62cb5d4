"""The schema of a native order, as ``POST /v1/orders`` publishes it, and its strict reading.

Amounts are whole minor units with their currency. Unknown fields are refused, so that a misspelt one is not lost.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, ValidationError

from domain.address import Address
from domain.errors import UnprocessableOrder
from domain.money import Money, exponent
from domain.order import PaymentMethod, PaymentState
from domain.values import Document
from tools.channels.places import country_code
from tools.channels.reading import MAX_QUANTITY, clean, clean_note
from tools.channels.strict_json import DEFAULT_LIMITS, ParseLimits, load_object

_MAX_AMOUNT_MINOR = 10**15
_EARLIEST_YEAR, _LATEST_YEAR = 2000, 2100


def _known_currency(code: str) -> str:
    exponent(code)
    return code


def _bounded(money: Money) -> Money:
    if not 0 <= money.amount_minor <= _MAX_AMOUNT_MINOR:
        raise ValueError(f"amount_minor must be between 0 and {_MAX_AMOUNT_MINOR}")
    return money


def _sane_time(moment: datetime) -> datetime:
    if not _EARLIEST_YEAR <= moment.year < _LATEST_YEAR:
        raise ValueError(f"the year must be between {_EARLIEST_YEAR} and {_LATEST_YEAR}")
    return moment


Text = Annotated[str, AfterValidator(clean)]
Note = Annotated[str, AfterValidator(clean_note)]
Amount = Annotated[Money, AfterValidator(_bounded)]
Moment = Annotated[AwareDatetime, AfterValidator(_sane_time)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _In(Document):
    """Part of a native order."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class LineIn(_In):
    """One line."""

    line_id: Identifier | None = None
    """Your id of the line; its position (``1``, ``2``) when absent."""
    sku: Text
    """Stock keeping unit as in the catalogue."""
    title: Text = ""
    """What the buyer saw."""
    quantity: int = Field(ge=1, le=MAX_QUANTITY, strict=True)
    """Units."""
    unit_price: Amount
    """Of one unit before discounts; includes tax when the order's ``tax_included`` is true."""
    discount: Amount | None = None
    """Of the whole line."""
    tax: Amount | None = None
    """Of the whole line, as charged."""
    weight_g: int | None = Field(default=None, ge=1, le=MAX_QUANTITY)
    """Of one packed unit."""
    kit_id: Identifier | None = None
    """Lines with the same kit travel in one parcel."""
    requires_shipping: bool = True
    """False for gift cards and downloads."""


class AddressIn(_In):
    """A postal address."""

    name: Text = ""
    company: Text = ""
    line1: Text = ""
    line2: Text = ""
    district: Text = ""
    city: Text = ""
    region: Text = ""
    """State, province or prefecture."""
    postcode: Text = ""
    country: Text = ""
    """ISO 3166-1 alpha-2 (``SG``). A name is not a code and is left out."""
    phone: Text = ""

    def canonical(self) -> Address:
        """The address with its country as a code, or none."""
        return Address(**{**self.model_dump(), "country": country_code(self.country)})


class CustomerIn(_In):
    """Who buys."""

    customer_id: Text = ""
    """Your stable id of the account."""
    name: Text = ""
    email: Text = ""
    phone: Text = ""
    created_at: Moment | None = None
    """When the account was made."""
    orders_before: int | None = Field(default=None, ge=0, le=MAX_QUANTITY)
    """Orders of this account before this one."""


class PaymentIn(_In):
    """How it is paid, with the facts your payment provider gave. Leave out what is not known."""

    method: PaymentMethod
    state: PaymentState
    gateway: Text = ""
    card_fingerprint: Text | None = None
    """The provider's stable token of the card. Never a card number."""
    card_bin: Annotated[str, Field(pattern=r"^[0-9]{6,8}$")] | None = None
    """First six to eight digits."""
    bin_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    bin_prepaid: bool | None = None
    avs: Literal["match", "partial", "fail"] | None = None
    cvv: Literal["match", "fail"] | None = None
    three_ds_shift: bool = False
    """Authenticated, with liability shifted to the issuer."""
    declines_1h: int | None = Field(default=None, ge=0, le=1000)
    """Attempts declined in the hour before this payment succeeded."""


class DeviceIn(_In):
    """The browser."""

    ip: Text | None = None
    ip_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    device_id: Text | None = None
    proxy: bool | None = None
    hosting_asn: bool | None = None


class OrderIn(_In):
    """One order. All amounts are in one currency."""

    external_id: Identifier
    """Your id of the order: sending it again is the same order."""
    number: Text = ""
    """What people call it: an order number, or the buyer's purchase order number."""
    placed_at: Moment
    updated_at: Moment | None = None
    """Time of this version; the newest wins. ``placed_at`` when absent."""
    currency: Annotated[str, AfterValidator(_known_currency)]
    """ISO 4217."""
    locale: Text = ""
    """The customer's language (``zh-Hant-TW``); taken from the country when absent."""
    lines: Annotated[tuple[LineIn, ...], Field(min_length=1, max_length=500)]
    shipping: Amount | None = None
    """What the buyer pays for delivery."""
    tax: Amount | None = None
    """Of the whole order; the sum of the lines' tax when absent."""
    tax_included: bool = False
    """Whether prices include tax."""
    total: Amount | None = None
    """What the buyer agreed to pay. Worked out when absent; one that differs from the sum sends the order to a person."""
    ship_to: AddressIn | None = None
    bill_to: AddressIn | None = None
    customer: CustomerIn = CustomerIn()
    payment: PaymentIn
    device: DeviceIn = DeviceIn()
    shipping_option: Text = ""
    """The delivery method the buyer chose."""
    ship_by: Moment | None = None
    """Hand-over deadline."""
    deliver_by: Moment | None = None
    note: Note = ""
    """What the buyer wrote."""
    test: bool = False
    """A trial order: nothing leaves without a person."""


def parse_order(raw: bytes | str, limits: ParseLimits = DEFAULT_LIMITS) -> OrderIn:
    """Read a native order.

    Raises:
        PayloadTooLarge: more bytes than allowed.
        MalformedPayload: not strict JSON, or not an object.
        UnprocessableOrder: a field is missing, misspelt or wrong; ``pointer`` names the first one.
    """
    document = load_object(raw, limits)
    try:
        return OrderIn.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')[:80]}" for part in first["loc"])
        raise UnprocessableOrder(
            f"{pointer or 'the order'}: {first['msg'].removeprefix('Value error, ')[:200]}", pointer=pointer
        ) from None
