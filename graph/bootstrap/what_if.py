"""Dry runs: one real order through a whole Signalbox of its own, on throw-away stores and systems that only take notes.

It is the production code from the controller to the release: same graph, gates, ledger and lease. What the real one
has in its stores, and the systems behind it, are read at most.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from agents import AgentPorts
from agents.either_ports import either_ports
from agents.published import published
from agents.recording import Playback, Values, on_tape
from domain.decision import Decision, Verdict
from domain.errors import ConfigError, InputError, NotFound
from domain.ids import TenantId
from domain.order import Order, OrderProgress
from domain.ports import Agent, AgentCase
from domain.tape import Tape
from domain.what_if import DryDecision, DryEffect, DryRun, WhatIf
from graph.bootstrap.dry_systems import NotedEffects, dry_systems
from graph.bootstrap.order_graphs import ORDER_WORKFLOW
from graph.bootstrap.settings import Settings
from graph.bootstrap.system import Signalbox, load_topology, open_signalbox
from graph.bootstrap.what_if_changes import changed_order, changed_tables, with_version
from graph.order.replaying import said_digest, shared
from graph.order.threads import graph_version
from graph.runtime.clock import SystemClock
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.stock_watch import WatchedWarehouse
from graph.topology.model import Workflow

KEPT_SETTINGS = frozenset({"conflicts_file", "review_policy_file", "sandbox_seed"})
"""Everything else stands at its default: a dry run knows no Redis, database, broker, model or workspace of ours."""
NOT_LIVE = ("demand", "unit_prices")
"""Sources a dry run does not read live."""
_MASKED = frozenset({"recipient", "subject", "body", "address", "ship_to", "name", "email", "phone"})


class _Then(SystemClock):
    """Begins at the instant the order was judged, and goes on from there."""

    def __init__(self, since: datetime) -> None:
        self._behind: timedelta = super().now() - since

    def now(self) -> datetime:
        return super().now() - self._behind


class _Fixed:
    """Tables that hold whatever the tenant and the time."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def in_force(self, tenant: str, at: datetime) -> Mapping[str, str]:
        return self._texts


class _Asked:
    """An agent on the tape of its own past decision, where there is one."""

    fallbacks = ()

    def __init__(self, inner: Agent, tape: Tape | None, values: Values, stands: Decision | None) -> None:
        self.name, self.version = inner.name, inner.version
        self._inner = inner
        self._tape = tape
        self._values = values
        self.stands = stands
        self.read_live: tuple[str, ...] = ()

    async def decide(self, case: AgentCase) -> Verdict:
        if self.stands is not None:
            return _verdict(self.stands)
        playback = self._playback()
        with on_tape(playback):
            verdict = await self._inner.decide(self._then(case))
        self.read_live = tuple(dict.fromkeys(playback.missing))
        return verdict

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        with on_tape(self._playback()):
            return self._inner.fallback(name, case, why)

    def _playback(self) -> Playback:
        if self._tape is None:
            return Playback({}, self._values, without=NOT_LIVE)
        return Playback(self._tape.reads, self._values, without=self._tape.without)

    def _then(self, case: AgentCase) -> AgentCase:
        tape = self._tape
        if tape is None:
            return case
        return replace(case, now=tape.asked_at, accepted_at=tape.accepted_at, hints={**tape.hints, **case.hints})


def _verdict(recorded: Decision) -> Verdict:
    kept = recorded.model_dump(include=set(Verdict.model_fields) - {"versions"})
    return Verdict.model_validate(kept | {"versions": {"thresholds": recorded.versions.thresholds}})


async def what_if(box: Signalbox, tenant: TenantId, wanted: WhatIf) -> DryRun:
    """Run an order dry, with whatever should be otherwise.

    Raises:
        NotFound: there is no tape of this order in this tenant, or ``since`` names nothing of it.
        InputError: a path, value, table, version or topology that does not fit; the message says which.
    """
    started_s = perf_counter()
    tapes = await _last_run(box, tenant, wanted.order_id)
    first = next(iter(tapes.values()))
    named = {first.order} | {digest for tape in tapes.values() for digest in shared(tape)}
    texts = await box.governance.tapes.values(tenant, named)
    recorded = await box.governance.tapes.decisions(tenant, [tape.decision_id for tape in tapes.values()])
    then = {name: recorded[tape.decision_id] for name, tape in tapes.items() if tape.decision_id in recorded}
    if first.order not in texts:
        raise NotFound(f"the document of order {wanted.order_id} is not kept any more")
    order = changed_order(texts[first.order], wanted.set)
    tables = changed_tables(
        box.governance.in_force.in_force(tenant, first.accepted_at or first.asked_at), wanted.thresholds
    )
    with tempfile.TemporaryDirectory(prefix="signalbox-dry-") as folder:
        settings = _settings(box.settings, Path(folder), wanted)
        workflow = _workflow(settings)
        stand = _standing(workflow, then, wanted.since)
        clock = _Then(first.asked_at)
        notes, wms = NotedEffects(clock), _warehouses(box)
        live = _live_ports(box, wms)
        asked: dict[str, _Asked] = {}

        def staff(carried: Workflow, _ports: AgentPorts) -> dict[str, Agent]:
            for node in carried.agents:
                inner = published(node.name, node.version, either_ports(live), _Fixed(tables))
                asked[node.name] = _Asked(inner, tapes.get(node.name), Values(texts), stand.get(node.name))
            return dict(asked)

        outside = dry_systems(box.systems, wms, notes)
        async with open_signalbox(settings, clock=clock, staff=staff, outside=outside) as dry:
            await dry.bus.subscribe(JOURNAL, dry.relay_group)
            await dry.controller.receive(order, correlation_id="what-if")
            return await _told(dry, box, order, _Told(asked, then, notes, wanted, started_s))


