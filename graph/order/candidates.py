"""What a shadow report is about besides the cases: the code that was tested, and the topology that would run it."""

from functools import cache
from hashlib import sha256
from pathlib import Path

import agents
from graph.order.threads import graph_version
from graph.topology.model import AgentNode, Workflow

_SUFFIXES = frozenset({".py", ".yaml", ".json", ".txt"})


@cache
def code_digest() -> str:
    """Digest of the agents' code and data as this process runs them."""
    folder = Path(agents.__file__).parent
    found = sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _SUFFIXES:
            found.update(path.name.encode() + b"\x00" + path.read_bytes() + b"\x00")
    return found.hexdigest()[:16]


def candidate(workflow: Workflow, agent: str, version: str) -> Workflow:
    """The workflow with the agent in another version: what would run after the release."""

    def other(nodes: tuple[AgentNode, ...]) -> tuple[AgentNode, ...]:
        return tuple(node.model_copy(update={"version": version}) if node.name == agent else node for node in nodes)

    tiers = {name: other(getattr(workflow, name)) for name in ("tier_1", "tier_2", "tier_3")}
    return workflow.model_copy(update=tiers)


def topology_with(workflow: Workflow, agent: str, version: str) -> str:
    """The graph version that would run the agent in that version."""
    return graph_version(candidate(workflow, agent, version))
