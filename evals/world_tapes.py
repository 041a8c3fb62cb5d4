"""Tapes of generated orders: every agent of a workflow asked in its turn on the stand-ins, nothing held and nothing sent."""

import tempfile
from bisect import insort
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from agents import AgentPorts, build
from agents.fraud_activity import activity_account, activity_keys
from agents.recording import Recorder, on_tape
from agents.taped_ports import absent, taped
from domain.decision import Decision, Mode, Outcome
from domain.ids import TenantId, thread_id, uuid7
from domain.order import Order, OrderProgress
from domain.ports import Agent
from domain.tape import Tape
from domain.values import Plain
from evals.segments import dollars_of
from evals.world import Catalogue, RawOrder, generate
from graph.order.asking import decided
from graph.order.run import OrderRun
from graph.order.taping import Asked, Tapes
from graph.topology.model import AgentNode, Workflow
from tools.channels import adapter
from tools.sandbox import Sandbox

TENANT = TenantId("world")
JUDGED_AFTER = timedelta(seconds=20)


class CountedActivity:
    """Recent activity in memory, in exact windows."""

    def __init__(self) -> None:
        """Nothing seen."""
        self._seen: dict[tuple[str, str, str], list[tuple[datetime, str, str]]] = {}

    def note(self, order: Order) -> None:
        """Note one order under each of its keys."""
        for name, value in activity_keys(order).items():
            insort(
                self._seen.setdefault((order.tenant, name, value), []),
                (order.placed_at, order.order_id, activity_account(order)),
            )

    async def count(self, *, tenant: str, name: str, value: str, since: datetime, distinct: str) -> int:
        """Distinct orders or accounts under a key since an instant."""
        column = 1 if distinct == "order" else 2
        return len({one[column] for one in self._seen.get((tenant, name, value), ()) if one[0] >= since})


@dataclass
class StatedClock:
    """A clock that stands at the order's own time, and ids that follow from a seed."""

    seed: str
    at: datetime
    made: int = 0

    def now(self) -> datetime:
        """The instant at which the order is judged."""
        return self.at

    def new_id(self) -> str:
        """The next id."""
        self.made += 1
        return uuid7(self.at, sha256(f"{self.seed}:{self.made}".encode()).digest()[:10])


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One generated order, and what each agent made of it."""

    raw: RawOrder
    order: Order
    tapes: Mapping[str, Tape]
    decisions: Mapping[str, Decision]


@dataclass
class WorldRun:
    """Judges generated orders one after another."""

    workflow: Workflow
    agents: Mapping[str, Agent]
    activity: CountedActivity
    clock: StatedClock
    without: tuple[str, ...]
    values: dict[str, str] = field(default_factory=dict)
    """Every value the tapes name."""

    async def judge(self, raw: RawOrder) -> Judged:
        """The decisions of all agents on one order, in the order of the stages."""
        text = raw.body.decode()
        order = adapter(raw.channel.value).normalise(text, tenant=TENANT, shop=raw.shop, payload_ref="world")[0]
        self.clock.at = order.placed_at + JUDGED_AFTER
        self.activity.note(order)
        dollars = dollars_of(order)
        run = OrderRun(
            thread=thread_id(TENANT, "world", order.order_id),
            order=order,
            version=1,
            attempt_group=1,
            token=0,
            correlation_id="world",
            topology_version=self.workflow.version,
            exposure_usd=dollars,
        )
        tapes: dict[str, Tape] = {}
        for stage in self.workflow.stages:
            for node in stage:
                tapes[node.name] = await self._ask(run, node, {})
        hints: dict[str, Plain] = {
            "progress": ended(run.decisions.values()),
            "again": False,
            "usd_minor": run.usd_minor,
        }
        for node in self.workflow.tier_3:
            tapes[node.name] = await self._ask(run, node, hints)
        return Judged(raw=raw, order=order, tapes=tapes, decisions=dict(run.decisions))

    async def _ask(self, run: OrderRun, node: AgentNode, hints: dict[str, Plain]) -> Tape:
        asked = Asked(at=self.clock.now(), recorder=Recorder(), hints=hints, seen=run.decisions.ids())
        with on_tape(asked.recorder):
            verdict = await self.agents[node.name].decide(run.case(asked.at, hints=hints))
        decision = decided(run, node, verdict, self.clock, attempt=1, mode=Mode.NORMAL, took_ms=0)
        run.decisions[node.name] = decision
        tape = Tapes(without=self.without).tape(run, decision, asked)
        self.values |= tape.values
        return tape.model_copy(update={"values": {}})


def ended(decisions: Iterable[Decision]) -> str:
    """Where an order with these decisions would be when tier 3 hears of it."""
    outcomes = {decision.outcome for decision in decisions}
    if outcomes & {Outcome.REJECT, Outcome.HOLD}:
        return OrderProgress.CANCELLED.value
    return (OrderProgress.BACKORDERED if Outcome.LIMIT in outcomes else OrderProgress.FULFILLED).value


@asynccontextmanager
async def world_run(workflow: Workflow, *, seed: int, start: datetime) -> AsyncIterator[tuple[WorldRun, Catalogue]]:
    """A run over a fresh stand-in world."""
    with tempfile.TemporaryDirectory(prefix="signalbox-world-") as folder:
        clock = StatedClock(seed=f"world:{seed}", at=start)
        async with Sandbox(Path(folder) / "sandbox.sqlite3", seed=seed, clock=clock.now) as sandbox:
            activity = CountedActivity()
            ports = taped(
                AgentPorts(
                    wms=sandbox.wms, carriers=sandbox.carriers, crm=sandbox.crm, erp=sandbox.erp, activity=activity
                )
            )
            run = WorldRun(
                workflow=workflow,
                agents={node.name: build(node.name, node.version, ports) for node in workflow.agents},
                activity=activity,
                clock=clock,
                without=absent(ports),
            )
            yield run, Catalogue.of_sandbox(sandbox.world)


async def judged(
    workflow: Workflow, count: int, *, seed: int, start: datetime
) -> AsyncIterator[tuple[WorldRun, Judged]]:
    """``count`` generated orders, judged."""
    async with world_run(workflow, seed=seed, start=start) as (run, catalogue):
        for raw in generate(count, seed, start=start, catalogue=catalogue):
            yield run, await run.judge(raw)
