"""What is known about a customer's question before the answer is written: ``SupportContext v1``.

Every fact says which system it is from, when it was read, how old it was then and whether that is too old. Nothing here
holds a card number, an e-mail address or a phone number; what it holds of an address depends on the contact reason.
"""

import json
import sys
from datetime import date
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, Field

from domain.money import Money
from domain.support_reason import Reason
from domain.values import Document

T = TypeVar("T")

GAP_CONFIDENCE = 0.69
"""What a fact is worth at most when the system that should confirm it did not answer: below the 0.7 a person decides at."""


class Fact(Document, Generic[T]):
    """One fact with its origin. ``value`` is None when nobody knows it."""

    value: T | None
    source: str
    """``crm``, ``oms``, ``carrier``, ``catalogue``, ``signalbox``, ``rules``."""
    fetched_at: AwareDatetime
    as_of: AwareDatetime | None = None
    """The source's own time of the fact, when it says."""
    stale: bool = False
    """Whether the fact was older than its source allows when it was read."""
    confidence: float = Field(default=1.0, ge=0.0, le=1.0)


class Gap(Document):
    """A source that gave no answer, and what is missing or less sure because of it."""

    source: str
    why: str
    """One sentence."""
    fields: tuple[str, ...]


class LtvBucket(StrEnum):
    """A customer's worth over 24 months, coarse on purpose: no model and no reply sees the amount."""

    NEW = "new"
    """No finished order yet."""
    NEGATIVE = "negative"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    TOP = "top"


class AddressView(Document):
    """As much of an address as the contact reason and the reader's role need; the rest is empty."""

    name: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postcode: str = ""
    """Its first three characters where only the area is needed."""
    country: str = ""
    """ISO 3166-1 alpha-2."""
    country_name: str = ""
    """As people write it in forms; with whole addresses only."""


class PaymentMethodView(Document):
    """A way to pay: the token other systems know it by, and what the customer would recognise."""

    method_id: str
    kind: str
    label: str = ""
    """``mastercard ****9212``."""


class CustomerFacts(Document):
    """Who is asking."""

    id_hash: str
    """Keyed hash of the customer's id: the same person gives the same hash inside one tenant only."""
    crm_id: Fact[str] | None = None
    """The CRM's own id, where the contact reason is about the account."""
    language: Fact[str]
    """BCP 47."""
    tier: Fact[str]
    ltv_bucket: Fact[LtvBucket]
    orders_24m: Fact[int]
    return_rate: Fact[float]
    cod_refusal_rate: Fact[float]
    open_tickets: Fact[int]
    last_3_ticket_summaries: Fact[tuple[str, ...]]
    """Untrusted text, with e-mail addresses, phone and card numbers masked."""
    address: Fact[AddressView] | None = None
    """The default address of the profile."""
    payment_methods: Fact[tuple[PaymentMethodView, ...]] | None = None


class TimelineEntry(Document):
    """Something that happened to an order."""

    event: str
    at: AwareDatetime
    source: str


class LineView(Document):
    """One line of an order."""

    line_id: str
    sku: str
    product_id: str = ""
    name: str
    quantity: int
    quantity_open: int
    unit_price: Money
    options: dict[str, str] = {}


class PaymentView(Document):
    """Money that moved, or was promised."""

    kind: str
    """``payment``, ``refund``."""
    amount: Money
    method_id: str
    state: str = ""
    at: AwareDatetime | None = None


class HoldView(Document):
    """Why an order does not move."""

    kind: str
    """``review``, ``stock``, ``carrier``, ``payment``."""
    reason_codes: tuple[str, ...]
    since: AwareDatetime | None = None
    tell_customer: str
    """What may be said about it."""


class AgentDecisionView(Document):
    """What an agent decided, with the reason that may be told to a customer."""

    agent: str
    decision: str
    at: AwareDatetime | None = None
    tell_customer: str
    """Empty when nothing of it may be told."""


class OrderFacts(Document):
    """The order the question is about."""

    order_id: str
    number: str
    """The number the customer sees."""
    channel: str
    placed_at: AwareDatetime | None = None
    currency: str
    state: Fact[str]
    """Canonical state of the goods: ``PAID``, ``SHIPPED`` ..."""
    progress: Fact[str] | None = None
    """Where Signalbox stands with it: ``in_review`` ..."""
    total: Fact[Money]
    timeline: Fact[tuple[TimelineEntry, ...]]
    lines: Fact[tuple[LineView, ...]]
    payments: Fact[tuple[PaymentView, ...]]
    holds: Fact[tuple[HoldView, ...]]
    decisions: Fact[tuple[AgentDecisionView, ...]]
    ship_to: Fact[AddressView]


class OrderBrief(Document):
    """Another order of the same customer."""

    order_id: str
    number: str
    state: str
    placed_at: AwareDatetime | None = None
    total: Money
    lines: tuple[LineView, ...]
    payments: tuple[PaymentView, ...] = ()
    tracking_numbers: tuple[str, ...] = ()
    ship_to: AddressView | None = None


