"""Agents with a will of their own, in the place of published ones: slow, dead, unsure, or just counted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from agents import AgentPorts, build
from domain.decision import Verdict
from domain.errors import ConnectorUnavailable
from domain.ports import Agent, AgentCase
from graph.bootstrap.system import Staff
from graph.topology.model import Workflow

Script = Callable[[Agent, AgentCase], Awaitable[Verdict]]
"""What the stand-in does, given the agent it stands in for."""


@dataclass
class StandIn:
    """An agent whose judgement is scripted; its fallback stays the published one's."""

    real: Agent
    script: Script

    @property
    def name(self) -> str:
        """The name of the agent it stands in for."""
        return self.real.name

    @property
    def version(self) -> str:
        """The version of the agent it stands in for."""
        return self.real.version

    async def decide(self, case: AgentCase) -> Verdict:
        """Do as scripted."""
        return await self.script(self.real, case)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """The published fallback."""
        return self.real.fallback(name, case, why)


def staffed(scripts: Mapping[str, Script]) -> Staff:
    """Published agents, but for those with a script."""

    def make(workflow: Workflow, ports: AgentPorts) -> dict[str, Agent]:
        made = {node.name: build(node.name, node.version, ports) for node in workflow.agents}
        return {name: StandIn(one, scripts[name]) if name in scripts else one for name, one in made.items()}

    return make


class Trap:
    """An agent of any name that, once set, waits in the middle of one judgement until it may go on."""

    def __init__(self) -> None:
        self._agent = ""
        self.sprung = asyncio.Event()
        self.go_on = asyncio.Event()

    def set(self, agent: str) -> None:
        """Catch the next judgement of this agent."""
        self._agent = agent
        self.sprung.clear()
        self.go_on.clear()

    async def __call__(self, real: Agent, case: AgentCase) -> Verdict:
        """Judge as ever, when not caught."""
        if real.name == self._agent:
            self._agent = ""
            self.sprung.set()
            await self.go_on.wait()
        return await real.decide(case)


def slow(seconds: float) -> Script:
    """Answers properly, late."""

    async def script(real: Agent, case: AgentCase) -> Verdict:
        await asyncio.sleep(seconds)
        return await real.decide(case)

    return script


def sure(confidence: float | None) -> Script:
    """Answers properly, with this confidence."""

    async def script(real: Agent, case: AgentCase) -> Verdict:
        verdict = await real.decide(case)
        return Verdict.model_validate(verdict.model_dump() | {"confidence": confidence})

    return script


async def dead(real: Agent, case: AgentCase) -> Verdict:
    """Is not there."""
    raise ConnectorUnavailable(f"{real.name} does not answer")
