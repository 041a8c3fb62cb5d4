"""Stops effects while the audit is too far behind: nothing happens outside that could not be accounted for."""

import asyncio

from domain.errors import AuditBehind
from domain.ports import EventBus
from graph.runtime.relay import GROUP, TOPIC

LOOK_EVERY_S = 0.5


class AuditGuard:
    """Asks the bus at most twice a second how far the audit is behind."""

    def __init__(self, bus: EventBus, *, max_lag_s: float) -> None:
        """``max_lag_s`` is the age the oldest unaudited event may reach."""
        self._bus = bus
        self._max_lag_s = max_lag_s
        self._looked = float("-inf")
        self._oldest_ms = 0
        self._looking = asyncio.Lock()

    async def check(self) -> None:
        """Pass when the audit keeps up.

        Raises:
            AuditBehind: the oldest unaudited event is too old.
        """
        loop = asyncio.get_running_loop()
        if loop.time() - self._looked > LOOK_EVERY_S and not self._looking.locked():
            async with self._looking:
                self._oldest_ms = (await self._bus.lag(TOPIC, GROUP)).oldest_ms
                self._looked = loop.time()
        if self._oldest_ms > self._max_lag_s * 1000:
            raise AuditBehind(
                f"the audit is {self._oldest_ms / 1000:.0f} s behind; effects wait until its database answers",
                retry_after_s=5.0,
            )
