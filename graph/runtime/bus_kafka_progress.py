"""What one group has done with one Kafka partition, and how that is written into the committed offset's metadata.

Kafka keeps one number per group and partition. The metadata beside it carries what is missing for a delivery count that
survives a crash: up to where messages were handed out, and which of the unacknowledged ones more than once.
"""

from dataclasses import dataclass, field
from datetime import datetime

from domain.ports import Message

METADATA_LIMIT = 4000
"""Brokers take 4096 bytes (``offset.metadata.max.bytes``)."""


@dataclass
class Held:
    """A message handed out and not acknowledged yet."""

    message: Message
    delivered_at: datetime
    attempts: int
    published_ms: int


@dataclass
class Progress:
    """A group's place in one partition."""

    delivered: int
    """Everything below was handed out at least once."""
    held: dict[int, Held] = field(default_factory=dict)
    """Unacknowledged messages by offset, ascending."""
    earlier: dict[int, int] = field(default_factory=dict)
    """Deliveries counted by an earlier owner of the partition, by offset."""
    stored: tuple[int, str] = (-1, "")
    """What the broker holds, as last read or written here."""

    @classmethod
    def read(cls, committed: int, metadata: str) -> "Progress":
        """The place an earlier owner left: everything unacknowledged is to be handed out again."""
        mark, _, counts = metadata.partition(";")
        delivered = int(mark) if mark.isdecimal() else committed
        earlier = dict.fromkeys(range(committed, delivered), 1)
        for count in filter(None, counts.split(",")):
            offset, _, attempts = count.partition(":")
            earlier[int(offset)] = int(attempts)
        return cls(delivered=committed, earlier=earlier, stored=(committed, metadata))

    @property
    def committed(self) -> int:
        """Everything below is acknowledged."""
        return min(self.held, default=self.delivered)

    def metadata(self) -> str:
        """The text kept beside the committed offset."""
        reached = max([self.delivered, *(offset + 1 for offset in self.earlier)])
        counts = {**self.earlier, **{offset: held.attempts for offset, held in self.held.items()}}
        text = f"{reached};" + ",".join(f"{offset}:{n}" for offset, n in sorted(counts.items()) if n > 1)
        return text if len(text) <= METADATA_LIMIT else text[:METADATA_LIMIT].rpartition(",")[0]

    def hand_out(self, offset: int, message: Message, at: datetime, published_ms: int) -> Held:
        """Note that a message goes to a consumer; its attempts count every delivery there ever was."""
        attempts = self.earlier.pop(offset, 0) + 1
        # What lies below and was never handed out again is gone from the topic: retention dropped it.
        for gone in [earlier for earlier in self.earlier if earlier < offset]:
            del self.earlier[gone]
        self.delivered = max(self.delivered, offset + 1)
        self.held[offset] = Held(message, at, attempts, published_ms)
        return self.held[offset]
