"""The support desk: gathers a context for one contact through the compiled graph."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from domain.errors import SignalboxError, StoreUnavailable
from domain.support import SupportContext
from domain.support_identity import Subject
from domain.support_reason import Reason
from graph.runtime.clock import Clock
from graph.support.asking import Asking
from graph.support.gathering import Gathering
from graph.support.nodes import Consolidate, SupportNodes, SupportState
from graph.topology.compile import build
from graph.topology.model import Workflow

_SLOW_S = 0.3


class SupportDesk:
    """Answers what is known about a contact."""

    def __init__(self, workflow: Workflow, asking: Asking, consolidate: Consolidate, clock: Clock) -> None:
        """``workflow`` names the sources and their deadlines."""
        nodes = SupportNodes(asking, consolidate, clock)
        self._graph = build(workflow, nodes, state_schema=SupportState, context_schema=Gathering).compile()
        self._consolidate = consolidate
        self._clock = clock

    async def context(self, tenant: str, subject: Subject, *, reason: Reason | None, role: str) -> SupportContext:
        """Everything about one contact, with the gaps named.

        Raises:
            InputError: nothing usable was named.
            NotFound: nobody in this tenant fits.
            Conflict: several do; the message says what to ask for.
            Transient: nobody was found, and a source that might know did not answer.
        """
        run = self._run(tenant, subject, reason, role)
        await self._graph.ainvoke({}, context=run)
        return _result(run)

    async def following(
        self, tenant: str, subject: Subject, *, reason: Reason | None, role: str
    ) -> AsyncIterator[SupportContext]:
        """The context as far as it is known after 300 ms, when a source is slow, and then the whole one.

        Raises:
            InputError, NotFound, Conflict, Transient: as ``context``.
        """
        run = self._run(tenant, subject, reason, role)
        task = asyncio.create_task(self._graph.ainvoke({}, context=run))
        try:
            done, _ = await asyncio.wait({task}, timeout=_SLOW_S)
            if not done:
                # Nobody may be known yet; then there is nothing to show early.
                with suppress(SignalboxError):
                    yield self._consolidate(run.so_far(self._clock.now()))
            await task
        finally:
            task.cancel()
        yield _result(run)

    def _run(self, tenant: str, subject: Subject, reason: Reason | None, role: str) -> Gathering:
        subject.require()
        return Gathering(
            context_id=self._clock.new_id(),
            tenant=tenant,
            subject=subject,
            reason=reason,
            role=role,
            now=self._clock.now(),
        )


def _result(run: Gathering) -> SupportContext:
    if run.refusal is not None:
        raise run.refusal
    if run.context is None:
        raise StoreUnavailable("the support context could not be put together; try again")
    return run.context
