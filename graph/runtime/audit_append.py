"""Extending the audit's chains inside a transaction: heads locked, rows linked, one statement to the driver."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Dialect, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from graph.runtime.audit_chain import GENESIS, ChainKey, key_of, link
from graph.runtime.audit_reviews import insert_into
from graph.runtime.audit_schema import audit_events, audit_heads, utc_text

Heads = dict[ChainKey, tuple[int, str]]
"""Length and last hash of chains."""

_IN_LIST = 1000
"""Values per IN list: both databases limit the parameters of a statement (SQLite 32,766, Postgres 32,767)."""
_SALT_BYTES = 12

_ADVANCE_HEAD = (
    update(audit_heads)
    .where(
        audit_heads.c.tenant == bindparam("t"),
        audit_heads.c.entity_type == bindparam("e"),
        audit_heads.c.entity_id == bindparam("i"),
    )
    .values(length=bindparam("n"), last_hash=bindparam("h"))
)


async def lock_heads(connection: AsyncConnection, keys: Iterable[ChainKey]) -> Heads:
    """Chain ends by entity, locked until the transaction ends; the first statement takes SQLite's write lock."""
    ordered = sorted(keys)
    start = insert_into(audit_heads, connection).on_conflict_do_nothing()
    names = ("tenant", "entity_type", "entity_id")
    new = [{**dict(zip(names, key, strict=True)), "length": 0, "last_hash": GENESIS} for key in ordered]
    await connection.execute(start, new)
    heads: Heads = {}
    for kind, of_kind in groupby(ordered, key=lambda key: key[:2]):
        for some in chunks(entity_id for _, _, entity_id in of_kind):
            wanted = select(audit_heads).where(audit_heads.c.tenant == kind[0], audit_heads.c.entity_type == kind[1])
            locked = wanted.where(audit_heads.c.entity_id.in_(some)).order_by(audit_heads.c.entity_id).with_for_update()
            heads |= {key_of(head): (head.length, head.last_hash) for head in await connection.execute(locked)}
    return heads


async def known_ids(connection: AsyncConnection, event_ids: Iterable[str]) -> set[str]:
    """Which of the events are there already."""
    known: set[str] = set()
    for some in chunks(event_ids):
        known |= set(await connection.scalars(select(audit_events.c.event_id).where(audit_events.c.event_id.in_(some))))
    return known


async def extend(
    connection: AsyncConnection, heads: Heads, fresh: Sequence[Mapping[str, Any]], *, at: datetime
) -> None:
    """Link the events' columns to their chains and write them; ``heads`` are locked."""
    now, salts = utc_text(at), os.urandom(_SALT_BYTES * len(fresh)).hex()
    rows = []
    moved: Heads = {}
    for number, columns in enumerate(fresh):
        key = columns["tenant"], columns["entity_type"], columns["entity_id"]
        length, last_hash = moved.get(key) or heads[key]
        salt = salts[2 * _SALT_BYTES * number : 2 * _SALT_BYTES * (number + 1)]
        row = link(columns, position=length + 1, prev_hash=last_hash, recorded_at=now, salt=salt)
        moved[key] = row["position"], row["hash"]
        rows.append(row)
    # The rows are plain text and numbers already: preparing each by type is most of what writing it would cost.
    statement, names = _insert(connection.dialect)
    await connection.exec_driver_sql(statement, [tuple(row[name] for name in names) for row in rows])
    ends = [{"t": t, "e": e, "i": i, "n": length, "h": last} for (t, e, i), (length, last) in moved.items()]
    await connection.execute(_ADVANCE_HEAD, ends)


@lru_cache(maxsize=4)
def _insert(dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The driver's own INSERT, and the order of its parameters."""
    names = [column.name for column in audit_events.c if column.name != "id"]
    compiled = insert(audit_events).compile(dialect=dialect, column_keys=names)
    return str(compiled), tuple(getattr(compiled, "positiontup", None) or names)


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """The values in lists that fit a statement."""
    rest = iter(values)
    while some := list(islice(rest, _IN_LIST)):
        yield some
