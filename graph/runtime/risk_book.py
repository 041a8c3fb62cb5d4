"""The risk desk's book in Redis: exceptions for customers, and hashes of confirmed fraud."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from domain.errors import NotFound
from domain.risk import CustomerException
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace


class RiskBook:
    """Implements ``RiskBookPort``, and lets the desk write. Values on the fraud list are kept as hashes only."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def write(self, exception: CustomerException) -> None:
        """Keep an exception; the same id again replaces it.

        Raises:
            StoreUnavailable: no answer; writing it again is safe.
        """
        key = self._keys.exceptions(exception.tenant, exception.customer_id)
        await self._redis.execute("HSET", key, exception.exception_id, exception.to_json())

    async def end(self, *, tenant: str, customer_id: str, exception_id: str, at: datetime) -> CustomerException:
        """Let an exception end now, or drop one that has not begun; the record as it then is.

        Raises:
            NotFound: the customer has no such exception.
            StoreUnavailable: no answer; ending it again is safe.
        """
        key = self._keys.exceptions(tenant, customer_id)
        kept = await self._redis.execute("HGET", key, exception_id)
        if kept is None:
            raise NotFound(f"customer {customer_id} has no exception {exception_id}; list them to see which there are")
        exception = CustomerException.from_json(kept)
        if at <= exception.starts_at:
            await self._redis.execute("HDEL", key, exception_id)
            return exception
        if at >= exception.ends_at:
            return exception
        ended = exception.model_copy(update={"ends_at": at})
        await self.write(ended)
        return ended

    async def exceptions(self, *, tenant: str, customer_id: str) -> Sequence[CustomerException]:
        """Every exception of a customer, ended ones included, oldest first."""
        kept = await self._redis.execute("HVALS", self._keys.exceptions(tenant, customer_id))
        return sorted((CustomerException.from_json(one) for one in kept), key=lambda one: one.starts_at)

    async def confirm(self, *, tenant: str, keys: Mapping[str, str]) -> None:
        """Put an order's keys (``card`` -> fingerprint) on the confirmed-fraud list."""
        if keys:
            await self._redis.execute("SADD", self._keys.confirmed_fraud(tenant), *_hashes(keys))

    async def clear(self, *, tenant: str, keys: Mapping[str, str]) -> None:
        """Take keys off the list again."""
        if keys:
            await self._redis.execute("SREM", self._keys.confirmed_fraud(tenant), *_hashes(keys))

    async def confirmed(self, *, tenant: str, keys: Mapping[str, str]) -> Sequence[str]:
        """The names of those keys whose value is on the list."""
        if not keys:
            return ()
        found = await self._redis.execute("SMISMEMBER", self._keys.confirmed_fraud(tenant), *_hashes(keys))
        return [name for name, listed in zip(keys, found, strict=True) if listed]


def _hashes(keys: Mapping[str, str]) -> list[str]:
    return [sha256(f"{name}|{value}".encode()).hexdigest() for name, value in keys.items()]
