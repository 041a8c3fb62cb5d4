"""A support desk for tests of the API alone: one customer, known to one tenant."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from agents.support_returns import shipped_table
from api.services import Json
from api.support import SupportViews, reading
from domain.errors import NotFound
from domain.support import SupportContext
from domain.support_identity import Subject
from domain.support_outcome import Contact
from domain.support_reason import Reason
from graph.runtime.support_book import Flag
from graph.support.assembly import Consolidation
from graph.support.gathering import Gathering
from tests.support.customers import a_customer

KNOWN = "ctx-1"


class KnownContacts(SupportViews):
    """Consolidates for real what it holds in memory."""

    def __init__(self, tenant: str = "acme") -> None:
        """Only ``tenant`` has customers."""
        self._tenant = tenant
        self._data = a_customer()

    async def context(
        self, tenant: str, subject: Subject, *, reason: Reason | None, roles: frozenset[str], actor: str
    ) -> SupportContext:
        """The context, when the tenant has it."""
        run = Gathering(
            context_id=KNOWN, tenant=tenant, subject=subject, reason=reason, role=reading(roles), now=datetime.now(UTC)
        )
        if tenant == self._tenant:
            run.orders, run.profiles = list(self._data.orders), list(self._data.profiles)
        return Consolidation(shipped_table())(run)

    async def following(
        self, tenant: str, subject: Subject, *, reason: Reason | None, roles: frozenset[str], actor: str
    ) -> AsyncIterator[tuple[str, SupportContext]]:
        """At once."""
        yield "context", await self.context(tenant, subject, reason=reason, roles=roles, actor=actor)

    async def flag(self, tenant: str, flag: Flag, *, actor: str) -> str:
        """Noted, when the tenant has the context."""
        if (tenant, flag.context_id) != (self._tenant, KNOWN):
            raise NotFound("there is no such support context")
        return "flag-1"

    async def cases(self, tenant: str) -> list[dict[str, Any]]:
        """None."""
        return []

    async def contact(self, tenant: str, contact: Contact) -> None:
        """Noted."""

    async def outcomes(self, tenant: str, *, days: int) -> list[Json]:
        """None."""
        return []
