"""What protects a provider and us from each other: a circuit breaker per model and a rate limit per provider.

Both live in one process and one event loop; times are the loop's own.
"""

import asyncio
from collections import deque

FAILURES = 5
WITHIN_S = 10.0
"""So many failures within this time open the circuit."""
REST_S = 15.0
"""An open circuit lets one call try after this."""


class Breaker:
    """Stops asking a model that keeps failing; one probe at a time finds out when it is back."""

    def __init__(self) -> None:
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._opened_at: float | None = None
        self._probe_until = 0.0

    def allows(self, now: float, *, within_s: float) -> bool:
        """Whether a call may be made now; the caller then tells how it went within ``within_s``."""
        if self._opened_at is None:
            return True
        if now < self._opened_at + REST_S or now < self._probe_until:
            return False
        self._probe_until = now + within_s
        return True

    @property
    def open(self) -> bool:
        """Whether calls are held back."""
        return self._opened_at is not None

    def succeeded(self) -> None:
        """The provider answered."""
        self._failures.clear()
        self._opened_at, self._probe_until = None, 0.0

    def failed(self, now: float) -> None:
        """The provider did not answer."""
        self._failures.append(now)
        full = len(self._failures) == FAILURES and now - self._failures[0] <= WITHIN_S
        if self._opened_at is not None or full:
            self._opened_at, self._probe_until = now, 0.0


class Pace:
    """Lets ``per_s`` calls start in a second, evenly, with a second's worth at once."""

    def __init__(self, per_s: float) -> None:
        """``per_s`` is above 0."""
        self._gap_s = 1 / per_s
        self._burst_s = max(1.0, self._gap_s)
        self._next_at = 0.0

    async def wait(self, *, until: float) -> bool:
        """Wait for a turn; False at once when it would come after ``until`` (loop time)."""
        now = asyncio.get_running_loop().time()
        turn = max(self._next_at, now - self._burst_s + self._gap_s)
        if turn > until:
            return False
        self._next_at = turn + self._gap_s
        if turn > now:
            await asyncio.sleep(turn - now)
        return True
