"""The only place where anything outside is changed, each change once per key, each undone in reverse when it must be.

``begin(key) -> call with the key -> settle(receipt)``. One attempt budget per effect; an unanswered call is looked up
before it is repeated; a refusal is settled as such.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from domain.effect import Effect, EffectKind, EffectRecord, EffectState, Receipt
from domain.errors import Ambiguous, Conflict, ConnectorRejected, InsufficientStock, Refused, TooLate, Transient
from domain.event import Event
from domain.ids import EffectKey, EventId, OrderId, ServiceId, TenantId, ThreadId
from domain.intent import CancelChannel, CancelFulfilment, CancelOms, RefundPayment, ReleaseHold, VoidLabel
from domain.money import Money
from domain.ports import EffectPort
from domain.values import Document, Plain
from graph.runtime import crash
from graph.runtime.clock import Clock
from graph.runtime.ledger import Begun, EffectLedger

log = structlog.get_logger(__name__)

ATTEMPTS = 3
"""Over all layers: connectors do not repeat effects."""
BACKOFF_MAX_S = 10.0
DEADLINE_S = 10.0
"""Of one call; the connectors' own deadlines are shorter."""


_LAST_WORD = frozenset({EffectKind.UPDATE_OMS, EffectKind.UPDATE_CHANNEL})
"""Where each effect replaces the one before it, taking back the last takes back all."""


class CancelRequested(Refused):
    """The order was asked to be cancelled before this release effect began."""

    code = "refused.cancel_requested"


