"""Giving a released order the better plan found before its pick wave: judged again, gated, journaled, then carried out.

What stands in the order's document says how far the change has come; a repeated delivery goes on from there.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from domain.conflict import ConflictPolicy
from domain.decision import Decision, Verdict
from domain.errors import InputError, Transient
from domain.event import decision_event
from domain.ids import stable_id
from domain.order import OrderProgress
from domain.pick_wave import Agreed, Booked, WaveChange
from domain.ports import Agent
from domain.shipment import Parcel, RoutePlan
from domain.values import Plain
from graph.effects import Effects
from graph.gate import GateAction, Policy, judge
from graph.order.asking import MODES, decided
from graph.order.release import ROUTE_AGENT, plan_in_force
from graph.order.run import OrderRun
from graph.order.wave_effects import NotMoved, NotRestored, WaveEffects, booked, hold_of
from graph.runtime.orders import OrderRecord
from graph.runtime.store import Store
from graph.topology.model import Workflow

CHANGED = "order.wave.changed"
KEPT = "order.wave.kept"
_RELEASED = frozenset({OrderProgress.FULFILLED, OrderProgress.DEAD_LETTER})


class Stranded(InputError):
    """A released order whose change was refused after the goods were moved, and whose way back was refused too."""

    code = "wave.stranded"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The order keeps its plan, for this reason."""

    why: str


