"""The registry: every agent and automation there is, with its place in the workflows in force, as API and command line show it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from agents import SPECS
from agents.language_tasks import TASKS, LanguageTask
from api.services import Json
from domain.automation import EMITTER, OBSERVED, Automation, AutomationBook
from domain.cost import EVERY_AGENT, Budget
from graph.topology.model import AgentNode, Workflow

if TYPE_CHECKING:
    from graph.bootstrap.system import Signalbox

Budgets = Callable[[str], Json | None]


def registered(workflows: Iterable[Workflow]) -> list[Json]:
    """Every agent version that exists, with its place in a workflow when it has one; then nodes nobody published."""
    placed: dict[tuple[str, str], tuple[Workflow, AgentNode]] = {}
    for workflow in workflows:
        for node in workflow.agents:
            placed.setdefault((node.name, node.version), (workflow, node))
    known = [_agent(name, version, placed.get((name, version))) for name, version in SPECS]
    known += [_agent(name, version, place) for (name, version), place in placed.items() if (name, version) not in SPECS]
    return known + [_agent(task.name, task.version, None) | _told(task) for task in TASKS]


_TASKS = frozenset(task.name for task in TASKS)


def _told(task: LanguageTask) -> Json:
    """A language task in the words of an agent; it belongs to whoever calls it, not to a workflow's file."""
    return {"owner": task.owner, "trigger": task.trigger, "reads": list(task.reads)}


def _agent(name: str, version: str, place: tuple[Workflow, AgentNode] | None) -> Json:
    workflow, node = place or (None, None)
    spec = SPECS.get((name, version))
    return {
        "name": name,
        "version": version,
        "owner": spec.owner if spec else None,
        "trigger": spec.trigger if spec else None,
        "reads": list(spec.reads if spec else node.reads if node else ()),
        "writes": list(spec.writes if spec else node.writes if node else ()),
        "actions": [str(action) for action in spec.actions] if spec else [],
        "active": node is not None,
        "workflow": workflow.name if workflow else None,
        "tier": node.tier if node else None,
        "mode": node.mode.value if node else None,
        "timeout_ms": node.timeout_ms if node else None,
        "fallback": node.fallback if node else None,
    }


def entries(workflows: Sequence[Workflow], book: AutomationBook, budgets: Budgets) -> list[Json]:
    """One entry an agent in each of its places, with all its versions, then one an automation."""
    # A task has no place of its own: whoever calls it has.
    listed = [one for one in registered(workflows) if one["name"] not in _TASKS]
    versions: dict[str, list[str]] = {}
    for one in listed:
        versions.setdefault(one["name"], []).append(one["version"])
    used = {one["name"] for one in listed if one["active"]}
    shown = [one for one in listed if one["active"] or one["name"] not in used]
    agents = [
        {"kind": "agent", **one, "versions": versions[one["name"]], "budget": budgets(one["name"])} for one in shown
    ]
    return agents + [_automation(each) for each in book.automations]


def _automation(each: Automation) -> Json:
    return {
        "kind": "automation",
        "name": each.name,
        "version": each.version,
        "owner": each.owner,
        "trigger": each.trigger,
        "reads": list(each.reads),
        "writes": list(each.writes),
        "actions": list(each.actions),
        "active": True,
        "workflow": None,
        "tier": None,
        "mode": OBSERVED,
        "timeout_ms": None,
        "fallback": None,
        "versions": [each.version],
        "budget": None,
        "events": list(each.events),
        "emitter": EMITTER + each.name,
    }


async def inventory(box: "Signalbox", tenant: str) -> Json:
    """The registry as one tenant sees it: with its budgets, and who speaks in its events without being registered."""
    book = {(str(each.tenant), each.agent): each for each in await box.models.budgets.listed(tenant)}

    def budget(agent: str) -> Json:
        found = book.get((tenant, agent)) or box.models.budgets.of(tenant, agent)
        return shown_budget(found, declared=(tenant, agent) in book)

    strangers = await box.observing.emitters.unregistered(tenant)
    total = book.get((tenant, EVERY_AGENT)) or box.models.budgets.of(tenant, EVERY_AGENT)
    return {
        "entries": entries(box.topology.workflows, box.observing.automations, budget),
        "budget_total": shown_budget(total, declared=(tenant, EVERY_AGENT) in book),
        "unregistered": [asdict(one) for one in strangers],
    }


def shown_budget(budget: Budget, *, declared: bool) -> Json:
    """A budget, and whether somebody set it or it is the installation's default."""
    return {
        "usd_micro_per_day": budget.usd_micro_per_day,
        "calls_per_entity": budget.calls_per_entity,
        "set": declared,
    }
