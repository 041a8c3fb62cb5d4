"""Builds the supplier workflow on the foundation: agents, graph, chains, scan, and what the desk asks of it."""

from dataclasses import dataclass

from agents.supplier_staff import SUPPLIER_SPECS, build_supply_agent
from agents.supply_case import SupplyAgent, SupplyPorts
from domain.conflict import ConflictPolicy
from domain.ports import Delivery
from domain.review_case import WorkHandler
from graph.bootstrap.foundation import Foundation
from graph.bootstrap.reviews import ReviewArea
from graph.effects import Effects
from graph.runtime.claims import Claims
from graph.runtime.leases import Leadership
from graph.runtime.listening import Listener, Watch
from graph.runtime.purchase_mail import PurchaseMail
from graph.runtime.purchase_orders import PurchaseOrders
from graph.runtime.supply_cases import WORKFLOW, SupplyCases
from graph.runtime.supply_coming import ComingOrders
from graph.supplier.answer_decisions import AnswerDecisions, ReviewedAnswers
from graph.supplier.answering import WORKFLOW as ANSWERS
from graph.supplier.answering import AnswerDesk
from graph.supplier.asking import SupplyAsking
from graph.supplier.chains import SupplyChains
from graph.supplier.chasing import UnansweredOrders
from graph.supplier.controller import SupplyController
from graph.supplier.late_reorders import LateReorders
from graph.supplier.nodes import SupplyNodes
from graph.supplier.reviewed import ReviewedPurchases
from graph.supplier.reviewing import SupplyReviewing
from graph.supplier.run import SupplyRun
from graph.supplier.scanning import SupplyScan
from graph.supplier.slowing import Slowing
from graph.supplier.standing import StandingTerms
from graph.supplier.state import SupplyGraphState
from graph.supplier.threads import SupplyThreads, graph_version
from graph.topology.catalogue import check
from graph.topology.compile import build as compile_graph
from graph.topology.loader import load
from graph.topology.model import Workflow
from graph.topology.problems import TopologyError
from tools.fx import Rates

SUPPLIER_WORKFLOW = "supplier_workflow"


class SupplyRegistry:
    """The supplier workflow's agents, as the topology check asks for them."""

    def has(self, name: str, version: str) -> bool:
        """Whether this version of this agent exists."""
        return (name, version) in SUPPLIER_SPECS

    def fallbacks(self, name: str) -> tuple[str, ...]:
        """The fallbacks any version of the agent can stand in with."""
        found = {f for (known, _), spec in SUPPLIER_SPECS.items() if known == name for f in spec.fallbacks}
        return tuple(sorted(found))


@dataclass(frozen=True, kw_only=True)
class SupplierArea:
    """The workflow's parts."""

    workflow: Workflow
    ports: SupplyPorts
    orders: PurchaseOrders
    cases: SupplyCases
    chains: SupplyChains
    scan: SupplyScan
    controller: SupplyController
    answers: AnswerDesk
    """Where suppliers' answers are taken."""
    decisions: AnswerDecisions
    unanswered: UnansweredOrders
    slowing: Slowing
    """Slows sales of what will run out, and undoes it."""

    @property
    def elsewhere(self) -> dict[str, WorkHandler]:
        """What the orders' group does with this workflow's work on the shared topic."""
        return {WORKFLOW: _done_elsewhere, ANSWERS: _done_elsewhere}

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who acts on messages; nobody while the workflow is switched off."""
        found = (self.controller, self.decisions, LateReorders(self.cases, self.slowing))
        return found if self.workflow.enabled else ()

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker runs beside the messages."""
        found = (
            Watch("supply_scan", self.scan.watch),
            Watch("unanswered", self.unanswered.watch),
            Watch("slowing", self.slowing.watch),
        )
        return found if self.workflow.enabled else ()


