"""One run over one purchase order: what every node is given as context."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from agents.supply_case import SupplyCase
from domain.event import Event
from domain.ids import OrderId, TenantId, ThreadId
from domain.purchasing import PurchaseOrder
from domain.values import Plain
from graph.effects import Holder
from graph.runtime.journal import Latest
from graph.runtime.supply_cases import ENTITY, SupplyRecord


@dataclass(kw_only=True)
class SupplyRun:
    """The chain, on whose authority it is worked on, and what has been decided in this attempt group."""

    record: SupplyRecord
    token: int
    topology_version: str
    decisions: Latest = field(default_factory=lambda: Latest({}))

    @property
    def thread(self) -> ThreadId:
        """The chain's thread."""
        return self.record.thread

    @property
    def entity_name(self) -> str:
        """What a person calls it."""
        return f"purchase order {self.record.number}"

    @property
    def tenant(self) -> TenantId:
        """The buyer's tenant."""
        return self.record.trigger.tenant

    @property
    def number(self) -> str:
        """The purchase order's number."""
        return self.record.number

    @property
    def order(self) -> PurchaseOrder | None:
        """The order as drafted in this attempt group, or None before that."""
        decision = self.decisions.get("purchase_order_draft")
        document = decision.facts.get("order") if decision is not None else None
        return None if document is None else PurchaseOrder.model_validate(document)

    @property
    def holder(self) -> Holder:
        """On whose behalf effects happen."""
        order = self.order
        return Holder(
            thread=self.thread,
            tenant=self.tenant,
            order_id=OrderId(self.number),
            external_id=self.number,
            shop="",
            token=self.token,
            correlation_id=self.record.correlation_id,
            currency=order.currency if order else "",
            locale=order.vendor.language if order else "",
            entity_type=ENTITY,
        )

    def case(self, now: datetime) -> SupplyCase:
        """What an agent is given."""
        return SupplyCase(
            number=self.number,
            tenant=self.tenant,
            trigger=self.record.chain,
            skus=self.record.trigger.skus,
            now=now,
            version=self.record.version,
            attempt_group=self.record.attempt_group,
            decisions=self.decisions.as_now(),
            edits=self.record.edits,
        )

    def event(self, kind: str, facts: dict[str, Plain], *, at: datetime, part: str, actor: str = "signalbox") -> Event:
        """A happening of this run."""
        return self.record.event(kind, facts, at=at, part=part, actor=actor)


@dataclass(frozen=True, kw_only=True)
class Worth:
    """An order's value in US dollars; None when there is no exchange rate, which counts as high."""

    usd: Decimal | None

    @property
    def usd_minor(self) -> int | None:
        """In US cents."""
        return None if self.usd is None else int(self.usd * 100)
