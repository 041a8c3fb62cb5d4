"""A workflow compiled to LangGraph with its native means: time-outs, retries, error handlers, deferred joins.

Tier-3 agents are no part of the graph: they follow the event stream.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Protocol

from langgraph.errors import GraphBubbleUp
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy, TimeoutPolicy

from domain.errors import ConfigError, Transient
from graph.topology.model import (
    AFTER_GATE,
    BACKOFF_CAP_MS,
    BACKOFF_FACTOR,
    BACKOFF_FIRST_MS,
    GATE,
    RESERVED,
    AgentNode,
    Workflow,
    gate_name,
)

NodeFunction = Callable[..., Awaitable[Any]]
"""An async LangGraph node: takes the state, and by annotation ``Runtime[...]`` or ``NodeError``."""

Builder = StateGraph[Any, Any, Any, Any]


class NodeFactory(Protocol):
    """Makes the nodes of one workflow; the compiler only connects them."""

    def agent(self, node: AgentNode) -> NodeFunction:
        """The node that asks one agent and returns its state update. Its name is the agent's."""

    def on_failure(self, node: AgentNode, goto: str) -> NodeFunction:
        """The handler ``(state, error: NodeError)`` for an agent that failed or ran out of time.

        It returns ``Command(update=<the fallback's decision>, goto=goto)``: a plain dict would cut the way to the gate.
        """

    def gate(self, stage: int, next_nodes: list[str]) -> NodeFunction:
        """The node that joins stage ``stage`` (from 1) and returns ``Command(goto=next_nodes or one of AFTER_GATE)``.

        It may also send some agents of its own stage round again (stale inputs); it then joins once more.
        """

    @property
    def request_review(self) -> NodeFunction:
        """Writes the question to a person; always followed by ``await_review``."""

    @property
    def await_review(self) -> NodeFunction:
        """Waits for the answer and returns ``Command(goto=...)`` to anywhere a gate may go."""

    @property
    def park(self) -> NodeFunction:
        """Puts the entity aside."""

    @property
    def cancel(self) -> NodeFunction:
        """Compensates what was done, in reverse."""

    @property
    def fulfil(self) -> NodeFunction:
        """Applies the effects of a released entity and returns ``Command(goto="close")``, or goes elsewhere if they fail."""

    @property
    def close(self) -> NodeFunction:
        """Keeps the summary and ends the run."""


def build(
    workflow: Workflow, nodes: NodeFactory, *, state_schema: type[Any], context_schema: type[Any] | None = None
) -> Builder:
    """The uncompiled graph of a workflow.

    Raises:
        ConfigError: an agent has the name of a fixed node or of a key of the state, or the dependencies form a circle.
    """
    builder: Builder = StateGraph(state_schema, context_schema)
    _refuse_names(workflow, frozenset(builder.channels))
    stages = workflow.stages
    first_names = [[agent.name for agent in stage] for stage in stages]
    for number, stage in enumerate(stages, start=1):
        gate = gate_name(number)
        for agent in stage:
            _add_agent(builder, agent, nodes, gate)
        onward = first_names[number] if number < len(stages) else ["fulfil"]
        # A list edge would join early after an error handler's Command; a deferred node waits for all of the stage.
        builder.add_node(gate, nodes.gate(number, onward), defer=True, destinations=(*onward, *AFTER_GATE))
    for agent in stages[0]:
        builder.add_edge(START, agent.name)
    _add_fixed(builder, nodes, [name for names in first_names for name in names])
    return builder


def is_worth_retrying(error: Exception) -> bool:
    """Whether asking the agent again may help. A time-out is not repeated: its budget is spent."""
    return isinstance(error, Transient | ConnectionError) and not isinstance(error, GraphBubbleUp)


def _add_agent(builder: Builder, agent: AgentNode, nodes: NodeFactory, gate: str) -> None:
    builder.add_node(
        agent.name,
        nodes.agent(agent),
        timeout=TimeoutPolicy(run_timeout=agent.timeout_ms / 1000),
        retry_policy=_retry(agent),
        error_handler=_bounded(nodes.on_failure(agent, gate), agent),
        metadata={"agent": agent.name, "version": agent.version, "tier": agent.tier},
    )
    builder.add_edge(agent.name, gate)


def _add_fixed(builder: Builder, nodes: NodeFactory, agents: list[str]) -> None:
    builder.add_node("request_review", nodes.request_review)
    builder.add_node("await_review", nodes.await_review, destinations=(*agents, "fulfil", *AFTER_GATE))
    builder.add_edge("request_review", "await_review")
    # No edge of its own: an edge would be followed beside the way the node's Command chooses.
    builder.add_node("fulfil", nodes.fulfil, destinations=AFTER_GATE)
    for name, action in (("cancel", nodes.cancel), ("park", nodes.park)):
        builder.add_node(name, action)
        builder.add_edge(name, "close")
    builder.add_node("close", nodes.close)
    builder.add_edge("close", END)


def _retry(agent: AgentNode) -> RetryPolicy | None:
    if not agent.retries:
        return None
    return RetryPolicy(
        initial_interval=BACKOFF_FIRST_MS / 1000,
        backoff_factor=BACKOFF_FACTOR,
        max_interval=BACKOFF_CAP_MS / 1000,
        max_attempts=agent.attempts,
        # LangGraph's jitter adds up to a whole second, which the checked deadline does not contain.
        jitter=False,
        retry_on=is_worth_retrying,
    )


def _bounded(handler: NodeFunction, agent: AgentNode) -> NodeFunction:
    """The handler, given only the time the attempts leave below the hard kill."""
    rest_s = (agent.hard_kill_ms - agent.worst_case_ms) / 1000

    # ``wraps`` shows LangGraph the handler's own signature, from which it decides what to inject.
    @wraps(handler)
    async def within_the_hard_kill(*args: Any, **kwargs: Any) -> Any:
        deadline = asyncio.timeout(rest_s)
        try:
            async with deadline:
                return await handler(*args, **kwargs)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            what = f"the fallback {agent.fallback or 'of a person'} of agent {agent.name}"
            raise Transient(
                f"{what} did not answer before the hard kill at {agent.hard_kill_ms} ms; deliver the entity again"
            ) from error

    return within_the_hard_kill


def _refuse_names(workflow: Workflow, state_keys: frozenset[str]) -> None:
    for agent in workflow.agents:
        where = f"{workflow.source or workflow.name}:{agent.line}: agent {agent.name}"
        if agent.name in RESERVED or GATE.fullmatch(agent.name):
            raise ConfigError(f"{where} has the name of a fixed step of every workflow; rename it")
        if agent.name in state_keys:
            raise ConfigError(f"{where} has the name of a key of the graph state; rename it")
