"""The nodes of the support graph: one per source, then the consolidation. It only reads, so nobody is asked and nothing cancelled."""

from collections.abc import Callable
from typing import Any, TypedDict

from langgraph.errors import NodeError
from langgraph.runtime import Runtime
from langgraph.types import Command

from domain.errors import Conflict, SignalboxError
from domain.support import SupportContext
from graph.runtime.clock import Clock
from graph.support.asking import Asking
from graph.support.gathering import SOURCES, Gathering
from graph.topology.compile import NodeFunction
from graph.topology.model import AgentNode

VERSION = "ss-1.0"
NAMED_GAP = "named_gap"
CONSOLIDATION = "consolidation"
Consolidate = Callable[[Gathering], SupportContext]


class SupportState(TypedDict, total=False):
    """Nothing of a gathering is kept in a checkpoint: it is over in a second, and holds personal data."""

    stage: int


class SupportSources:
    """The sources as the topology check asks for them."""

    def has(self, name: str, version: str) -> bool:
        """Whether this source exists."""
        return version == VERSION and name in (*SOURCES, CONSOLIDATION)

    def fallbacks(self, name: str) -> tuple[str, ...]:
        """A silent source is named."""
        return (NAMED_GAP,) if name in SOURCES else ()


class SupportNodes:
    """Makes the nodes of the support workflow."""

    def __init__(self, asking: Asking, consolidate: Consolidate, clock: Clock) -> None:
        """All are shared by every run."""
        self._asking = asking
        self._consolidate = consolidate
        self._clock = clock

    def agent(self, node: AgentNode) -> NodeFunction:
        """The node that asks one source, or consolidates."""
        if node.name == CONSOLIDATION:
            return self._consolidation
        ask = self._asking.by_source[node.name]

        async def source(_state: SupportState, runtime: Runtime[Gathering]) -> dict[str, Any]:
            await ask(runtime.context)
            return {}

        return source

    async def _consolidation(self, _state: SupportState, runtime: Runtime[Gathering]) -> dict[str, Any]:
        run = runtime.context
        try:
            run.context = self._consolidate(run)
        except SignalboxError as refusal:
            run.refusal = refusal
        return {}

    def on_failure(self, node: AgentNode, goto: str) -> NodeFunction:
        """The handler of a source that failed or ran out of time: a named gap."""

        async def recover(_state: SupportState, runtime: Runtime[Gathering], error: NodeError) -> Command[Any]:
            if node.name not in SOURCES:
                raise error.error
            why = _why(node, error.error)
            runtime.context.silent(node.name, why, self._clock.now())
            return Command(goto=goto)

        return recover

    def gate(self, stage: int, next_nodes: list[str]) -> NodeFunction:
        """The node that joins a stage; facts are never a reason to stop."""

        async def join(_state: SupportState) -> Command[Any]:
            return Command(goto=next_nodes, update={"stage": stage})

        return join

    @property
    def fulfil(self) -> NodeFunction:
        """Nothing is to be done outside."""

        async def fulfil(_state: SupportState) -> Command[Any]:
            return Command(goto="close")

        return fulfil

    @property
    def close(self) -> NodeFunction:
        """The context is in the run."""

        async def close(_state: SupportState) -> dict[str, Any]:
            return {}

        return close

    @property
    def request_review(self) -> NodeFunction:
        """No gate of this workflow leads here."""
        return _refuse

    await_review = park = cancel = request_review


async def _refuse(_state: SupportState) -> dict[str, Any]:
    raise Conflict("the support workflow only reads; actions have their own gate")


def _why(node: AgentNode, error: BaseException) -> str:
    if isinstance(error, SignalboxError):
        return f"{node.name} could not answer ({error.code})"
    return f"{node.name} did not answer within {node.timeout_ms} ms"
