"""Taking a person out of the working store: keys of their orders, raw payloads, stream entries, and a last look at all the rest."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.errors import StoreUnavailable
from domain.order import Order
from domain.personal import Person
from graph.runtime.keys import Keyspace
from graph.runtime.orders import OrderBook, OrderRecord, thread_of

_PAGE = 500
_THREAD = re.compile(r":e:([0-9a-f]{40}):")
_MAY_GO = (":raw:", ":idem:", ":session_notice:")
"""Kinds of keys nobody misses: copies, and answers kept for repeated calls."""
_REWRITE_S = 120.0
_RENEW = """
if redis.call('EXISTS', KEYS[1]) == 0 or #redis.call('XINFO', 'GROUPS', KEYS[1]) > 0 then return 0 end
local kept = redis.call('XRANGE', KEYS[1], '-', '+')
redis.call('DEL', KEYS[1])
for _, entry in ipairs(kept) do redis.call('XADD', KEYS[1], entry[1], unpack(entry[2])) end
return #kept
"""


class WorkingStoreErasure:
    """Finds and removes."""

    def __init__(self, redis: Redis, keys: Keyspace, orders: OrderBook) -> None:
        """``redis`` is a plain client: these are the only calls that look at every key."""
        self._redis = redis
        self._keys = keys
        self._orders = orders

    async def orders_of(self, tenant: str, customer_id: str) -> list[OrderRecord]:
        """The orders in working state that are a customer's."""
        found = []
        for shard in range(self._keys.shards):
            index, start = self._keys.orders(tenant, shard), 0
            while page := await self._redis.zrange(index, start, start + _PAGE - 1):
                records = [await self._orders.at(thread_of(tenant, _text(one))) for one in page]
                found += [r for r in records if r is not None and r.order is not None and is_of(r.order, customer_id)]
                start += _PAGE
        return found

    async def unread(self, threads: Iterable[str]) -> list[str]:
        """Topics with entries of these threads that one of their consumer groups has not settled yet."""
        wanted, waiting = set(threads), []
        async for stream in self._streams():
            entries = [entry async for entry, fields in self._entries(stream) if _thread_of(fields) in wanted]
            if entries and await self._unsettled(stream, entries):
                waiting.append(stream.rpartition(":")[2])
        return waiting

    async def _unsettled(self, stream: str, entries: Sequence[str]) -> bool:
        newest = max(entries, key=_order)
        for group in await self._redis.xinfo_groups(stream):
            if _order(_text(group["last-delivered-id"])) < _order(newest):
                return True
            pending = await self._redis.xpending_range(stream, group["name"], entries[0], newest, 10_000)
            if {_text(one["message_id"]) for one in pending} & set(entries):
                return True
        return False

    async def drop_entries(self, threads: Iterable[str], person: Person) -> int:
        """Delete the threads' entries from every stream but the dead letters, and others that name the person."""
        wanted, gone = set(threads), 0
        async for stream in self._streams():
            about = [
                entry
                async for entry, fields in self._entries(stream)
                if _thread_of(fields) in wanted or person.named_in(_shown(fields))
            ]
            for at in range(0, len(about), _PAGE):
                gone += int(await self._redis.xdel(stream, *about[at : at + _PAGE]))
        return gone

    async def renew_letters(self) -> None:
        """Write the dead letters that stay anew, under their own ids: a deleted entry stands in its block otherwise."""
        for shard in range(self._keys.shards):
            await self._redis.eval(_RENEW, 1, self._keys.dead_letters(shard))

    async def drop_order(self, tenant: str, order_id: str, thread: str) -> None:
        """Take an order out of the lists."""
        shard = self._keys.shard_of(thread)
        await self._redis.zrem(self._keys.orders(tenant, shard), order_id)
        await self._redis.zrem(self._keys.released(shard), thread)

    async def drop_raw(self, references: Iterable[str]) -> int:
        """Delete raw payloads."""
        keys = [self._keys.raw(ref, shard) for ref in references for shard in range(self._keys.shards)]
        return await self.drop_keys(keys)

    async def drop_keys(self, keys: Sequence[str]) -> int:
        """Delete keys; how many there were."""
        return sum([int(await self._redis.unlink(key)) for key in keys])

    async def sweep(self, threads: Iterable[str], reviews: Iterable[str], person: Person) -> tuple[int, list[str]]:
        """Look at every key: delete those of the person's threads and reviews and copies that name them; count, and what is left."""
        wanted, asked, gone, left = set(threads), tuple(reviews), 0, []
        async for raw in self._redis.scan_iter(match=f"{self._keys.prefix}:*", count=1000):
            key = _text(raw)
            owner = _THREAD.search(key + ":")
            own = (owner is not None and owner[1] in wanted) or any(review in key for review in asked)
            if own or (not _is_stream(key) and person.named_in(key + "\n" + await self._dump(key))):
                if own or any(kind in key for kind in _MAY_GO):
                    gone += int(await self._redis.unlink(key))
                else:
                    left.append(re.sub(r"[^:]{80,}", "...", person.without(key)))
        return gone, left

    async def rewrite(self) -> bool:
        """Let the server rewrite its log, so that what was deleted is gone from the disk; False where it may not be asked.

        Raises:
            StoreUnavailable: it takes too long; asking again is safe.
        """
        try:
            if not int((await self._redis.info("persistence")).get("aof_enabled", 0)):
                return True
            await self._redis.bgrewriteaof()
        except RedisError as refused:
            if "in progress" not in str(refused):
                return False
        async with asyncio.timeout(_REWRITE_S):
            while True:
                said = await self._redis.info("persistence")
                if not int(said["aof_rewrite_in_progress"]) and not int(said.get("aof_rewrite_scheduled", 0)):
                    break
                await asyncio.sleep(0.05)
        if said.get("aof_last_bgrewrite_status") != "ok":
            raise StoreUnavailable(
                "the store could not rewrite its log; see its own log, then run the same command again"
            )
        return True

    async def _streams(self) -> AsyncIterator[str]:
        async for key in self._redis.scan_iter(match=f"{self._keys.prefix}:*:stream:*", count=1000):
            yield _text(key)

    async def _entries(self, stream: str) -> AsyncIterator[tuple[str, dict[Any, Any]]]:
        start = "-"
        while page := await self._redis.xrange(stream, start, "+", _PAGE):
            for entry, fields in page:
                yield _text(entry), fields or {}
            start = f"({_text(page[-1][0])}"

    async def _dump(self, key: str) -> str:
        match _text(await self._redis.type(key)):
            case "string":
                return _text(await self._redis.get(key) or b"")
            case "hash":
                return _shown(await self._redis.hgetall(key))
            case "zset":
                return "\n".join(map(_text, await self._redis.zrange(key, 0, -1)))
            case "set":
                return "\n".join(map(_text, await self._redis.smembers(key)))
            case "list":
                return "\n".join(map(_text, await self._redis.lrange(key, 0, -1)))
            case _:
                return ""


def is_of(order: Order, customer_id: str) -> bool:
    """Whether an order is a customer's, who may be named by id, or as a guest by e-mail or phone."""
    who = order.customer
    return customer_id in (who.customer_id, who.phone) or bool(
        who.email and who.email.casefold() == customer_id.casefold()
    )


def _is_stream(key: str) -> bool:
    return ":stream:" in key or key.endswith(":dead")


def _thread_of(fields: dict[Any, Any]) -> str:
    return _text(fields.get(b"k", fields.get("k", "")))


def _shown(fields: dict[Any, Any]) -> str:
    return "\n".join(f"{_text(name)}\n{_text(value)}" for name, value in fields.items())


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _order(entry: str) -> tuple[int, int]:
    ms, _, number = entry.partition("-")
    return int(ms), int(number or 0)
