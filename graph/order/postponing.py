"""Peak mode's notices: held back, merged per order, told once within the policy's delay, or as soon as the mode ends.

A cancellation is never held back: it goes out at once, and what waited for that order has been overtaken by it.
"""

import asyncio
from contextlib import suppress

import structlog

from domain.errors import SignalboxError, StoreUnavailable
from graph.order.followers import Follower
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.leases import Leadership
from graph.runtime.notices import Held, Notices
from graph.runtime.store import Store

log = structlog.get_logger(__name__)

TICK_S = 2.0


class Postponed:
    """Tells what was held back. One process at a time does; any may stop in the middle."""

    def __init__(
        self, store: Store, notices: Notices, follower: Follower, switch: DegradedSwitch, *, lead: Leadership
    ) -> None:
        """``follower`` decides and sends; ``switch`` says whether a tenant's notices still wait."""
        self._store = store
        self._notices = notices
        self._follower = follower
        self._switch = switch
        self._lead = lead

    async def watch(self, stop: asyncio.Event) -> None:
        """Tell until stopped, while this process leads."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.tick()
            except StoreUnavailable as away:
                log.warning("notices.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    async def tick(self) -> int:
        """Tell what is due; returns how many orders that were. One that fails is tried again at the next tick.

        Raises:
            StoreUnavailable: what waits cannot be read now.
        """
        now, told = self._store.clock.now(), 0
        for held in await self._notices.waiting():
            if held.due <= now or not await self._switch.hints(held.event.tenant):
                told += await self._tell(held)
        return told

    async def _tell(self, held: Held) -> bool:
        try:
            await self._follower.tell(held)
        except SignalboxError as failed:
            log.warning("notices.not_told", order=held.event.entity_id, why=str(failed))
            return False
        await self._notices.done(held)
        return True
