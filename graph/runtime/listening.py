"""What a worker runs beside the orders: listeners on a topic of the bus, and watches that go on until it stops."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from domain.ports import Delivery


class Listener(Protocol):
    """Acts on the messages of one topic, as one consumer group; messages of one key come in turn."""

    @property
    def topic(self) -> str:
        """The topic it reads (``journal``, ``occasions``)."""

    @property
    def group(self) -> str:
        """Its consumer group: every listener sees every message once."""

    def concerns(self, delivery: Delivery) -> bool:
        """Whether there is anything to do; cheap, from the headers alone."""

    async def handle(self, delivery: Delivery) -> None:
        """Act on one message, once however often it is delivered.

        Raises:
            InputError: it never can be; it goes to the dead letters with this reason.
            Transient: it cannot be done now; it is delivered again.
        """


@dataclass(frozen=True)
class Watch:
    """Something that goes on for as long as the worker runs, in any number of workers at once."""

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]
    """Ends soon after the event is set; survives a store that is away for a while."""
