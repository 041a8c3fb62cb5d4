"""What the checkpointer does with whole threads: list, copy, prune, delete, pin. Off the hot path."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointMetadata, CheckpointTuple, get_checkpoint_id

from graph.runtime import checkpoint_scripts as scripts
from graph.runtime.checkpoint_codec import CheckpointCodec, blob_names, namespace_key, writes_prefix
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script


class StoredThreads(BaseCheckpointSaver[int]):
    """Threads in Redis, each in two keys below its entity's checkpoint prefix."""

    _redis: Batcher
    _keys: Keyspace
    _ttl_s: int

    def _codec(self) -> CheckpointCodec:
        return CheckpointCodec(self.serde)

    async def _run(self, script: Script, thread_id: object, *args: str | int | bytes) -> Any:
        prefix = self._keys.entity(str(thread_id)).checkpoint
        return await self._redis.script(script, (f"{prefix}:data", f"{prefix}:writes"), args)

    async def pin(self, thread_id: str) -> None:
        """Keep the thread until it is unpinned or deleted, whatever is written to it; for as long as a review is open.

        Raises:
            StoreUnavailable: no answer.
        """
        await self._run(scripts.PIN, thread_id)

    async def unpin(self, thread_id: str) -> None:
        """Let the thread expire again, counted from now.

        Raises:
            StoreUnavailable: no answer.
        """
        await self._run(scripts.UNPIN, thread_id, self._ttl_s)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name for it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of a thread, or of all threads without ``config``, newest first within a namespace.

        Raises:
            StoreUnavailable: no answer.
        """
        if config is None:
            threads: Sequence[str] = await self._thread_ids()
            asked: Mapping[str, Any] = {}
        else:
            asked = config["configurable"]
            threads = [asked["thread_id"]]
        earlier_than = get_checkpoint_id(before) if before else None
        left = limit if limit is not None else -1
        for thread_id in threads:
            thread = _Thread(*await self._run(scripts.GET_ALL, thread_id))
            for namespace, checkpoint_id in thread.checkpoints(asked.get("checkpoint_ns"), asked.get("checkpoint_id")):
                if left == 0:
                    return
                if earlier_than and checkpoint_id >= earlier_than:
                    continue
                record = thread.record(namespace, checkpoint_id)
                if filter and not _matches(self._codec().decode_metadata(record), filter):
                    continue
                left -= 1
                blobs, pending = thread.blobs(namespace, record), thread.pending(namespace, checkpoint_id)
                yield self._tuple(thread_id, namespace, checkpoint_id, record, blobs, pending)

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a thread, pinned or not.

        Raises:
            StoreUnavailable: no answer.
        """
        prefix = self._keys.entity(str(thread_id)).checkpoint
        await self._redis.execute("UNLINK", f"{prefix}:data", f"{prefix}:writes")

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Forget the checkpoints of some runs, in whatever thread; reads every thread there is.

        Raises:
            StoreUnavailable: no answer.
        """
        if not run_ids:
            return
        wanted = set(run_ids)
        for thread_id in await self._thread_ids():
            thread = _Thread(*await self._run(scripts.GET_ALL, thread_id))
            doomed = [
                f"c{namespace_key(namespace)}{checkpoint_id}"
                for namespace, checkpoint_id in thread.checkpoints(None, None)
                if self._codec().decode_metadata(thread.record(namespace, checkpoint_id)).get("run_id") in wanted
            ]
            if doomed:
                await self._run(scripts.PRUNE, thread_id, -1, *doomed)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Add everything one thread has to another; the copy is not pinned.

        Raises:
            StoreUnavailable: no answer.
        """
        data, writes = await self._run(scripts.GET_ALL, source_thread_id)
        fields = [part for at in range(0, len(data), 2) if data[at] != b"p" for part in data[at : at + 2]]
        if fields:
            await self._run(scripts.COPY, target_thread_id, self._ttl_s, len(fields) // 2, *fields, *writes)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest", keep_last: int = 1) -> None:
        """Keep the newest ``keep_last`` checkpoints of each namespace with their writes, or with ``"delete"`` nothing.

        Raises:
            ValueError: an unknown strategy, or nothing to keep.
            StoreUnavailable: no answer.
        """
        if strategy not in {"keep_latest", "delete"} or keep_last < 1:
            raise ValueError(f"Cannot prune with strategy {strategy!r} and keep_last={keep_last}.")
        for thread_id in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread_id)
            else:
                await self._run(scripts.PRUNE, thread_id, keep_last)

    def _tuple(
        self,
        thread_id: str,
        namespace: str,
        checkpoint_id: str,
        record: bytes,
        blobs: Sequence[bytes | None],
        pending: Sequence[bytes],
    ) -> CheckpointTuple:
        codec = self._codec()
        checkpoint, metadata, parent_id = codec.decode_checkpoint(record, blobs)
        return CheckpointTuple(
            config=config_of(thread_id, namespace, checkpoint_id),
            checkpoint=checkpoint,
            metadata=metadata,
            parent_config=config_of(thread_id, namespace, parent_id) if parent_id else None,
            pending_writes=codec.decode_writes(pending),
        )

    async def _thread_ids(self) -> list[str]:
        """Every thread that has checkpoints, by scanning the keyspace."""
        mark = "\0"
        head, _, tail = f"{self._keys.entity(mark).checkpoint}:data".partition(mark)
        tag = f"{{s{self._keys.shard_of(mark)}}}"
        found: list[str] = []
        for shard in range(self._keys.shards):
            start = head.replace(tag, f"{{s{shard}}}")
            pattern = _literal(start) + "*" + _literal(tail)
            cursor = b"0"
            while True:
                cursor, names = await self._redis.execute("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
                found += [name.decode()[len(start) : -len(tail)] for name in names]
                if cursor == b"0":
                    break
        return sorted(set(found))

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        """The synchronous half of the interface would block the event loop, so it is not there."""
        raise NotImplementedError(
            "The Redis checkpointer is asynchronous only: use ainvoke, astream, aget_state and aget_state_history."
        )

    get_tuple = put = put_writes = delete_thread = delete_for_runs = copy_thread = prune = _refuse


setattr(StoredThreads, "list", StoredThreads._refuse)  # noqa: B010 - in the class body the name would hide the type


class _Thread:
    """A thread as one reply holds it."""

    def __init__(self, data: Sequence[bytes], writes: Sequence[bytes]) -> None:
        self._data = dict(zip(data[::2], data[1::2], strict=True))
        self._writes = dict(zip(writes[::2], writes[1::2], strict=True))

    def checkpoints(self, namespace: str | None, checkpoint_id: str | None) -> list[tuple[str, str]]:
        """Namespace and id of each, newest first; a given namespace or id selects."""
        found = []
        for ns in sorted(field[1:].decode() for field in self._data if field[:1] == b"h"):
            if namespace is None or ns == namespace:
                start = f"c{namespace_key(ns)}".encode()
                ids = sorted(
                    (field[len(start) :].decode() for field in self._data if field.startswith(start)), reverse=True
                )
                found += [(ns, each) for each in ids if not checkpoint_id or each == checkpoint_id]
        return found

    def record(self, namespace: str, checkpoint_id: str) -> bytes:
        return self._data[f"c{namespace_key(namespace)}{checkpoint_id}".encode()]

    def blobs(self, namespace: str, record: bytes) -> list[bytes | None]:
        key = namespace_key(namespace)
        return [self._data.get(f"b{key}{name}".encode()) for name in blob_names(record)]

    def pending(self, namespace: str, checkpoint_id: str) -> list[bytes]:
        start = writes_prefix(namespace, checkpoint_id).encode()
        return [value for field, value in self._writes.items() if field.startswith(start)]


def config_of(thread_id: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    """The configuration that names one checkpoint."""
    return {
        "configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id},
    }


def _literal(text: str) -> str:
    """The text as a glob pattern that matches only itself."""
    return re.sub(r"([*?\[\]\\^-])", r"\\\1", text)


def _matches(metadata: CheckpointMetadata, wanted: Mapping[str, Any]) -> bool:
    return all(metadata.get(key) == value for key, value in wanted.items())
