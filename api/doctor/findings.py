"""One line of the checklist: ok, a warning, or missing, and how to mend it. What raises is missing, with its sentence."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from domain.errors import SignalboxError

log = structlog.get_logger(__name__)


class State(StrEnum):
    """How a line stands."""

    OK = "ok"
    WARNING = "warning"
    """Good enough to try things out; strict checking for production counts it as missing."""
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line."""

    area: str
    """``backends``, ``stores``, ``agents``, ``people``, ``observability``, ``governance``, ``keys``."""
    name: str
    state: State
    detail: str
    mend: str = ""
    """What to do; empty when nothing is."""

    @property
    def strictly(self) -> "Finding":
        """The line as production takes it."""
        return replace(self, state=State.MISSING) if self.state is State.WARNING else self


Check = Callable[[], Awaitable[Finding | list[Finding]]]


def ok(area: str, name: str, detail: str) -> Finding:
    """A line in order."""
    return Finding(area=area, name=name, state=State.OK, detail=detail)


def warning(area: str, name: str, detail: str, *, mend: str) -> Finding:
    """A line that production should not have."""
    return Finding(area=area, name=name, state=State.WARNING, detail=detail, mend=mend)


def missing(area: str, name: str, detail: str, *, mend: str) -> Finding:
    """A line without which orders would not flow, or nobody would notice."""
    return Finding(area=area, name=name, state=State.MISSING, detail=detail, mend=mend)


async def looked(area: str, name: str, check: Check, *, mend: str) -> list[Finding]:
    """The outcome of a check; one that fails is a missing line and stops no other."""
    try:
        found = await check()
    except SignalboxError as refusal:
        return [missing(area, name, str(refusal), mend=mend)]
    except Exception as failure:  # the checklist's edge: whatever is wrong with a system is its finding
        log.warning("doctor.check_failed", check=name, exc_info=failure)
        return [missing(area, name, f"failed with {type(failure).__name__}", mend=mend)]
    return found if isinstance(found, list) else [found]
