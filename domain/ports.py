"""What the inside asks of the outside. Every port has a sandbox implementation and real adapters under one contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from domain.catalogue import Product
from domain.consignee import Consigned
from domain.cost import CallRecord
from domain.decision import Decision, Verdict
from domain.effect import Effect, EffectKind, Receipt
from domain.example import Example, Situation
from domain.fx import Rate
from domain.ids import EffectKey, Sku, WarehouseId
from domain.inventory import DemandTable, FeedState, StockLevel
from domain.language import Answer, Check, LanguageRequest
from domain.order import Order
from domain.pick_wave import UnitPrices
from domain.promoted_rule import PromotedRule
from domain.risk import CustomerException, SegmentSnapshot
from domain.shipment import Lane, Warehouse
from domain.values import Document, Plain


class EffectPort(Protocol):
    """A system that can be changed. It honours keys: the same key and arguments give the same receipt, applied once."""

    @property
    def kinds(self) -> frozenset[EffectKind]:
        """The effects this system applies."""

    async def apply(self, effect: Effect) -> Receipt:
        """Apply the effect once per key.

        Raises:
            ConnectorUnavailable: nothing was done; try again.
            Ambiguous: it may have been done; call ``lookup`` before repeating.
            InsufficientStock, TooLate, ConnectorRejected: refused for good; nothing was done.
        """

    async def lookup(self, effect: Effect) -> Receipt | None:
        """The receipt of an effect applied earlier under the same key, or None when it never was.

        Raises:
            ConnectorUnavailable: the system cannot say now.
        """


class WarehouseReads(Protocol):
    """What may be read of warehouse management. Agents get no more than this."""

    async def warehouses(self) -> Sequence[Warehouse]:
        """Every site goods can leave from."""

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        """Levels of the named SKUs in every warehouse that knows them; unknown SKUs are absent."""


class WarehousePort(EffectPort, WarehouseReads, Protocol):
    """Warehouse management: sites, stock, holds, fulfilments."""


class FeedPort(Protocol):
    """What is known of the warehouses' stock feeds; answers at once from what was last read."""

    def states(self, now: datetime) -> Mapping[WarehouseId, FeedState]:
        """Every warehouse whose feed is not plainly normal, or that pushes its counts."""


class DemandPort(Protocol):
    """How fast SKUs sell; answers at once from what was last measured."""

    def demand(self, skus: Sequence[Sku]) -> DemandTable:
        """What has been measured of the named SKUs; those nobody has measured are absent."""


class UnitPricePort(Protocol):
    """What scarce units turned out to be worth in the last batch of waiting orders."""

    async def prices(self, *, tenant: str, now: datetime) -> UnitPrices | None:
        """The prices in force; None when there are none, or their time is over."""


class CarrierReads(Protocol):
    """What may be read of one carrier or aggregator."""

    async def lanes(self, country: str) -> Sequence[Lane]:
        """Every lane sold to the country (ISO 3166-1 alpha-2)."""


class CarrierPort(EffectPort, CarrierReads, Protocol):
    """One carrier or aggregator: what it sells where, and labels."""

    async def scanned(self, label_key: EffectKey) -> bool:
        """Whether the carrier has taken over the parcel whose label was booked under this key.

        Raises:
            ConnectorUnavailable: the carrier cannot say now.
        """


@dataclass(frozen=True, kw_only=True)
class CustomerHistory:
    """What the CRM knows of a customer that an agent may weigh. No names."""

    customer_id: str
    orders_delivered: int = 0
    orders_refused: int = 0
    """Cash-on-delivery parcels refused at the door."""
    disputed: int = 0
    first_order_at: datetime | None = None
    last_profile_change_at: datetime | None = None
    known_bad: bool = False
    tier: str = ""
    known_devices: tuple[str, ...] | None = None
    """Device ids the customer has ordered with before; None when the CRM does not keep them."""
    known_cards: tuple[str, ...] | None = None
    """Card fingerprints of delivered, undisputed orders; None when the CRM does not keep them."""
    known_addresses: tuple[str, ...] | None = None
    """SHA-256 of places delivered to undisputed (line1|city|postcode|country, lower case); None when not kept."""


