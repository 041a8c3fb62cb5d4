"""How checkpoints and pending writes look in Redis: field names that no id can forge, and exact values.

A checkpoint is one record plus one blob per channel version it introduced; a record names every blob it needs.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import ormsgpack
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    PendingWrite,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

_TAGS = {"msgpack": b"m", "null": b"n", "bytes": b"b", "bytearray": b"a"}
_TYPES = {tag: name for name, tag in _TAGS.items()}
_OTHER = b"?"
_HEADER = struct.Struct(">I")


def namespace_key(namespace: str) -> str:
    """The namespace with its length in front, so that it cannot run into what follows."""
    return f"{len(namespace.encode())}:{namespace}"


def writes_prefix(namespace: str, checkpoint_id: str) -> str:
    """The beginning of every pending-write field of one checkpoint."""
    return f"{namespace_key(namespace)}{namespace_key(checkpoint_id)}"


def encode_value(serde: SerializerProtocol, value: Any) -> bytes:
    """A value with its serializer's type in front."""
    kind, data = serde.dumps_typed(value)
    tag = _TAGS.get(kind)
    return tag + data if tag else b"".join((_OTHER, kind.encode(), b"\0", data))


def decode_value(serde: SerializerProtocol, stored: bytes) -> Any:
    """The value ``encode_value`` was given."""
    tag, data = stored[:1], stored[1:]
    if tag == _OTHER:
        kind, _, data = data.partition(b"\0")
        return serde.loads_typed((kind.decode(), data))
    return serde.loads_typed((_TYPES[tag], data))


class CheckpointCodec:
    """Encodes with one serializer."""

    __slots__ = ("_serde",)

    def __init__(self, serde: SerializerProtocol) -> None:
        """The serializer decides which types come back."""
        self._serde = serde

    def encode_checkpoint(
        self,
        namespace: str,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        *,
        parent_id: str | None,
        new_versions: ChannelVersions,
    ) -> list[str | bytes]:
        """Fields and values to store: the record first, then the blobs of the new versions."""
        values = checkpoint["channel_values"]
        versions = checkpoint["channel_versions"]
        key = namespace_key(namespace)
        fields: list[str | bytes] = []
        for channel, version in new_versions.items():
            if channel in values:
                fields += (f"b{key}{_blob_name(channel, version)}", encode_value(self._serde, values[channel]))
        needed = ormsgpack.packb([_blob_name(channel, versions[channel]) for channel in values if channel in versions])
        body: dict[str, Any] = {name: part for name, part in checkpoint.items() if name != "channel_values"}
        unversioned = {channel: value for channel, value in values.items() if channel not in versions}
        record = encode_value(self._serde, [body, metadata, parent_id, unversioned])
        return [f"c{key}{checkpoint['id']}", b"".join((_HEADER.pack(len(needed)), needed, record)), *fields]

    def decode_checkpoint(
        self, record: bytes, blobs: Iterable[bytes | None]
    ) -> tuple[Checkpoint, CheckpointMetadata, str | None]:
        """Checkpoint, metadata and parent id from a record and the blobs it names, in its order."""
        body, metadata, parent_id, values = self._open(record)
        for name, stored in zip(blob_names(record), blobs, strict=True):
            if stored is not None:
                length, _, rest = name.partition(":")
                values[rest[: int(length)]] = decode_value(self._serde, stored)
        body["channel_values"] = values
        return body, metadata, parent_id

    def decode_metadata(self, record: bytes) -> CheckpointMetadata:
        """Only the metadata of a record."""
        return self._open(record)[1]

    def _open(self, record: bytes) -> tuple[Any, CheckpointMetadata, str | None, dict[str, Any]]:
        body, metadata, parent_id, unversioned = decode_value(self._serde, record[_names_end(record) :])
        return body, metadata, parent_id, unversioned

    def encode_writes(
        self, prefix: str, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> list[str | bytes | int]:
        """Per write: whether it replaces an earlier one, its field, its value.

        A task's regular writes keep their first value; special ones (error, interrupt, resume) their last.
        """
        fields: list[str | bytes | int] = []
        for position, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, position)
            stored = ormsgpack.packb((task_id, task_path, index, channel, encode_value(self._serde, value)))
            fields += (int(index < 0), f"{prefix}{task_id}\0{index}", stored)
        return fields

    def decode_writes(self, stored: Iterable[bytes]) -> list[PendingWrite]:
        """Pending writes in the order live execution applies them."""
        writes = [ormsgpack.unpackb(write) for write in stored]
        writes.sort(key=lambda write: writes_sort_key(write[1], write[0], write[2]))
        return [(task, channel, decode_value(self._serde, value)) for task, _, _, channel, value in writes]


def blob_names(record: bytes) -> list[str]:
    """The blobs a record needs: each a channel with its length in front and the version behind."""
    names: list[str] = ormsgpack.unpackb(record[_HEADER.size : _names_end(record)])
    return names


def _blob_name(channel: str, version: str | int | float) -> str:
    return f"{len(channel)}:{channel}{version!r}"


def _names_end(record: bytes) -> int:
    return _HEADER.size + int(_HEADER.unpack_from(record)[0])
