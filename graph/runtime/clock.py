"""Time and randomness as one argument, so that tests and replays can give their own."""

import os
from datetime import UTC, datetime
from typing import Protocol

from domain.ids import uuid7


class Clock(Protocol):
    """Tells the time (UTC, zone-aware) and makes ids."""

    def now(self) -> datetime:
        """The current instant."""

    def new_id(self) -> str:
        """A fresh UUIDv7 for the current instant."""


class SystemClock:
    """The machine's clock and entropy."""

    def now(self) -> datetime:
        """The current instant."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """A fresh UUIDv7."""
        return uuid7(self.now(), os.urandom(10))