def build_suppliers(
    base: Foundation, *, effects: Effects, reviews: ReviewArea, conflicts: ConflictPolicy
) -> SupplierArea:
    """The supplier workflow in force.

    Raises:
        TopologyError: the file is wrong; every problem with its line.
    """
    workflow = _workflow(base)
    store, orders = base.store, PurchaseOrders(base.engine)
    cases = SupplyCases(store.batcher, base.keys)
    ports = SupplyPorts(
        supply=base.systems.purchasing,
        wms=base.systems.wms,
        erp=base.systems.erp,
        coming=ComingOrders(orders),
        listings=base.systems.listings,
    )
    standing = StandingTerms(ports)
    agents = {node.name: build_supply_agent(node.name, node.version, ports) for node in workflow.agents}
    threads = _threads(
        base, workflow, agents, _reviewing(base, reviews, cases), effects=effects, orders=orders, standing=standing,
        conflicts=conflicts,
    )  # fmt: skip
    controller = SupplyController(store, threads, cases, orders)
    chains = SupplyChains(store, cases, orders, ports)
    reviews.cases.register(WORKFLOW, ReviewedPurchases(orders, standing, base.clock, controller.ask_again))
    reviews.cases.register(ANSWERS, ReviewedAnswers(orders))
    answers = AnswerDesk(
        store=store, orders=orders, mail=PurchaseMail(base.engine), rates=Rates(base.systems.erp, base.clock.now),
        policy=reviews.cases.policy, clock=base.clock, checked_by=base.settings.mail_checked_by,
    )  # fmt: skip
    lead = Leadership(store.batcher, base.keys, "supply_scan", base.owner, lease_ms=base.settings.lease_ms)
    scan = SupplyScan(chains, ports, base.clock, lead=lead, every_h=base.settings.supplier_scan_hours)
    return SupplierArea(
        workflow=workflow, ports=ports, orders=orders, cases=cases, chains=chains, scan=scan, controller=controller,
        answers=answers, decisions=AnswerDecisions(store, orders, base.clock),
        unanswered=_unanswered(base, orders),
        slowing=_slowing(base, effects, ports, conflicts),
    )  # fmt: skip


def _slowing(base: Foundation, effects: Effects, ports: SupplyPorts, conflicts: ConflictPolicy) -> Slowing:
    lead = Leadership(base.store.batcher, base.keys, "slowing", base.owner, lease_ms=base.settings.lease_ms)
    claims = Claims(base.store.batcher, base.keys, conflicts)
    return Slowing(base.store, effects, claims, ports, lead=lead, owner=base.owner)


def _unanswered(base: Foundation, orders: PurchaseOrders) -> UnansweredOrders:
    lead = Leadership(base.store.batcher, base.keys, "unanswered", base.owner, lease_ms=base.settings.lease_ms)
    return UnansweredOrders(base.store, orders, base.clock, lead=lead)


async def _done_elsewhere(delivery: Delivery) -> None:
    """The supplier workflow reads its work in a group of its own; the orders' group has nothing to do with it."""


def _workflow(base: Foundation) -> Workflow:
    topology = load(base.settings.supplier_topology_file)
    problems = check(topology, SupplyRegistry())
    if problems:
        raise TopologyError(problems)
    return topology.workflow(SUPPLIER_WORKFLOW)


def _reviewing(base: Foundation, reviews: ReviewArea, cases: SupplyCases) -> SupplyReviewing:
    store = base.store
    return SupplyReviewing(
        store.reviews, store.journal, store.checkpointer, store.keys, cases,
        policy=reviews.cases.policy, clock=base.clock, metrics=store.metrics,
    )  # fmt: skip


def _threads(
    base: Foundation,
    workflow: Workflow,
    agents: dict[str, SupplyAgent],
    reviewing: SupplyReviewing,
    *,
    effects: Effects,
    orders: PurchaseOrders,
    standing: StandingTerms,
    conflicts: ConflictPolicy,
) -> SupplyThreads:
    store = base.store
    asking = SupplyAsking(agents, store.journal, orders, base.clock, store.metrics)
    nodes = SupplyNodes(
        workflow, asking, reviewing, effects, orders,
        standing=standing, rates=Rates(base.systems.erp, base.clock.now), clock=base.clock, conflicts=conflicts,
    )  # fmt: skip
    builder = compile_graph(workflow, nodes, state_schema=SupplyGraphState, context_schema=SupplyRun)
    version = graph_version(workflow)
    return SupplyThreads(
        {version: builder.compile(checkpointer=store.checkpointer)}, store.checkpointer, current=version
    )
