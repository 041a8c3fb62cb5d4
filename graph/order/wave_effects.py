"""Carrying out a better plan for a released order: new labels, one move of the goods, old labels void. All or nothing.

Until the warehouse has moved the goods the old plan stands and everything new is undone; after it the new plan stands.
Every step has its key, so whoever takes over after a crash repeats nothing and ends at one live label per parcel.
"""

from collections.abc import Iterable, Sequence

import structlog

from domain.effect import Effect, EffectKind, EffectRecord, Receipt
from domain.errors import ConnectorRejected, InsufficientStock, TooLate
from domain.ids import EffectKey
from domain.intent import CreateFulfilment, RecallFulfilments
from domain.pick_wave import Agreed, Booked
from domain.shipment import Parcel, RoutePlan
from domain.values import Document
from graph.effects import Effects, effect_key
from graph.order.release import announcement, fulfilment_of, hold_lines, label_of, tracking_of
from graph.order.run import OrderRun

log = structlog.get_logger(__name__)

REFUSED = (InsufficientStock, TooLate, ConnectorRejected)


class NotMoved(Exception):
    """The change was refused and undone; the order stands as it did."""


class NotRestored(Exception):
    """The change was refused after the goods were moved, and so was the way back: nothing is certain to be picked."""


class WaveEffects:
    """Applies one agreed change through the effect ledger."""

    def __init__(self, effects: Effects) -> None:
        """``effects`` is shared by every order."""
        self._effects = effects

    async def carry_out(self, run: OrderRun, agreed: Agreed) -> list[str]:
        """Bring the change about; gives what could not be tidied up behind it, in sentences.

        Raises:
            NotMoved: a system refused; what was done is undone.
            NotRestored: the warehouse refused to pick the new parcels and to take the goods back.
            Transient: a system did not answer; calling again goes on where this stopped.
        """
        tracking: dict[int, str] = {}
        try:
            for parcel in agreed.parcels:
                label = label_of(run.order, parcel)
                booked = await self._do(run, agreed, EffectKind.BOOK_LABEL, label, part=str(parcel.number))
                tracking[parcel.number] = tracking_of(booked)
            await self._move(run, agreed, [old.fulfilment_key for old in agreed.replaced], agreed.parcels)
        except REFUSED as why:
            await self._void(run, agreed, self._label_keys(run, agreed))
            raise NotMoved(str(why)) from why
        await self._pick(run, agreed, tracking)
        left = await self._void_old(run, agreed)
        tracking |= {old.parcel.number: old.tracking for old in agreed.kept}
        return left + await self._announce(run, agreed, tracking)

    async def _pick(self, run: OrderRun, agreed: Agreed, tracking: dict[int, str]) -> None:
        """Have the new parcels picked; a refusal moves the goods back and has the old ones picked again."""
        picked: list[EffectKey] = []
        try:
            for parcel in agreed.parcels:
                wanted = fulfilment_of(
                    run.order, parcel, hold_key=agreed.hold_key, tracking=tracking[parcel.number]
                )  # fmt: skip
                made = await self._pick_one(run, agreed, wanted)
                picked.append(made.key)
        except REFUSED as why:
            try:
                await self._go_back(run, agreed, picked)
            except REFUSED as again:
                raise NotRestored(
                    f"the warehouse would not pick the new parcels ({why}) and would not take the goods back ({again}); "
                    "mend it there and replay this letter, or cancel the order"
                ) from again
            await self._void(run, agreed, self._label_keys(run, agreed))
            raise NotMoved(str(why)) from why

    async def _pick_one(self, run: OrderRun, agreed: Agreed, wanted: CreateFulfilment) -> Receipt:
        """Pick under the key of an earlier try where that one was accepted, else under this try's own."""
        part = str(wanted.parcel)
        for earlier in range(agreed.tries):
            try:
                return await self._do(
                    run, agreed, EffectKind.CREATE_FULFILMENT, wanted, part=part, again=_again(earlier)
                )  # fmt: skip
            except REFUSED:
                continue
        return await self._do(
            run, agreed, EffectKind.CREATE_FULFILMENT, wanted, part=part, again=_again(agreed.tries)
        )  # fmt: skip

    async def _go_back(self, run: OrderRun, agreed: Agreed, picked: Sequence[EffectKey]) -> None:
        again = f"b{_again(agreed.tries)}"
        old = [booked.parcel for booked in agreed.replaced]
        await self._move(run, agreed, picked, old, again=again)
        for booked in agreed.replaced:
            wanted = fulfilment_of(
                run.order, booked.parcel, hold_key=agreed.hold_key, tracking=booked.tracking
            )  # fmt: skip
            part = str(booked.parcel.number)
            await self._do(run, agreed, EffectKind.CREATE_FULFILMENT, wanted, part=part, again=again)

    async def _move(
        self,
        run: OrderRun,
        agreed: Agreed,
        recalled: Sequence[EffectKey],
        parcels: Iterable[Parcel],
        *,
        again: str = "",
    ) -> None:
        lines = tuple(line for parcel in parcels for line in hold_lines(run.order, parcel))
        move = RecallFulfilments(
            order_id=run.order_id, hold_key=agreed.hold_key, fulfilment_keys=tuple(recalled), lines=lines
        )
        await self._do(run, agreed, EffectKind.RECALL_FULFILMENTS, move, again=again)

    async def _void_old(self, run: OrderRun, agreed: Agreed) -> list[str]:
        """Void the labels nobody needs any more; one that cannot be is paper in the bin, and is named."""
        left = []
        for old in agreed.replaced:
            try:
                await self._void(run, agreed, {old.label_key})
            except REFUSED as why:
                log.warning("wave.label_left", order=run.order_id, why=str(why))
                left.append(f"label {old.tracking} could not be voided: {why}")
        return left

    async def _announce(self, run: OrderRun, agreed: Agreed, tracking: dict[int, str]) -> list[str]:
        parcels = sorted((*(old.parcel for old in agreed.kept), *agreed.parcels), key=lambda parcel: parcel.number)
        oms, channel = announcement(run.order, parcels, [tracking[parcel.number] for parcel in parcels])
        left = []
        for kind, said in ((EffectKind.UPDATE_OMS, oms), (EffectKind.UPDATE_CHANNEL, channel)):
            try:
                await self._do(run, agreed, kind, said)
            except REFUSED as why:
                log.warning("wave.not_told", order=run.order_id, kind=kind.value, why=str(why))
                left.append(f"{kind.value} was refused: {why}")
        return left

    async def _void(self, run: OrderRun, agreed: Agreed, keys: set[EffectKey]) -> None:
        ground = agreed.decisions[0].decision_id
        await self._effects.undo_all(
            run.holder, reason="a better plan before the pick wave", decision_id=ground, only=keys
        )

    def _label_keys(self, run: OrderRun, agreed: Agreed) -> set[EffectKey]:
        return {_key(run, agreed, EffectKind.BOOK_LABEL, str(parcel.number)) for parcel in agreed.parcels}

    async def _do(
        self, run: OrderRun, agreed: Agreed, kind: EffectKind, args: Document, *, part: str = "", again: str = ""
    ) -> Receipt:
        effect = Effect(
            key=_key(run, agreed, kind, part, again=again),
            kind=kind,
            tenant=run.tenant,
            entity_id=run.order_id,
            args=args.model_dump(mode="json"),
            decision_id=agreed.decisions[0].decision_id,
        )
        # A cancellation that arrives meanwhile takes back the finished change, not half of one.
        return await self._effects.apply(run.holder, effect, heed_cancel=False)


