"""An order before it is written in a platform's form, the label that says what is wrong with it, and the finished order."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.ids import OrderId, Sku
from domain.money import Money, total
from domain.order import Channel, PaymentMethod
from evals.world_markets import Buyer, Market


class Label(StrEnum):
    """What an order really is: known here, hidden from the agents."""

    GOOD = "good"
    STOLEN_CARD_VELOCITY = "stolen_card_velocity"
    """One card, several new accounts, within minutes."""
    STOLEN_CARD_BIN = "stolen_card_bin"
    """A card issued in a country that is neither the buyer's nor the parcel's, from a hosting provider."""
    STOLEN_CARD_CVV = "stolen_card_cvv"
    """Card verification failed on a costly order of a new account."""
    COD_REFUSER = "cod_refuser"
    """A cash-on-delivery parcel that will be refused at the door."""
    RESTRICTED = "restricted"
    """Goods that may not be sent to the country."""
    UNKNOWN_SKU = "unknown_sku"
    NO_ADDRESS = "no_address"
    NO_LANE = "no_lane"
    """A country nobody in the sandbox world ships to."""
    BIG_TICKET = "big_ticket"
    """A good order of 500 US dollars or more."""
    BACKORDER = "backorder"
    """A SKU that is sold out everywhere."""

    @property
    def expected(self) -> tuple[str, ...]:
        """Outcomes an expert could defend, as words of ``domain.decision.Outcome``."""
        return _EXPECTED[self]


_STOP = ("review", "hold", "reject")
_EXPECTED = {
    Label.GOOD: ("proceed",),
    Label.STOLEN_CARD_VELOCITY: _STOP,
    Label.STOLEN_CARD_BIN: _STOP,
    Label.STOLEN_CARD_CVV: _STOP,
    Label.COD_REFUSER: ("proceed", "review"),
    Label.RESTRICTED: ("hold", "reject"),
    Label.UNKNOWN_SKU: ("review", "hold", "reject"),
    Label.NO_ADDRESS: ("review", "hold"),
    Label.NO_LANE: ("review", "hold", "reject"),
    Label.BIG_TICKET: ("proceed", "review"),
    Label.BACKORDER: ("limit", "review"),
}


@dataclass(frozen=True, kw_only=True)
class DraftLine:
    """One line, priced in the market's currency."""

    sku: Sku
    title: str
    quantity: int
    unit_price: Money
    weight_g: int

    @property
    def amount(self) -> Money:
        """Of the whole line."""
        return self.unit_price * self.quantity


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the payment provider would say of the card."""

    bin_digits: str
    last4: str
    country: str
    cvv: str = "M"
    avs: str = "U"
    """Most issuers in the region do not support address verification."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything a platform would know of one order."""

    number: int
    """Unique within seed; platform ids are made of both."""
    seed: int
    market: Market
    channel: Channel
    placed_at: datetime
    language: str
    buyer: Buyer
    buyer_since: datetime
    account: str
    """The account's id at our own storefront, where it is one of the sandbox CRM's."""
    lines: tuple[DraftLine, ...]
    shipping: Money
    method: PaymentMethod
    card: CardFacts | None
    country: str
    """Where the parcel goes."""
    addressed: bool
    hosted: bool
    """Ordered through a hosting provider's address."""
    note: str
    label: Label

    @property
    def goods(self) -> Money:
        """The sum of the lines."""
        return total([line.amount for line in self.lines], self.market.currency)

    @property
    def total(self) -> Money:
        """What the buyer agrees to pay; prices include tax."""
        return self.goods + self.shipping


@dataclass(frozen=True, kw_only=True)
class RawOrder:
    """One order in its platform's form, with what is known of it beforehand."""

    channel: Channel
    shop: str
    topic: str
    """``orders/create``, ``push/3``; empty for orders sent to our own API."""
    body: bytes
    """The order document, which the channel's adapter normalises."""
    delivery: bytes
    """What the platform posts: the document itself, or for Shopee a push that only names the order."""
    headers: dict[str, str]
    """Headers of the delivery, signed where the platform signs."""
    external_id: str
    order_id: OrderId
    market: str
    placed_at: datetime
    total: Money
    label: Label

    @property
    def expected(self) -> tuple[str, ...]:
        """Outcomes an expert could defend."""
        return self.label.expected
