"""What the routes ask of the workflow layer: one Protocol, the order desk, and the values it speaks in.

JSON views are plain dicts that the desk has already made safe to show inside the tenant; amounts are ``amount_minor`` +
``currency``, times are ISO 8601 in UTC.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from domain.event import Event
from domain.ids import OrderId, ReviewId, TenantId
from domain.outcome import TurnedOut
from domain.promise_clock import StartClock
from domain.review import ReviewAnswer, ReviewState
from domain.review_acts import Act
from domain.review_case import Actor
from domain.what_if import WhatIf
from graph.runtime.cases import CaseQuery, Verdict
from tools.channels import DeliveryKind

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One verified delivery: the raw bytes as they came, and what was learned from verifying them."""

    tenant: TenantId
    channel: str
    shop: str
    topic: str
    """The channel's word for what happened."""
    kind: DeliveryKind
    raw: bytes
    dedupe_id: str
    """The same delivery has the same one within (tenant, channel, shop); accepted once."""
    order_hint: str = ""
    """The order's id at the channel, when the delivery tells it; empty otherwise."""
    fetch: bool = False
    """Whether the delivery only says that something changed, so that the order must be fetched."""
    source: str
    """``api`` or ``webhook``."""
    source_time: datetime | None = None
    """When it happened, says the channel."""
    received_at: datetime
    currency: str = ""
    """The order's, or the tenant's settlement currency until the order has been read."""
    locale: str = ""
    """The customer's, or the tenant's until the order has been read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The answer to a submission that is durable."""

    order_id: OrderId | None
    """None until the delivery has been read by a worker."""
    handle: str
    """What ``order`` takes: the order id when it is known, else the delivery's own id."""
    duplicate: bool
    """The delivery was accepted before; nothing new was started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that must work for orders to flow."""

    ok: bool
    detail: str
    """One sentence; no secrets, because probes without a key see it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Whether this process can take orders now, and why not."""

    ready: bool
    checks: Mapping[str, Check] = field(default_factory=dict)


class Governing(Protocol):
    """Past decisions again, dry runs, shadow reports and policies. Nothing of it changes an order."""

    async def what_if(self, tenant: TenantId, wanted: WhatIf) -> Json:
        """Run an order dry.

        Raises:
            NotFound: there is no record of this order's decisions in this tenant.
            InputError: a change does not fit.
        """

    async def replay_order(self, tenant: TenantId, order_id: str) -> list[Json]:
        """Every decision of an order made again.

        Raises:
            NotFound: there is no record of them in this tenant.
        """

    async def replay_decision(self, tenant: TenantId, decision_id: str) -> Json:
        """One decision made again.

        Raises:
            NotFound: there is no record of it in this tenant.
        """

    async def reports(self, tenant: TenantId) -> list[Json]:
        """The tenant's shadow reports, newest first, without their contents."""

    async def report(self, tenant: TenantId, report_id: str) -> Json:
        """One shadow report.

        Raises:
            NotFound: there is none of this id in this tenant.
        """

    async def policies(self, tenant: TenantId) -> list[Json]:
        """Every table agents decide by: what is in force, its versions and publications."""


class Purchasing(Protocol):
    """Purchase orders and what starts them."""

    async def start(self, tenant: TenantId, skus: Sequence[str], *, key: str, by: str, alert: bool) -> Json:
        """Look at SKUs and start what needs ordering; the same key again leads to the same orders."""

    async def listed(self, tenant: TenantId, states: Sequence[str] = (), *, limit: int = 200) -> Json:
        """Purchase orders and cycle times by supplier.

        Raises:
            NotFound: there is no such state.
        """

    async def shown(self, tenant: TenantId, number: str) -> Json:
        """One purchase order with letter, chain and open question.

        Raises:
            NotFound: there is none of that number in this tenant.
        """

    async def decide(
        self,
        tenant: TenantId,
        number: str,
        answer: ReviewAnswer,
        roles: frozenset[str],
        *,
        limit_usd_minor: int | None = None,
    ) -> Json:
        """Answer what is asked about a purchase order.

        Raises:
            NotFound, Conflict, Forbidden, AlreadyDecided, UnprocessableOrder: see ``OrderDesk.decide``.
        """

    async def answered(self, tenant: TenantId, raw: bytes) -> Json:
        """Take one mail message of a supplier, once.

        Raises:
            InputError: it cannot be read, or belongs to no purchase order of this tenant.
            Transient: it was not taken; the sender should repeat.
        """


class Blinded(Protocol):
    """Keeps what agents concluded from people while one of them is asked without being told."""

    async def require_seen(self, tenant: str, order_id: str, roles: frozenset[str]) -> None:
        """Refuse to show opinions on an order that waits for a blind answer, to everybody but administrators.

        Raises:
            Forbidden: they are shown once the review is answered.
        """