def _key(run: OrderRun, agreed: Agreed, kind: EffectKind, part: str, *, again: str = "") -> EffectKey:
    return effect_key(run.tenant, run.order_id, kind, f"{part}{agreed.mark}{again}", run.attempt_group)


def _again(tries: int) -> str:
    return f"r{tries}" if tries else ""


def booked(plan: RoutePlan, standing: Sequence[EffectRecord]) -> dict[int, Booked] | None:
    """The parcels of a plan with what was booked for them, by number; None when one was not released by us."""
    labels, picks = _newest(standing, EffectKind.BOOK_LABEL), _newest(standing, EffectKind.CREATE_FULFILMENT)
    found: dict[int, Booked] = {}
    for parcel in plan.parcels:
        label, pick = labels.get(parcel.number), picks.get(parcel.number)
        if label is None or label.receipt is None or pick is None or label.service != parcel.service:
            return None
        found[parcel.number] = Booked(
            parcel=parcel, label_key=label.key, fulfilment_key=pick.key, tracking=tracking_of(label.receipt)
        )
    return found


def hold_of(standing: Sequence[EffectRecord]) -> EffectKey | None:
    """The hold the order's goods were taken under."""
    return next((record.key for record in reversed(standing) if record.kind is EffectKind.HOLD_STOCK), None)


def _newest(standing: Sequence[EffectRecord], kind: EffectKind) -> dict[int, EffectRecord]:
    """By parcel number, which begins the part of the key: ``1``, ``1w2``, ``1w2b``, ``1w2br1``."""
    parts = [(record.key.rsplit("/", 2)[1].partition("w")[0], record) for record in standing if record.kind is kind]
    return {int(number): record for number, record in parts if number.isdigit()}
