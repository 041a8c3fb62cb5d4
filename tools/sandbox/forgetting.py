"""The stand-ins forget a person: every text in their file that names them is rid of it."""

import sqlite3
from collections.abc import Iterable

from domain.personal import Person


def forget(connection: sqlite3.Connection, person: Person) -> int:
    """Rewrite every row with a text that names the person; how many did."""
    changed = 0
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        columns = [name for _, name, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall()]
        for column in columns:
            changed += _rewrite(connection, table, column, person)
    return changed


def _rewrite(connection: sqlite3.Connection, table: str, column: str, person: Person) -> int:
    texts = {text for value in _searched(person) for text in _holding(connection, table, column, value)}
    changed = 0
    for text in texts:
        clean = person.without(text)
        if clean != text:
            # Two rows of one person may become the same: one of them is enough.
            found = connection.execute(
                f'UPDATE OR REPLACE "{table}" SET "{column}" = ? WHERE "{column}" = ?',  # noqa: S608  # our own schema's names
                (clean, text),
            )
            changed += found.rowcount
    return changed


def _holding(connection: sqlite3.Connection, table: str, column: str, value: str) -> Iterable[str]:
    wanted = f'SELECT DISTINCT "{column}" FROM "{table}" WHERE typeof("{column}") = \'text\' AND instr("{column}", ?)'  # noqa: S608
    return [text for (text,) in connection.execute(wanted, (value,))]


def _searched(person: Person) -> list[str]:
    return [value for value in person.values if len(value) > 2]
