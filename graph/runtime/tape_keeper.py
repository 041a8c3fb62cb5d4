"""Brings the tapes of the journal into the book, many in one transaction, out of every order's way.

A tape is acknowledged only after it is durable; what is no tape goes to the dead letters with its reason.
"""

import asyncio
from contextlib import suppress

import structlog
from pydantic import ValidationError

from domain.errors import StoreUnavailable, Transient
from domain.ports import Delivery, EventBus
from domain.tape import Tape
from graph.runtime.journal import TAPES
from graph.runtime.tapes import TapeBook

log = structlog.get_logger(__name__)

GROUP = "book"
BATCH = 64
BLOCK_MS = 500
LINGER_S = 0.2
"""How long a first tape waits for company: a transaction costs the same for one and for many."""
CLAIM_IDLE_MS = 30_000
"""What another keeper left this long is taken over."""
AWAY_S = 2.0
TRIM_EVERY_S = 10.0


class TapeKeeper:
    """Consumes the tapes; any number of processes may at once."""

    def __init__(self, bus: EventBus, book: TapeBook, *, consumer: str) -> None:
        """``consumer`` names this process."""
        self._bus = bus
        self._book = book
        self._consumer = consumer
        self._looked_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Keep until ``stop`` is set and nothing is left to read; a store that is away is waited for."""
        await self._subscribe(stop)
        while not stop.is_set():
            try:
                if await self._step(BLOCK_MS, linger_s=LINGER_S):
                    continue
                await self._look_after()
            except Transient as away:
                log.warning("tapes.away", why=str(away))
                await _pause(stop, AWAY_S)
        with suppress(Transient):
            await self.drain()

    async def drain(self) -> int:
        """Keep what is there now and return how many tapes that were.

        Raises:
            StoreUnavailable: the store or the database is away.
        """
        await self._bus.subscribe(TAPES, GROUP)
        kept = 0
        while taken := await self._step(0, linger_s=0):
            kept += taken
        return kept

    async def _subscribe(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._bus.subscribe(TAPES, GROUP)
            except StoreUnavailable:
                await _pause(stop, AWAY_S)
            else:
                return

    async def _step(self, block_ms: int, *, linger_s: float) -> int:
        found = await self._bus.read(TAPES, GROUP, self._consumer, count=BATCH, block_ms=block_ms)
        if found and linger_s and len(found) < BATCH:
            await asyncio.sleep(linger_s)
            found += await self._bus.read(TAPES, GROUP, self._consumer, count=BATCH, block_ms=0)
        await self._keep(found)
        return len(found)

    async def _keep(self, found: list[Delivery]) -> None:
        tapes: list[Tape] = []
        good: list[str] = []
        for delivery in found:
            try:
                tapes.append(Tape.from_json(delivery.message.body))
            except ValidationError as bad:
                await self._bus.bury(TAPES, GROUP, delivery, f"not a tape: {bad.errors(include_url=False)[0]['msg']}")
            else:
                good.append(delivery.delivery_id)
        await self._book.write(tapes)
        if good:
            await self._bus.ack(TAPES, GROUP, good)

    async def _look_after(self) -> None:
        """Take over what silent keepers left, and drop what every group has seen."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s < TRIM_EVERY_S:
            return
        self._looked_s = now_s
        await self._keep(await self._bus.claim(TAPES, GROUP, self._consumer, idle_ms=CLAIM_IDLE_MS, count=BATCH))
        await self._bus.trim(TAPES)


async def _pause(stop: asyncio.Event, longest_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await stop.wait()
