"""LangGraph threads of a workflow: start, resume strictly by interrupt id, recover after a crash, discard.

A thread runs only under the graph version it was started with.
"""

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from langchain_core.runnables import RunnableConfig
from langgraph.errors import UnknownInterruptError
from langgraph.runtime import RunControl
from langgraph.types import Command
from pydantic import BaseModel

from domain.errors import ConfigError, Conflict
from domain.ids import ThreadId
from graph.runtime import crash, tracing
from graph.runtime.checkpoint import RedisCheckpointer

STRICT = "__pregel_strict_resume"
"""LangGraph has no public name yet for refusing answers to interrupts that do not wait; a test pins this one."""
RECURSION_LIMIT = 80
"""Supersteps of one run: three reviews with a recheck each stay far below."""


class UnknownGraphVersion(ConfigError):
    """The thread was started under a graph this worker does not carry; it waits for one that does."""

    code = "graph.version"


class ThreadedRun(Protocol):
    """One run over one entity."""

    @property
    def thread(self) -> ThreadId:
        """The entity's thread."""

    @property
    def entity_name(self) -> str:
        """What a person calls it (``order shopify-1``)."""


R = TypeVar("R", bound=ThreadedRun)


class WorkflowThreads(Generic[R]):
    """Runs the compiled graphs of one workflow by version."""

    workflow = "workflow"
    """What traces call it."""

    def __init__(self, graphs: Mapping[str, Any], checkpointer: RedisCheckpointer, *, current: str) -> None:
        """``graphs`` maps each carried version to its compiled graph; ``current`` starts new threads."""
        self._graphs = graphs
        self._checkpointer = checkpointer
        self.current = current
        self._running: set[RunControl] = set()

    @property
    def carried(self) -> tuple[str, ...]:
        """The versions this worker can run."""
        return tuple(self._graphs)

    def drain(self) -> None:
        """Ask every run to stop at its next step; it goes on elsewhere from there."""
        for control in self._running:
            control.request_drain("worker is stopping")

    def first(self, run: R) -> dict[str, Any]:
        """The state a fresh thread begins with."""
        raise NotImplementedError

    async def start(self, run: R, version: str) -> str | None:
        """Run a fresh thread until it ends or waits; gives the id of the interrupt it waits at, if any.

        Raises:
            UnknownGraphVersion: this worker does not carry the version.
        """
        return await self._invoke(run, version, self.first(run))

    async def go_on(self, run: R, version: str) -> str | None:
        """Take a thread up where a crash left it, or start it when nothing of it was written."""
        waiting = await self.waiting(run.thread, version)
        if waiting is None:
            return await self.start(run, version)
        return waiting or await self._invoke(run, version, None)

    async def resume(self, run: R, version: str, interrupt_id: str, answer: BaseModel) -> str | None:
        """Give the thread the answer it waits for.

        Raises:
            Conflict: the thread does not wait at this interrupt.
        """
        try:
            return await self._invoke(run, version, Command(resume={interrupt_id: answer.model_dump()}))
        except UnknownInterruptError:
            raise Conflict(f"{run.entity_name} does not wait for this answer") from None

    async def waiting(self, thread: ThreadId, version: str) -> str | None:
        """The interrupt the thread waits at; empty when it is between steps; None when there is no thread.

        Raises:
            Conflict: it waits at more than one, which this graph never does.
        """
        config = self._config(thread)
        if await self._checkpointer.aget_tuple(config) is None:
            return None
        snapshot = await self._graph(version).aget_state(config)
        if len(snapshot.interrupts) > 1:
            raise Conflict(f"thread {thread} waits at {len(snapshot.interrupts)} interrupts")
        return snapshot.interrupts[0].id if snapshot.interrupts else ""

    async def discard(self, thread: ThreadId) -> None:
        """Forget the thread; the summary lives in the order book and the audit."""
        await self._checkpointer.adelete_thread(thread)
        crash.point("thread.pruned")

    async def _invoke(self, run: R, version: str, given: dict[str, Any] | Command[Any] | None) -> str | None:
        control = RunControl()
        self._running.add(control)
        try:
            with tracing.span(f"{tracing.INVOKE_WORKFLOW} {self.workflow}", self._told(run, version)):
                out = await self._graph(version).ainvoke(
                    given,
                    # The name is what traces show; the checkpointer keeps nothing of it.
                    {**self._config(run.thread), "run_name": f"{run.entity_name} {version}"},
                    context=run,
                    durability="sync",
                    version="v2",
                    control=control,
                )
        finally:
            self._running.discard(control)
        return out.interrupts[0].id if out.interrupts else None

    def _told(self, run: R, version: str) -> dict[str, tracing.Value]:
        return {
            tracing.OPERATION: tracing.INVOKE_WORKFLOW,
            tracing.WORKFLOW: self.workflow,
            tracing.CONVERSATION: run.thread,
            "signalbox.graph.version": version,
        }

    def _graph(self, version: str) -> Any:
        try:
            return self._graphs[version]
        except KeyError:
            carried = ", ".join(self._graphs)
            raise UnknownGraphVersion(
                f"the thread belongs to graph {version}; this worker carries {carried}: start one that carries it"
            ) from None

    @staticmethod
    def _config(thread: ThreadId) -> RunnableConfig:
        return {"configurable": {"thread_id": thread, STRICT: True}, "recursion_limit": RECURSION_LIMIT}
