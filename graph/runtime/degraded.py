"""Peak mode for the whole installation: what people have set, what the signs say, and what every worker reads.

Kept in the store under ``degraded``; owner: the process that leads the job of that name, and whoever sets an override.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import orjson
import structlog

from domain.degraded import POLICY, Asked, Override, PeakPolicy, PeakState, Sample, step
from domain.errors import StoreUnavailable
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id, thread_id
from domain.values import Plain
from graph.runtime.journal import millis, pairs, text
from graph.runtime.leases import LEASE_MS, Leadership
from graph.runtime.scripts import Script
from graph.runtime.store import Store

log = structlog.get_logger(__name__)

READ_EVERY_S = 1.0
PRESENT_S = 30
"""A worker that has not reported for this long is gone."""
EVERYBODY = TenantId("signalbox")
"""Whose audit keeps a switch that concerns every tenant."""
_KEPT_S = 7 * 24 * 3600

_BEAT = Script(
    f"""
local pulse, workers, tenants = unpack(KEYS)
local now, owner, count = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
redis.call('ZADD', workers, now, owner)
redis.call('EXPIRE', workers, {PRESENT_S * 4})
for at = 4, 3 + count do redis.call('SADD', tenants, ARGV[at]) end
if count > 0 then redis.call('EXPIRE', tenants, {_KEPT_S}) end
for at = 4 + count, #ARGV, 2 do redis.call('HINCRBY', pulse, ARGV[at], ARGV[at + 1]) end
redis.call('EXPIRE', pulse, {PRESENT_S * 4})
return 1
"""
)
_TAKE = Script("local all = redis.call('HGETALL', KEYS[1]); redis.call('DEL', KEYS[1]); return all")
_SET = Script(
    f"""
