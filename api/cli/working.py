"""Getting a command's order carried on: by the worker that runs anyway, else by one in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from api.hands import BLOCK_MS
from api.serving import working
from domain.order import OrderProgress
from graph.bootstrap.system import Signalbox
from graph.runtime.backlog import Backlog
from graph.runtime.intake import CONTROLLER
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.orders import OrderRecord, thread_of

SEEN_WITHIN_MS = 4 * BLOCK_MS
"""A worker asks for work every ``BLOCK_MS``; one that has not for this long is gone."""
FOLLOWERS_S = 5.0
"""How long a worker of our own stays for what follows an order: messages, points, tags."""
_POLL_S = 0.1
_LOOK_S = 0.3

Rests = Callable[[OrderRecord], bool]


@asynccontextmanager
async def some_worker(box: Signalbox) -> AsyncIterator[None]:
    """Somebody works for the length of the block: another process, or this one, until what follows its orders is done."""
    left = asyncio.Event()
    standing_in = asyncio.get_running_loop().create_task(_stand_in(box, left))
    try:
        yield
    finally:
        left.set()
        await standing_in


async def _stand_in(box: Signalbox, left: asyncio.Event) -> None:
    """Start working as soon as nobody else does; the one seen first may have just stopped."""
    backlog = Backlog(box.store.batcher, box.keys)
    while not left.is_set():
        if not await backlog.worked(INTAKE, CONTROLLER, within_ms=SEEN_WITHIN_MS):
            async with working(box):
                await left.wait()
                await _followers_done(box)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await left.wait()


def at_rest(record: OrderRecord) -> bool:
    """Whether the order is where only a person, a channel or stock can move it on."""
    return record.progress not in {OrderProgress.ACCEPTED, OrderProgress.RUNNING}


async def until(
    box: Signalbox, tenant: str, order_ids: Iterable[str], *, wait_s: float, handle: str = "", rests: Rests = at_rest
) -> bool:
    """Wait until every order rests and nothing about it waits on the intake topic; False when the time was over first.

    ``handle`` names a delivery whose orders are only known to the worker that reads it.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    wanted, backlog = tuple(order_ids), Backlog(box.store.batcher, box.keys)
    threads = {thread_of(tenant, name) for name in (*wanted, handle) if name}
    while True:
        records = await asyncio.gather(*(box.store.orders.find(tenant, order_id) for order_id in wanted))
        if all(record is not None and rests(record) for record in records):
            waiting = {one.message.key for one in await backlog.unfinished(INTAKE, CONTROLLER)}
            if not threads & waiting:
                return True
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)


async def left_to_do(box: Signalbox) -> int:
    """Messages no group has finished: orders' own work, what follows it, and what the audit does not have yet."""
    own = await _lag(box, [(INTAKE, CONTROLLER), (JOURNAL, box.relay_group)])
    return own + await _following(box)


async def _following(box: Signalbox) -> int:
    return await _lag(box, [(listener.topic, listener.group) for listener in box.followers])


async def _lag(box: Signalbox, groups: Iterable[tuple[str, str]]) -> int:
    lags = [await box.bus.lag(topic, group) for topic, group in groups]
    return sum(lag.undelivered + lag.pending for lag in lags)


async def _followers_done(box: Signalbox) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FOLLOWERS_S
    while loop.time() < deadline:
        if not await _following(box):
            return
        await asyncio.sleep(_POLL_S)
