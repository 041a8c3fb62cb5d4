"""Looks at every segment now and then: time brings looks due, and signs turn bad without anybody answering anything."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog

from domain.autonomy import Level, Segment
from domain.errors import StoreUnavailable, Transient
from graph.runtime.autonomy_book import AutonomyBook
from graph.runtime.autonomy_judge import AutonomyJudge
from graph.runtime.autonomy_ledger import SuggestionLedger
from graph.runtime.leases import Leadership

log = structlog.get_logger(__name__)

TICK_S = 1.0
WATCHED_EVERY_S = 10.0
"""Segments that act by themselves are looked at this often."""
ALL_EVERY_S = 300.0


class AutonomyWatch:
    """One worker at a time watches; every worker shows the standings it knows."""

    def __init__(
        self, book: AutonomyBook, ledger: SuggestionLedger, judge: AutonomyJudge, leadership: Leadership,
        *, earning: Iterable[str],
    ) -> None:  # fmt: skip
        """``earning`` are the agents that earn their autonomy in the topology in force."""
        self._book = book
        self._ledger = ledger
        self._judge = judge
        self._leadership = leadership
        self._earning = sorted(earning)

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until stopped; a store that is away is waited for."""
        loop = asyncio.get_running_loop()
        watched_at = all_at = float("-inf")
        while self._earning and not stop.is_set():
            try:
                now = loop.time()
                if await self._leadership.lead() and now - watched_at >= WATCHED_EVERY_S:
                    everything = now - all_at >= ALL_EVERY_S
                    watched_at, all_at = now, now if everything else all_at
                    await self.look(everything=everything)
            except Transient as away:
                log.warning("autonomy.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._leadership.resign()

    async def look(self, *, everything: bool = True) -> int:
        """Let the judge consider segments, all of them or those that act by themselves; returns how many changed.

        Raises:
            StoreUnavailable: not all could be considered.
        """
        changed = 0
        for segment in await self._segments():
            earned = await self._book.earned(segment.tenant, segment.agent)
            standing = earned.standing(segment)
            acts = standing is not None and standing.level is not Level.SUGGESTION
            if acts or everything:
                changed += await self._judge.consider(segment) is not None
        return changed

    async def _segments(self) -> list[Segment]:
        return [one for agent in self._earning for one in await self._ledger.segments(agent=agent)]
