"""Policies from draft to force and back: who may publish what, on which shadow reports, and what everybody is told."""

import difflib
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from agents import SPECS, AgentPorts, build
from agents.policies import SUBJECTS, shipped_text, subject, version_in
from agents.published import replayed
from domain.errors import ConfigError, Conflict, InputError, Refused
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id, thread_id
from domain.ports import Agent
from domain.publication import SHIPPED, PolicyVersion, Publication, PublicationAction
from graph.bootstrap.system import Signalbox
from graph.bootstrap.what_if_changes import with_version
from graph.order.candidates import topology_with
from graph.runtime.publications import TAKES_EFFECT_AFTER


class NotProven(Refused):
    """A release without a passing shadow report for exactly that version and topology."""

    code = "refused.not_proven"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A version of an agent with one table replaced, as shadow tests and reports name it."""

    agent: str
    base: str
    table: str
    text: str

    @property
    def label(self) -> str:
        """``fd-1.0+fraud_thresholds@ft-2026-12#1a2b3c4d``: the digest makes the report one on exactly this text."""
        name = version_in(self.table, self.text)
        return f"{self.base}+{self.table}@{name}#{sha256(self.text.encode()).hexdigest()[:8]}"

    def make(self, name: str, version: str, ports: AgentPorts) -> Agent:
        """Builds it when its label is asked for, and any published version as it was."""
        if version != self.label:
            return replayed(name, version, ports)
        return build(name, self.base, replace(ports, tables={self.table: self.text}))


