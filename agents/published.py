"""Agents whose tables can be published while they run: each order is judged by what was in force when it came in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from pydantic import TypeAdapter

from agents import AgentPorts, build
from agents.order_routing import OrderRouting
from agents.policies import tables_of
from agents.reads import Read
from agents.recording import playback, recorder
from agents.routing_wave import Wave
from domain.decision import Verdict
from domain.ports import Agent, AgentCase

TABLE: Read[str] = Read("policy.table", TypeAdapter(str))
"""A published table, as text."""
KEPT = 8
"""Agents kept for as many sets of tables; an older set is built again when it is needed."""


class TablesInForce(Protocol):
    """What has been published."""

    def in_force(self, tenant: str, at: datetime) -> Mapping[str, str]:
        """The published tables that hold for a tenant's orders that came in at this instant, as text by name."""


class OnTape:
    """The tables that the decision being replayed was made by."""

    def in_force(self, tenant: str, at: datetime) -> Mapping[str, str]:
        """Whatever the tape names, whoever asks."""
        tape = playback()
        return {name: tape.answer(TABLE, name) for name in tape.keys(TABLE)}


class Published:
    """One version of an agent, built once for every set of tables that is still in use."""

    def __init__(self, inner: Agent, make: Callable[[Mapping[str, str]], Agent], tables: TablesInForce) -> None:
        """``inner`` decides by the tables that ship."""
        self.name, self.version = inner.name, inner.version
        self._wanted = frozenset(tables_of(inner.name))
        self._make = make
        self._tables = tables
        self._built: dict[tuple[tuple[str, str], ...], Agent] = {(): inner}

    async def decide(self, case: AgentCase) -> Verdict:
        """The agent's verdict by the tables in force when the order came in."""
        return await self._for(case).decide(case)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """The declared fallback's verdict, by the same tables."""
        return self._for(case).fallback(name, case, why)

    def _for(self, case: AgentCase) -> Agent:
        found = self._tables.in_force(case.order.tenant, case.accepted_at or case.now)
        texts = tuple(sorted((name, text) for name, text in found.items() if name in self._wanted))
        if (tape := recorder()) is not None:
            for name, text in texts:
                written = TABLE.text(text)
                tape.note_shared(TABLE, name, sha256(written.encode()).hexdigest(), written)
        if texts not in self._built:
            if len(self._built) > KEPT:
                del self._built[next(key for key in self._built if key)]
            self._built[texts] = self._make(dict(texts))
        return self._built[texts]


class PublishedRouting(Published):
    """Routing also looks again at waiting orders, many at once; that look is by the tables that ship."""

    def __init__(self, inner: OrderRouting, make: Callable[[Mapping[str, str]], Agent], tables: TablesInForce) -> None:
        """``inner`` decides by the tables that ship."""
        super().__init__(inner, make, tables)
        self._router = inner

    async def before_wave(self, cases: Sequence[AgentCase], now: datetime) -> Wave:
        """Route waiting orders anew together before they are picked.

        Raises:
            Transient: stock, lanes, products or rates could not be read.
        """
        return await self._router.before_wave(cases, now)


def published(name: str, version: str, ports: AgentPorts, tables: TablesInForce) -> Agent:
    """The named version, by published tables; as it is when nothing of it can be published.

    Raises:
        ConfigError: there is no such version.
    """
    inner = build(name, version, ports)
    if not tables_of(name):
        return inner

    def make(texts: Mapping[str, str]) -> Agent:
        return build(name, version, replace(ports, tables=texts))

    if isinstance(inner, OrderRouting):
        return PublishedRouting(inner, make, tables)
    return Published(inner, make, tables)


def replayed(name: str, version: str, ports: AgentPorts) -> Agent:
    """The named version on tapes: by the tables each tape names.

    Raises:
        ConfigError: there is no such version.
    """
    return published(name, version, ports, OnTape())
