"""Slowing sales of what will run out before a delivery, and undoing it: one plan an SKU, written before anything is changed.

Whatever is cut off is finished by the watch. A restore sets back exactly the fields the plan had set, and leaves those
that somebody else has changed since.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from agents.merchandising import FACETS, TARGET, Plan, plan
from agents.merchandising_case import situation_of
from agents.supply_case import SupplyPorts
from domain.claim import ClaimState, Entity
from domain.conflict import Side
from domain.decision import Decision, Outcome, Reason, Versions
from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected, InputError, TooLate, Transient
from domain.event import Event, decision_event
from domain.ids import EffectKey, EventId, OrderId, Sku, TenantId, stable_id
from domain.intent import SetListing
from domain.slowing import SlowChange, SlowPlan, SlowState
from domain.values import Plain, digest
from graph.effects import Effects, Holder, effect_key, undo_key
from graph.runtime import crash
from graph.runtime.claims import Claims
from graph.runtime.leases import Leadership
from graph.runtime.slowed import ENTITY, SlowedBook, thread_of
from graph.runtime.store import Store

log = structlog.get_logger(__name__)

AGENT = "merchandising"
VERSION = "me-1.0"
LIFE = timedelta(days=30)
"""A plan never stands longer, whoever forgot it."""
SAFE_FOR = timedelta(hours=24)
LOOK_S = 20.0
"""Three looks a minute: what has arrived is on sale again within one."""
CONFIDENT = 0.8


@dataclass(frozen=True, kw_only=True)
class Slowdown:
    """What a look at an SKU led to."""

    plan: SlowPlan | None
    refused: tuple[str, ...] = ()
    probability: float = 0.0


class Slowing:
    """Applies, watches over and restores plans."""

    def __init__(
        self, store: Store, effects: Effects, claims: Claims, ports: SupplyPorts, *, lead: Leadership, owner: str
    ) -> None:
        """All are shared with the rest of the runtime."""
        self._store = store
        self._effects = effects
        self._claims = claims
        self._ports = ports
        self._lead = lead
        self._owner = owner
        self.book = SlowedBook(store.batcher, store.keys, store.journal)

    async def consider(self, tenant: TenantId, sku: Sku) -> Slowdown:
        """Slow an SKU's sales when it will run out first; a plan that stands is left as it is.

        Raises:
            InputError: the SKU was never sold.
            Transient: something could not be read or done; the watch goes on with what was begun.
        """
        thread = thread_of(tenant, sku)
        async with self._store.leases.hold(thread) as token:
            known = await self.book.find(tenant, sku)
            if known is not None and known.state is not SlowState.RESTORED:
                return Slowdown(plan=await self._go_on(known, token))
            now = self._store.clock.now()
            situation = await situation_of(self._ports, sku, tenant=tenant, now=now)
            wanted = plan(situation)
            if not wanted.changes:
                return Slowdown(plan=None, refused=wanted.refused, probability=wanted.probability_before)
            number = known.number + 1 if known else 1
            decision = await self._decide(tenant, sku, wanted, number, token, now)
            changes = await self._granted(tenant, sku, wanted, decision, number, now)
            made = SlowPlan(
                tenant=tenant, sku=sku, number=number, state=SlowState.APPLYING, changes=changes, owner=self._owner,
                decision_id=decision.decision_id, made_at=now, ends_at=now + LIFE, free=situation.free,
                why=f"{wanted.probability_before:.0%} to run out before {situation.arrival.isoformat()}",
            )  # fmt: skip
            event = self._event(made, "slowed", {"steps": [c.step for c in changes], "refused": [*wanted.refused]}, now)
            await self.book.keep(made, token=token, at=now, events=(event,))
            crash.point("slowing.planned")
            return Slowdown(
                plan=await self._go_on(made, token), refused=wanted.refused, probability=wanted.probability_before
            )

    async def restore(self, tenant: TenantId, sku: Sku, why: str) -> SlowPlan | None:
        """Undo what stands for an SKU; None when nothing does.

        Raises:
            Transient: it could not be finished now; the watch does.
        """
        async with self._store.leases.hold(thread_of(tenant, sku)) as token:
            known = await self.book.find(tenant, sku)
            if known is None or known.state is SlowState.RESTORED:
                await self.book.drop(tenant, sku)
                return None
            return await self._undo(known, why, token)

    async def look(self) -> None:
        """Look at every plan once: finish what was cut off, restore what is safe again."""
        for tenant, sku in await self.book.standing():
            try:
                await self._look_at(tenant, sku)
            except (Transient, InputError) as away:
                log.warning("slowing.not_looked_at", sku=sku, why=str(away))

    async def watch(self, stop: asyncio.Event) -> None:
        """Look again and again while this process leads, until told to stop."""
        while not stop.is_set():
            with suppress(Transient):
                if await self._lead.lead():
                    await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)

    async def _look_at(self, tenant: TenantId, sku: Sku) -> None:
        async with self._store.leases.hold(thread_of(tenant, sku)) as token:
            known = await self.book.find(tenant, sku)
            if known is None or known.state is SlowState.RESTORED:
                await self.book.drop(tenant, sku)
                return
            if known.state is not SlowState.STANDING:
                known = await self._go_on(known, token)
            now = self._store.clock.now()
            if now >= known.ends_at:
                await self._undo(known, "its time is over", token)
                return
            situation = await situation_of(self._ports, sku, tenant=tenant, now=now)
            if situation.free > known.free:
                await self._undo(known, f"goods have arrived: {situation.free} are free", token)
                return
            # Without the plan's effect on sales: what would happen if it were undone now.
            chance = plan(situation).probability_before
            await self._safe_or_not(known, chance, situation.free, now, token)

    async def _safe_or_not(self, known: SlowPlan, chance: float, free: int, now: datetime, token: int) -> None:
        if chance >= TARGET:
            changed = known.model_copy(update={"safe_since": None, "free": min(known.free, free)})
        elif known.safe_since is not None and now - known.safe_since >= SAFE_FOR:
            await self._undo(known, f"{chance:.0%} to run out for a day", token)
            return
        else:
            changed = known.model_copy(update={"safe_since": known.safe_since or now, "free": min(known.free, free)})
        if changed != known:
            await self.book.keep(changed, token=token, at=now)

    async def _go_on(self, known: SlowPlan, token: int) -> SlowPlan:
        if known.state is SlowState.RESTORING:
            return await self._undo(known, known.why, token)
        if known.state is not SlowState.APPLYING:
            return known
        holder, done = self._holder(known, token), []
        for change in known.changes:
            try:
                await self._effects.apply(holder, self._effect(known, change), heed_cancel=False)
            except (ConnectorRejected, TooLate) as refusal:
                log.info("slowing.step_refused", sku=known.sku, step=change.step, why=str(refusal))
                continue
            crash.point("slowing.step")
            done.append(change)
        standing = known.model_copy(update={"state": SlowState.STANDING, "changes": tuple(done)})
        await self.book.keep(standing, token=token, at=self._store.clock.now())
        return standing

    async def _undo(self, known: SlowPlan, why: str, token: int) -> SlowPlan:
        now = self._store.clock.now()
        leaving = known.model_copy(update={"state": SlowState.RESTORING, "why": why})
        await self.book.keep(leaving, token=token, at=now)
        crash.point("slowing.restoring")
        holder = self._holder(known, token)
        for change in reversed(known.changes):
            # A step that was never made still holds what it held before: there the restore changes nothing.
            with suppress(ConnectorRejected, TooLate):
                await self._effects.apply(
                    holder, self._effect(known, change, back=True), heed_cancel=False, undoing=True
                )
            crash.point("slowing.step_back")
        over = leaving.model_copy(update={"state": SlowState.RESTORED})
        event = self._event(over, "restored", {"why": why, "steps": [c.step for c in known.changes]}, now)
        await self.book.keep(over, token=token, at=now, events=(event,))
        for facet in sorted({change.facet for change in known.changes}):
            side = self._side(known.decision_id, facet)
            await self._claims.release(
                Entity(tenant=known.tenant, entity_type=ENTITY, entity_id=known.sku), side, at=now
            )
        return over

    async def _granted(
        self, tenant: TenantId, sku: Sku, wanted: Plan, decision: Decision, number: int, now: datetime
    ) -> tuple[SlowChange, ...]:
        """The changes on facets nobody else has a better claim to."""
        entity, granted = Entity(tenant=tenant, entity_type=ENTITY, entity_id=sku), set()
        for facet in sorted({change.facet for change in wanted.changes}):
            side = self._side(decision.decision_id, facet)
            claim = await self._claims.claim_facet(entity, side, at=now, expires_at=now + LIFE)
            if claim.state in {ClaimState.GRANTED, ClaimState.BEGUN}:
                await self._claims.begin(entity, side, at=now)
                granted.add(facet)
        return tuple(
            SlowChange(
                step=one.step.value, channel=one.channel.value, facet=one.facet, before=one.before, values=one.values,
                key=effect_key(tenant, sku, EffectKind.CHANGE_LISTING, f"{one.step.value}-{one.channel.value}", number),
            )
            for one in wanted.changes
            if one.facet in granted
        )  # fmt: skip

    def _side(self, decision_id: str, facet: str) -> Side:
        action = "raise" if facet in FACETS.values() else "hide"
        stance = self._claims.policy.stance(facet, action)
        return Side(
            decision_id=decision_id,
            agent=AGENT,
            facet=facet,
            action=action,
            stance=stance,
            tier=3,
            confidence=CONFIDENT,
        )

    async def _decide(
        self, tenant: TenantId, sku: Sku, wanted: Plan, number: int, token: int, now: datetime
    ) -> Decision:
        """The plan as a decision in the journal: no effect without one."""
        steps: list[Plain] = [f"{one.step.value} on {one.channel.value}" for one in wanted.changes]
        text = (
            f"{wanted.probability_before:.0%} to run out before goods arrive, {wanted.probability_after:.0%} with "
            f"{', '.join(step.value for step in wanted.steps)}; about {wanted.lost_margin:.2f} USD of margin given up"
        )
        facts: dict[str, Plain] = {"steps": steps, "refused": [*wanted.refused]}
        offered = Decision(
            decision_id=self._store.clock.new_id(), tenant=tenant, entity_type=ENTITY, entity_id=sku, agent=AGENT,
            versions=Versions(agent=VERSION), decision="slow", outcome=Outcome.LIMIT, confidence=CONFIDENT,
            reasons=(Reason(code="SLOW_SALES", text=text, evidence=f"wms.stock:{sku}@{now.isoformat()}"),), facts=facts,
            inputs_digest=digest(facts), order_version=0, attempt_group=number, decided_at=now,
        )  # fmt: skip
        event = decision_event(offered, correlation_id=f"{sku}/{number}", causation_id="", currency="", locale="")
        recorded = await self._store.journal.record(thread_of(tenant, sku), offered, event, token=token)
        return recorded.decision

    def _effect(self, known: SlowPlan, change: SlowChange, *, back: bool = False) -> Effect:
        to, expected = (change.before, change.values) if back else (change.values, change.before)
        args = SetListing(sku=known.sku, channel=change.channel, values=to, expected=expected)
        key = EffectKey(change.key)
        return Effect(
            key=undo_key(key) if back else key,
            kind=EffectKind.RESTORE_LISTING if back else EffectKind.CHANGE_LISTING,
            tenant=known.tenant, entity_id=known.sku, args=args.model_dump(mode="json"), decision_id=known.decision_id,
        )  # fmt: skip

    def _holder(self, known: SlowPlan, token: int) -> Holder:
        return Holder(
            thread=thread_of(known.tenant, known.sku), tenant=known.tenant, order_id=OrderId(known.sku), external_id=known.sku,
            shop="", token=token, correlation_id=f"{known.sku}/{known.number}", currency="", locale="", entity_type=ENTITY,
        )  # fmt: skip

    def _event(self, known: SlowPlan, happening: str, facts: dict[str, Plain], at: datetime) -> Event:
        return Event(
            event_id=EventId(stable_id(known.tenant, known.sku, str(known.number), happening)),
            event_type=f"{ENTITY}.{happening}", entity_type=ENTITY, entity_id=known.sku, agent_name="signalbox",
            timestamp=at, result={"plan": known.number, "why": known.why, **facts}, tenant=known.tenant, sequence=0,
            correlation_id=f"{known.sku}/{known.number}", currency="", locale="",
        )  # fmt: skip