class VersionDesk:
    """What people do with policies of one installation."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box
        self._book = box.governance.policies

    async def listed(self, tenant: TenantId) -> list[dict[str, Any]]:
        """Every table with its versions, what is in force, and the publications."""
        versions, publications = await self._book.versions(tenant), await self._book.publications(tenant)
        now = self._box.clock.now()
        return [
            {
                "subject": one.name,
                "agents": list(one.agents),
                "shipped": version_in(one.name, shipped_text(one.name)),
                "in_force": _in_force(publications, one.name, now),
                "versions": [
                    v.model_dump(mode="json", exclude={"text", "tenant"})
                    | {"state": "published" if _ever(publications, v.subject, v.version) else "draft"}
                    for v in versions
                    if v.subject == one.name
                ],
                "publications": [
                    p.model_dump(mode="json", exclude={"tenant", "subject"})
                    for p in publications
                    if p.subject == one.name
                ],
            }
            for one in SUBJECTS.values()
        ]

    async def draft(self, tenant: TenantId, name: str, text: str, *, by: str, reason: str) -> PolicyVersion:
        """Write a draft; nothing changes for any order.

        Raises:
            InputError: the text is no such table, or names no version of its own.
            Conflict: this version was published before and never changes.
        """
        version = checked(name, text)
        if version == version_in(name, shipped_text(name)):
            raise InputError(f"{name} {version} is the version that ships; give the text a version of its own")
        made = PolicyVersion(
            tenant=tenant, subject=name, version=version, text=text, author=by, reason=reason,
            written_at=self._box.clock.now(),
        )  # fmt: skip
        await self._book.draft(made)
        await self._tell(made.tenant, name, "policy.version.drafted", {"version": version}, by=by, reason=reason)
        return made

    async def candidate(self, tenant: TenantId, agent: str, name: str, version: str, base: str) -> Candidate:
        """A draft or an earlier version as a shadow test takes it.

        Raises:
            NotFound: nobody has written it.
            InputError: the agent does not decide by this table.
        """
        if agent not in subject(name).agents:
            raise InputError(f"{agent} does not decide by {name}; {', '.join(subject(name).agents)} do")
        return Candidate(agent=agent, base=base, table=name, text=await self.text(tenant, name, version))

    async def text(self, tenant: TenantId, name: str, version: str) -> str:
        """The text of a version; ``shipped`` for the one that comes with the software.

        Raises:
            NotFound: nobody has written it.
        """
        if version in {SHIPPED, version_in(name, shipped_text(name))}:
            return shipped_text(name)
        return (await self._book.version(tenant, name, version)).text

    async def diff(self, tenant: TenantId, name: str, old: str, new: str) -> str:
        """What changes between two versions, as a unified diff."""
        texts = [await self.text(tenant, name, version) for version in (old, new)]
        before, after = (text.splitlines(keepends=True) for text in texts)
        return "".join(difflib.unified_diff(before, after, f"{name} {old}", f"{name} {new}"))

    async def publish(self, tenant: TenantId, name: str, version: str, *, by: str, reason: str) -> Publication:
        """Put a version in force for orders that come in from a few seconds on.

        Raises:
            NotFound: nobody has written it.
            NotProven: an agent that decides by it has no passing report on exactly this text and topology.
            Conflict: it is in force already.
        """
        written = await self._book.version(tenant, name, version)
        checked(name, written.text)
        publications = await self._book.publications(tenant, name)
        if publications and publications[-1].version == version:
            raise Conflict(f"{name} {version} is in force already")
        reports = await self._proof(name, written)
        return await self._put(tenant, name, version, PublicationAction.PUBLISH, by=by, reason=reason, reports=reports)

    async def release(self, tenant: TenantId, agent: str, version: str, *, by: str, reason: str) -> str:
        """The workflow file's text with the agent in this version: what to start the workers with.

        Raises:
            NotProven: the version has no passing report on exactly this version and topology.
            InputError: the workflow does not ask this agent, or asks this version already.
        """
        text = with_version(self._box.settings.topology_file, agent, version)
        running = self._box.workflow.agent(agent).version
        if running == version:
            raise InputError(f"{agent} {version} is what the workflow asks already")
        topology = topology_with(self._box.workflow, agent, version)
        report = await self._box.governance.reports.newest(agent=agent, version=version, topology=topology)
        if report is None or not report.passed:
            what = "was refused by its shadow test" if report else "has no shadow report"
            raise NotProven(
                f"{agent} {version} {what} on topology {topology}; run 'signalbox shadow-test --agent {agent} "
                f"--old-version {running} --new-version {version}' first"
            )
        facts = {"version": version, "replaces": running, "topology": topology, "reports": report.report_id}
        await self._tell(tenant, agent, "policy.agent.released", facts, by=by, reason=reason)
        return text

    async def rollback(self, tenant: TenantId, name: str, to: str | None, *, by: str, reason: str) -> Publication:
        """Go back to what was in force before, or to any version that ever was. It was proven then.

        Raises:
            Conflict: nothing was published, or that version never was.
        """
        publications = await self._book.publications(tenant, name)
        if not publications:
            raise Conflict(f"{name} was never published; the version that ships is in force")
        earlier = [SHIPPED, *(one.version for one in publications)]
        target = to or next(version for version in reversed(earlier[:-1]) if version != earlier[-1])
        if target not in earlier:
            raise Conflict(f"{name} {target} was never in force; publish it instead")
        if target == earlier[-1]:
            raise Conflict(f"{name} {target} is in force already")
        return await self._put(tenant, name, target, PublicationAction.ROLLBACK, by=by, reason=reason, reports="")

    async def _proof(self, name: str, written: PolicyVersion) -> str:
        """The passing reports of every agent that decides by the table and runs in the workflow."""
        found = []
        for node in self._box.workflow.agents:
            if node.name not in subject(name).agents:
                continue
            candidate = Candidate(agent=node.name, base=node.version, table=name, text=written.text)
            topology = topology_with(self._box.workflow, node.name, candidate.label)
            reports = self._box.governance.reports
            report = await reports.newest(agent=node.name, version=candidate.label, topology=topology)
            if report is None or not report.passed:
                what = "was refused by its shadow test" if report else "has no shadow report on exactly this text"
                raise NotProven(
                    f"{name} {written.version} {what} and topology; run 'signalbox shadow-test --agent {node.name} "
                    f"--old-version {node.version} --new-version {node.version}+{name}@{written.version}' first"
                )
            found.append(report.report_id)
        return ",".join(found)

    async def _put(
        self, tenant: TenantId, name: str, version: str, action: PublicationAction, *, by: str, reason: str, reports: str
    ) -> Publication:  # fmt: skip
        now = self._box.clock.now()
        made = Publication(
            publication_id=self._box.clock.new_id(), tenant=tenant, subject=name, version=version, action=action,
            by=by, reason=reason, at=now, in_force_from=now + TAKES_EFFECT_AFTER, reports=reports,
        )  # fmt: skip
        await self._book.publish(made)
        await self._box.governance.in_force.look()
        facts = {"version": version, "action": action.value, "in_force_from": made.in_force_from.isoformat()}
        await self._tell(tenant, name, "policy.version.published", facts | {"reports": reports}, by=by, reason=reason)
        return made

    async def _tell(
        self, tenant: TenantId, name: str, kind: str, facts: dict[str, Any], *, by: str, reason: str
    ) -> None:
        now = self._box.clock.now()
        event = Event(
            event_id=EventId(stable_id(tenant, name, kind, now.isoformat(), str(facts["version"]))),
            event_type=kind,
            entity_type="policy",
            entity_id=name,
            agent_name=f"person:{by}",
            timestamp=now,
            result=facts | {"reason": reason},
            metadata={"actor": by},
            tenant=tenant,
            sequence=0,
            correlation_id=f"policy:{name}",
            currency="",
            locale="",
        )
        await self._box.store.journal.publish(thread_id(tenant, "policy", name), [event], at=now)


def checked(name: str, text: str) -> str:
    """The version a text names for itself.

    Raises:
        InputError: there is no such table, or the text is none.
    """
    try:
        version = version_in(name, text)
    except ConfigError as wrong:
        raise InputError(str(wrong)) from None
    if not version or not version.isascii() or any(sign in version for sign in "@#+ \n/"):
        raise InputError(f"{name}: a version is a short name without spaces and @, #, +, /, not {version[:60]!r}")
    return version


def tested_version(agent: str, version: str) -> tuple[str, str, str]:
    """``fd-1.0+fraud_thresholds@ft-2`` in its parts: version of the agent, table, version of the table.

    Raises:
        InputError: it has another form.
    """
    base, _, rest = version.partition("+")
    table, at, of_table = rest.partition("@")
    if (agent, base) not in SPECS or not at or table not in SUBJECTS or not of_table:
        raise InputError(f"{version!r} is neither a version of {agent} nor <version>+<table>@<version of the table>")
    return base, table, of_table


def _in_force(publications: list[Publication], name: str, at: datetime) -> str:
    held = [one.version for one in publications if one.subject == name and one.in_force_from <= at]
    return held[-1] if held else SHIPPED


def _ever(publications: list[Publication], name: str, version: str) -> bool:
    return any(one.subject == name and one.version == version for one in publications)
