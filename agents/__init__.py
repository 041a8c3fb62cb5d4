"""The registry of agents: every version that can be named in a topology file, what it reads and does, and how to build it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from agents.analytics_tagging import POLICY as TAG_POLICY
from agents.analytics_tagging import AnalyticsTagging
from agents.compliance import Compliance
from agents.compliance_clauses import shipped_clauses
from agents.customer_notification import CustomerNotification
from agents.drafted_notification import DraftedNotification
from agents.exchange import Exchange
from agents.fraud_book import MemoryRiskBook
from agents.fraud_calibration import shipped_calibration
from agents.fraud_detection import Edition, FraudDetection, rules_edition
from agents.fraud_scorecard import SCORECARD_CALIBRATION_FILE, scorecard_edition
from agents.fraud_segments import Segments, ShippedSegments
from agents.fraud_thresholds import shipped_thresholds
from agents.inventory_reservation import POLICY as STOCK_POLICY
from agents.inventory_reservation import InventoryReservation
from agents.loyalty import POLICY as LOYALTY_POLICY
from agents.loyalty import Loyalty
from agents.message_templates import shipped_messages
from agents.network import Network
from agents.order_routing import POLICY as ROUTING_POLICY
from agents.order_routing import OrderRouting
from agents.policies import parsed, shipped_text
from agents.promoted import NoRules
from agents.second_opinion import FraudSecondOpinion
from agents.shipping_method import POLICY as METHOD_POLICY
from agents.shipping_method import ShippingMethod
from agents.tax import TaxAssessment
from agents.tax_rules import shipped_rules
from domain.effect import EffectKind
from domain.errors import ConfigError
from domain.language import NoModel
from domain.ports import (
    ActivityReads,
    Agent,
    CarrierReads,
    CataloguePort,
    ConsigneePort,
    CustomerReads,
    DemandPort,
    FeedPort,
    LanguagePort,
    RatePort,
    RiskBookPort,
    RulePort,
    SegmentPort,
    UnitPricePort,
    WarehouseReads,
)

__all__ = ["SPECS", "AgentPorts", "AgentSpec", "build"]


@dataclass(frozen=True, kw_only=True)
class AgentPorts:
    """What agents may read. One value builds all agents of a process, so that they share what they have read."""

    wms: WarehouseReads
    carriers: Mapping[str, CarrierReads]
    crm: CustomerReads
    erp: CataloguePort
    activity: ActivityReads
    risk_book: RiskBookPort = field(default_factory=MemoryRiskBook)
    """Exceptions for customers and confirmed fraud; empty unless a shop keeps one."""
    segments: SegmentPort = field(default_factory=ShippedSegments)
    """How large orders usually are; the shipped measurement unless a shop has its own."""
    feed: FeedPort | None = None
    """None where every count's own time is all that is known of its feed."""
    demand: DemandPort | None = None
    """None where nobody measures how fast SKUs sell."""
    unit_prices: UnitPricePort | None = None
    """None where released orders are not looked at again before they are picked."""

    consignees: ConsigneePort | None = None
    """None where nobody counts what consignees were sent."""
    rates: RatePort | None = None
    """Where exchange rates come from when not from the ERP."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """Published tables by name, as text; what is not among them is as it ships."""

    language: LanguagePort = field(default_factory=NoModel)
    """Language models; silent where none is configured."""
    rules: RulePort = field(default_factory=NoRules)
    """Rules promoted from confirmed model answers."""

    def table(self, name: str) -> Any:
        """The table agents decide by: the published one, else the one that ships.

        Raises:
            ConfigError: the published text is no such table.
        """
        return parsed(name, self.tables.get(name) or shipped_text(name))

    @cached_property
    def network(self) -> Network:
        """Sites and lanes, read once a minute for all agents."""
        return Network(self.wms, self.carriers)

    @cached_property
    def segment_tables(self) -> Segments:
        """Sizes of orders, read once in ten minutes for all agents."""
        return Segments(self.segments)

    @cached_property
    def exchange(self) -> Exchange:
        """Exchange rates, read once in ten minutes for all agents."""
        return Exchange(self.rates or self.erp)


@dataclass(frozen=True, kw_only=True)
class AgentSpec:
    """One published version of an agent."""

    name: str
    version: str
    owner: str
    """The team that answers for it."""
    trigger: str
    """What makes it run."""
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    """Facets of the order its decision settles."""
    actions: tuple[str, ...]
    """Effects it may propose, by kind."""
    fallbacks: tuple[str, ...]
    thresholds: str
    """Version of its tables."""
    calibration: str | None
    """What its confidence is measured by; None when it is declared."""
    build: Callable[[AgentPorts], Agent]
    learned: bool = False
    """Whether its confidence is a model's word: without a calibration by people's answers it stays below acting."""


def _fraud(ports: AgentPorts, edition: Edition) -> FraudDetection:
    return FraudDetection(
        activity=ports.activity,
        crm=ports.crm,
        erp=ports.erp,
        exchange=ports.exchange,
        book=ports.risk_book,
        segments=ports.segment_tables,
        edition=replace(edition, schedule=ports.table("fraud_thresholds")),
    )


def _fraud_spec(
    version: str, *, calibration: str, build: Callable[[AgentPorts], Agent], also: tuple[str, ...] = ()
) -> AgentSpec:
    return AgentSpec(
        name=FraudDetection.name,
        version=version,
        owner="risk",
        trigger="order accepted",
        reads=(
            "order",
            "activity.counts",
            "crm.history",
            "erp.products",
            "erp.rates",
            "risk.exceptions",
            "risk.confirmed",
            "risk.segments",
            *also,
        ),
        writes=("order.release",),
        actions=(),
        fallbacks=FraudDetection.fallbacks,
        thresholds=shipped_thresholds().versions[-1].version,
        calibration=calibration,
        build=build,
    )


def _notification_spec(version: str, *, build: Callable[[AgentPorts], Agent], also: tuple[str, ...] = ()) -> AgentSpec:
    return AgentSpec(
        name=CustomerNotification.name,
        version=version,
        owner="customer service",
        trigger="order fulfilled, cancelled or backordered",
        reads=("order", "decisions", *also),
        writes=("order.messages",),
        actions=(EffectKind.SEND_MESSAGE.value,),
        fallbacks=CustomerNotification.fallbacks,
        thresholds=shipped_messages().version,
        calibration=None,
        build=build,
    )


_SPECS = (
    _fraud_spec(
        "fd-1.0",
        calibration=shipped_calibration().calibration_id,
        build=lambda ports: _fraud(ports, rules_edition()),
    ),
    _fraud_spec(
        "fd-1.1",
        calibration=shipped_calibration(SCORECARD_CALIBRATION_FILE).calibration_id,
        build=lambda ports: _fraud(ports, scorecard_edition()),
    ),
    _fraud_spec(
        FraudSecondOpinion.version,
        calibration=shipped_calibration().calibration_id,
        build=lambda ports: FraudSecondOpinion(_fraud(ports, rules_edition()), ports.language, ports.rules),
        also=("model.answer", "rules.adopted"),
    ),
    AgentSpec(
        name=Compliance.name,
        version=Compliance.version,
        owner="trade compliance",
        trigger="order accepted",
        reads=("order", "erp.products"),
        writes=("order.legality",),
        actions=(),
        fallbacks=Compliance.fallbacks,
        thresholds=shipped_clauses().version,
        calibration=None,
        build=lambda ports: Compliance(erp=ports.erp, clauses=ports.table("compliance_clauses")),
    ),
    AgentSpec(
        name=InventoryReservation.name,
        version=InventoryReservation.version,
        owner="warehouse operations",
        trigger="order accepted",
        reads=("order", "wms.stock", "wms.warehouses", "stock.feeds", "stock.demand"),
        writes=("order.reservation",),
        actions=(EffectKind.HOLD_STOCK.value,),
        fallbacks=InventoryReservation.fallbacks,
        thresholds=STOCK_POLICY.version,
        calibration=None,
        build=lambda ports: InventoryReservation(
            wms=ports.wms,
            network=ports.network,
            feed=ports.feed,
            demand=ports.demand,
            policy=ports.table("stock_policy"),
        ),
    ),
    AgentSpec(
        name=OrderRouting.name,
        version=OrderRouting.version,
        owner="logistics",
        trigger="tier 1 passed the gate",
        reads=(
            "order",
            "decisions",
            "wms.stock",
            "wms.warehouses",
            "carriers.lanes",
            "erp.products",
            "erp.rates",
            "waves.unit_prices",
            "consignee.sent",
        ),
        writes=("order.route",),
        actions=(),
        fallbacks=OrderRouting.fallbacks,
        thresholds=ROUTING_POLICY.version,
        calibration=None,
        build=lambda ports: OrderRouting(
            wms=ports.wms,
            erp=ports.erp,
            network=ports.network,
            exchange=ports.exchange,
            unit_prices=ports.unit_prices,
            feed=ports.feed,
            demand=ports.demand,
            consignees=ports.consignees,
        ),
    ),
    AgentSpec(
        name=TaxAssessment.name,
        version=TaxAssessment.version,
        owner="finance",
        trigger="order_routing decided",
        reads=("order", "decisions", "erp.products", "erp.rates", "consignee.sent"),
        writes=("order.tax",),
        actions=(),
        fallbacks=TaxAssessment.fallbacks,
        thresholds=shipped_rules().version,
        calibration=None,
        build=lambda ports: TaxAssessment(
            exchange=ports.exchange, erp=ports.erp, table=ports.table("tax_rules"), consignees=ports.consignees
        ),
    ),
    AgentSpec(
        name=ShippingMethod.name,
        version=ShippingMethod.version,
        owner="logistics",
        trigger="order_routing decided",
        reads=("order", "decisions", "carriers.lanes", "erp.products", "erp.rates"),
        writes=("order.method",),
        actions=(),
        fallbacks=ShippingMethod.fallbacks,
        thresholds=METHOD_POLICY.version,
        calibration=None,
        build=lambda ports: ShippingMethod(network=ports.network, exchange=ports.exchange, erp=ports.erp),
    ),
    _notification_spec(
        CustomerNotification.version, build=lambda ports: CustomerNotification(messages=ports.table("messages"))
    ),
    _notification_spec(
        DraftedNotification.version,
        build=lambda ports: DraftedNotification(CustomerNotification(messages=ports.table("messages")), ports.language),
        also=("model.answer",),
    ),
    AgentSpec(
        name=Loyalty.name,
        version=Loyalty.version,
        owner="marketing",
        trigger="order fulfilled or cancelled",
        reads=("order", "decisions"),
        writes=("order.loyalty",),
        actions=(EffectKind.POST_LOYALTY.value, EffectKind.REVERSE_LOYALTY.value),
        fallbacks=Loyalty.fallbacks,
        thresholds=LOYALTY_POLICY.version,
        calibration=None,
        build=lambda ports: Loyalty(),
    ),
    AgentSpec(
        name=AnalyticsTagging.name,
        version=AnalyticsTagging.version,
        owner="analytics",
        trigger="order finished",
        reads=("order", "decisions"),
        writes=("order.tags",),
        actions=(EffectKind.TAG_ORDER.value,),
        fallbacks=AnalyticsTagging.fallbacks,
        thresholds=TAG_POLICY.version,
        calibration=None,
        build=lambda ports: AnalyticsTagging(),
    ),
)

SPECS: Mapping[tuple[str, str], AgentSpec] = {(spec.name, spec.version): spec for spec in _SPECS}
"""Every published agent version by name and version."""


def build(name: str, version: str, ports: AgentPorts) -> Agent:
    """The named version of an agent, reading through ``ports``.

    Raises:
        ConfigError: there is no such version; the message lists those there are.
    """
    spec = SPECS.get((name, version))
    if spec is None:
        known = ", ".join(f"{known} {of}" for known, of in sorted(SPECS))
        raise ConfigError(f"there is no agent {name} {version}; the topology file may name {known}")
    return spec.build(ports)
