"""One run over one order: what every node is given as context, loaded once by the worker that holds the order."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from hashlib import sha256

from domain.event import Event
from domain.ids import EventId, OrderId, TenantId, ThreadId, stable_id
from domain.order import Order
from domain.ports import AgentCase
from domain.values import Plain
from graph.effects import Holder
from graph.runtime.journal import Latest


@dataclass(kw_only=True)
class OrderRun:
    """The order, on whose authority it is worked on, and what has been decided so far in this attempt group."""

    thread: ThreadId
    order: Order
    version: int
    """Of the order document."""
    attempt_group: int
    token: int
    """Fencing token of the lease."""
    correlation_id: str
    topology_version: str
    exposure_usd: Decimal | None
    """The order's value in US dollars; None when there is no exchange rate."""
    accepted_at: datetime | None = None
    """When the order came in."""
    exposure_rate: str = ""
    """The dated rate the value rests on and how fresh it is (``ecb:USDHKD:2026-11-11 fresh``); empty without one."""
    decisions: Latest = field(default_factory=lambda: Latest({}))
    """The latest decision of each agent in this attempt group."""
    permitted: Callable[[], Awaitable[None]] | None = None
    """Asked before each step of a release that cannot be taken back; it raises where a person must decide first."""
    late: str = ""
    """JSON of what the customer changed outside its window, until a person has answered."""
    cancel_from_channel: bool = False
    """The sales channel cancelled by itself and need not be told."""

    @property
    def tenant(self) -> TenantId:
        """The shop's tenant."""
        return self.order.tenant

    @property
    def entity_name(self) -> str:
        """What a person calls it."""
        return f"order {self.order_id}"

    @property
    def order_id(self) -> OrderId:
        """The order's id."""
        return self.order.order_id

    @cached_property
    def content_digest(self) -> str:
        """Digest of what agents judge and people approve."""
        return self.order.content_digest()

    @cached_property
    def document(self) -> tuple[str, str]:
        """Digest and text of the order's document, for the tapes of its decisions."""
        text = self.order.to_json()
        return sha256(text.encode()).hexdigest(), text

    @property
    def usd_minor(self) -> int | None:
        """The order's value in US cents, for events; None when there is no exchange rate."""
        return None if self.exposure_usd is None else int(self.exposure_usd * 100)

    @property
    def holder(self) -> Holder:
        """On whose behalf effects happen."""
        return Holder(
            thread=self.thread,
            tenant=self.tenant,
            order_id=self.order_id,
            external_id=self.order.external_id,
            shop=self.order.shop,
            token=self.token,
            correlation_id=self.correlation_id,
            currency=self.order.currency,
            locale=self.order.locale,
        )

    def case(self, now: datetime, *, hints: dict[str, Plain] | None = None) -> AgentCase:
        """What an agent is given."""
        return AgentCase(
            order=self.order,
            order_version=self.version,
            decisions=self.decisions.as_now(),
            now=now,
            accepted_at=self.accepted_at,
            attempt_group=self.attempt_group,
            hints=hints or {},
        )

    def event(self, kind: str, facts: dict[str, Plain], *, at: datetime, part: str, actor: str = "signalbox") -> Event:
        """A happening of this run. Its id follows from the run and ``part``, so a repeated step repeats no event."""
        return Event(
            event_id=EventId(stable_id(self.thread, str(self.attempt_group), kind, part)),
            event_type=kind,
            entity_type="order",
            entity_id=self.order_id,
            agent_name=actor,
            timestamp=at,
            result=dict(facts),
            tenant=self.tenant,
            sequence=0,
            correlation_id=self.correlation_id,
            currency=self.order.currency,
            locale=self.order.locale,
        )
