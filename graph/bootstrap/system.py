"""The one place that builds things: a whole Signalbox from settings, every part replaceable by an argument."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from agents import SPECS, AgentPorts
from agents.published import published
from agents.stock_policy import POLICY as STOCK_POLICY
from agents.taped_ports import absent, taped
from domain.errors import ConfigError
from domain.ports import Agent
from graph.bootstrap import safety
from graph.bootstrap.autonomy import EarnedAutonomy, earn
from graph.bootstrap.clocks import build_clocks
from graph.bootstrap.contacts import Contacts, build_contacts
from graph.bootstrap.foundation import Foundation, lay
from graph.bootstrap.governance import Governance, govern
from graph.bootstrap.measures import Measures, measure
from graph.bootstrap.memory import Memory
from graph.bootstrap.models import LanguageModels, open_models
from graph.bootstrap.observing import Observing, observe
from graph.bootstrap.order_graphs import ORDER_WORKFLOW, carried_workflows, order_threads
from graph.bootstrap.privacy import Privacy, build_privacy
from graph.bootstrap.promotion import Promotion, promote
from graph.bootstrap.review_channels import ReviewChannels, build_review_channels
from graph.bootstrap.reviews import ReviewArea, build_reviews
from graph.bootstrap.settings import Settings
from graph.bootstrap.suppliers import SupplierArea, build_suppliers
from graph.bootstrap.support import SupportArea, build_support
from graph.bootstrap.tier_3 import Tier3, follow
from graph.bootstrap.waves import pick_waves
from graph.effects import Effects
from graph.order.arrivals import Arrivals
from graph.order.claiming import Claiming
from graph.order.controller import OrderController
from graph.order.parking import Parking
from graph.order.rescoring import Rescoring
from graph.order.rewaving import Rewaving
from graph.order.taping import Tapes
from graph.order.threads import OrderThreads
from graph.order.waves import PickWaves
from graph.runtime.audit_guard import AuditGuard
from graph.runtime.bus_kafka import KafkaBus
from graph.runtime.bus_marks import PublishMarks
from graph.runtime.bus_rabbitmq import RabbitBus
from graph.runtime.bus_redis import RedisBus
from graph.runtime.claims import Claims
from graph.runtime.clock import Clock, SystemClock
from graph.runtime.connection import Batcher
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.examples import ExampleBook
from graph.runtime.intake import CONTROLLER
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.keys import Keyspace
from graph.runtime.leases import Leadership
from graph.runtime.listening import Listener, Watch
from graph.runtime.outbox import Outbox
from graph.runtime.promise_clocks import PromiseClocks
from graph.runtime.publications import PoliciesInForce
from graph.runtime.relay import GROUP, AuditRelay
from graph.runtime.risk_book import RiskBook
from graph.runtime.stock_feed import FeedLimits, StockFeed
from graph.runtime.stock_watch import WatchedWarehouse
from graph.runtime.waves import WaveIndex
from graph.runtime.work_router import WorkRouter
from graph.support.nodes import SupportSources
from graph.topology.catalogue import check
from graph.topology.conflict_policy import load_policy
from graph.topology.loader import load
from graph.topology.model import Topology, Workflow
from graph.topology.problems import TopologyError
from tools.connectors.directory import Systems
from tools.fx import Rates

log = structlog.get_logger(__name__)

FEED_LIMITS = FeedLimits(
    normal=STOCK_POLICY.normal,
    open=STOCK_POLICY.open,
    ahead=STOCK_POLICY.ahead,
    samples=STOCK_POLICY.recovery_samples,
    within=STOCK_POLICY.recovery_within,
)
_SUPPORT = SupportSources()

Staff = Callable[[Workflow, AgentPorts], dict[str, Agent]]
"""Makes a workflow's agents, by name."""


class Registry:
    """The agents that exist, as the topology check asks for them."""

    def has(self, name: str, version: str) -> bool:
        """Whether this version of this agent exists."""
        return (name, version) in SPECS or _SUPPORT.has(name, version)

    def fallbacks(self, name: str) -> tuple[str, ...]:
        """The fallbacks any version of the agent can stand in with."""
        known = {fallback for (agent, _), spec in SPECS.items() if agent == name for fallback in spec.fallbacks}
        return (*known, *_SUPPORT.fallbacks(name))


