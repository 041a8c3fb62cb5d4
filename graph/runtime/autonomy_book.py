"""What agents have earned, in Redis: one hash per tenant and agent, changed by compare-and-set together with its event.

Reading is from memory; at most a quarter of a second later the store is asked whether anything has changed, so a
demotion reaches every worker within that time.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.autonomy import Segment, Standing
from domain.calibration import ConfidenceCalibration
from domain.event import Event
from domain.ids import ThreadId, thread_id
from graph.runtime.atomics import PRELUDE
from graph.runtime.connection import Batcher
from graph.runtime.journal import TOPIC, millis, pairs, text
from graph.runtime.keys import Keyspace
from graph.runtime.metrics import Metrics
from graph.runtime.scripts import Script

READ_EVERY_S = 0.25
ENTITY = "agent"
"""The entity type of autonomy's events; the agent is the entity."""
_CALIBRATION = "calibration"
_REVISION = "revision"

_CHANGE = Script(
    PRELUDE
    + """
local book, doc, stream = unpack(KEYS)
local field, before, after, thread, now, kind, event = unpack(ARGV)
if (redis.call('HGET', book, field) or '') ~= before then return 0 end
redis.call('HSET', book, field, after)
redis.call('HINCRBY', book, 'revision', 1)
publish(doc, stream, thread, now, kind, event)
keep(doc, doc)
return 1
"""
)


@dataclass(frozen=True, kw_only=True)
class Earned:
    """What one agent has earned at one shop."""

    revision: int = 0
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """By ``Segment.field``."""
    calibration: ConfidenceCalibration | None = None
    raw: Mapping[str, str] = field(default_factory=dict)
    """As stored: what a change is compared with."""

    def standing(self, segment: Segment) -> Standing | None:
        """Where a segment stands; None when nothing was ever decided about it."""
        return self.standings.get(segment.field)


def thread_of_agent(tenant: str, agent: str) -> ThreadId:
    """The thread of an agent as an entity."""
    return thread_id(tenant, ENTITY, agent)


class AutonomyBook:
    """Reads what agents have earned for this process and changes it for all of them."""

    def __init__(self, batcher: Batcher, keys: Keyspace, metrics: Metrics) -> None:
        """All are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys
        self._metrics = metrics
        self._known: dict[tuple[str, str], tuple[float, Earned]] = {}

    async def earned(self, tenant: str, agent: str) -> Earned:
        """What the agent has earned, at most a quarter of a second old.

        Raises:
            StoreUnavailable: it cannot be read now, and what was read last is too old to act on.
        """
        now = asyncio.get_running_loop().time()
        read_at, known = self._known.get((tenant, agent), (float("-inf"), Earned()))
        if now - read_at < READ_EVERY_S:
            return known
        stored = await self._redis.execute("HGET", self._keys.autonomy(thread_of_agent(tenant, agent)), _REVISION)
        if int(stored or 0) == known.revision:
            self._known[tenant, agent] = (now, known)
            return known
        return await self.fresh(tenant, agent)

    async def fresh(self, tenant: str, agent: str) -> Earned:
        """What the agent has earned, as it is stored now.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        now = asyncio.get_running_loop().time()
        raw = pairs(await self._redis.execute("HGETALL", self._keys.autonomy(thread_of_agent(tenant, agent))))
        revision, calibration = int(raw.pop(_REVISION, 0)), raw.pop(_CALIBRATION, "")
        found = Earned(
            revision=revision,
            standings={name: Standing.from_json(kept) for name, kept in raw.items()},
            calibration=ConfidenceCalibration.from_json(calibration) if calibration else None,
            raw=raw | ({_CALIBRATION: calibration} if calibration else {}),
        )
        self._known[tenant, agent] = (now, found)
        self._metrics.earned(standing for standing in found.standings.values())
        return found

    async def put(self, before: Earned, after: Standing, event: Event) -> bool:
        """Change where a segment stands and say so; False when somebody else changed it meanwhile.

        Raises:
            StoreUnavailable: it may not be changed; asking again is safe.
        """
        return await self._change(before, after.segment.field, after.to_json(), event)

    async def adopt(self, before: Earned, calibration: ConfidenceCalibration, event: Event) -> bool:
        """Put a calibration in force and say so; False when somebody else changed it meanwhile.

        Raises:
            StoreUnavailable: it may not be changed; asking again is safe.
        """
        return await self._change(before, _CALIBRATION, calibration.to_json(), event)

    async def _change(self, before: Earned, name: str, after: str, event: Event) -> bool:
        thread = thread_of_agent(event.tenant, event.entity_id)
        done = await self._redis.script(
            _CHANGE,
            [
                self._keys.autonomy(thread),
                self._keys.entity(thread).document,
                self._keys.stream(TOPIC, self._keys.shard_of(thread)),
            ],
            [
                name,
                before.raw.get(name, ""),
                after,
                thread,
                millis(event.timestamp),
                event.event_type,
                event.to_json(),
            ],
        )
        await self.fresh(event.tenant, event.entity_id)
        return text(done) == "1" if isinstance(done, bytes | str) else bool(done)
