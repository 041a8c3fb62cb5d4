"""The area of observation: plain automations and their reports, and who speaks without being registered."""

from dataclasses import dataclass

from agents import SPECS
from domain.automation import AutomationBook, unregistered
from domain.flow import Expected
from graph.bootstrap.foundation import Foundation
from graph.bootstrap.models import LanguageModels
from graph.runtime.cost_ledger import CostFilter
from graph.runtime.emitters import EmitterWatch
from graph.runtime.figures import Figures
from graph.runtime.leases import Leadership
from graph.runtime.listening import Watch
from graph.runtime.observations import Observations
from graph.runtime.order_flow import OrderFlow, read_expected, shipped_expected
from graph.runtime.stock_feed import StockFeed
from graph.topology.automations import load_automations
from graph.topology.model import Topology, Workflow

ORDERS = "order_workflow"
"""Whose stages are watched."""


@dataclass(frozen=True, kw_only=True)
class Observing:
    """What commands and routes ask."""

    automations: AutomationBook
    observations: Observations
    emitters: EmitterWatch
    figures: Figures
    expected: Expected
    stages: dict[str, list[str]]
    """The agents of each stage an order goes through."""

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker runs for it."""
        return (Watch("emitters", self.emitters.run), Watch("figures", self.figures.run))


def observe(base: Foundation, topology: Topology, *, feed: StockFeed, models: LanguageModels) -> Observing:
    """Build the area.

    Raises:
        ConfigError: the automations file is wrong.
    """
    store, settings = base.store, base.settings
    book = load_automations(settings.automations_file)
    expected = read_expected(settings.expected_times_file) if settings.expected_times_file else shipped_expected()
    agents = {name for name, _ in SPECS} | {node.name for flow in topology.workflows for node in flow.agents}
    stages = stages_of(topology.workflow(ORDERS))
    emitters = EmitterWatch(
        base.engine, store.journal, base.clock, _lead(base, "emitters"),
        unknown=lambda speakers: unregistered(speakers, agents, book),
    )  # fmt: skip
    emitters.show = store.metrics.unregistered.set
    figures = Figures(
        store.metrics.registry, base.clock, _lead(base, "figures"),
        flow=OrderFlow(base.engine, stages), expected=expected, feed=feed, store=(store.batcher, base.keys),
        budgets=lambda: budgets_used(models),
    )  # fmt: skip
    return Observing(
        automations=book,
        observations=Observations(store.batcher, base.keys, base.clock),
        emitters=emitters,
        figures=figures,
        expected=expected,
        stages=stages,
    )


def stages_of(workflow: Workflow) -> dict[str, list[str]]:
    """The agents an order waits for, by tier."""
    tiers = enumerate((workflow.tier_1, workflow.tier_2), start=1)
    return {f"tier_{number}": [node.name for node in tier] for number, tier in tiers if tier}


async def budgets_used(models: LanguageModels) -> dict[str, float]:
    """By agent: the share of the day's model budget spent, at the tenant who has spent most of it.

    Raises:
        StoreUnavailable: a store does not answer.
    """
    used: dict[str, float] = {}
    if not models.configured:
        return used
    for row in await models.ledger.grouped("tenant", CostFilter()):
        tenant = str(row["tenant"])
        for agent, (spent, _) in (await models.purse.spent(tenant, models.day(tenant))).items():
            limit = models.budgets.of(tenant, agent).usd_micro_per_day
            used[agent] = max(used.get(agent, 0.0), spent / limit if limit else float(spent > 0))
    return used


def _lead(base: Foundation, job: str) -> Leadership:
    return Leadership(base.store.batcher, base.keys, job, base.owner, lease_ms=base.settings.lease_ms)
