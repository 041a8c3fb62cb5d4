"""Money for model calls: set aside before, booked after, in one atomic step each over all workers and restarts."""

from collections.abc import Awaitable, Callable

from domain.cost import EVERY_AGENT, CallRecord, Denied, Held, Hold
from graph.runtime.budgets import Allowance
from graph.runtime.connection import Batcher
from graph.runtime.cost_scripts import LOST, RESERVE, SETTLE
from graph.runtime.journal import text
from graph.runtime.keys import Keyspace

LOST_AT_ONCE = 100

Allow = Callable[[str, str], Awaitable[Allowance]]
"""What an agent of a tenant may spend now."""


class RedisPurse:
    """Implements ``Purse``."""

    def __init__(self, batcher: Batcher, keys: Keyspace, allow: Allow, local_day: Callable[[str], str]) -> None:
        """``local_day`` tells a tenant's calendar day now."""
        self._redis = batcher
        self._keys = keys
        self._allow = allow
        self._local_day = local_day

    async def day(self, tenant: str) -> str:
        """The tenant's calendar day now."""
        return self._local_day(tenant)

    async def reserve(self, hold: Hold) -> Held | Denied:
        """Set the estimate aside.

        Raises:
            StoreUnavailable: nothing is known to be set aside; the call must not be made.
        """
        record, keys = hold.record, self._keys.holds()
        allowed = await self._allow(record.tenant, record.agent)
        cheaper = hold.cheaper
        status, spent, aside, limit, scope = await self._redis.script(
            RESERVE,
            [
                self._keys.spend(record.tenant, record.day),
                self._keys.model_calls(record.tenant, record.entity_type, record.entity_id),
                keys.ends,
                keys.held,
                keys.alerts,
            ],
            [
                record.tenant, record.day, record.agent,
                str(allowed.agent_usd_micro), str(allowed.total_usd_micro), str(allowed.calls_per_entity),
                record.call_id, str(int(hold.ends_in_s * 1000)),
                str(record.usd_micro), record.to_json(),
                str(cheaper.usd_micro) if cheaper else "0", cheaper.to_json() if cheaper else "",
            ],
        )  # fmt: skip
        word = text(status)
        if word == "cap":
            about = f"{record.entity_type} {record.entity_id}"
            return Denied(by_cap=True, why=f"{about} has caused {spent} model calls, which is as many as it may")
        if word == "budget":
            return Denied(by_cap=False, why=_spent(record.day, text(scope), int(spent), int(aside), int(text(limit))))
        return Held(cheaper=word == "cheaper")

    async def settle(self, record: CallRecord) -> None:
        """Book what the call cost in place of what was set aside; once, however often it is told.

        Raises:
            StoreUnavailable: it is not booked; the hold will be, at the estimate.
        """
        keys = self._keys.holds()
        allowed = await self._allow(record.tenant, record.agent)
        await self._redis.script(
            SETTLE,
            [
                self._keys.spend(record.tenant, record.day),
                self._keys.model_calls(record.tenant, record.entity_type, record.entity_id),
                keys.ends,
                keys.held,
                keys.unbooked,
                keys.alerts,
            ],
            [
                record.tenant, record.day, record.agent, str(allowed.agent_usd_micro), str(allowed.total_usd_micro),
                record.call_id, str(record.usd_micro), record.to_json(),
            ],
        )  # fmt: skip

    async def book_lost(self) -> int:
        """Book the calls whose process died, at their estimates; how many there were.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        keys = self._keys.holds()
        lost = await self._redis.script(LOST, [keys.ends, keys.held], [str(LOST_AT_ONCE)])
        for kept in lost:
            await self.settle(CallRecord.from_json(kept))
        return len(lost)

    async def of_entity(self, tenant: str, entity_type: str, entity_id: str) -> tuple[int, int]:
        """Calls one entity has caused, those under way included, and what the finished ones cost.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        key = self._keys.model_calls(tenant, entity_type, entity_id)
        calls, spent = await self._redis.execute("HMGET", key, "n", "usd_micro")
        return int(calls or 0), int(spent or 0)

    async def spent(self, tenant: str, day: str) -> dict[str, tuple[int, int]]:
        """By agent (``*`` for all together): spent and set aside on that day, millionths of a dollar.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        raw = await self._redis.execute("HGETALL", self._keys.spend(tenant, day))
        kept = {text(name): text(value) for name, value in zip(raw[::2], raw[1::2], strict=True)}
        agents = {name[2:] for name in kept if name[:2] in {"s:", "h:"}}
        return {agent: (int(kept.get(f"s:{agent}", 0)), int(kept.get(f"h:{agent}", 0))) for agent in sorted(agents)}


def _spent(day: str, scope: str, spent: int, aside: int, limit: int) -> str:
    held = f" and {aside / 1e6:.4f} set aside" if aside else ""
    whose = "all agents together" if scope == EVERY_AGENT else scope
    return f"{spent / 1e6:.4f} USD spent{held} of the {limit / 1e6:.4f} that {whose} may spend on {day}"
