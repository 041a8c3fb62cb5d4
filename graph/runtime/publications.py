"""The book of policies: drafts, publications, and what was in force at any instant.

A publication takes effect a few seconds later, so that every worker knows of it before the first order it decides.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Conflict, NotFound, Transient
from domain.publication import SHIPPED, PolicyVersion, Publication
from graph.runtime.publications_schema import policy_publications, policy_versions
from graph.runtime.sql import transaction

log = structlog.get_logger(__name__)

TAKES_EFFECT_AFTER = timedelta(seconds=5)
"""Longer than workers take to look."""
LOOK_EVERY_S = 1.5
_WHAT = "the book of policies"


class PolicyBook:
    """Reads and writes policies of one installation."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The engine's schema is up to date."""
        self._engine = engine

    async def draft(self, version: PolicyVersion) -> None:
        """Write a draft, or write it again.

        Raises:
            Conflict: this version has been published and can not change any more.
        """
        rows, said = policy_versions.c, policy_publications.c
        async with transaction(self._engine, _WHAT) as connection:
            used = await connection.scalar(
                select(func.count()).where(
                    said.tenant == version.tenant, said.subject == version.subject, said.version == version.version
                )
            )
            if used:
                raise Conflict(
                    f"{version.subject} {version.version} has been published and never changes: "
                    "give the text another version"
                )
            mine = (rows.tenant == version.tenant, rows.subject == version.subject, rows.version == version.version)
            await connection.execute(delete(policy_versions).where(*mine))
            await connection.execute(insert(policy_versions), [version.model_dump()])

    async def publish(self, publication: Publication) -> None:
        """Put a version in force.

        Raises:
            Conflict: somebody published this subject at the same moment.
        """
        try:
            async with transaction(self._engine, _WHAT) as connection:
                await connection.execute(insert(policy_publications), [publication.model_dump()])
        except IntegrityError:
            raise Conflict(
                f"{publication.subject} was published by somebody else just now; look and try again"
            ) from None

    async def versions(self, tenant: str, subject: str | None = None) -> list[PolicyVersion]:
        """Every version written for a tenant, oldest first."""
        wanted = select(policy_versions).where(policy_versions.c.tenant == tenant)
        if subject is not None:
            wanted = wanted.where(policy_versions.c.subject == subject)
        wanted = wanted.order_by(policy_versions.c.subject, policy_versions.c.written_at, policy_versions.c.version)
        async with transaction(self._engine, _WHAT) as connection:
            return [PolicyVersion(**row) for row in (await connection.execute(wanted)).mappings()]

    async def version(self, tenant: str, subject: str, version: str) -> PolicyVersion:
        """One version.

        Raises:
            NotFound: nobody has written it.
        """
        for one in await self.versions(tenant, subject):
            if one.version == version:
                return one
        raise NotFound(f"there is no {subject} {version}; write it with 'versions draft' first")

    async def publications(self, tenant: str | None = None, subject: str | None = None) -> list[Publication]:
        """What was put in force, oldest first."""
        wanted = select(policy_publications)
        if tenant is not None:
            wanted = wanted.where(policy_publications.c.tenant == tenant)
        if subject is not None:
            wanted = wanted.where(policy_publications.c.subject == subject)
        wanted = wanted.order_by(policy_publications.c.in_force_from, policy_publications.c.publication_id)
        async with transaction(self._engine, _WHAT) as connection:
            return [Publication(**row) for row in (await connection.execute(wanted)).mappings()]


class PoliciesInForce:
    """What is in force, kept in memory for the agents and looked up again every moment."""

    def __init__(self, book: PolicyBook) -> None:
        """Nothing is known before the first ``look``."""
        self._book = book
        self._known: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
        self._seen: tuple[Publication, ...] = ()

    def in_force(self, tenant: str, at: datetime) -> Mapping[str, str]:
        """The published tables that hold for a tenant's orders that came in at this instant, as text by name."""
        found = {}
        for (owner, subject), history in self._known.items():
            if owner == tenant:
                text = next((text for since, text in reversed(history) if since <= at), "")
                if text:
                    found[subject] = text
        return found

    async def look(self) -> None:
        """Read what was published.

        Raises:
            StoreUnavailable: the database is away; what is known stays in force.
        """
        publications = tuple(await self._book.publications())
        if publications == self._seen:
            return
        texts = {
            (one.tenant, one.subject, one.version): one.text
            for tenant in {one.tenant for one in publications}
            for one in await self._book.versions(tenant)
        }
        known: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
        for one in publications:
            text = "" if one.version == SHIPPED else texts[one.tenant, one.subject, one.version]
            known.setdefault((one.tenant, one.subject), []).append((one.in_force_from, text))
        self._known, self._seen = known, publications

    async def watch(self, stop: asyncio.Event) -> None:
        """Look again and again until stopped."""
        while not stop.is_set():
            try:
                await self.look()
            except Transient as away:
                log.warning("policies.not_read", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await stop.wait()