class CustomerReads(Protocol):
    """What may be read of customer relations."""

    async def history(self, customer_id: str) -> CustomerHistory:
        """What is known of the customer; an unknown id gives an empty history."""


class CustomerPort(EffectPort, CustomerReads, Protocol):
    """Customer relations: history, loyalty points, tags."""


class RatePort(Protocol):
    """Where dated exchange rates come from: the ERP, or published tables."""

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        """Rates per US dollar of the last 30 days for the currencies that have any.

        Raises:
            Transient: they cannot be read now.
        """


class CataloguePort(Protocol):
    """Product master and prices, from the ERP."""

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        """The products that exist; unknown SKUs are absent."""

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        """Recent dated rates per US dollar for the currencies that have any."""


class RiskBookPort(Protocol):
    """What the risk desk has written down: exceptions for customers, and hashes of confirmed fraud."""

    async def exceptions(self, *, tenant: str, customer_id: str) -> Sequence[CustomerException]:
        """Every exception of a customer that has not been deleted, ended ones included."""

    async def confirmed(self, *, tenant: str, keys: Mapping[str, str]) -> Sequence[str]:
        """The names of those keys (``card`` -> fingerprint) whose value is on the confirmed-fraud list."""


class ExamplePort(Protocol):
    """What people's accepted edits have taught."""

    async def similar(self, tenant: str, situation: Situation) -> Sequence[Example]:
        """The examples with influence on a situation, best first.

        Raises:
            StoreUnavailable: no answer.
        """


class RulePort(Protocol):
    """Rules promoted from confirmed model answers."""

    async def adopted(self, tenant: str, agent: str) -> Sequence[PromotedRule]:
        """The adopted rules of an agent.

        Raises:
            StoreUnavailable: nobody can say now.
        """


class ConsigneePort(Protocol):
    """What consignees were sent across the border before: import relief is counted by it."""

    async def sent(
        self, *, tenant: str, consignee: str, order_id: str, half_year: datetime, day: datetime, now: datetime
    ) -> Consigned | None:
        """What a consignee was sent by ``now`` in other orders: parcels since ``half_year``, value since ``day``.

        None when nobody counted.

        Raises:
            StoreUnavailable: no answer.
        """


class SegmentPort(Protocol):
    """How large a shop's orders usually are."""

    async def segments(self, *, tenant: str) -> SegmentSnapshot:
        """The newest snapshot."""


class ActivityReads(Protocol):
    """Counts of recent activity by card, device, address and so on, in exact sliding windows."""

    async def count(self, *, tenant: str, name: str, value: str, since: datetime, distinct: str) -> int:
        """Distinct orders (``distinct='order'``) or accounts (``'account'``) seen under a key since an instant."""


class ActivityPort(ActivityReads, Protocol):
    """Recent activity, as intake notes it."""

    async def record(self, *, tenant: str, keys: Mapping[str, str], order_id: str, account: str, at: datetime) -> None:
        """Note one order under each named key (``card`` -> fingerprint). Recording the same order again changes nothing."""


@dataclass(frozen=True, kw_only=True)
class AgentCase:
    """Everything an agent is given. It may read more through the ports it was built with; it writes nowhere."""

    order: Order
    order_version: int
    decisions: Mapping[str, Decision]
    """What other agents have decided on this order so far, by agent name."""
    now: datetime
    accepted_at: datetime | None = None
    """When the order came in: the tables published by then are the ones it is judged by."""
    attempt_group: int = 1
    hints: Mapping[str, Plain] = field(default_factory=dict)
    """Facts from an earlier attempt: SKUs that turned out short, a person's edits."""


