"""Who is signed in to the console: sessions and one-time sign-in links, each with its own end.

The browser holds a random name; only its digest is kept, with the tenant in the key. What a session may do is read from
the tenants file at every request, so a key that was withdrawn opens nothing any more.
"""

import hashlib
import secrets
from dataclasses import asdict, dataclass

import orjson

from domain.ids import TenantId
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace

SESSION_S = 12 * 3600
"""One working day; then one signs in again."""
LINK_S = 15 * 60
_NOTICE_S = 120
_RANDOM_BYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Whose key a session or link stands for."""

    tenant: TenantId
    key_id: str
    person: str | None
    """Who said to be behind a shared key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One signed-in browser."""

    holder: Holder
    csrf: str
    """Every form of the session carries it."""
    digest: str
    """Of the browser's name for the session."""


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def _name(tenant: TenantId) -> str:
    return f"{tenant}.{secrets.token_urlsafe(_RANDOM_BYTES)}"


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    async def open(self, holder: Holder) -> str:
        """Start a session; gives the name the browser keeps.

        Raises:
            StoreUnavailable: nobody was signed in.
        """
        name = _name(holder.tenant)
        record = asdict(holder) | {"csrf": secrets.token_urlsafe(_RANDOM_BYTES)}
        await self._redis.execute(
            "SET", self._keys.session(holder.tenant, _digest(name)), orjson.dumps(record), "EX", SESSION_S
        )
        return name

    async def find(self, name: str) -> Session | None:
        """The session of that name, None when there is none or it has ended.

        Raises:
            StoreUnavailable: nothing is known.
        """
        tenant, _, _ = name.partition(".")
        digest = _digest(name)
        record = await self._redis.execute("GET", self._keys.session(tenant, digest))
        if record is None:
            return None
        kept = orjson.loads(record)
        holder = Holder(tenant=TenantId(kept["tenant"]), key_id=kept["key_id"], person=kept["person"])
        return Session(holder=holder, csrf=kept["csrf"], digest=digest)

    async def close(self, session: Session) -> None:
        """End a session for good, wherever its name was copied to.

        Raises:
            StoreUnavailable: it may still stand.
        """
        tenant = session.holder.tenant
        await self._redis.execute(
            "DEL", self._keys.session(tenant, session.digest), self._keys.session_notice(tenant, session.digest)
        )

    async def tell(self, session: Session, notice: str) -> None:
        """Leave a sentence for the session's next page."""
        key = self._keys.session_notice(session.holder.tenant, session.digest)
        await self._redis.execute("SET", key, notice.encode(), "EX", _NOTICE_S)

    async def told(self, session: Session) -> str:
        """Take the sentence left for this page; empty when there is none."""
        left = await self._redis.execute("GETDEL", self._keys.session_notice(session.holder.tenant, session.digest))
        return "" if left is None else bytes(left).decode()

    async def link(self, holder: Holder) -> str:
        """A token that signs in once within ``LINK_S``.

        Raises:
            StoreUnavailable: there is none.
        """
        token = _name(holder.tenant)
        await self._redis.execute(
            "SET", self._keys.sign_in_link(holder.tenant, _digest(token)), orjson.dumps(asdict(holder)), "EX", LINK_S
        )
        return token

    async def linked(self, token: str) -> bool:
        """Whether a token would still sign in."""
        return bool(await self._redis.execute("EXISTS", self._link_key(token)))

    async def redeem(self, token: str) -> Holder | None:
        """Use a token up; None when it is unknown, too old or used.

        Raises:
            StoreUnavailable: nothing is known.
        """
        record = await self._redis.execute("GETDEL", self._link_key(token))
        return None if record is None else Holder(**orjson.loads(record))

    def _link_key(self, token: str) -> str:
        return self._keys.sign_in_link(token.partition(".")[0], _digest(token))
