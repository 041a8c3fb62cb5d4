"""How agents that earn their autonomy are doing now: questions and silences by the minute, what they decide on by the day."""

import asyncio
from datetime import datetime, timedelta

import orjson

from domain.autonomy import Note, Segment
from graph.runtime.autonomy_book import thread_of_agent
from graph.runtime.autonomy_ledger import bins_of
from graph.runtime.connection import Batcher
from graph.runtime.journal import pairs
from graph.runtime.keys import Keyspace

_MINUTE_TTL_S = 3600
_DAYS = 7
"""What an agent decides on now is what it decided on in so many days."""
_DAY_TTL_S = (_DAYS + 1) * 86_400


class AutonomyCounts:
    """Counts in Redis, kept no longer than they are needed. A repeated event may count twice; shares bear that."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def asked(self, tenant: str, agent: str, *, silent: bool, at: datetime) -> None:
        """Note a question, and whether the fallback had to answer it."""
        key = self._keys.autonomy_counts(thread_of_agent(tenant, agent), _minute(at))
        work = [self._redis.execute("HINCRBY", key, "asked", 1), self._redis.execute("EXPIRE", key, _MINUTE_TTL_S)]
        if silent:
            work.append(self._redis.execute("HINCRBY", key, "silent", 1))
        await asyncio.gather(*work)

    async def decided(self, segment: Segment, note: Note, *, at: datetime) -> None:
        """Note what a decision was about."""
        key = self._keys.autonomy_counts(thread_of_agent(segment.tenant, segment.agent), _day(at))
        stated = None if note.stated is None else float(note.stated)
        bins = bins_of(stated, note.usd_minor, note.channel)
        names = [orjson.dumps([segment.field, name, where]).decode() for name, where in bins.items()]
        work = [self._redis.execute("HINCRBY", key, name, 1) for name in names]
        await asyncio.gather(*work, self._redis.execute("EXPIRE", key, _DAY_TTL_S))

    async def silences(self, tenant: str, agent: str, *, within: timedelta, now: datetime) -> tuple[int, int]:
        """Questions of the last minutes, and those left unanswered."""
        thread = thread_of_agent(tenant, agent)
        minutes = [_minute(now - timedelta(minutes=back)) for back in range(int(within.total_seconds() // 60))]
        found = [
            pairs(await self._redis.execute("HGETALL", self._keys.autonomy_counts(thread, minute)))
            for minute in minutes
        ]
        return sum(int(one.get("asked", 0)) for one in found), sum(int(one.get("silent", 0)) for one in found)

    async def features(self, tenant: str, agent: str, *, now: datetime) -> dict[str, dict[str, dict[str, int]]]:
        """Histograms of the last days by segment."""
        thread = thread_of_agent(tenant, agent)
        made: dict[str, dict[str, dict[str, int]]] = {}
        for back in range(_DAYS):
            key = self._keys.autonomy_counts(thread, _day(now - timedelta(days=back)))
            for packed, count in pairs(await self._redis.execute("HGETALL", key)).items():
                segment, name, where = orjson.loads(packed)
                bins = made.setdefault(segment, {}).setdefault(name, {})
                bins[where] = bins.get(where, 0) + int(count)
        return made


def _minute(at: datetime) -> str:
    return f"m{int(at.timestamp()) // 60}"


def _day(at: datetime) -> str:
    return f"d{int(at.timestamp()) // 86_400}"
