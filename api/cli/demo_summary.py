"""What a demo run amounts to, read back from the audit, the desks and the back ends' own books."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from api.reconcile.report import Report
from domain.order import OrderProgress
from graph.bootstrap.system import Signalbox
from graph.runtime.audit import AuditQuery
from graph.runtime.audit_chain import AuditRow
from graph.runtime.cost_ledger import CostFilter
from graph.runtime.why import explain

_PROGRESS = "order.progress."
_PAGE = 1000


@dataclass
class AgentFigures:
    """One agent over the whole run."""

    took_ms: list[int] = field(default_factory=list)
    usd_micro: int = 0
    overrides: int = 0


@dataclass
class Figures:
    """What the audit of one tenant tells of a run."""

    accepted_at: dict[str, datetime] = field(default_factory=dict)
    routed_at: dict[str, datetime] = field(default_factory=dict)
    """When each order first ended or first waited for a person."""
    agents: dict[str, AgentFigures] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    """Orders with an answered review."""

    @property
    def routed_ms(self) -> list[float]:
        """From acceptance to the end or to a person, per order."""
        both = self.accepted_at.keys() & self.routed_at.keys()
        return [(self.routed_at[name] - self.accepted_at[name]).total_seconds() * 1000 for name in both]

    def take(self, row: AuditRow) -> None:
        """Add one row; rows come newest first."""
        kind, order_id = row.event_type, row.entity_id
        if row.decision is not None:
            metadata = row.event.metadata
            of = self.agents.setdefault(row.agent, AgentFigures())
            of.took_ms.append(int(metadata.get("processing_time_ms", 0)))
            of.usd_micro += int(metadata.get("cost", {}).get("usd_micro", 0))
        elif kind == "order.accepted":
            self.accepted_at[order_id] = row.at_utc
        elif kind == "order.review.decided":
            self.answered.add(order_id)
        elif kind == "order.review.requested" or _ends(kind):
            self.routed_at[order_id] = row.at_utc


def _ends(kind: str) -> bool:
    return kind.startswith(_PROGRESS) and OrderProgress(kind.removeprefix(_PROGRESS)).terminal


async def read_figures(box: Signalbox, tenant: str) -> Figures:
    """Go through the tenant's audit once.

    Raises:
        StoreUnavailable: the audit cannot be read.
    """
    figures = Figures()
    async for row in _rows(box, tenant):
        figures.take(row)
    for order_id in sorted(figures.answered):
        told = explain(await box.audit.entity(tenant, "order", order_id))
        for agent in (name for override in told.overrides for name in override.agents):
            figures.agents.setdefault(agent, AgentFigures()).overrides += 1
    return figures


async def _rows(box: Signalbox, tenant: str) -> AsyncIterator[AuditRow]:
    before: int | None = None
    while page := await box.audit.find(AuditQuery(tenant=tenant, before_id=before, limit=_PAGE)):
        for row in page:
            yield row
        before = page[-1].id


async def summarise(
    box: Signalbox, tenant: str, report: Report, *, seed: int, accept_ms: Sequence[float]
) -> dict[str, Any]:
    """The object ``demo --json`` prints."""
    figures = await read_figures(box, tenant)
    applied = await box.sandbox.applied() if box.sandbox else []
    await box.models.costs.step()
    for row in await box.models.ledger.grouped("agent", CostFilter(tenant=tenant)):
        figures.agents.setdefault(row["agent"], AgentFigures()).usd_micro = row["usd_micro"]
    agents = {node.name: figures.agents.get(node.name, AgentFigures()) for node in box.workflow.agents}
    return {
        "accepted": report.accepted,
        "outcomes": report.terminal,
        "in_review": report.in_review,
        "dead_letter": report.dead_letter,
        "effects": dict(sorted(Counter(one.kind.value for one in applied).items())),
        "latency_ms": {"accept": _spread(accept_ms), "routed": _spread(figures.routed_ms)},
        "agents": {name: _agent(of) for name, of in agents.items()},
        "reconciled": report.ok,
        "seed": seed,
        "versions": {
            "signalbox": version("signalbox"),
            "topology": box.threads.current,
            **{node.name: node.version for node in box.workflow.agents},
        },
    }


def _agent(of: AgentFigures) -> dict[str, Any]:
    return {
        "decisions": len(of.took_ms),
        "p50_ms": percentile(of.took_ms, 50),
        "p95_ms": percentile(of.took_ms, 95),
        "cost_usd": Decimal(of.usd_micro).scaleb(-6),
        "overrides": of.overrides,
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)}


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that ``percent`` of the values do not exceed (nearest rank), to a tenth; 0 of no values."""
    if not values:
        return 0.0
    rank = max(1, math.ceil(len(values) * percent / 100))
    return round(float(sorted(values)[rank - 1]), 1)
