"""The registry of agents beside the workflow in force, as API and command line show it."""

from agents import SPECS
from api.services import Json
from graph.topology.model import Workflow


def registered(workflow: Workflow) -> list[Json]:
    """Every agent version that exists, with its place in the workflow when it has one."""
    placed = {(node.name, node.version): node for node in workflow.agents}
    listed = []
    for (name, version), spec in SPECS.items():
        node = placed.get((name, version))
        listed.append(
            {
                "name": name,
                "version": version,
                "owner": spec.owner,
                "trigger": spec.trigger,
                "reads": list(spec.reads),
                "writes": list(spec.writes),
                "actions": [str(action) for action in spec.actions],
                "active": node is not None,
                "tier": node.tier if node else None,
                "mode": node.mode.value if node else None,
                "timeout_ms": node.timeout_ms if node else None,
                "fallback": node.fallback if node else None,
            }
        )
    return listed
