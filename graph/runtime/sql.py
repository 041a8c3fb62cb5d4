"""Reaching the SQL database for what is not the audit: one transaction, and one way to fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.errors import StoreUnavailable


@asynccontextmanager
async def transaction(engine: AsyncEngine, what: str) -> AsyncIterator[AsyncConnection]:
    """One durable transaction about ``what``.

    Raises:
        StoreUnavailable: the database cannot be reached or refuses; nothing was written.
    """
    try:
        async with engine.begin() as connection:
            yield connection
    except (DBAPIError, PoolTimeout, OSError) as failure:
        said = getattr(failure, "orig", None) or failure
        raise StoreUnavailable(f"{what} cannot be read or written now: {str(said) or type(said).__name__}") from failure