class OrderDesk(Protocol):
    """The order workflow as the API sees it. Every call is confined to one tenant; what is not there is NotFound."""

    @property
    def governance(self) -> Governing:
        """What governs the agents."""

    @property
    def purchasing(self) -> Purchasing:
        """Purchase orders."""

    @property
    def blinding(self) -> Blinded:
        """What is kept from whom while a blind review is open."""

    async def submit(self, submission: Submission) -> Accepted:
        """Make the delivery durable, once, before returning.

        Raises:
            Transient: nothing was accepted; the sender should repeat.
        """

    async def order(self, tenant: TenantId, order_id: str) -> Json:
        """One order's timeline.

        Raises:
            NotFound: no such order or handle in this tenant.
        """

    async def cancel(self, tenant: TenantId, order_id: str, *, actor: str, reason: str) -> Json:
        """Ask for the order's cancellation; asking again changes nothing.

        Raises:
            NotFound: no such order in this tenant.
            TooLate: the order went past the point where it can be cancelled.
        """

    async def reviews(
        self, tenant: TenantId, *, state: ReviewState, wanted: CaseQuery | None = None, reason: str = ""
    ) -> list[Json]:
        """The tenant's reviews in one state, dearest delay first; each has ``review_id`` and ``allowed_roles``."""

    async def review(self, tenant: TenantId, review_id: str) -> Json:
        """One case with everything that has happened to it.

        Raises:
            NotFound: no such review in this tenant.
        """

    async def act(self, tenant: TenantId, review_id: str, act: Act, by: Actor, *, seen_digest: str = "") -> Json:
        """Claim, release, assign, snooze, comment or ask; gives the case as it then stands.

        Raises:
            NotFound: no such review in this tenant.
            Forbidden: the actor's roles do not work on it.
            AlreadyDecided, Conflict: it is closed, held by somebody else, or not what was shown.
            InputError: the act asks for what cannot be.
        """

    async def bulk(self, tenant: TenantId, review_ids: Sequence[str], work: Act | Verdict, by: Actor) -> list[Json]:
        """The same act or answer on many cases, each checked by itself; one result each."""

    async def measures(self, tenant: TenantId, *, since: datetime, until: datetime) -> Json:
        """What reviewing cost and yielded in a period."""

    async def decide(
        self,
        tenant: TenantId,
        review_id: ReviewId,
        answer: ReviewAnswer,
        roles: frozenset[str],
        *,
        limit_usd_minor: int | None = None,
    ) -> Json:
        """Answer a review, once.

        Raises:
            NotFound: no such review in this tenant.
            Forbidden: none of ``roles`` may answer it, or the person proposed it.
            AlreadyDecided: somebody was first.
            Conflict: the order has changed since it was shown.
            UnprocessableOrder: the edits name fields that may not be edited, or values that do not fit.
        """

    async def audit(self, tenant: TenantId, entity_id: str) -> Json:
        """Who acted on the entity, when, why, with which versions and inputs.

        Raises:
            NotFound: no such entity in this tenant.
        """

    async def agents(self) -> list[Json]:
        """The registry: every agent with its version, tier, mode, triggers, reads and writes."""

    async def costs(self, tenant: TenantId, by: str, given: Mapping[str, str | None]) -> Json:
        """What model calls cost, grouped, and what the budgets of the day have left."""

    async def registry(self, tenant: TenantId) -> Json:
        """Every agent and automation, with budgets, and who speaks in this tenant's events without being registered."""

    async def report(self, event: Event) -> Json:
        """Keep what an automation reports, once.

        Raises:
            Conflict: the sender used the id for another event.
            Transient: it was not kept; the sender should repeat.
        """

    async def autonomy(self, tenant: TenantId, agent: str | None) -> Json:
        """What agents have earned: accuracy per agent, and per segment where it stands and what it still needs."""

    async def outcome(self, tenant: TenantId, said: TurnedOut, *, by: str) -> Json:
        """Put on record what came of an agent's decision; the same agent, order and kind again is the same outcome.

        Raises:
            InputError: there is no such agent.
            NotFound: no such order in this tenant.
        """

    async def clocks(self, tenant: TenantId, *, running: bool, entity_id: str | None) -> Json:
        """Promises with a deadline, the nearest first, and how each kind was kept lately."""

    async def start_clock(self, tenant: TenantId, asked: StartClock) -> Json:
        """Start one, once for the same thing owed.

        Raises:
            InputError: there is no such kind, or it would end before it begins.
        """

    async def end_clock(self, tenant: TenantId, clock_id: str, *, actor: str, machine: bool, withdrawn: bool) -> Json:
        """What was owed happened, or is not owed any more.

        Raises:
            NotFound: this tenant has none of that id.
        """

    async def examples(self, tenant: TenantId) -> list[Json]:
        """What people's edits have taught, newest first."""

    async def example(self, tenant: TenantId, example_id: str) -> Json:
        """One example.

        Raises:
            NotFound: this tenant has none of that id.
        """

    async def set_example(
        self, tenant: TenantId, example_id: str, *, active: bool, actor: str, roles: frozenset[str], reason: str
    ) -> Json:
        """Undo an example or give it its influence back.

        Raises:
            NotFound: this tenant has none of that id.
            Forbidden: none of ``roles`` teaches its kind.
            Conflict: there is nothing to restore.
        """

    async def erase_customer(
        self, tenant: TenantId, customer_id: str, *, actor: str, reason: str, dry_run: bool
    ) -> Json:
        """Remove a person everywhere, or say what would go.

        Raises:
            NotFound: nothing is held of them in this tenant.
            Conflict: an order of theirs still runs; nothing was changed.
        """

    async def dead_letter(self, tenant: TenantId, channel: str, raw: bytes, reason: str) -> None:
        """Keep an authentic delivery that cannot be read, with its reason.

        Raises:
            Transient: it was not kept; the sender should repeat.
        """

    async def health(self) -> Health:
        """Whether orders can be taken now; never raises."""

    def metrics(self) -> bytes:
        """The runtime's instruments in the Prometheus text format."""

    def events(self, tenant: TenantId, last_event_id: str | None) -> AsyncIterator[tuple[str, str]]:
        """The tenant's events as (stream id, event JSON): those after ``last_event_id``, then live ones, without end."""
