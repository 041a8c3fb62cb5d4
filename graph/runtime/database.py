"""The SQL database: how connections are set up, and migrations to the newest schema, safe to start concurrently."""

import asyncio
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domain.errors import ConfigError, StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 15.0
"""How long a SQLite connection waits for another writer."""
COMMAND_TIMEOUT_S = 30.0
"""How long a Postgres statement may take before its server counts as hung."""
CONNECT_TIMEOUT_S = 10.0
UPGRADE_ATTEMPTS = 20
_ADVISORY_LOCK = 0x5349474E414C
"""Any number will do as long as every process takes the same one."""


def open_database(url: str) -> AsyncEngine:
    """An engine for a SQLite file (``sqlite+aiosqlite:///path``) or Postgres (``postgresql+asyncpg://...``).

    Raises:
        ConfigError: the address names no database this program can use.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(url)
        limits = {"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S}
        return create_async_engine(
            url, pool_pre_ping=True, pool_size=4, max_overflow=0, pool_timeout=10, connect_args=limits
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as bad:
        raise ConfigError(
            "the database address must be sqlite+aiosqlite:///<file> or postgresql+asyncpg://<user>@<host>/<name>, "
            f"with its driver installed: {bad}"
        ) from bad


def _open_sqlite(url: str) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=3, max_overflow=0, pool_timeout=10, connect_args={"timeout": BUSY_TIMEOUT_S}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    return engine


async def upgrade(engine: AsyncEngine) -> None:
    """Bring the schema to the newest version; processes that start together wait for each other.

    Raises:
        StoreUnavailable: the database cannot be reached or written.
    """
    for attempt in range(1, UPGRADE_ATTEMPTS + 1):
        try:
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade)
            return
        except (DBAPIError, OSError) as failure:
            if "locked" not in str(failure) or attempt == UPGRADE_ATTEMPTS:
                where = engine.url.render_as_string(hide_password=True)
                raise StoreUnavailable(f"The audit store {where} cannot be opened: {failure}") from failure
            await asyncio.sleep(0.05 * attempt)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")