class _Told:
    """What the answer is put together from."""

    def __init__(
        self, asked: dict[str, _Asked], then: dict[str, Decision], notes: NotedEffects, wanted: WhatIf, started_s: float
    ) -> None:
        self.asked = asked
        self.then = then
        self.notes = notes
        self.wanted = wanted
        self.started_s = started_s


async def _told(dry: Signalbox, box: Signalbox, order: Order, told: _Told) -> DryRun:
    record = await dry.store.orders.find(order.tenant, order.order_id)
    if record is None:
        raise NotFound(f"order {order.order_id} did not begin")
    made = await dry.store.journal.latest(record.thread)
    review = await dry.store.reviews.find(order.tenant, record.review_id) if record.review_id else None
    real = await box.store.orders.find(order.tenant, order.order_id)
    wanted = told.wanted
    changed = [f"{path} = {value}" for path, value in (wanted.set | wanted.thresholds | wanted.versions).items()]
    return DryRun(
        order_id=order.order_id,
        progress=record.progress.value,
        detail=record.detail,
        was=real.progress.value if real else "",
        question=review.recommendation if review and record.progress is OrderProgress.IN_REVIEW else "",
        grounds=review.reasons if review else (),
        decisions=tuple(_decision(made[name], told) for name in told.asked if name in made),
        effects=tuple(
            DryEffect(kind=effect.kind.value, system_key=effect.key, args=_shown(effect.args))
            for effect in told.notes.wanted
        ),
        changed=(*changed, *(["topology"] if wanted.topology else [])),
        topology=graph_version(dry.workflow),
        took_ms=round((perf_counter() - told.started_s) * 1000),
    )


def _decision(made: Decision, told: _Told) -> DryDecision:
    was, asked = told.then.get(made.agent), told.asked[made.agent]
    return DryDecision(
        agent=made.agent,
        version=made.versions.agent,
        decision=made.decision,
        outcome=made.outcome.value,
        confidence=made.confidence,
        reasons=tuple(f"{reason.code}: {reason.text}" for reason in made.reasons),
        stands=asked.stands is not None,
        was=was.decision if was else "",
        same=was is not None and said_digest(was) == said_digest(made),
        read_live=asked.read_live,
    )


def _shown(args: Mapping[str, Any]) -> dict[str, Any]:
    """What an effect would have said, without what names a person."""
    return {name: "(personal)" if name in _MASKED else value for name, value in args.items()}


async def _last_run(box: Signalbox, tenant: TenantId, order_id: str) -> dict[str, Tape]:
    """Each agent's last tape in the order's last run."""
    found = await box.governance.tapes.of_order(tenant, order_id)
    if not found:
        raise NotFound(f"there is no tape of order {order_id!r}: it was erased, or never judged in this tenant")
    group = max(tape.attempt_group for tape in found)
    tier_3 = {node.name for node in box.workflow.tier_3}
    return {tape.agent: tape for tape in found if tape.attempt_group == group and tape.agent not in tier_3}


def _standing(workflow: Workflow, then: Mapping[str, Decision], since: str) -> dict[str, Decision]:
    """The decisions that stand: those of earlier stages than the named agent or decision."""
    if not since:
        return {}
    agent = next((name for name, decision in then.items() if since in {name, decision.decision_id}), None)
    place = next((at for at, stage in enumerate(workflow.stages) if any(node.name == agent for node in stage)), None)
    if agent is None or place is None:
        raise NotFound(f"{since!r} is neither a decision nor an agent of this order's last run: {', '.join(then)}")
    earlier = [node.name for stage in workflow.stages[:place] for node in stage]
    beside = [node.name for node in workflow.stages[place] if node.name != agent]
    return {name: then[name] for name in (*earlier, *beside) if name in then}


def _settings(real: Settings, home: Path, wanted: WhatIf) -> Settings:
    """Settings of a system of its own."""
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in Settings.model_fields.items()
        if name not in KEPT_SETTINGS
    }
    text = wanted.topology or real.topology_file.read_text(encoding="utf-8")
    file = home / "topology.yaml"
    file.write_text(text, encoding="utf-8")
    settings = real.model_copy(update=defaults | {"home": home, "topology_file": file, "log_level": "error"})
    for agent, version in wanted.versions.items():
        file.write_text(with_version(file, agent, version), encoding="utf-8")
    return settings


def _workflow(settings: Settings) -> Workflow:
    try:
        return load_topology(settings).workflow(ORDER_WORKFLOW)
    except ConfigError as wrong:
        raise InputError(f"the topology does not fit: {wrong}") from None


def _warehouses(box: Signalbox) -> Any:
    wms = box.systems.wms
    return wms.unwatched if isinstance(wms, WatchedWarehouse) else wms


def _live_ports(box: Signalbox, wms: Any) -> AgentPorts:
    """Read-only ports on the real systems and counts."""
    return AgentPorts(
        wms=wms,
        carriers=box.systems.carriers,
        crm=box.systems.crm,
        erp=box.systems.erp,
        activity=box.store.activity,
        risk_book=box.risk_book,
        feed=box.feed,
    )
