"""A topology against the agents that exist: every name, version and fallback it uses must be there."""

from collections.abc import Collection
from typing import Protocol

from graph.topology.model import AgentNode, Topology
from graph.topology.problems import Problem, suggestion


class AgentCatalogue(Protocol):
    """The agents that can be asked, as the registry knows them."""

    def has(self, name: str, version: str) -> bool:
        """Whether this version of this agent exists."""

    def fallbacks(self, name: str) -> Collection[str]:
        """The fallbacks the agent can stand in with; empty for an unknown agent."""


def check(topology: Topology, catalogue: AgentCatalogue) -> list[Problem]:
    """What the enabled workflows ask for and the catalogue does not have. A disabled workflow need not be ready."""
    return [
        Problem(source=workflow.source, line=agent.line_of(key), text=text)
        for workflow in topology.workflows
        if workflow.enabled
        for agent in workflow.agents
        for key, text in _missing(agent, catalogue)
    ]


def _missing(agent: AgentNode, catalogue: AgentCatalogue) -> list[tuple[str, str]]:
    if not catalogue.has(agent.name, agent.version):
        mend = "correct the name or version, or register it"
        return [("version", f"there is no agent {agent.name} in version {agent.version}; {mend}")]
    known = catalogue.fallbacks(agent.name)
    if agent.is_async or agent.fallback is None or agent.fallback in known:
        return []
    return [("fallback", f"agent {agent.name} has no fallback {agent.fallback!r}; {suggestion(agent.fallback, known)}")]