class Rewaving:
    """Changes the plans of released orders whose lease the caller holds."""

    def __init__(
        self,
        store: Store,
        effects: Effects,
        workflow: Workflow,
        agents: Mapping[str, Agent],
        *,
        conflicts: ConflictPolicy,
    ) -> None:
        """``workflow``, ``agents`` and ``conflicts`` are those in force: who judges a route is asked about the new one."""
        self._store = store
        self._effects = effects
        self._carrying = WaveEffects(effects)
        self._agents = agents
        self._nodes = [n for n in workflow.tier_2 if n.name == ROUTE_AGENT or ROUTE_AGENT in n.depends_on]
        self._policy = Policy.of(workflow, conflicts)

    async def change(self, record: OrderRecord, run: OrderRun) -> None:
        """Carry out the change noted on the record, or say why the order keeps its plan.

        Raises:
            Transient: it cannot be done now; calling again goes on where this stopped.
            Stranded: neither the new plan nor the old one can be picked; the order is a dead letter until a person
                replays it, which tries both once more, or cancels it.
        """
        change = WaveChange.from_json(record.wave)
        if record.progress not in _RELEASED:
            # Cancelled since, and everything taken back with it: what is left of the change must not begin again.
            await self._close(run, change, KEPT, {"why": f"the order is {record.progress}"}, was=record.progress)
            return
        if change.agreed is None:
            answer = await self._agree(record, run, change)
            if isinstance(answer, Kept):
                await self._close(run, change, KEPT, {"why": answer.why}, was=record.progress)
                return
            change = change.model_copy(update={"agreed": answer})
            now = self._store.clock.now()
            await self._store.journal.advance(run.thread, {"wave": change.to_json()}, [], token=run.token, at=now)
        agreed = change.agreed
        if agreed is None:
            return
        await self._journal(run, agreed.decisions)
        try:
            left = await self._carrying.carry_out(run, agreed)
        except NotMoved as why:
            await self._journal(run, agreed.restored)
            await self._close(run, change, KEPT, {"why": f"the change was undone: {why}"}, was=record.progress)
            return
        except NotRestored as why:
            await self._strand(run, change, agreed, str(why))
            raise Stranded(str(why)) from why
        after = RoutePlan.model_validate(agreed.decisions[-1].facts["plan"])
        facts: dict[str, Plain] = {"before": _figures(change.before), "after": _figures(after), "left": [*left]}
        await self._close(run, change, CHANGED, facts, was=record.progress)

    async def _agree(self, record: OrderRecord, run: OrderRun, change: WaveChange) -> Agreed | Kept:
        in_force = plan_in_force(run.decisions)
        if record.progress is not OrderProgress.FULFILLED or record.cancel or in_force != change.before:
            return Kept(why="the order is no longer as it was when the better plan was found")
        standing = await self._effects.standing(run.holder)
        parcels, hold_key = booked(in_force, standing), hold_of(standing)
        if parcels is None or hold_key is None:
            return Kept(why="its parcels were not booked by Signalbox")
        attempt = await self._attempt(run)
        taken = await self._judged(run, change.verdict, attempt)
        why = self._objection(run, taken)
        if why:
            return Kept(why=why)
        route = RoutePlan.model_validate(taken[0].facts["plan"])
        if route.ship_by_missed and not in_force.ship_by_missed:
            return Kept(why="it would miss the marketplace's hand-over deadline")
        final = plan_in_force({decision.agent: decision for decision in taken})
        return _agreement(parcels, final or route, taken, run=run, hold_key=hold_key, mark=f"w{attempt}")

    async def _attempt(self, run: OrderRun) -> int:
        """The next attempt number none of the agents asked has used in this run."""
        names = {node.name for node in self._nodes}
        taken = await self._store.journal.decisions(run.thread)
        group = [d.attempt for d in taken if d.agent in names and d.attempt_group == run.attempt_group]
        return max(group, default=0) + 1

    async def _judged(self, run: OrderRun, verdict: Verdict, attempt: int) -> list[Decision]:
        """The new route first, then every agent that judges by the route.

        Raises:
            Transient: one gave no verdict; it is asked again later.
        """
        node = next(node for node in self._nodes if node.name == ROUTE_AGENT)
        clock = self._store.clock
        first = decided(run, node, verdict, clock, attempt=attempt, mode=MODES[node.mode], took_ms=0)
        taken = [first]
        case = run.case(clock.now())
        case = replace(case, decisions={**run.decisions, ROUTE_AGENT: first})
        for asked in self._nodes:
            if asked is node:
                continue
            try:
                async with asyncio.timeout(asked.timeout_ms / 1000):
                    said = await self._agents[asked.name].decide(case)
            except TimeoutError:
                raise Transient(f"{asked.name} did not judge the new route of {run.order_id} in time") from None
            taken.append(decided(run, asked, said, clock, attempt=attempt, mode=MODES[asked.mode], took_ms=0))
        return taken

    def _objection(self, run: OrderRun, taken: list[Decision]) -> str:
        """Why the gate does not let the change through; empty when it does."""
        judgement = judge(
            self._nodes, {d.agent: d for d in taken}, exposure_usd=run.exposure_usd, policy=self._policy
        )  # fmt: skip
        if judgement.action is GateAction.PROCEED:
            return ""
        return "; ".join(ground.sentence for ground in judgement.grounds) or f"the gate says {judgement.action}"

    async def _journal(self, run: OrderRun, decisions: tuple[Decision, ...]) -> None:
        for decision in decisions:
            event = decision_event(
                decision,
                correlation_id=run.correlation_id,
                causation_id="",
                currency=run.order.currency,
                locale=run.order.locale,
            )
            await self._store.journal.record(run.thread, decision, event, token=run.token)

    async def _close(
        self, run: OrderRun, change: WaveChange, kind: str, facts: dict[str, Plain], *, was: OrderProgress
    ) -> None:
        """End the change; an order that was stranded by it is released again."""
        now = self._store.clock.now()
        events = [run.event(kind, {"wave": change.wave, **facts}, at=now, part=change.wave)]
        fields = {"wave": ""}
        if was is OrderProgress.DEAD_LETTER and change.agreed is not None:
            released = OrderProgress.FULFILLED.value
            fields |= {
                "progress": released,
                "detail": "released again after a stranded change",
                "changed_at": now.isoformat(),
            }
            again: dict[str, Plain] = {
                "progress": released,
                "detail": fields["detail"],
                "total": run.order.total.model_dump(mode="json"),
                "usd_minor": run.usd_minor,
                "channel": run.order.channel.value,
                "attempt_group": run.attempt_group,
                "again": True,
            }
            events.append(run.event(f"order.progress.{released}", again, at=now, part=change.wave))
        await self._store.journal.advance(run.thread, fields, events, token=run.token, at=now)

    async def _strand(self, run: OrderRun, change: WaveChange, agreed: Agreed, why: str) -> None:
        """Show on the order that nothing is certain to be picked for it; the next try is one with keys of its own."""
        now, tried = self._store.clock.now(), agreed.tries + 1
        event = run.event("order.dead_lettered", {"reason": why, "wave": change.wave}, at=now, part=f"w{tried}")
        kept = change.model_copy(update={"agreed": agreed.model_copy(update={"tries": tried})})
        fields = {
            "wave": kept.to_json(),
            "progress": OrderProgress.DEAD_LETTER.value,
            "detail": why[:500],
            "changed_at": now.isoformat(),
        }
        await self._store.journal.advance(run.thread, fields, [event], token=run.token, at=now)
        self._store.metrics.reached(OrderProgress.DEAD_LETTER)


