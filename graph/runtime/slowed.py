"""The book of plans that slow sales: one document an SKU, and an index of those that still stand."""

from datetime import datetime

from domain.event import Event
from domain.ids import Sku, TenantId, ThreadId, thread_id
from domain.slowing import SlowPlan, SlowState
from graph.runtime.connection import Batcher
from graph.runtime.journal import Journal, millis, pairs, text
from graph.runtime.keys import Keyspace

ENTITY = "sku"
FIELD = "slow_plan"


def thread_of(tenant: str, sku: str) -> ThreadId:
    """The thread of an SKU."""
    return thread_id(tenant, ENTITY, sku)


class SlowedBook:
    """Keeps plans; a plan that stands never expires."""

    def __init__(self, batcher: Batcher, keys: Keyspace, journal: Journal) -> None:
        """All are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys
        self._journal = journal

    async def find(self, tenant: str, sku: str) -> SlowPlan | None:
        """The SKU's last plan, or None when it never had one or that is long over."""
        fields = pairs(await self._redis.execute("HGETALL", self._keys.entity(thread_of(tenant, sku)).document))
        return SlowPlan.from_json(fields[FIELD]) if FIELD in fields else None

    async def keep(self, plan: SlowPlan, *, token: int, at: datetime, events: tuple[Event, ...] = ()) -> None:
        """Write a plan; it enters the index before it stands, and leaves it after it has ended.

        Raises:
            StaleFence: a newer worker holds the SKU.
        """
        member, over = f"{plan.tenant} {plan.sku}", plan.state is SlowState.RESTORED
        if not over:
            await self._redis.execute("ZADD", self._keys.slowed(), millis(plan.ends_at), member)
        thread = thread_of(plan.tenant, plan.sku)
        await self._journal.advance(thread, {FIELD: plan.to_json()}, events, token=token, at=at, pin=not over)
        if over:
            await self._redis.execute("ZREM", self._keys.slowed(), member)

    async def standing(self, *, limit: int = 10_000) -> list[tuple[TenantId, Sku]]:
        """Every SKU whose sales are slowed, the one that ends first at the front."""
        names = await self._redis.execute("ZRANGE", self._keys.slowed(), 0, limit - 1)
        parts = [text(name).partition(" ") for name in names]
        return [(TenantId(tenant), Sku(sku)) for tenant, _, sku in parts]

    async def drop(self, tenant: str, sku: str) -> None:
        """Take out of the index what was never written."""
        await self._redis.execute("ZREM", self._keys.slowed(), f"{tenant} {sku}")
