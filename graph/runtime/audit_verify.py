"""Checking the audit's chains: every row against its hash, its predecessor and the recorded end of its chain."""

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Text, select, text, tuple_, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.values import Document
from graph.runtime.audit_chain import GENESIS, ChainKey, attested, key_of, payload_digest, row_hash
from graph.runtime.audit_schema import audit_events, audit_heads

_HEADS_PER_PAGE = 200
_ROWS_PER_PAGE = 500

_EVENT_KEY = (audit_events.c.tenant, audit_events.c.entity_type, audit_events.c.entity_id)
_HEAD_KEY = (audit_heads.c.tenant, audit_heads.c.entity_type, audit_heads.c.entity_id)


class Tampering(StrEnum):
    """What was done to a chain."""

    EDITED = "edited"
    """A row no longer says what it said when it was written."""
    MISSING = "missing"
    """Rows are gone: from the front, the middle or the end."""
    REORDERED = "reordered"
    """Rows stand in another order than they were written in."""
    UNEXPECTED = "unexpected"
    """There are rows the store did not write."""


class BrokenChain(Document):
    """The first bad row of one entity."""

    tenant: str
    entity_type: str
    entity_id: str
    tampering: Tampering
    position: int
    """Place in the chain of the first bad row; the first that is gone when rows are missing."""
    event_id: str | None
    """None when the row itself is gone."""
    detail: str


class VerifyReport(Document):
    """What a check of the chains found. Whoever can rewrite rows and heads together leaves no trace in one database."""

    chains: int
    rows: int
    broken: tuple[BrokenChain, ...]

    @property
    def intact(self) -> bool:
        """Whether every chain holds."""
        return not self.broken


class ChainWalk:
    """Follows one entity's rows in order of position and remembers the first that does not fit."""

    def __init__(self, key: ChainKey, begin: tuple[int, str] = (0, GENESIS)) -> None:
        """Starts before the first row; ``begin`` is position and hash of the last row that was pruned."""
        self.key = key
        self._pruned, self._hash = begin
        self._hashes = {self._hash}
        self._ids: list[str] = []
        self._bad: Mapping[str, Any] | None = None
        self._expected = (1, GENESIS)
        self._edited = False
        self._doubted: list[tuple[int, Mapping[str, Any]]] = []
        self._attested: dict[str, tuple[str, str]] = {}

    @property
    def count(self) -> int:
        """Rows seen."""
        return len(self._ids)

    @property
    def _place(self) -> int:
        return self._pruned + len(self._ids)

    def see(self, row: Mapping[str, Any]) -> None:
        """Take the next row."""
        self._ids.append(str(row["event_id"]))
        if self._bad is None:
            holds = _holds(row)
            if holds:
                self._attested |= attested(row)
            elif row["salt"] == "":
                # Perhaps personal data was erased from it: a later row of this chain says so, or nobody does.
                self._doubted.append((self._place, row))
            self._edited = not holds and row["salt"] != ""
            if self._edited or row["prev_hash"] != self._hash or row["position"] != self._place:
                self._bad = row
                self._expected = self._place, self._hash
            self._hash = row["hash"]
        self._hashes.add(row["hash"])

    def end(self, head: tuple[int, str] | None) -> BrokenChain | None:
        """The first bad row once all were seen, given the chain's recorded length and last hash; None when it holds."""
        for place, row in self._doubted:
            if not self._erased(row):
                return self._broken(Tampering.EDITED, place, "its content does not match its hash")
        if self._bad is not None:
            return self._first_bad(self._bad)
        if head is None:
            return self._broken(Tampering.UNEXPECTED, self._pruned + 1, "no head is recorded for these rows")
        length, last_hash = head
        if self._place < length:
            gone = f"{length - self._place} of {length} rows are gone from the end"
            return self._broken(Tampering.MISSING, self._place + 1, gone)
        if self._place > length:
            more = f"only {length} rows were written, {self._place} exist"
            return self._broken(Tampering.UNEXPECTED, length + 1, more)
        if self._hash != last_hash:
            return self._broken(Tampering.EDITED, length, "the last row was rewritten together with its hash")
        return None

    def _erased(self, row: Mapping[str, Any]) -> bool:
        """Whether a row says what is left of it after an erasure that its chain records."""
        original, left = self._attested.get(str(row["event_id"]), ("", ""))
        try:
            return payload_digest(row) == left and row_hash(row, original) == row["hash"]
        except (TypeError, AttributeError, ValueError):
            return False

    def _first_bad(self, row: Mapping[str, Any]) -> BrokenChain:
        place, follows = self._expected
        said = row["position"]
        if self._edited:
            return self._broken(Tampering.EDITED, place, "its content does not match its hash")
        if row["prev_hash"] == follows:
            return self._broken(Tampering.REORDERED, place, f"it is numbered {said} and was written as row {place}")
        if row["prev_hash"] in self._hashes:
            return self._broken(Tampering.REORDERED, place, "it was written after another row than the one before it")
        if said == place and place > self._pruned + 1:
            rewritten = "it was rewritten together with its hash, or a row after it removed and the rest renumbered"
            return self._broken(Tampering.EDITED, place - 1, rewritten)
        return self._broken(Tampering.MISSING, place, f"row {place} is gone; the next one left is row {said}")

    def _broken(self, tampering: Tampering, place: int, detail: str) -> BrokenChain:
        tenant, entity_type, entity_id = self.key
        # A row that is gone is named by nothing; the row in its place is innocent.
        there = tampering is not Tampering.MISSING and self._pruned < place <= self._place
        return BrokenChain(
            tenant=tenant,
            entity_type=entity_type,
            entity_id=entity_id,
            tampering=tampering,
            position=place,
            event_id=self._ids[place - self._pruned - 1] if there else None,
            detail=detail,
        )


