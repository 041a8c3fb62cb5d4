"""What agents concluded about an order is kept from people while one of them is asked without being told.

A suggestion is journaled a moment before the question about it exists. Which questions are blind follows from their ids,
so it is kept back from the beginning.
"""

from typing import Any

import orjson

from domain.autonomy import is_blind
from domain.decision import Mode
from domain.errors import Forbidden, NotFound
from domain.ids import ThreadId
from domain.order import OrderProgress
from domain.review import ReviewState
from graph.bootstrap.system import Signalbox
from graph.runtime.reviews import review_id

WITHHELD = "what the agents think is shown once the open review is answered"
_SEES_OPINIONS = "admin"
_ROUNDS = 3
"""Questions about one order that are foreseen; a later one hides what was said from the moment it is asked."""
_UNDER_WAY = frozenset({OrderProgress.ACCEPTED, OrderProgress.RUNNING})


class Blinding:
    """Knows about which orders somebody is to decide without seeing what was recommended."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is only read."""
        self._box = box

    async def asks(self, tenant: str, review_id: str) -> bool:
        """Whether this review is a blind one that nobody has answered."""
        if not review_id:
            return False
        try:
            review = (await self._box.reviews.cases.find(tenant, review_id)).review
        except NotFound:
            return False
        return review.blind and review.state is ReviewState.OPEN

    async def require_seen(self, tenant: str, order_id: str, roles: frozenset[str]) -> None:
        """Refuse to show opinions on an order that waits for a blind answer, to everybody but administrators.

        Raises:
            Forbidden: they are shown once the review is answered.
        """
        if _SEES_OPINIONS in roles:
            return
        record = await self._box.store.orders.find(tenant, order_id)
        if record is not None and await self.asks(tenant, record.review_id):
            raise Forbidden(f"A blind review of order {order_id} is open; {WITHHELD}")

    async def told(self, event: str) -> str:
        """An event as people may see it now: without what was concluded about an order that waits for a blind answer."""
        found: dict[str, Any] = orjson.loads(event)
        conflict = found["event_type"].endswith(".conflict.recorded")
        if found["entity_type"] != "order" or not (conflict or "decision" in found["result"]):
            return event
        record = await self._box.store.orders.find(found["tenant"], found["entity_id"])
        if record is None:
            return event
        early = record.progress in _UNDER_WAY and self._will_be_blind(record.thread, found)
        if not early and not await self.asks(found["tenant"], record.review_id):
            return event
        return orjson.dumps(found | {"result": {"withheld": WITHHELD}}).decode()

    def _will_be_blind(self, thread: ThreadId, event: dict[str, Any]) -> bool:
        """Whether the question that follows a suggestion of an order under way may be a blind one."""
        said = event.get("metadata", {})
        stages = self._box.workflow.stages
        names = [f"gate_{n}" for n, stage in enumerate(stages, 1) if event["agent_name"] in {one.name for one in stage}]
        if said.get("mode") != Mode.SUGGESTION or not names:
            return False
        shard, group = self._box.keys.shard_of(thread), int(said["attempt_group"])
        asked = (review_id(thread, names[0], group, round_, shard=shard) for round_ in range(_ROUNDS))
        return any(is_blind(event["tenant"], one) for one in asked)
