"""A workflow as values: agents in three tiers, how failures and contradictions are settled, and the order of the stages.

The values are frozen; equal content has an equal digest wherever it stands in the file.
"""

import re
from enum import StrEnum

from pydantic import Field

from domain.errors import ConfigError
from domain.values import Document, digest

NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
"""What agents, workflows and fallbacks may be called: it becomes part of event types and of node names."""

RESERVED = frozenset({"request_review", "await_review", "park", "cancel", "fulfil", "close"})
"""The fixed nodes of every compiled workflow; together with ``gate_<number>`` no agent may take their name."""

AFTER_GATE = ("request_review", "cancel", "park", "close")
"""Where every gate, and every answer of a person, may lead besides the next stage."""

GATE = re.compile(r"gate_\d+")

FALLBACK_GRACE_MS = 500
"""A timed-out agent has its fallback within this time; the hard kill's distance when the file names none."""

BACKOFF_FIRST_MS = 100
BACKOFF_FACTOR = 2
BACKOFF_CAP_MS = 1_000
MAX_RETRIES = 2
"""All retry layers together spend at most three attempts."""


class Autonomy(StrEnum):
    """How much an agent may do by itself."""

    SUGGESTION = "suggestion"
    """A person confirms each of its decisions."""
    AUTONOMOUS = "autonomous"
    """It decides, within its confidence."""
    EARNED = "earned"
    """It decides where its record lets it (``agents autonomy``), within its confidence; elsewhere it only suggests."""
    SHADOW = "shadow"
    """It is asked and measured; what it says changes nothing."""


class Rule(StrEnum):
    """How two writers of one facet are reconciled."""

    MOST_SEVERE = "most_severe"
    """The more careful outcome holds."""
    HIGHEST_TIER = "highest_tier"
    """The agent in the lower-numbered tier holds."""
    ASK_PERSON = "ask_person"


class AgentNode(Document):
    """One agent's place in a workflow."""

    name: str
    version: str
    tier: int = Field(ge=1, le=3)
    timeout_ms: int = Field(gt=0)
    """The agent's own deadline, per attempt."""
    hard_kill_ms: int = Field(gt=0)
    """By then the agent or its fallback has answered, all attempts included."""
    fallback: str | None = None
    """What decides when the agent cannot; without one a person does."""
    mode: Autonomy = Autonomy.SUGGESTION
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    """Facets (``order.release``) its decision settles."""
    depends_on: tuple[str, ...] = ()
    is_async: bool = False
    retries: int = Field(default=0, ge=0, le=MAX_RETRIES)
    """Repetitions after the first attempt, on transient failures only."""
    line: int = 0
    """Where it stands in its file."""
    lines: dict[str, int] = {}
    """Where each of its keys stands in the file."""

    def line_of(self, key: str) -> int:
        """The line of one of its keys, or its own when the key is absent."""
        return self.lines.get(key, self.line)

    @property
    def attempts(self) -> int:
        """How often it is asked at most."""
        return self.retries + 1

    @property
    def worst_case_ms(self) -> int:
        """The longest time until it has answered or failed for good."""
        return worst_case_ms(self.timeout_ms, self.retries)


class ConflictRule(Document):
    """The declared policy for one facet with more than one writer."""

    facet: str
    rule: Rule
    line: int = 0


class Workflow(Document):
    """One workflow: what ``order_workflow`` in the file says."""

    name: str
    version: str
    """Travels in every decision."""
    enabled: bool = True
    tier_1: tuple[AgentNode, ...]
    """Blocking, all at once."""
    tier_2: tuple[AgentNode, ...] = ()
    """Blocking, in dependency order."""
    tier_3: tuple[AgentNode, ...] = ()
    """Asynchronous; they never hold an order."""
    conflict_rules: tuple[ConflictRule, ...] = ()
    source: str = ""
    """The file it came from."""
    line: int = 0

    @property
    def tiers(self) -> tuple[tuple[AgentNode, ...], ...]:
        """The three tiers, first to last."""
        return (self.tier_1, self.tier_2, self.tier_3)

    @property
    def agents(self) -> tuple[AgentNode, ...]:
        """Every agent, in the order of the file."""
        return self.tier_1 + self.tier_2 + self.tier_3

    def agent(self, name: str) -> AgentNode:
        """The agent of that name.

        Raises:
            ConfigError: the workflow has no such agent.
        """
        for node in self.agents:
            if node.name == name:
                return node
        raise ConfigError(f"workflow {self.name} has no agent {name}; it has {', '.join(a.name for a in self.agents)}")

    @property
    def stages(self) -> list[list[AgentNode]]:
        """What runs together: tier 1 first, then tier 2 level by level, each level in the order of the file.

        Raises:
            ConfigError: the dependencies form a circle.
        """
        return [list(self.tier_1), *levels(self.tier_2)]

    @property
    def digest(self) -> str:
        """Digest of the content; comments, order of keys and line numbers do not count."""
        places = {"__all__": {"line", "lines"}}
        where = {"source": True, "line": True}
        tiers = {"tier_1": places, "tier_2": places, "tier_3": places, "conflict_rules": {"__all__": {"line"}}}
        return digest(self.model_dump(mode="json", exclude={**where, **tiers}))


class Topology(Document):
    """Every workflow of one installation."""

    workflows: tuple[Workflow, ...]

    def workflow(self, name: str) -> Workflow:
        """The workflow of that name.

        Raises:
            ConfigError: there is none.
        """
        for workflow in self.workflows:
            if workflow.name == name:
                return workflow
        known = ", ".join(workflow.name for workflow in self.workflows)
        raise ConfigError(f"the topology has no workflow {name}; it has {known}")

    @property
    def digest(self) -> str:
        """Digest over all workflows, whatever order they were loaded in."""
        return digest({workflow.name: workflow.digest for workflow in self.workflows})


def gate_name(stage: int) -> str:
    """The node that joins a stage (from 1)."""
    return f"gate_{stage}"


def worst_case_ms(timeout_ms: int, retries: int) -> int:
    """The longest time ``retries + 1`` attempts can take, waits between them included."""
    return timeout_ms * (retries + 1) + sum(backoff_ms(done) for done in range(retries))


def backoff_ms(retries_done: int) -> int:
    """The wait before the next attempt."""
    return int(min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * BACKOFF_FACTOR**retries_done))


def levels(agents: tuple[AgentNode, ...]) -> list[list[AgentNode]]:
    """Group agents so that each stands after everything it depends on, as early as possible, in the given order.

    Dependencies on agents outside ``agents`` count as met.

    Raises:
        ConfigError: the dependencies form a circle.
    """
    names = {agent.name for agent in agents}
    waiting = list(agents)
    done: set[str] = set()
    result: list[list[AgentNode]] = []
    while waiting:
        ready = [agent for agent in waiting if all(need in done or need not in names for need in agent.depends_on)]
        if not ready:
            stuck = ", ".join(agent.name for agent in waiting)
            raise ConfigError(f"the dependencies of {stuck} form a circle; remove one depends_on entry")
        done.update(agent.name for agent in ready)
        waiting = [agent for agent in waiting if agent.name not in done]
        result.append(ready)
    return result


def covers(outer: str, inner: str) -> bool:
    """Whether a facet is the other one or contains it (``order`` contains ``order.release``)."""
    return outer == inner or inner.startswith(outer + ".")