def _holds(row: Mapping[str, Any]) -> bool:
    """Whether a row says what its hash says; a value of another type than the store writes does not."""
    try:
        return bool(row_hash(row) == row["hash"])
    except (TypeError, AttributeError, ValueError):
        return False


async def verify(connection: AsyncConnection, key: Sequence[str | None]) -> VerifyReport:
    """Check the chains of a tenant, entity type and entity (None for all) as of one moment."""
    await _freeze(connection)
    chains = rows = 0
    broken: list[BrokenChain] = []
    async for walk, head in _walks(connection, key):
        chains += 1
        rows += walk.count
        if (bad := walk.end(head)) is not None:
            broken.append(bad)
    return VerifyReport(chains=chains, rows=rows, broken=tuple(broken))


def rows_of(key: Sequence[str | None]) -> list[ColumnElement[bool]]:
    """Conditions on the audited rows of a tenant, entity type and entity (None for all)."""
    return [column == value for column, value in zip(_EVENT_KEY, key, strict=True) if value is not None]


async def _freeze(connection: AsyncConnection) -> None:
    """Make every read of the transaction see one moment, so that writers at work do not look like tampering."""
    if connection.dialect.name == "sqlite":
        await connection.execute(text("BEGIN"))
    else:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


async def _walks(
    connection: AsyncConnection, key: Sequence[str | None]
) -> AsyncIterator[tuple[ChainWalk, tuple[int, str] | None]]:
    """Every wanted chain, walked to its end, with its recorded head; pages follow the heads, rows between them too."""
    heads_wanted = select(audit_heads).where(
        *(column == value for column, value in zip(_HEAD_KEY, key, strict=True) if value is not None)
    )
    after: ChainKey | None = None
    while True:
        page = heads_wanted if after is None else heads_wanted.where(tuple_(*_HEAD_KEY) > after)
        found = (await connection.execute(page.order_by(*_HEAD_KEY).limit(_HEADS_PER_PAGE))).all()
        heads = {key_of(head): (head.length, head.last_hash) for head in found}
        begins = {key_of(head): (head.pruned, head.pruned_hash) for head in found}
        last = list(heads)[-1] if len(heads) == _HEADS_PER_PAGE else None
        within = rows_of(key)
        within += [] if after is None else [tuple_(*_EVENT_KEY) > after]
        within += [] if last is None else [tuple_(*_EVENT_KEY) <= last]
        async for walk in _walked(connection, within, begins):
            yield walk, heads.pop(walk.key, None)
        for empty, head in heads.items():
            yield ChainWalk(empty, begins[empty]), head
        if last is None:
            return
        after = last


def stored_text() -> list[Any]:
    """The audit's columns with times as the text they are hashed as."""
    return [
        type_coerce(column, Text).label(column.name) if column.name in ("at_utc", "recorded_at") else column
        for column in audit_events.c
    ]


async def _walked(
    connection: AsyncConnection, within: Sequence[Any], begins: Mapping[ChainKey, tuple[int, str]]
) -> AsyncIterator[ChainWalk]:
    wanted = select(*stored_text()).where(*within).order_by(*_EVENT_KEY, audit_events.c.position)
    walk: ChainWalk | None = None
    async with connection.stream(wanted) as streamed:
        async for part in streamed.mappings().partitions(_ROWS_PER_PAGE):
            for row in part:
                key = row["tenant"], row["entity_type"], row["entity_id"]
                if walk is None or walk.key != key:
                    if walk is not None:
                        yield walk
                    walk = ChainWalk(key, begins.get(key, (0, GENESIS)))
                walk.see(dict(row))
    if walk is not None:
        yield walk