class Outside(Protocol):
    """Finds the system that applies a kind of effect."""

    def effect_port(self, kind: EffectKind, args: Mapping[str, Plain]) -> EffectPort:
        """The system for this kind and, for labels, this carrier."""

    async def scanned(self, service: str, label_key: EffectKey) -> bool:
        """Whether the carrier has taken over the parcel of a label."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """On whose behalf an effect happens: the order, and the fencing token of the worker that holds it."""

    thread: ThreadId
    tenant: TenantId
    order_id: OrderId
    external_id: str
    shop: str
    token: int
    correlation_id: str
    currency: str
    locale: str
    entity_type: str = "order"


def effect_key(tenant: str, order_id: str, kind: EffectKind, part: str, group: int) -> EffectKey:
    """The key of one intention: the same over every repetition, another one in the next run over the order."""
    return EffectKey(f"{tenant}/{order_id}/{kind.value}/{part or '-'}/{group}")


def undo_key(key: EffectKey) -> EffectKey:
    """The key of the effect that compensates the one under ``key``."""
    return EffectKey(f"undo:{key}")


class Effects:
    """Applies effects through the ledger."""

    def __init__(
        self,
        outside: Outside,
        ledger: EffectLedger,
        clock: Clock,
        *,
        audit_keeps_up: Callable[[], Awaitable[None]],
        backoff_s: float = 0.2,
    ) -> None:
        """``audit_keeps_up`` raises AuditBehind when nothing may happen outside; ``backoff_s`` is the first pause."""
        self._outside = outside
        self._ledger = ledger
        self._clock = clock
        self._audit_keeps_up = audit_keeps_up
        self._backoff_s = backoff_s
        self._wait = wait_random_exponential(multiplier=backoff_s, max=BACKOFF_MAX_S)

    async def ready(self) -> None:
        """Pass when effects may happen at all.

        Raises:
            AuditBehind: nothing may happen outside until the audit has caught up.
        """
        await self._audit_keeps_up()

    async def apply(
        self, holder: Holder, effect: Effect, *, heed_cancel: bool = True, undoing: bool = False
    ) -> Receipt:
        """Bring the effect about once, and give its receipt; a repeated call gives the first receipt.

        Raises:
            CancelRequested: the order is to be cancelled and this effect had not begun.
            InsufficientStock, TooLate, ConnectorRejected: the other system refused for good.
            Transient: the attempts are used up; the key stays begun and is looked up next time.
            StaleFence: a newer worker holds the order.
        """
        await self._audit_keeps_up()
        begun = await self._ledger.begin(
            holder.thread, effect, token=holder.token, at=self._clock.now(), heed_cancel=heed_cancel
        )
        crash.point("effect.begun")
        if begun.record.receipt is not None:
            return begun.record.receipt
        if begun.state is Begun.REFUSED:
            raise ConnectorRejected(begun.record.refusal or f"{effect.kind} was refused before")
        if begun.state is Begun.CANCELLED:
            raise CancelRequested(f"order {holder.order_id} is to be cancelled; {effect.kind} was not begun")
        try:
            receipt = await self._call(effect, look_first=begun.state is Begun.UNSETTLED)
        except (InsufficientStock, TooLate, ConnectorRejected) as refusal:
            event = self._event(holder, effect, "effect.refused", {"refusal": str(refusal)})
            await self._ledger.settle(holder.thread, begun.record, str(refusal), event)
            raise
        crash.point("undo.applied" if undoing else "effect.applied")
        kind = "effect.compensated" if undoing else "effect.applied"
        event = self._event(holder, effect, kind, {"reference": receipt.reference})
        settled = await self._ledger.settle(holder.thread, begun.record, receipt, event)
        crash.point("effect.recorded")
        return settled.receipt or receipt

    async def undo_all(
        self,
        holder: Holder,
        *,
        reason: str,
        decision_id: str,
        spare: frozenset[EffectKind] = frozenset(),
        only: Container[EffectKey] | None = None,
    ) -> list[Receipt]:
        """Compensate everything that was done for the order, last effect first, each once.

        Kinds in ``spare`` need no compensation: the other system has already done it by itself. With ``only``, nothing
        but the effects under these keys is looked at.

        Raises:
            TooLate: the goods have left; what was undone before stays undone.
            Transient: a compensation could not be made now; calling again goes on where this stopped.
        """
        receipts = []
        spared = set(spare)
        for record in reversed(await self._ledger.records(holder.thread)):
            if record.kind in spared or (only is not None and record.key not in only):
                continue
            done = await self._settled(holder, record)
            if done and record.kind in _LAST_WORD:
                spared.add(record.kind)
            undo = done and self._undo(holder, done, reason=reason, decision_id=decision_id)
            if undo:
                receipts.append(await self.apply(holder, undo, heed_cancel=False, undoing=True))
        return receipts

    async def standing(self, holder: Holder) -> list[EffectRecord]:
        """What was done for the order and has not been undone, in the order it was begun."""
        records = await self._ledger.records(holder.thread)
        undone = {record.key for record in records}
        return [r for r in records if r.state is EffectState.DONE and undo_key(r.key) not in undone]

    async def has_begun(self, holder: Holder, kind: EffectKind) -> bool:
        """Whether an effect of this kind was begun for the order and has not been undone."""
        records = await self._ledger.records(holder.thread)
        undone = {record.key for record in records}
        return any(r.kind is kind and undo_key(r.key) not in undone for r in records)

    async def gone(self, holder: Holder) -> list[str]:
        """Labels of the order whose parcels a carrier has scanned."""
        scanned = []
        for record in await self._ledger.records(holder.thread):
            booked = record.receipt if record.kind is EffectKind.BOOK_LABEL else None
            if booked is not None and await self._outside.scanned(record.service, record.key):
                scanned.append(booked.reference)
        return scanned

    async def _settled(self, holder: Holder, record: EffectRecord) -> EffectRecord | None:
        """The record if its effect took place; one cut off by a crash is looked up first."""
        if record.kind.undone_by is None or record.state is EffectState.REFUSED:
            return None
        if record.state is EffectState.DONE:
            return record
        probe = Effect(
            key=record.key,
            kind=record.kind,
            tenant=holder.tenant,
            entity_id=holder.order_id,
            args={"service": record.service},
            decision_id=record.decision_id,
        )
        receipt = await self._look_up(probe)
        if receipt is None:
            await self._ledger.forget(holder.thread, record.key, token=holder.token)
            return None
        event = self._event(holder, probe, "effect.applied", {"reference": receipt.reference, "found": True})
        return await self._ledger.settle(holder.thread, record, receipt, event)

    def _undo(self, holder: Holder, record: EffectRecord, *, reason: str, decision_id: str) -> Effect | None:
        kind = record.kind.undone_by
        if kind is None:
            return None
        args = _undo_args(holder, record, reason)
        if args is None:
            return None
        return Effect(
            key=undo_key(record.key),
            kind=kind,
            tenant=holder.tenant,
            entity_id=holder.order_id,
            args=args.model_dump(mode="json"),
            decision_id=decision_id,
        )

    async def _call(self, effect: Effect, *, look_first: bool) -> Receipt:
        """One call, and on a passing failure the rest of the attempts, each after looking the key up."""
        port = self._outside.effect_port(effect.kind, effect.args)
        if not look_first:
            try:
                return await self._once(port, effect)
            except Transient as failed:
                log.info("effect.again", kind=effect.kind.value, order=effect.entity_id, why=str(failed))
                await asyncio.sleep(self._first_pause(failed))
        attempts = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS if look_first else ATTEMPTS - 1),
            wait=self._pause,
            retry=retry_if_exception_type(Transient),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                return await self._look_up(effect) or await self._once(port, effect)
        raise AssertionError("unreachable: the last attempt raises")

    async def _once(self, port: EffectPort, effect: Effect) -> Receipt:
        try:
            async with asyncio.timeout(DEADLINE_S):
                receipt = await port.apply(effect)
        except TimeoutError:
            raise Ambiguous(f"{effect.kind} got no answer within {DEADLINE_S:.0f} s") from None
        if receipt.key != effect.key or receipt.kind != effect.kind:
            raise Ambiguous(f"{effect.kind} was answered with another effect's receipt ({receipt.key})")
        return receipt

    async def _look_up(self, effect: Effect) -> Receipt | None:
        port = self._outside.effect_port(effect.kind, effect.args)
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await port.lookup(effect)
        except TimeoutError:
            raise Ambiguous(f"looking up {effect.kind} got no answer within {DEADLINE_S:.0f} s") from None

    def _first_pause(self, failed: Transient) -> float:
        return min(BACKOFF_MAX_S, max(failed.retry_after_s or 0.0, random.uniform(0, self._backoff_s)))  # noqa: S311

    def _pause(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, Transient) and error.retry_after_s else 0.0
        return min(BACKOFF_MAX_S, max(asked, float(self._wait(state))))

    def _event(self, holder: Holder, effect: Effect, kind: str, facts: dict[str, Plain]) -> Event:
        return Event(
            event_id=EventId(self._clock.new_id()),
            event_type=f"{holder.entity_type}.{kind}",
            entity_type=holder.entity_type,
            entity_id=holder.order_id,
            agent_name="signalbox",
            timestamp=self._clock.now(),
            result={"kind": effect.kind.value, "key": effect.key, **facts},
            tenant=holder.tenant,
            sequence=0,
            correlation_id=holder.correlation_id,
            causation_id=effect.decision_id,
            currency=holder.currency,
            locale=holder.locale,
        )


def _undo_args(holder: Holder, record: EffectRecord, reason: str) -> Document | None:
    receipt = record.receipt
    if receipt is None:
        raise Conflict(f"effect {record.key} is settled without a receipt; it cannot be undone by program")
    order_id = holder.order_id
    match record.kind:
        case EffectKind.HOLD_STOCK:
            return ReleaseHold(order_id=order_id, hold_key=record.key)
        case EffectKind.CAPTURE_PAYMENT:
            amount = Money.model_validate(receipt.detail["amount"])
            return RefundPayment(order_id=order_id, amount=amount, reason=reason)
        case EffectKind.BOOK_LABEL:
            return VoidLabel(order_id=order_id, service=ServiceId(record.service), label_key=record.key)
        case EffectKind.CREATE_FULFILMENT:
            return CancelFulfilment(order_id=order_id, fulfilment_key=record.key)
        case EffectKind.UPDATE_OMS:
            return CancelOms(order_id=order_id, reason=reason)
        case EffectKind.UPDATE_CHANNEL:
            return CancelChannel(order_id=order_id, external_id=holder.external_id, shop=holder.shop, reason=reason)
        case _:
            return None
