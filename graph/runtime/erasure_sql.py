"""Taking a person out of the SQL tables that are not the audit, whatever tables there are, and out of the files' slack."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Table, Text, and_, delete, or_, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import StoreUnavailable
from domain.order import Order
from domain.personal import Person
from graph.runtime.audit_schema import audit_events, audit_heads, audit_permits, metadata
from graph.runtime.erasure_schema import erasures, person_references
from graph.runtime.sql import transaction
from graph.runtime.tapes_schema import tape_values

_APART = {audit_events, audit_heads, audit_permits, erasures, person_references, tape_values}
"""Tables with ways of their own."""


async def taped_orders(engine: AsyncEngine, tenant: str, customer_id: str) -> list[Order]:
    """Every order document on tape that names a customer; reads every document of the tenant."""
    rows = tape_values.c
    wanted = select(rows.text).where(
        rows.tenant == tenant, rows.entity_id != "", rows.text.icontains(customer_id, autoescape=True)
    )
    async with transaction(engine, "the book of tapes") as connection:
        return [Order.from_json(document) for document in await connection.scalars(wanted)]


async def drop_shared_values(engine: AsyncEngine, tenant: str, person: Person) -> int:
    """Delete what tapes share and names the person: the answers of outside systems about them."""
    rows = tape_values.c
    wanted = select(rows.digest, rows.text).where(rows.tenant == tenant, _holds(tape_values, ["text"], person.ids))
    async with transaction(engine, "the book of tapes") as connection:
        found = [digest for digest, document in await connection.execute(wanted) if person.named_in(document)]
        for digest in found:
            await connection.execute(delete(tape_values).where(rows.tenant == tenant, rows.digest == digest))
        return len(found)


async def scrub(engine: AsyncEngine, tenant: str, person: Person, entities: Sequence[str]) -> tuple[int, list[str]]:
    """Rewrite every text of the tenant that names the person, and all texts of their orders; rows that changed, and where a key names them."""
    changed, left = 0, []
    async with transaction(engine, "the database") as connection:
        for table in metadata.sorted_tables:
            if table in _APART or "tenant" not in table.c:
                continue
            rows, keys = await _scrub_table(connection, table, tenant, person, set(entities))
            changed += rows
            left += keys
    return changed, left


async def _scrub_table(
    connection: AsyncConnection, table: Table, tenant: str, person: Person, entities: set[str]
) -> tuple[int, list[str]]:
    names = [column.name for column in table.c if isinstance(column.type, Text) and column.name != "tenant"]
    if not names:
        return 0, []
    wanted = _holds(table, names, person.ids)
    if "entity_id" in table.c and entities:
        wanted = or_(wanted, table.c.entity_id.in_(sorted(entities)))
    keys = [column.name for column in table.primary_key]
    changed, left = 0, []
    for row in (await connection.execute(select(table).where(table.c.tenant == tenant, wanted))).mappings().all():
        own = row.get("entity_id") in entities
        clean = person.without_person if own else person.without_ids
        values = {
            name: clean(row[name]) if row[name][:1] in "{[" else person.without(row[name])
            for name in names
            if row[name] and name not in keys
        }
        differs = {name: value for name, value in values.items() if value != row[name]}
        if differs:
            this = and_(*(table.c[key] == row[key] for key in keys))
            await connection.execute(update(table).where(this).values(**differs))
            changed += 1
        left += [f"{table.name}.{key}" for key in keys if person.named_in(str(row[key]))]
    return changed, left


def _holds(table: Table, names: Sequence[str], values: Iterator[str] | frozenset[str]) -> ColumnElement[bool]:
    return or_(*(table.c[name].icontains(value, autoescape=True) for value in values for name in names))


async def compact(engine: AsyncEngine) -> None:
    """Rewrite the database's file, so that nothing deleted stands in free pages or in the log.

    Raises:
        StoreUnavailable: somebody kept the file busy; doing it again is safe.
    """
    try:
        async with engine.connect() as connection:
            own = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await own.execute(text("VACUUM"))
            if engine.dialect.name != "sqlite":
                return
            busy = (await own.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))).one()[0]
    except (DBAPIError, OSError) as failure:
        raise StoreUnavailable(f"the database cannot be compacted now: {failure}") from failure
    if busy:
        raise StoreUnavailable("the database is too busy to be compacted now; run the same command again")