class ShipmentStatus(StrEnum):
    """The nine normalised carrier statuses."""

    PENDING = "Pending"
    INFO_RECEIVED = "InfoReceived"
    IN_TRANSIT = "InTransit"
    OUT_FOR_DELIVERY = "OutForDelivery"
    ATTEMPT_FAIL = "AttemptFail"
    AVAILABLE_FOR_PICKUP = "AvailableForPickup"
    DELIVERED = "Delivered"
    EXCEPTION = "Exception"
    EXPIRED = "Expired"


class ShipmentView(Document):
    """One parcel."""

    tracking_number: str
    carrier: str = ""
    status: ShipmentStatus | None = None
    """None when no system says."""
    sub_reason: str = ""
    """``customs``, ``address``, ``refused``, ``held_for_payment``, ``lost``, ``damaged``, ``returned`` or empty."""
    last_scan_at: AwareDatetime | None = None
    last_scan_place: str = ""
    delivered_at: AwareDatetime | None = None
    promised_at: AwareDatetime | None = None
    predicted_p50_at: AwareDatetime | None = None
    predicted_p80_at: AwareDatetime | None = None
    days_late: int | None = None
    """Against the promise, by delivery or by now; 0 when in time, None without a promise."""
    claim_until: date | None = None
    """Last day to claim a loss or damage from the carrier."""


class ReturnView(Document):
    """Whether a line may be sent back."""

    line_id: str
    eligible: bool | None
    """None when a fact the rule needs is missing; ``why`` names it."""
    until: date | None = None
    """Last day, in the shop's time zone."""
    rule_id: str = ""
    basis: str = ""
    """``law``, ``platform`` or ``shop``."""
    who_pays: str = ""
    """``customer``, ``shop`` or ``platform`` for the way back."""
    evidence: tuple[str, ...] = ()
    why: str


class RefundOption(Document):
    """One way to give money back."""

    amount: Money
    method_id: str
    eta_days: tuple[int, int]
    condition: str
    """``now``, ``goods returned``, ``parcel lost`` ..."""


class Variant(Document):
    """One variant of a product."""

    sku: str
    options: dict[str, str]
    amount_minor: int
    """The price, in the product's currency."""
    available: bool


class ProductVariants(Document):
    """What a bought product could be exchanged for."""

    product_id: str
    name: str
    currency: str
    variants: tuple[Variant, ...]
    sold_out: tuple[str, ...] = ()
    """In a context: the SKUs that are left out of ``variants`` because nobody can get them now."""


class PolicySnippet(Document):
    """A rule that bears on the answer, by its id."""

    policy_id: str
    text: str


class SupportAction(StrEnum):
    """What can be done about a contact."""

    INFORM = "inform"
    """Answer with the facts; nothing to change."""
    WAIT = "wait"
    TRACE = "trace_with_carrier"
    CHANGE_ADDRESS = "change_address"
    CANCEL = "cancel"
    RESHIP = "reship"
    REFUND = "refund"
    RETURN = "return"
    EXCHANGE = "exchange"
    ASK = "ask_customer"
    ESCALATE = "escalate"


class NextAction(Document):
    """The action the facts suggest."""

    action: SupportAction
    confidence: float = Field(ge=0.0, le=1.0)
    preconditions: tuple[str, ...]
    """What must be true first, one sentence each; what is already true is not listed."""
    why: str


class SupportContext(Document):
    """Everything a person or a bot needs to answer one contact."""

    schema_version: Literal["support_context.v1"] = "support_context.v1"
    context_id: str
    tenant: str
    generated_at: AwareDatetime
    role: str
    reason: Reason | None = None
    """Why the customer writes, as given or as classified; None when nobody said."""
    resolved_by: str
    """``order``, ``customer``, ``tracking``, ``email``, ``phone``, ``name_postcode``."""
    missing: tuple[str, ...] = ()
    """Names of the sources that gave no answer."""
    gaps: tuple[Gap, ...] = ()
    customer: CustomerFacts
    order: OrderFacts | None = None
    """None when the customer is known and no order was named."""
    other_orders: Fact[tuple[OrderBrief, ...]]
    shipments: Fact[tuple[ShipmentView, ...]]
    returns: Fact[tuple[ReturnView, ...]]
    refunds: Fact[tuple[RefundOption, ...]]
    exchange_options: Fact[tuple[ProductVariants, ...]]
    policies: tuple[PolicySnippet, ...] = ()
    next_best_action: NextAction


def context_schema() -> dict[str, Any]:
    """The published JSON Schema (2020-12) of ``SupportContext v1``."""
    schema = SupportContext.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:signalbox:support_context:v1",
        **schema,
    }


if __name__ == "__main__":  # python -m domain.support > docs/support/support_context.v1.schema.json
    sys.stdout.write(json.dumps(context_schema(), indent=2) + "\n")
