"""The figures of the home page: what waits for people, what is stuck, what flows, how the agents do. One reading serves all for seconds."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from api.console import cases
from api.console.visits import Visit
from api.services import Json
from domain.latency import percentile
from domain.order import OrderProgress
from graph.runtime.audit_figures import AuditFigures, Said
from graph.runtime.dead_letters import DeadLetters, order_of
from graph.runtime.intake import CONTROLLER
from graph.runtime.intake import TOPIC as INTAKE

SPAN = timedelta(hours=24)
MINUTES = 60
STUCK = timedelta(minutes=5)
"""An order that is neither resting nor moving for this long is stuck."""
_ENDS = tuple(f"order.progress.{progress.value}" for progress in OrderProgress if progress.terminal)
_MOVING = frozenset({OrderProgress.ACCEPTED, OrderProgress.RUNNING})
_STAGES = (
    ("accepted", "order.accepted"),
    ("checked", "order.fraud_check.completed"),
    ("routed", "order.routing.completed"),
    ("shipping chosen", "order.shipping_method.completed"),
    ("fulfilled", "order.progress.fulfilled"),
)


async def overview(visit: Visit) -> Json:
    """Everything the home page shows this person."""
    box, now, tenant = visit.console.box, visit.console.now(), visit.tenant
    figures = AuditFigures(box.engine)
    happened, minutes, said, answers = await asyncio.gather(
        figures.entities_by_event(tenant, since=now - SPAN),
        figures.per_minute(tenant, ["order.accepted", *_ENDS], since=now - timedelta(minutes=MINUTES)),
        figures.latest_decisions(tenant, since=now - SPAN),
        figures.answers(tenant, since=now - timedelta(days=7)),
    )
    files, records, letters, standing, lag = await asyncio.gather(
        box.reviews.cases.listed(tenant, limit=1000),
        visit.console.desk.orders(tenant, limit=500),
        DeadLetters(box.store.batcher, box.keys).all(),
        box.switch.standing(),
        box.bus.lag(INTAKE, CONTROLLER),
    )
    policy, roles = box.reviews.cases.policy, visit.caller.roles
    rows = [cases.row(file, policy, now) for file in files if file.visible_to(roles)]
    stuck = [one for one in records if one.progress in _MOVING and _older(one.changed_at, now - STUCK)]
    waiting = [one for one in records if one.progress is OrderProgress.BACKORDERED]
    return {
        "reviews": rows,
        "queues": _queues(rows),
        "stuck": stuck,
        "waiting": waiting,
        "dead": [letter for letter in letters if order_of(letter)[0] in (tenant, "")],
        "backlog": lag.undelivered + lag.pending,
        "flow": _flow(minutes, now),
        "stages": _stages(happened),
        "outcomes": _outcomes(happened),
        "agents": _agents(said, [node.name for node in box.workflow.agents]),
        "answers": _answers(answers),
        "peak": {"on": standing.on(tenant), "why": standing.why(tenant), "workers": standing.workers},
        "feeds": await _feeds(visit, now),
    }


def _older(at: str, than: datetime) -> bool:
    return bool(at) and datetime.fromisoformat(at) < than


def _queues(rows: Sequence[Json]) -> list[Json]:
    grouped: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        grouped[row["queue"]].append(row)
    return [
        {
            "name": name,
            "count": len(found),
            "oldest": min(row["created_at"] for row in found),
            "urgent": sum(row["urgency"] in {"over", "urgent"} for row in found),
        }
        for name, found in sorted(grouped.items())
    ]


def _flow(minutes: Any, now: datetime) -> Json:
    """Accepted and ended orders per minute over the last hour, oldest first."""
    accepted, ended = Counter[str](), Counter[str]()
    for (kind, minute), count in minutes.items():
        (accepted if kind == "order.accepted" else ended)[minute] += count
    names = [f"{now - timedelta(minutes=back):%Y-%m-%dT%H:%M}" for back in range(MINUTES - 1, -1, -1)]
    return {
        "accepted": [(name, accepted[name]) for name in names],
        "ended": [(name, ended[name]) for name in names],
        "accepted_total": sum(accepted[name] for name in names),
        "ended_total": sum(ended[name] for name in names),
    }


def _stages(happened: Any) -> list[Json]:
    whole = happened.get("order.accepted", 0)
    return [
        {"name": name, "count": happened.get(kind, 0), "share": happened.get(kind, 0) / whole if whole else 0}
        for name, kind in _STAGES
    ]


def _outcomes(happened: Any) -> dict[str, int]:
    prefix = "order.progress."
    return {kind.removeprefix(prefix): count for kind, count in happened.items() if kind in _ENDS and count}


def _agents(said: Sequence[Said], order: Sequence[str]) -> list[Json]:
    by_name: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        by_name[one.agent].append(one)
    return [_agent(name, by_name[name]) for name in order if by_name[name]]


async def agent_figures(visit: Visit, *, since: datetime) -> list[Json]:
    """Each agent's latest decisions in numbers, in the order of the workflow."""
    box = visit.console.box
    said = await AuditFigures(box.engine).latest_decisions(visit.tenant, since=since)
    return _agents(said, [node.name for node in box.workflow.agents])


def _agent(name: str, said: Sequence[Said]) -> Json:
    took = [float(one.took_ms) for one in said]
    sure = [one.confidence for one in said if one.confidence is not None]
    return {
        "name": name,
        "count": len(said),
        "p50": percentile(took, 50),
        "p95": percentile(took, 95),
        "p99": percentile(took, 99),
        "unsure": sum(1 for one in said if one.confidence is None or one.confidence < 0.7),
        "confidence": sum(sure) / len(sure) if sure else None,
        "fallback": sum(1 for one in said if one.mode == "fallback"),
        "usd_micro": sum(one.usd_micro for one in said),
    }


def _answers(answers: Sequence[tuple[str, str, datetime | None, datetime]]) -> Json:
    """How people answered, how often against a clear recommendation, and how fast."""
    clear = [(said, did) for said, did, _, _ in answers if said in {"approve", "reject"}]
    against = sum((said == "approve") != (did == "approve") for said, did in clear)
    took = [(end - begin).total_seconds() for _, _, begin, end in answers if begin is not None]
    return {
        "count": len(answers),
        "actions": dict(Counter(did for _, did, _, _ in answers)),
        "override_rate": against / len(clear) if clear else None,
        "median_s": percentile(took, 50) if took else None,
    }


async def _feeds(visit: Visit, now: datetime) -> list[Json]:
    feed = visit.console.box.feed
    await feed.refresh()
    states = feed.states(now)
    return [
        {"warehouse": str(name), "state": str(states.get(name, "normal"))} for name, known in sorted(feed.feeds.items())
    ]
