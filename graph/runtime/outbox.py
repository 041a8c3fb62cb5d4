"""The outbox: carries the journal to the broker the outside listens to, in order per entity, each event at least once.

The decision journal itself stays in Redis, where it is atomic with the state it describes.
"""

import structlog

from domain.errors import StoreUnavailable
from domain.ports import Delivery, EventBus
from graph.runtime.journal import TOPIC

log = structlog.get_logger(__name__)

GROUP = "outbox"
EVENTS = "events"
"""The topic on the outside broker."""
BATCH = 200


class Outbox:
    """Publishes what is journaled. One process at a time should run it; two repeat nothing, thanks to the event ids."""

    def __init__(self, journal: EventBus, broker: EventBus, *, consumer: str, claim_idle_ms: int = 60_000) -> None:
        """``journal`` is the bus that carries the journal, ``broker`` the one the outside listens to."""
        self._journal = journal
        self._broker = broker
        self._consumer = consumer
        self._claim_idle_ms = claim_idle_ms

    @property
    def broker(self) -> EventBus:
        """The bus the outside listens to."""
        return self._broker

    async def subscribe(self) -> None:
        """Declare the group, so that nothing journaled from now on is trimmed before it is published."""
        await self._journal.subscribe(TOPIC, GROUP)

    async def step(self, *, block_ms: int) -> int:
        """Publish one batch and return how many events went; what fails is published again later.

        Raises:
            StoreUnavailable: the journal or the broker does not answer; nothing unpublished was acknowledged.
        """
        found = await self._journal.claim(TOPIC, GROUP, self._consumer, idle_ms=self._claim_idle_ms, count=BATCH)
        found = found or await self._journal.read(TOPIC, GROUP, self._consumer, count=BATCH, block_ms=block_ms)
        published: list[str] = []
        try:
            for delivery in found:
                await self._publish(delivery)
                published.append(delivery.delivery_id)
        except StoreUnavailable as away:
            log.warning("outbox.broker_away", why=str(away), left=len(found) - len(published))
            raise
        finally:
            if published:
                await self._journal.ack(TOPIC, GROUP, published)
        return len(published)

    async def _publish(self, delivery: Delivery) -> None:
        headers = delivery.message.headers
        position = f"{delivery.message.key}:{headers.get('seq', delivery.delivery_id)}:{headers.get('t', '')}"
        await self._broker.publish(EVENTS, delivery.message, dedupe_key=position)