local mode, memory = unpack(KEYS)
if redis.call('GET', memory) ~= ARGV[1] and ARGV[1] ~= '' then return 0 end
redis.call('SET', memory, ARGV[2], 'EX', {_KEPT_S})
redis.call('HSET', mode, 'on', ARGV[3], 'reason', ARGV[4], 'since', ARGV[5])
return 1
"""
)


class Pulse:
    """What one worker has seen of its agents since it last reported."""

    def __init__(self, policy: PeakPolicy = POLICY) -> None:
        """Start with nothing seen."""
        self._policy = policy
        self._counts: Counter[str] = Counter()
        self._tenants: set[str] = set()

    def answered(self, agent: str, *, tenant: str, took_ms: int, deadline_ms: int) -> None:
        """Note an agent's answer."""
        self._tenants.add(tenant)
        self._counts[f"{agent}|asked"] += 1
        self._counts[f"{agent}|slow"] += took_ms * 100 > deadline_ms * self._policy.deadline_percent

    def unanswered(self, agent: str, *, tenant: str) -> None:
        """Note an agent that was cut off or failed."""
        self._tenants.add(tenant)
        self._counts.update((f"{agent}|asked", f"{agent}|slow", f"{agent}|silent"))

    def take(self) -> tuple[list[str], dict[str, int]]:
        """Tenants seen and counts, starting anew."""
        tenants, counts = sorted(self._tenants), {name: n for name, n in self._counts.items() if n}
        self._tenants, self._counts = set(), Counter()
        return tenants, counts


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One person's override."""

    mode: Override
    by: str
    reason: str
    at: str


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The mode as stored."""

    automatic: bool = False
    """What the signs say."""
    reason: str = ""
    since: str = ""
    overall: Setting | None = None
    tenants: dict[str, Setting]
    """Overrides of single tenants; they go before the overall one."""
    workers: int = 0

    def on(self, tenant: str = "") -> bool:
        """Whether the mode is in force, for a tenant or in general."""
        setting = self.setting(tenant)
        return self.automatic if setting is None else setting.mode is Override.ON

    def setting(self, tenant: str = "") -> Setting | None:
        """The override in force, or None when the signs decide."""
        return self.tenants.get(tenant) or self.overall

    def why(self, tenant: str = "") -> str:
        """Why it stands as it stands."""
        setting = self.setting(tenant)
        return self.reason if setting is None else f"set by {setting.by}: {setting.reason}"


NOTHING = Standing(tenants={})


class DegradedSwitch:
    """Reads the mode for this worker and changes it for all of them."""

    def __init__(self, store: Store, *, owner: str, policy: PeakPolicy = POLICY, lease_ms: int = LEASE_MS) -> None:
        """``owner`` names this process."""
        self.leadership = Leadership(store.batcher, store.keys, "degraded", owner, lease_ms=lease_ms)
        """Of sampling, switching by the signs, and second looks."""
        self._store = store
        self._owner = owner
        self.policy = policy
        self.pulse = Pulse(policy)
        self._known = NOTHING
        self._read_at = float("-inf")
        flag = store.keys.flag
        self._mode, self._memory = flag("degraded"), flag("degraded:memory")
        self._pulse, self._workers, self._tenants = (flag(f"degraded:{n}") for n in ("pulse", "workers", "tenants"))

    async def hints(self, tenant: str) -> dict[str, Plain]:
        """What agents are told; nothing in ordinary times. While the store is away the last known mode holds."""
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= READ_EVERY_S:
            self._read_at = now
            try:
                await self.standing()
            except StoreUnavailable as away:
                log.warning("degraded.not_read", why=str(away))
        if not self._known.on(tenant):
            return {}
        share = max(1, self.policy.reviews_per_h // max(1, self._known.workers))
        return {"mode": "degraded", "reviews_per_h": share}

    async def standing(self) -> Standing:
        """The mode as it is stored now.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        redis, gone = self._store.batcher, int(millis(self._store.clock.now())) - PRESENT_S * 1000
        raw, workers = await asyncio.gather(
            redis.execute("HGETALL", self._mode), redis.execute("ZCOUNT", self._workers, gone, "+inf")
        )
        fields = pairs(raw)
        settings = {
            name.removeprefix("override:"): Setting(**(kept | {"mode": Override(kept["mode"])}))
            for name, value in fields.items()
            if name.startswith("override:") and (kept := orjson.loads(value))
        }
        overall = settings.pop("", None)
        self._known = Standing(
            automatic=fields.get("on") == "1",
            reason=fields.get("reason", ""),
            since=fields.get("since", ""),
            overall=overall,
            tenants=settings,
            workers=int(workers),
        )
        self._store.metrics.degraded.set(self._known.on())
        return self._known

    async def override(self, mode: Override, *, tenant: str = "", by: str, reason: str) -> Standing:
        """Set the mode by hand, for everybody or for one tenant; ``AUTO`` hands it back to the signs.

        Raises:
            StoreUnavailable: it may not be set; asking again is safe.
        """
        before, now = await self.standing(), self._store.clock.now()
        field = f"override:{tenant}"
        if mode is Override.AUTO:
            await self._store.batcher.execute("HDEL", self._mode, field)
        else:
            setting = {"mode": mode.value, "by": by, "reason": reason, "at": now.isoformat()}
            await self._store.batcher.execute("HSET", self._mode, field, orjson.dumps(setting))
        after = await self.standing()
        if before.on(tenant) is not after.on(tenant):
            await self._tell(after.on(tenant), reason=reason, by=f"person:{by}", tenant=tenant, at=now)
        return after

    async def beat(self) -> None:
        """Report what this worker has seen.

        Raises:
            StoreUnavailable: it may be lost; the next report tells how things are then.
        """
        tenants, counts = self.pulse.take()
        flat = [str(part) for pair in counts.items() for part in pair]
        await self._store.batcher.script(
            _BEAT,
            [self._pulse, self._workers, self._tenants],
            [millis(self._store.clock.now()), self._owner, str(len(tenants)), *tenants, *flat],
        )

    async def tenants(self) -> list[str]:
        """Tenants whose orders agents were asked about lately."""
        return sorted(text(one) for one in await self._store.batcher.execute("SMEMBERS", self._tenants))

    async def taken(self) -> dict[str, Asked]:
        """What all workers have reported since the last time; it is handed out once."""
        found: dict[str, dict[str, int]] = {}
        for field, count in pairs(await self._store.batcher.script(_TAKE, [self._pulse])).items():
            agent, _, what = field.partition("|")
            found.setdefault(agent, {})[what] = int(count)
        return {agent: Asked(**counts) for agent, counts in found.items()}

    async def judge(self, sample: Sample) -> PeakState:
        """Let the signs decide; for the one process that leads. What another leader wrote meanwhile stands.

        Raises:
            StoreUnavailable: nothing may have been decided; the next sample goes on.
        """
        kept = await self._store.batcher.execute("GET", self._memory)
        state = PeakState.from_json(kept) if kept else PeakState()
        after = step(state, sample, self.policy)
        since = after.switched_at.isoformat() if after.switched_at else ""
        stored = await self._store.batcher.script(
            _SET,
            [self._mode, self._memory],
            [text(kept) if kept else "", after.to_json(), str(int(after.on)), after.reason, since],
        )
        if after.on is not state.on and int(stored):
            log.warning("degraded.signs", on=after.on, why=after.reason)
            if (await self.standing()).overall is None:
                await self._tell(after.on, reason=after.reason, by="signalbox", tenant="", at=sample.at)
        return after

    async def _tell(self, on: bool, *, reason: str, by: str, tenant: str, at: datetime) -> None:
        kind = "system.degraded.on" if on else "system.degraded.off"
        log.warning(kind, why=reason, by=by, tenant=tenant or None)
        owner = TenantId(tenant or EVERYBODY)
        thread = thread_id(owner, "system", "degraded")
        event = Event(
            event_id=EventId(stable_id(thread, kind, at.isoformat())),
            event_type=kind,
            entity_type="system",
            entity_id="degraded",
            agent_name=by,
            timestamp=at,
            result={"reason": reason, "policy": self.policy.version, "tenant": tenant},
            tenant=owner,
            sequence=0,
            correlation_id=f"degraded-{int(at.timestamp())}",
            currency="",
            locale="",
        )
        await self._store.journal.publish(thread, [event], at=at)
