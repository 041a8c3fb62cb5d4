"""What one worker has in hand of one consumer group: read, kept from others while it lives, and let go in the end.

A message is taken over by another worker only when this one is silent: what is slow here stays here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

import structlog

from domain.errors import Transient
from domain.ports import Delivery
from graph.runtime.bus_redis import RedisBus

log = structlog.get_logger(__name__)

BLOCK_MS = 500
"""How long a read waits; also how long a stop may take to be noticed."""
FINISH_S = 15.0
"""What is in hand gets this long after a stop before it is asked to pause at its next step."""
PAUSE_S = 3.0
"""What was asked to pause gets this long to reach its next step."""
PARKED_S = 1.0
"""How often one that may not take work looks whether it may again."""

Handler = Callable[[Delivery], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where messages come from, and for whom."""

    topic: str
    group: str
    owner: str
    """This process's name in the group."""


async def always() -> None:
    """Nothing stands in the way of taking work."""


def everything(_delivery: Delivery) -> bool:
    """Every message is of concern."""
    return True


class Hands:
    """Takes messages of one group, so many at a time, until told to stop."""

    def __init__(
        self, bus: RedisBus, place: Place, handle: Handler, *, limit: int, idle_ms: int, in_turn: bool = False
    ) -> None:
        """``handle`` settles a message or leaves it for later; ``in_turn`` keeps the messages of one key in order."""
        self._bus = bus
        self._place = place
        self._handle = handle
        self._limit = limit
        self._idle_ms = idle_ms
        self._in_turn = in_turn
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewed: dict[str, float] = {}
        """Delivery ids in hand, and when each was taken or last kept from others."""
        self._last: dict[str, asyncio.Task[None]] = {}
        self.may_take: Callable[[], Awaitable[None]] = always
        """Raises Transient while no work may be taken: it stays on its topic."""
        self.concerns: Callable[[Delivery], bool] = everything
        """What is of no concern is acknowledged unseen."""
        self.finish_s = FINISH_S
        self.pause: Callable[[], None] | None = None
        """Asks what is still in hand to stop at its next step, where there are steps."""

    @property
    def group(self) -> str:
        """The consumer group it takes from."""
        return self._place.group

    async def work(self, stop: asyncio.Event) -> None:
        """Take and handle messages until ``stop`` is set, then finish what is in hand or let go of it."""
        await asyncio.gather(self._reading(stop), self._claiming(stop))
        await self._settle()

    async def _reading(self, stop: asyncio.Event) -> None:
        place = self._place
        while not stop.is_set():
            free = self._limit - len(self._tasks)
            if free <= 0:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                await self.may_take()
                found = await self._bus.read(place.topic, place.group, place.owner, count=free, block_ms=BLOCK_MS)
                await self._take(found)
            except Transient as away:
                self._log_parked(away)
                await pause(stop, PARKED_S)

    async def _claiming(self, stop: asyncio.Event) -> None:
        """Keep what is in hand, and take over what silent workers left and what failed here a while ago."""
        place = self._place
        while not stop.is_set():
            try:
                await self._renew()
                await self.may_take()
                free = self._limit - len(self._tasks)
                if free > 0:
                    found = await self._bus.claim(
                        place.topic, place.group, place.owner, idle_ms=self._idle_ms, count=free
                    )
                    await self._take(found)
            except Transient as away:
                self._log_parked(away)
            await pause(stop, self._idle_ms / 4000)

    def _log_parked(self, away: Transient) -> None:
        log.warning("worker.parked", group=self._place.group, why=str(away))

    async def _renew(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [one for one, at in self._renewed.items() if now - at > self._idle_ms / 4000]
        if due:
            await self._bus.renew(self._place.topic, self._place.group, self._place.owner, due)
            self._renewed |= dict.fromkeys(self._renewed.keys() & set(due), now)

    async def _take(self, found: Collection[Delivery]) -> None:
        passing = [delivery.delivery_id for delivery in found if not self.concerns(delivery)]
        for delivery in found:
            # One already in hand was claimed back from ourselves after the store was away for long.
            if self.concerns(delivery) and delivery.delivery_id not in self._renewed:
                self._start(delivery)
        if passing:
            await self._bus.ack(self._place.topic, self._place.group, passing)

    def _start(self, delivery: Delivery) -> None:
        loop, key = asyncio.get_running_loop(), delivery.message.key
        self._renewed[delivery.delivery_id] = loop.time()
        task = loop.create_task(self._one(delivery, self._last.get(key) if self._in_turn else None))
        self._tasks.add(task)
        if self._in_turn:
            self._last[key] = task
        task.add_done_callback(self._tasks.discard)

    async def _one(self, delivery: Delivery, before: "asyncio.Task[None] | None") -> None:
        key = delivery.message.key
        try:
            if before is not None:
                await asyncio.wait({before})
            await self._handle(delivery)
        finally:
            del self._renewed[delivery.delivery_id]
            if self._last.get(key) is asyncio.current_task():
                del self._last[key]

    async def _settle(self) -> None:
        """Let what is in hand finish; what takes too long pauses at its next step, and is delivered again."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.finish_s)
        if self._tasks and self.pause is not None:
            self.pause()
            await asyncio.wait(self._tasks, timeout=PAUSE_S)
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until ``stop`` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
