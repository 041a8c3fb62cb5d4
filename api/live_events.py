"""Events as the journal holds them now: those the audit does not have yet, and the live stream of a tenant."""

import asyncio
from collections.abc import AsyncIterator, Collection

import orjson

from domain.event import Event
from domain.ids import TenantId, thread_id
from graph.bootstrap.system import Signalbox
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import text

_BATCH = 100
_POLL_S = 0.25
_LOOK_BACK = 5000
"""Newest journal entries looked through for an entity; the relay keeps far closer than this."""


class LiveEvents:
    """Reads the journal without being one of its consumers."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box

    async def of_entity(self, tenant: str, kind: str, entity_id: str, *, known: Collection[str]) -> list[Event]:
        """An entity's events in the journal, oldest first, without those whose ids are ``known``."""
        thread = thread_id(tenant, kind, entity_id)
        stream = self._box.keys.stream(JOURNAL, self._box.keys.shard_of(thread))
        entries = await self._box.store.batcher.execute("XREVRANGE", stream, "+", "-", "COUNT", _LOOK_BACK)
        found = []
        for _, fields in entries:
            entry = _entry(fields)
            if entry.get("k") == thread:
                event = Event.from_json(entry["b"])
                if event.event_id not in known:
                    found.append(event.model_copy(update={"sequence": int(entry.get("seq", 0))}))
        return found[::-1]

    async def after(self, tenant: TenantId, last_event_id: str | None) -> AsyncIterator[tuple[str, str]]:
        """The tenant's events after ``last_event_id`` as (stream id, event JSON), then live ones, without end."""
        shards = range(self._box.keys.shards)
        places = _places(last_event_id, len(shards))
        while True:
            found = False
            for shard in shards:
                stream = self._box.keys.stream(JOURNAL, shard)
                entries = await self._box.store.batcher.execute(
                    "XRANGE", stream, f"({places[shard]}", "+", "COUNT", _BATCH
                )
                for entry_id, fields in entries:
                    found = True
                    places[shard] = text(entry_id)
                    entry = _entry(fields)
                    if orjson.loads(entry["b"])["tenant"] == tenant:
                        yield ".".join(places), entry["b"]
            if not found:
                await asyncio.sleep(_POLL_S)


def _entry(fields: list[bytes]) -> dict[str, str]:
    return {text(k): text(v) for k, v in zip(fields[::2], fields[1::2], strict=True)}


def _places(last_event_id: str | None, shards: int) -> list[str]:
    parts = (last_event_id or "").split(".")
    return parts if len(parts) == shards and all(parts) else ["0-0"] * shards


async def latest_place(box: Signalbox) -> str:
    """The id after which only what happens from now on comes, for ``LiveEvents.after``."""
    places = []
    for shard in range(box.keys.shards):
        newest = await box.store.batcher.execute("XREVRANGE", box.keys.stream(JOURNAL, shard), "+", "-", "COUNT", 1)
        places.append(text(newest[0][0]) if newest else "0-0")
    return ".".join(places)
