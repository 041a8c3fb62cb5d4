"""Waiting for a named condition with a deadline, never for a length of time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


async def wait_until(
    condition: Callable[[], Awaitable[T | None]], what: str, *, within_s: float = 15.0, every_s: float = POLL_S
) -> T:
    """The first truthy value of ``condition``.

    Raises:
        AssertionError: it did not come true in time; ``what`` names it.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        value = await condition()
        if value:
            return value
        if loop.time() > deadline:
            raise AssertionError(f"after {within_s:.0f} s still not so: {what} (last seen: {value!r})")
        await asyncio.sleep(every_s)