@dataclass(frozen=True, kw_only=True)
class Signalbox(Foundation):
    """A running system's parts."""

    relay: AuditRelay
    leadership: Leadership
    """Of the audit relay."""
    outbox: Outbox | None
    """Publishes the journal to Kafka or RabbitMQ, when one is configured."""
    relay_group: str = GROUP
    """The relay's consumer group on the journal."""
    topology: Topology
    workflow: Workflow
    effects: Effects
    threads: OrderThreads
    controller: OrderController
    work: WorkRouter
    """Takes the units of intake work to their workflow."""
    reviews: ReviewArea
    """The review desk."""
    review_channels: ReviewChannels
    """Where reviews are announced beside the console."""
    feed: StockFeed
    """What is known of the warehouses' stock feeds."""
    parking: Parking
    """Watches over the orders that wait for stock."""
    switch: DegradedSwitch
    """Peak mode: on, off, or as the signs say."""
    rescoring: Rescoring
    """Watches over peak mode and looks again at what was decided in it."""
    waves: PickWaves
    """Looks at released orders once more before they are picked."""
    agents: dict[str, Agent]
    governance: Governance
    """Tapes of decisions, shadow reports, versions."""
    examples: ExampleBook
    """What people's accepted edits have taught."""
    claims: Claims
    """Who claims which facet of what, by the conflict policy in force."""
    autonomy: EarnedAutonomy
    """What agents have earned to do by themselves."""
    privacy: Privacy
    """What is held of one person."""
    risk_book: RiskBook
    """Exceptions for single customers, and hashes of confirmed fraud."""
    tier_3: Tier3
    """Who follows the occasions of orders."""
    measures: Measures
    """What is measured on our own orders."""
    promotion: Promotion
    """Rules made of model answers that people confirmed."""
    observing: Observing
    """Automations, what they report, and who speaks without being registered."""
    suppliers: SupplierArea
    """The supplier workflow."""
    support: SupportArea
    """Contexts for whoever answers customers."""
    models: LanguageModels
    """The gateway to language models, and what they cost."""
    clocks: PromiseClocks
    """Reply times, return windows and refund deadlines that run against us."""
    contacts: Contacts
    """What carriers and help desks tell."""

    @property
    def followers(self) -> tuple[Listener, ...]:
        """Whoever acts on events; each has its own consumer group."""
        return (
            *self.tier_3.followers,
            self.examples,
            self.waves.noted,
            *self.measures.followers,
            *self.autonomy.followers,
            *self.review_channels.listeners,
            *self.governance.followers,
            *self.promotion.followers,
            *self.suppliers.listeners,
            *self.contacts.listeners,
        )

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker does beside the events: each runs until the worker stops."""
        return (
            Watch("parking", self.parking.watch),
            Watch("waves", self.waves.watch),
            Watch("degraded", lambda stop: self.rescoring.watch(stop, lambda: self.bus.lag(INTAKE, CONTROLLER))),
            self.reviews.watch,
            *self.review_channels.watches,
            *self.governance.watches,
            *self.autonomy.watches,
            *self.observing.watches,
            *self.measures.watches,
            *self.tier_3.watches,
            *self.suppliers.watches,
            self.models.watch,
            Watch("clocks", self.clocks.watch),
        )


@asynccontextmanager
async def open_signalbox(
    settings: Settings, *, clock: Clock | None = None, staff: Staff | None = None, outside: Systems | None = None
) -> AsyncIterator[Signalbox]:
    """Build and connect everything; leaving the block lets go of it.

    ``staff`` makes other agents than the published ones of the versions a workflow names; ``outside`` takes the place
    of the systems in the settings.

    Raises:
        ConfigError: a setting, the topology file or the environment must be changed; the message says which and how.
        StoreUnavailable: Redis or the database does not answer.
    """
    safety.check_process()
    async with AsyncExitStack() as stack:
        yield await _build(settings, clock or SystemClock(), staff, stack, outside)


def load_topology(settings: Settings) -> Topology:
    """The topology in force, checked against the agents that exist.

    Raises:
        TopologyError: with every problem, its file and line.
    """
    topology = load(settings.topology_file)
    problems = check(topology, Registry())
    if problems:
        raise TopologyError(problems)
    return topology


async def _build(
    settings: Settings, clock: Clock, staff: Staff | None, stack: AsyncExitStack, outside: Systems | None
) -> Signalbox:
    topology, conflicts = load_topology(settings), load_policy(settings.conflicts_file)
    workflow = topology.workflow(ORDER_WORKFLOW)
    base, feed = await _ground(settings, clock, stack, outside)
    store, keys, batcher, owner = base.store, base.keys, base.store.batcher, base.owner
    parking, effects = _parking(base, feed), _effects(base)
    models, measures, promotion = open_models(base, stack), measure(base), promote(base)
    ports = taped(replace(_ports(base, feed, models, measures), rules=promotion.book))
    tapes, governance = Tapes(without=absent(ports)), await govern(base, workflow)
    autonomy = earn(base, workflow, gate=governance.reports)
    staff = staff or (lambda carried, given: _agents(carried, given, governance.in_force))
    agents, reviews, examples = staff(workflow, ports), build_reviews(base), ExampleBook(base.engine, store.journal)
    switch, claims = DegradedSwitch(store, owner=owner, lease_ms=settings.lease_ms), Claims(batcher, keys, conflicts)
    threads = order_threads(
        carried_workflows(workflow, settings), store, effects, parking, lambda carried: staff(carried, ports), switch=switch,
        tapes=tapes, conflicts=conflicts, reviews=reviews, examples=examples, earning=autonomy.earning, claims=claims,
    )  # fmt: skip
    rewaving = Rewaving(store, effects, workflow, agents, conflicts=conflicts)
    controller = _controller(base, threads, effects, rewaving, claims)
    leadership = Leadership(batcher, keys, "relay", owner, lease_ms=settings.lease_ms)
    rescoring, waves = Rescoring(store, switch, workflow, agents, effects), pick_waves(base, agents, switch)
    tier_3, clocks = follow(base, workflow, agents, effects, switch=switch, tapes=tapes), build_clocks(base)
    suppliers = build_suppliers(base, effects=effects, reviews=reviews, conflicts=conflicts)
    return Signalbox(
        **vars(base),
        leadership=leadership,
        relay=AuditRelay(base.bus, base.audit, consumer=owner, lead=leadership.lead),
        outbox=_outbox(settings, base.bus, batcher, keys, owner, stack),
        topology=topology,
        workflow=workflow,
        effects=effects,
        threads=threads,
        controller=controller,
        work=WorkRouter(controller.handle, suppliers.elsewhere),
        reviews=reviews,
        review_channels=build_review_channels(base, stack),
        feed=feed,
        parking=parking,
        switch=switch,
        rescoring=rescoring,
        waves=waves,
        suppliers=suppliers,
        agents=agents, governance=governance,
        observing=observe(base, topology, feed=feed, models=models),
        autonomy=autonomy,
        risk_book=RiskBook(batcher, keys),
        privacy=build_privacy(base),
        measures=measures,
        tier_3=tier_3,
        promotion=promotion,
        models=models,
        clocks=clocks,
        contacts=build_contacts(base, clocks, controller),
        support=build_support(base),
        examples=examples,
        claims=claims,
    )  # fmt: skip


async def _ground(
    settings: Settings, clock: Clock, stack: AsyncExitStack, outside: Systems | None
) -> tuple[Foundation, StockFeed]:
    """The foundation, its warehouses watched for the age of their counts."""
    base = await lay(settings, clock, stack, outside)
    feed = StockFeed(base.store.batcher, base.keys, FEED_LIMITS, clock=clock)
    watched = WatchedWarehouse(base.systems.wms, feed, clock)
    return replace(base, systems=replace(base.systems, wms=watched)), feed


def _effects(base: Foundation) -> Effects:
    guard = AuditGuard(base.bus, max_lag_s=base.settings.audit_max_lag_s)
    return Effects(base.systems, base.store.ledger, base.clock, audit_keeps_up=guard.check)


def _controller(
    base: Foundation, threads: OrderThreads, effects: Effects, rewaving: Rewaving, claims: Claims
) -> OrderController:
    return OrderController(
        base.store,
        threads,
        effects,
        Arrivals(base.store.intake, base.systems.channels),
        Rates(base.systems.erp, base.clock.now),
        remembered=Memory(base.audit).ended,
        rewaving=rewaving,
        claiming=Claiming(claims, base.clock),
    )


def _parking(base: Foundation, feed: StockFeed) -> Parking:
    lead = Leadership(base.store.batcher, base.keys, "parking", base.owner, lease_ms=base.settings.lease_ms)
    return Parking(base.store, base.systems.wms, feed, lead=lead)


def _outbox(
    settings: Settings, bus: RedisBus, batcher: Batcher, keys: Keyspace, owner: str, stack: AsyncExitStack
) -> Outbox | None:
    if settings.bus == "redis":
        return None
    if settings.bus_url is None:
        raise ConfigError(
            f"SIGNALBOX_BUS is {settings.bus} and SIGNALBOX_BUS_URL is not set; name the broker's address"
        )
    marks, url = PublishMarks(batcher, keys), settings.bus_url.get_secret_value()
    broker = KafkaBus(url, marks) if settings.bus == "kafka" else RabbitBus(url, marks)
    stack.push_async_callback(broker.close)
    return Outbox(bus, broker, consumer=owner, claim_idle_ms=settings.claim_idle_ms)


def _ports(base: Foundation, feed: StockFeed, models: LanguageModels, measures: Measures) -> AgentPorts:
    systems, store = base.systems, base.store
    return AgentPorts(
        wms=systems.wms,
        carriers=systems.carriers,
        crm=systems.crm,
        erp=systems.erp,
        activity=store.activity,
        feed=feed,
        risk_book=RiskBook(store.batcher, store.keys),
        unit_prices=WaveIndex(store.batcher, store.keys),
        consignees=measures.consignees,
        demand=measures.demand,
        language=models.gateway,
    )


def _agents(workflow: Workflow, ports: AgentPorts, tables: PoliciesInForce) -> dict[str, Agent]:
    return {node.name: published(node.name, node.version, ports, tables) for node in workflow.agents}
