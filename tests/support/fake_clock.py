"""A clock a test moves by hand; ids stay fresh."""

import os
from datetime import UTC, datetime, timedelta

from domain.ids import uuid7


class FakeClock:
    """Ahead of the real time by as much as the test says."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def new_id(self) -> str:
        return uuid7(datetime.now(UTC), os.urandom(10))

    def pass_by(self, time: timedelta) -> None:
        """Let time pass."""
        self.ahead += time
