"""What goes on beside the calls: forgotten ones are booked, rows reach the ledger, alerts reach log and journal once."""

import asyncio
from contextlib import suppress

import structlog

from domain.cost import Alert
from domain.errors import StoreUnavailable
from domain.event import Event
from domain.ids import EventId, stable_id, thread_id
from graph.runtime.atomics import PRELUDE
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher
from graph.runtime.cost_ledger import CostLedger
from graph.runtime.journal import TOPIC, millis, text
from graph.runtime.keys import Keyspace
from graph.runtime.purse import RedisPurse
from graph.runtime.scripts import Script

log = structlog.get_logger(__name__)

EVERY_S = 1.0
THRESHOLD = "budget.threshold.reached"
"""The event everybody who tells people of budgets listens to; entity ``budget``, its id the agent's name."""

_TELL = Script(
    PRELUDE
    + """
local doc, stream = KEYS[1], KEYS[2]
local mark, thread, now, kind, event = unpack(ARGV)
if redis.call('HSETNX', doc, mark, now) == 0 then return 0 end
publish(doc, stream, thread, now, kind, event)
keep(doc, doc)
return 1
"""
)


class CostWatch:
    """Every worker runs one; what one has done the others find done."""

    def __init__(
        self, purse: RedisPurse, ledger: CostLedger, batcher: Batcher, keys: Keyspace, *, clock: Clock
    ) -> None:
        """``clock`` dates the events."""
        self._purse = purse
        self._ledger = ledger
        self._redis = batcher
        self._keys = keys
        self._clock = clock

    async def watch(self, stop: asyncio.Event) -> None:
        """Go on until ``stop`` is set; a store that is away is tried again."""
        while not stop.is_set():
            with suppress(StoreUnavailable):
                await self.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self.step()

    async def step(self) -> None:
        """Do all there is to do now.

        Raises:
            StoreUnavailable: a store does not answer; the rest is done next time.
        """
        while await self._purse.book_lost():
            pass
        await self.tell()
        await self._ledger.book()

    async def tell(self) -> list[Alert]:
        """Put the alerts that were made into log and journal, each once; those this call has put there.

        Raises:
            StoreUnavailable: a store does not answer; the rest is told next time.
        """
        key, told = self._keys.holds().alerts, []
        raw = await self._redis.execute("HGETALL", key)
        for mark, kept in zip(raw[::2], raw[1::2], strict=True):
            alert = Alert.from_json(kept)
            if await self._publish(text(mark), alert):
                told.append(alert)
                log.warning("budget.threshold", **alert.model_dump(), stopped=alert.stopped)
            await self._redis.execute("HDEL", key, mark)
        return told

    async def _publish(self, mark: str, alert: Alert) -> bool:
        thread, at = thread_id(alert.tenant, "budget", alert.agent), self._clock.now()
        event = Event(
            event_id=EventId(stable_id("budget", mark)),
            event_type=THRESHOLD,
            entity_type="budget",
            entity_id=alert.agent,
            agent_name="signalbox",
            timestamp=at,
            result={**alert.model_dump(mode="json"), "stopped": alert.stopped},
            tenant=alert.tenant,
            sequence=0,
            correlation_id=stable_id("budget", alert.tenant, alert.agent, alert.day),
            currency="USD",
            locale="",
        )
        keys = self._keys.entity(thread)
        stream = self._keys.stream(TOPIC, self._keys.shard_of(thread))
        sent = await self._redis.script(
            _TELL, [keys.document, stream], [f"alert:{mark}", thread, millis(at), THRESHOLD, event.to_json()]
        )
        return bool(sent)
