"""Scripted faults: what a system is told to do wrong, for how many calls, until cleared.

Faults live in the sandbox file, so every process sees them: this process at once, the others within ``REFRESH_S``.
In-process callers meet the error the HTTP connector would have raised; the HTTP server produces the real behaviour.
"""

import asyncio
import sqlite3
import time
from enum import StrEnum
from typing import NoReturn

from pydantic import Field, model_validator

from domain.effect import EffectKind
from domain.errors import Ambiguous, ConnectorUnavailable
from domain.values import Document
from tools.sandbox.store import Store

REFRESH_S = 0.2
ANY = "*"
EFFECT_CALLS = frozenset(kind.value for kind in EffectKind)


class FaultMode(StrEnum):
    """What goes wrong."""

    DELAY = "delay"
    """Answers properly, ``seconds`` later."""
    TIMEOUT = "timeout"
    """Does nothing and says nothing for ``seconds``."""
    ERROR = "error"
    """500, nothing done."""
    UNAVAILABLE = "unavailable"
    """503, nothing done; ``retry_after_s`` in the answer when set."""
    RATE_LIMITED = "rate_limited"
    """429, nothing done; ``retry_after_s`` in the answer when set."""
    RESET = "reset"
    """Nothing done, connection dropped."""
    NO_REPLY = "no_reply"
    """Done, connection dropped: the ambiguous answer."""
    HTML = "html"
    """Done, answered with a web page."""
    EMPTY = "empty"
    """Done, answered with ``{}``."""
    WRONG_ID = "wrong_id"
    """Done, answered about something else: the lying answer."""
    HUGE = "huge"
    """Done, answered with 10 MB."""
    DRIP = "drip"
    """Done, answered one byte a second."""
    STALE = "stale"
    """Stock only: counts carry a feed time ``seconds`` ago (negative: a feed clock ahead)."""

    @property
    def before(self) -> bool:
        """Whether it strikes before anything is done."""
        return self in {
            FaultMode.TIMEOUT,
            FaultMode.ERROR,
            FaultMode.UNAVAILABLE,
            FaultMode.RATE_LIMITED,
            FaultMode.RESET,
        }


class Fault(Document):
    """One scripted fault."""

    system: str = ANY
    """``wms``, ``carriers/<code>``, ``payment``, ``oms``, ``crm``, ``erp``, ``channels``, ``messages`` or ``*``."""
    call: str = ANY
    """An effect kind, ``lookup``, a read (``stock``, ``lanes``, ``history`` ...) or ``*``."""
    mode: FaultMode
    seconds: float = 30.0
    retry_after_s: int | None = Field(default=None, ge=0)
    times: int | None = Field(default=None, ge=1)
    """How many calls it hits; None until cleared."""
    target: str = ""
    """For STALE: the one warehouse whose feed is stale; empty for all."""

    @model_validator(mode="after")
    def _stale_is_about_stock(self) -> "Fault":
        if self.mode is FaultMode.STALE and (self.system, self.call) != ("wms", "stock"):
            raise ValueError("mode 'stale' needs system 'wms' and call 'stock'")
        return self


class Faults:
    """The faults of one sandbox file."""

    def __init__(self, store: Store) -> None:
        """Faults kept in ``store``."""
        self._store = store
        self._armed = False
        self._checked_at = float("-inf")

    async def set(self, fault: Fault) -> int:
        """Arm a fault; returns its number."""

        def insert(connection: sqlite3.Connection) -> int:
            row = (fault.system, fault.call, fault.to_json(), fault.times)
            cursor = connection.execute("INSERT INTO faults (system, call, fault, remaining) VALUES (?, ?, ?, ?)", row)
            return int(cursor.lastrowid or 0)

        number = await self._store.write(insert)
        self._armed = True
        return number

    async def clear(self) -> None:
        """Disarm every fault."""
        await self._store.write(lambda connection: connection.execute("DELETE FROM faults"))
        self._armed = False

    async def active(self) -> list[Fault]:
        """The armed faults, oldest first; ``times`` is what remains."""

        def select(connection: sqlite3.Connection) -> list[tuple[str, int | None]]:
            return connection.execute("SELECT fault, remaining FROM faults ORDER BY fault_id").fetchall()

        rows = await self._store.read(select)
        return [Fault.from_json(text).model_copy(update={"times": remaining}) for text, remaining in rows]

    async def take(self, system: str, call: str) -> Fault | None:
        """The oldest fault armed for this call, used up once; None when there is none."""
        if not await self._is_armed():
            return None
        return await self._store.write(lambda connection: _take(connection, system, call))

    async def _is_armed(self) -> bool:
        now = time.monotonic()
        if now - self._checked_at > REFRESH_S:
            self._checked_at = now
            self._armed = await self._store.read(_any_fault)
        return self._armed


def _any_fault(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM faults LIMIT 1").fetchone() is not None


def _take(connection: sqlite3.Connection, system: str, call: str) -> Fault | None:
    found = connection.execute(
        "SELECT fault_id, fault, remaining FROM faults WHERE system IN (?, '*') AND call IN (?, '*') "
        "ORDER BY fault_id LIMIT 1",
        (system, call),
    ).fetchone()
    if found is None:
        return None
    number, text, remaining = found
    if remaining == 1:
        connection.execute("DELETE FROM faults WHERE fault_id = ?", (number,))
    elif remaining is not None:
        connection.execute("UPDATE faults SET remaining = remaining - 1 WHERE fault_id = ?", (number,))
    return Fault.from_json(text)


async def meet_before(fault: Fault, *, system: str, call: str) -> None:
    """Suffer the part of a fault that strikes before anything is done.

    Raises:
        Ambiguous: an effect without an answer, or a server error on one.
        ConnectorUnavailable: the call was refused for now, or a read failed.
    """
    what = f"{system} {call}"
    match fault.mode:
        case FaultMode.DELAY:
            await asyncio.sleep(fault.seconds)
        case FaultMode.TIMEOUT:
            await asyncio.sleep(fault.seconds)
            _no_answer(what, call, "did not answer in time")
        case FaultMode.ERROR:
            _no_answer(what, call, "answered 500")
        case FaultMode.RESET:
            _no_answer(what, call, "dropped the connection")
        case FaultMode.UNAVAILABLE | FaultMode.RATE_LIMITED:
            status = 503 if fault.mode is FaultMode.UNAVAILABLE else 429
            wait = None if fault.retry_after_s is None else float(fault.retry_after_s)
            raise ConnectorUnavailable(f"{what} answered {status}; try again later", retry_after_s=wait)
        case _:
            return


async def meet_after(fault: Fault, *, system: str, call: str) -> None:
    """Suffer the part of a fault that spoils the answer of a call that was done.

    Raises:
        Ambiguous: an effect whose answer cannot be used.
        ConnectorUnavailable: a read whose answer cannot be used.
    """
    what = f"{system} {call}"
    match fault.mode:
        case FaultMode.NO_REPLY:
            _no_answer(what, call, "dropped the connection")
        case FaultMode.HTML | FaultMode.EMPTY | FaultMode.HUGE:
            _no_answer(what, call, "sent an answer that is not the expected document")
        case FaultMode.WRONG_ID:
            _no_answer(what, call, "answered about something else")
        case FaultMode.DRIP:
            await asyncio.sleep(fault.seconds)
            _no_answer(what, call, "did not finish its answer in time")
        case _:
            return


def _no_answer(what: str, call: str, happened: str) -> NoReturn:
    if call in EFFECT_CALLS:
        raise Ambiguous(f"{what} {happened}; look the key up before repeating it")
    raise ConnectorUnavailable(f"{what} {happened}; try again")
