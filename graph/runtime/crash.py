"""Named points at which a test may kill this process, to prove that a crash exactly there heals by itself.

``CRASH_AT=effect.applied`` kills at the first pass, ``CRASH_AT=effect.applied:3`` at the third. Unset, a point costs one
comparison.
"""

import os
import signal
from itertools import count

POINTS = (
    "intake.appended",
    "run.started",
    "decision.journaled",
    "effect.begun",
    "effect.applied",
    "effect.recorded",
    "checkpoint.written",
    "review.requested",
    "review.interrupted",
    "review.decided",
    "review.resumed",
    "undo.applied",
    "progress.written",
    "thread.pruned",
    "message.unacked",
)
"""Every point there is, in the order an order meets them."""

_NAME, _, _NTH = os.environ.get("CRASH_AT", "").partition(":")
_LEFT = count(int(_NTH or 1), -1)


def point(name: str) -> None:
    """Die here (SIGKILL, nothing is flushed) if this point was asked for."""
    if name == _NAME and next(_LEFT) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
