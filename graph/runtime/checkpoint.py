"""LangGraph's checkpointer on core Redis commands: exact ids, exact values, two keys a thread, one round trip a checkpoint.

Promise: passes LangGraph's whole conformance suite; what it answered is stored as durably as the server stores; a pinned
thread never expires. Asynchronous only.
"""

import asyncio
import copy
import random
from collections.abc import Collection, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from graph.runtime import checkpoint_scripts as scripts
from graph.runtime import crash
from graph.runtime.checkpoint_codec import namespace_key, writes_prefix
from graph.runtime.checkpoint_threads import StoredThreads, config_of
from graph.runtime.connection import Batcher
from graph.runtime.keys import STATE_TTL_S, Keyspace

_Place = tuple[str, str, str | None]
"""Thread, namespace and checkpoint."""

_HOLD_TURNS = 2
"""Turns of the event loop a task's writes wait for the checkpoint that makes them superfluous.

When the last task of a step ends, LangGraph hands over its writes and, within the same turns, the checkpoint that already
contains them. Only one of the two need be sent; both would have travelled in the same batch.
"""


class _Hold:
    """Writes held back."""

    __slots__ = ("released",)

    def __init__(self) -> None:
        self.released = False
        """The checkpoint that contains them is on its way."""


class RedisCheckpointer(StoredThreads):
    """Stores each thread in its entity's slot, for ``ttl_s`` seconds after its last write unless pinned.

    Run graphs with ``durability="sync"``: then an interrupt is visible as soon as the run returns.
    """

    def __init__(
        self,
        batcher: Batcher,
        keys: Keyspace,
        *,
        ttl_s: int = STATE_TTL_S,
        serde: SerializerProtocol | None = None,
    ) -> None:
        """Without ``serde``, LangGraph's own serializer restricted to plain data and the graph's declared types."""
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=None))
        self._redis = batcher
        self._keys = keys
        self._ttl_s = ttl_s
        self._held: dict[_Place, list[_Hold]] = {}
        self._clones: dict[frozenset[Any], RedisCheckpointer] = {}

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> "RedisCheckpointer":
        """This checkpointer, letting more types come back; LangGraph asks at every run, so the answer is kept."""
        wanted = frozenset(extra_allowlist)
        if wanted not in self._clones:
            clone = copy.copy(self)
            clone.serde = super().with_allowlist(extra_allowlist).serde
            self._clones[wanted] = clone
        return self._clones[wanted]

    def get_next_version(self, current: int | None, channel: None) -> int:
        """The next version of whatever changes in this step; forks of one checkpoint never get the same one.

        A counter with 24 random bits below it: an integer of five bytes for a thread's first 255 steps.
        """
        return ((((current or 0) >> 24) + 1) << 24) | random.getrandbits(24)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint; its parent's pending writes are superseded by it.

        Raises:
            StoreUnavailable: no answer; the checkpoint may or may not be stored.
        """
        configurable = config["configurable"]
        thread, namespace = str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")
        parent, delta = configurable.get("checkpoint_id"), "counters_since_delta_snapshot" in metadata
        if not delta:
            for superfluous in self._held.pop((thread, namespace, parent), ()):
                superfluous.released = True
        fields = self._codec().encode_checkpoint(
            namespace,
            checkpoint,
            get_checkpoint_metadata(config, metadata),
            parent_id=parent,
            new_versions=new_versions,
        )
        ids = (namespace, namespace_key(namespace), checkpoint["id"])
        await self._run(scripts.PUT, thread, self._ttl_s, *ids, int(delta), *fields)
        crash.point("checkpoint.written")
        return config_of(configurable["thread_id"], namespace, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote, until the next checkpoint contains it.

        Raises:
            StoreUnavailable: no answer; the writes may or may not be stored.
        """
        configurable = config["configurable"]
        thread, namespace = str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")
        checkpoint_id = configurable["checkpoint_id"]
        if await self._superseded((thread, namespace, checkpoint_id)):
            return
        prefix = writes_prefix(namespace, checkpoint_id)
        fields = self._codec().encode_writes(prefix, writes, task_id, task_path)
        if fields:
            await self._run(scripts.PUT_WRITES, thread, self._ttl_s, *fields)

    async def _superseded(self, place: _Place) -> bool:
        """Whether the next checkpoint arrives while the writes are held back."""
        superfluous = _Hold()
        self._held.setdefault(place, []).append(superfluous)
        try:
            for _ in range(_HOLD_TURNS):
                await asyncio.sleep(0)
                if superfluous.released:
                    return True
            return False
        finally:
            held = self._held.get(place)
            if held is not None and superfluous in held:
                held.remove(superfluous)
                if not held:
                    del self._held[place]

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """One checkpoint with its values and pending writes; the newest of the namespace when no id is given.

        Raises:
            StoreUnavailable: no answer.
        """
        configurable = config["configurable"]
        namespace = configurable.get("checkpoint_ns", "")
        wanted = get_checkpoint_id(config) or ""
        found = await self._run(scripts.GET, configurable["thread_id"], namespace, namespace_key(namespace), wanted)
        if not found:
            return None
        checkpoint_id, record, blobs, pending = found
        return self._tuple(configurable["thread_id"], namespace, checkpoint_id.decode(), record, blobs, pending)