class Agent(Protocol):
    """One agent: judges a case. The same instance serves many cases at once."""

    @property
    def name(self) -> str:
        """The registry name (``fraud_detection``)."""

    @property
    def version(self) -> str:
        """The published version (``fd-1.0``)."""

    async def decide(self, case: AgentCase) -> Verdict:
        """Judge the case.

        Raises:
            Transient: an input could not be read; the declared fallback decides.
        """

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """The declared fallback's verdict, computed from the case alone, without reading anything."""


class LanguagePort(Protocol):
    """Asks language models: bounded in time, attempts and money, checked, recorded. Safe to share between tasks."""

    async def ask(self, request: LanguageRequest, *, check: Check | None = None) -> Answer:
        """Answer the request, or say why there is no answer; a failing provider or store is never an error.

        ``check`` holds the answer against the caller's records; what it faults is repaired once, then there is no answer.

        Raises:
            ConfigError: the prompt does not exist, or the request's variables are not the ones its manifest names.
        """


class LanguageObserver(Protocol):
    """Is told of every call and every question, for metrics and traces. It must not block and must not fail."""

    def called(self, record: CallRecord) -> None:
        """One call to a provider is over; ``at`` and ``latency_ms`` say when it was."""

    def asked(self, request: LanguageRequest, answer: Answer, *, seconds: float) -> None:
        """A question is over. The request holds personal data: nothing of its texts may be passed on."""


class Message(Document):
    """One message on the bus: flat text headers and a JSON body kept as text."""

    key: str
    """Entity the message is about; messages of one key keep their order."""
    headers: dict[str, str] = {}
    body: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message handed to one consumer, to be acknowledged."""

    delivery_id: str
    message: Message
    attempt: int
    """1 on first delivery."""


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A message nobody could handle, kept with its reason until it is replayed or dropped."""

    letter_id: str
    topic: str
    group: str
    message: Message
    reason: str
    attempts: int
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far a group is behind."""

    undelivered: int
    pending: int
    oldest_ms: int
    """Age of the oldest message not yet acknowledged; 0 when there is none."""


class EventBus(Protocol):
    """At-least-once publish and subscribe with consumer groups, a delivery cap and a dead-letter list.

    A group sees every message published since the topic began, whenever the group was created. Nothing unread by any
    declared group is ever trimmed.
    """

    async def publish(self, topic: str, message: Message, *, dedupe_key: str | None = None) -> str | None:
        """Append durably and return the message id, or None when ``dedupe_key`` was already published (atomic)."""

    async def subscribe(self, topic: str, group: str) -> None:
        """Declare a group; it starts at the topic's beginning. Declaring twice changes nothing."""

    async def read(
        self, topic: str, group: str, consumer: str, *, count: int = 10, block_ms: int = 0
    ) -> list[Delivery]:
        """Take up to ``count`` undelivered messages, waiting up to ``block_ms`` for the first one."""

    async def claim(self, topic: str, group: str, consumer: str, *, idle_ms: int, count: int = 10) -> list[Delivery]:
        """Take over messages another consumer left unacknowledged for ``idle_ms``.

        Messages delivered as often as the cap allows go to the dead-letter list instead.
        """

    async def ack(self, topic: str, group: str, delivery_ids: Sequence[str]) -> None:
        """Confirm that the messages are handled."""

    async def bury(self, topic: str, group: str, delivery: Delivery, reason: str) -> None:
        """Move a delivery to the dead-letter list with a reason and acknowledge it, in one step."""

    async def dead_letters(self, *, count: int = 100) -> list[DeadLetter]:
        """The dead letters, oldest first."""

    async def replay(self, letter_id: str) -> str:
        """Publish a dead letter again and drop it from the list, in one step; returns the new message id.

        Raises:
            NotFound: no such letter.
        """

    async def lag(self, topic: str, group: str) -> Lag:
        """How far the group is behind."""

    async def trim(self, topic: str) -> int:
        """Drop messages every group has acknowledged; returns how many went."""

    async def close(self) -> None:
        """Let go of connections."""
