"""The support desk as every way in sees it: HTTP, MCP, console and command line ask this and nothing else."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from agents.support_reason import classify
from api.services import Json
from domain.errors import NotFound
from domain.support import SupportContext
from domain.support_identity import Subject
from domain.support_outcome import Contact, outcomes
from domain.support_reason import Reason, parse_reason
from graph.bootstrap.system import Signalbox
from graph.runtime.support_book import Flag, Given
from graph.support.compact import compact

READERS = ("admin", "support", "ops")
"""Of a caller's roles the one that shows most counts."""


class SupportViews:
    """Contexts, flags, contacts and outcomes of a running Signalbox, confined to one tenant a call."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box

    async def context(
        self, tenant: str, subject: Subject, *, reason: Reason | None, roles: frozenset[str], actor: str
    ) -> SupportContext:
        """Everything about one contact; it is written down that it was given.

        Raises:
            InputError, NotFound, Conflict, Transient: see ``SupportDesk.context``.
        """
        found = await self._box.support.desk.context(tenant, subject, reason=reason, role=reading(roles))
        await self._box.support.book.keep(Given(actor=actor, context=found))
        return found

    async def following(
        self, tenant: str, subject: Subject, *, reason: Reason | None, roles: frozenset[str], actor: str
    ) -> AsyncIterator[tuple[str, SupportContext]]:
        """``partial`` after 300 ms when a source is slow, then ``context``."""
        held: SupportContext | None = None
        async for one in self._box.support.desk.following(tenant, subject, reason=reason, role=reading(roles)):
            if held is not None:
                yield "partial", held
            held = one
            if any("not answered yet" in gap.why for gap in one.gaps):
                yield "partial", one
                held = None
        if held is not None:
            await self._box.support.book.keep(Given(actor=actor, context=held))
            yield "context", held

    async def flag(self, tenant: str, flag: Flag, *, actor: str) -> str:
        """Note a wrong, missing or stale fact.

        Raises:
            NotFound, InputError: see ``SupportBook.flag``.
        """
        return await self._box.support.book.flag(tenant, flag, actor=actor, at=self._box.clock.now())

    async def cases(self, tenant: str) -> list[dict[str, Any]]:
        """The flags as evaluation cases."""
        return await self._box.support.book.cases(tenant)

    async def contact(self, tenant: str, contact: Contact) -> None:
        """Note one contact.

        Raises:
            NotFound: it names a context this tenant does not have.
        """
        if contact.context_id:
            await self._box.support.book.context(tenant, contact.context_id)
        await self._box.support.book.contact(tenant, contact)

    async def outcomes(self, tenant: str, *, days: int) -> list[Json]:
        """First-contact resolution per reason, with and without a context."""
        now: datetime = self._box.clock.now()
        known = await self._box.support.book.contacts(tenant, since=now - timedelta(days=days))
        return [one.model_dump() for one in outcomes(known, now=now)]


def reading(roles: frozenset[str]) -> str:
    """The role a context is made for.

    Raises:
        NotFound: none of the roles reads contexts.
    """
    for role in READERS:
        if role in roles:
            return role
    raise NotFound("there is no support context for these roles")


def reason_of(named: str | None, words: str = "") -> Reason | None:
    """The reason a caller named, else the one of the customer's words, else None.

    Raises:
        InputError: no such reason.
    """
    if named:
        return parse_reason(named)
    return classify(words) if words.strip() else None


def view(context: SupportContext, *, short: bool) -> Json:
    """A context as it leaves the product."""
    return compact(context) if short else context.model_dump(mode="json")
