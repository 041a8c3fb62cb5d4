"""Figures of the shop at work, as commands and pages show them: how long agents take, who is stuck, the funnel."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from api.services import Json
from domain.flow import PERSON, Outcome, Stuck
from domain.latency import Latency, latencies
from graph.runtime.audit_figures import AuditFigures
from graph.runtime.figures import LOOK_BACK
from graph.runtime.order_flow import OrderFlow

if TYPE_CHECKING:
    from graph.bootstrap.system import Signalbox

MOST_DECISIONS = 200_000
"""As many of the newest are measured."""


async def agent_latencies(box: "Signalbox", tenant: str, *, since: datetime) -> list[Latency]:
    """Percentiles of each agent's decisions since an instant, from the audit."""
    said = await AuditFigures(box.engine).latest_decisions(tenant, since=since, limit=MOST_DECISIONS)
    return latencies((one.agent, float(one.took_ms)) for one in said if one.mode != "observed")


async def stuck_orders(box: "Signalbox", tenant: str, *, flow: OrderFlow | None = None) -> Json:
    """The tenant's orders at one stage for more than twice its expected time; those who wait for a person apart."""
    flow, now = flow or OrderFlow(box.engine, box.observing.stages), box.clock.now()
    await flow.refresh(since=now - LOOK_BACK)
    late = [one for one in flow.flow.late(now, box.observing.expected) if one.tenant == tenant]
    return {
        "stuck": [_stuck(one) for one in late if one.stage != PERSON],
        "waiting_for_a_person": [_stuck(one) for one in late if one.stage == PERSON],
        "expected_s": dict(box.observing.expected.seconds),
        "version": box.observing.expected.version,
    }


async def funnel(box: "Signalbox", tenant: str, *, span: timedelta, flow: OrderFlow | None = None) -> list[Json]:
    """Completion by stage of the orders that came in within a span; the outcomes of each stage add up to the intake."""
    flow, since = flow or OrderFlow(box.engine, box.observing.stages), box.clock.now() - span
    await flow.refresh(since=since)
    return [
        {"stage": stage, "intake": sum(counts.values()), **{outcome.value: counts[outcome] for outcome in Outcome}}
        for stage, counts in flow.flow.funnel(since=since, tenant=tenant)
    ]


def _stuck(one: Stuck) -> Json:
    return {
        "order_id": one.order_id,
        "stage": one.stage,
        "since": one.since.isoformat(),
        "waited_s": round(one.waited.total_seconds(), 1),
        "expected_s": one.expected.total_seconds(),
        "times": round(one.times, 2),
    }