def _agreement(
    parcels: dict[int, Booked], final: RoutePlan, taken: list[Decision], *, run: OrderRun, hold_key: str, mark: str
) -> Agreed | Kept:
    """Which parcels stay, which go, and the numbers of the new ones: those of the parcels they replace first."""
    stay = {new.number: old for new in final.parcels for old in parcels.values() if _same(old.parcel, new)}
    kept = {old.parcel.number for old in stay.values()}
    replaced = tuple(old for number, old in sorted(parcels.items()) if number not in kept)
    fresh = [parcel for parcel in final.parcels if parcel.number not in stay]
    if not fresh or not replaced:
        return Kept(why="the better plan has the same parcels")
    free = (number for number in range(1, len(parcels) + len(fresh) + 1) if number not in kept)
    numbers = {new: old.parcel.number for new, old in stay.items()} | {
        parcel.number: number for parcel, number in zip(fresh, free, strict=False)
    }
    decisions = tuple(_renumbered(decision, numbers) for decision in taken)
    before = [run.decisions[decision.agent] for decision in taken if decision.agent in run.decisions]
    return Agreed(
        decisions=decisions,
        restored=tuple(_restored(old, decisions[0]) for old in before),
        hold_key=hold_key,
        kept=tuple(old.model_copy(update={"parcel": old.parcel}) for old in stay.values()),
        replaced=replaced,
        parcels=tuple(parcel.model_copy(update={"number": numbers[parcel.number]}) for parcel in fresh),
        mark=mark,
    )


def _same(old: Parcel, new: Parcel) -> bool:
    return (old.warehouse, old.service, old.lines, old.billable_g) == (
        new.warehouse, new.service, new.lines, new.billable_g
    )  # fmt: skip


def _renumbered(decision: Decision, numbers: Mapping[int, int]) -> Decision:
    facts = dict(decision.facts)
    if isinstance(facts.get("plan"), dict):
        plan = RoutePlan.model_validate(facts["plan"])
        parcels = [parcel.model_copy(update={"number": numbers[parcel.number]}) for parcel in plan.parcels]
        parcels.sort(key=lambda parcel: parcel.number)
        facts["plan"] = plan.model_copy(update={"parcels": tuple(parcels)}).model_dump(mode="json")
    return decision.model_copy(update={"facts": facts})


def _restored(old: Decision, new: Decision) -> Decision:
    """The decision as it stood, journaled after a change that was undone: the last word says what is in force."""
    flags = (*(flag for flag in old.flags if flag != "wave_undone"), "wave_undone")
    again = stable_id(new.decision_id, old.agent, "restored")
    return old.model_copy(
        update={"decision_id": again, "attempt": new.attempt + 1, "flags": flags, "decided_at": new.decided_at}
    )


def _figures(plan: RoutePlan) -> Plain:
    return {
        "parcels": len(plan.parcels),
        "cost_minor": plan.cost.amount_minor,
        "currency": plan.cost.currency,
        "objective_minor": plan.objective_minor,
        "late_hours": plan.late_hours,
        "services": [f"{parcel.warehouse} {parcel.service}" for parcel in plan.parcels],
    }
