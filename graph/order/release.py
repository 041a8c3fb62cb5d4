"""Releasing an order and taking a release back: which effects, in which order, with which keys."""

from collections.abc import Mapping, Sequence

from domain.decision import Decision
from domain.effect import Effect, EffectKind, Receipt
from domain.errors import ConnectorRejected, TooLate
from domain.ids import EffectKey
from domain.intent import (
    BookLabel,
    CancelChannel,
    CancelOms,
    CapturePayment,
    ConfirmHold,
    CreateFulfilment,
    UpdateChannel,
    UpdateOms,
)
from domain.inventory import HoldLine
from domain.money import Money
from domain.order import Order, OrderState, PaymentMethod, PaymentState
from domain.shipment import Parcel, RoutePlan
from domain.values import Document
from graph.effects import Effects, effect_key
from graph.order.asking import reversible_effects
from graph.order.run import OrderRun

STOCK_AGENT = "inventory_reservation"
ROUTE_AGENT = "order_routing"
METHOD_AGENT = "shipping_method"


async def release(run: OrderRun, effects: Effects) -> str:
    """Do what the decisions say: confirm the hold, take the money, book labels, tell warehouse, OMS and channel.

    Returns one sentence on what was done. Every step has its key; a repeated release repeats nothing.

    Raises:
        CancelRequested: a cancellation arrived; what was begun must be undone.
        AutonomyWithdrawn: an agent it rests on lost its autonomy meanwhile; a person decides.
        InsufficientStock: the hold had expired and the units are gone.
        ConnectorRejected, TooLate: a system refused for good.
        Transient: a system did not answer within the attempts.
    """
    await _permitted(run)
    hold = await _hold(run, effects)
    plan = plan_in_force(run.decisions)
    if hold is not None and plan is not None:
        await _confirm(run, effects, hold, plan)
    await _permitted(run)
    await _capture(run, effects)
    await _permitted(run)
    tracking: list[str] = []
    if plan is not None and hold is not None:
        for parcel in plan.parcels:
            tracking.append(await _send(run, effects, parcel, hold.key))
    await _announce(run, effects, plan, tracking)
    return f"released in {len(tracking)} parcel{'s' if len(tracking) != 1 else ''}"


async def _permitted(run: OrderRun) -> None:
    if run.permitted is not None:
        await run.permitted()


async def take_back(run: OrderRun, effects: Effects, *, reason: str) -> None:
    """Cancel the order everywhere: undo what was done in reverse, and tell channel and OMS once.

    Raises:
        TooLate: the goods have left our hands.
        Transient: not everything could be undone now; calling again goes on where this stopped.
    """
    spare = frozenset({EffectKind.UPDATE_CHANNEL}) if run.cancel_from_channel else frozenset()
    undone = await effects.undo_all(run.holder, reason=reason, decision_id=_ground(run), spare=spare)
    told = {receipt.kind for receipt in undone}
    order = run.order
    if EffectKind.CANCEL_CHANNEL not in told and not run.cancel_from_channel:
        args = CancelChannel(order_id=order.order_id, external_id=order.external_id, shop=order.shop, reason=reason)
        await _do(run, effects, EffectKind.CANCEL_CHANNEL, args, heed_cancel=False)
    if EffectKind.CANCEL_OMS not in told:
        oms = CancelOms(order_id=order.order_id, reason=reason)
        await _do(run, effects, EffectKind.CANCEL_OMS, oms, heed_cancel=False)


async def refuse_if_gone(run: OrderRun, effects: Effects) -> None:
    """Make sure, before anything is undone, that no parcel of the order has left our hands.

    Raises:
        TooLate: a carrier has scanned one.
        Transient: a carrier cannot say now.
    """
    gone = await effects.gone(run.holder)
    if gone:
        raise TooLate(f"the carrier already has parcel {', '.join(gone)}; offer a return instead of a cancellation")


async def told_or_gone(run: OrderRun, effects: Effects) -> bool:
    """Whether the release is past the point of starting over: the channel is being told, or a parcel has left.

    Raises:
        Transient: a carrier cannot say now.
    """
    return await effects.has_begun(run.holder, EffectKind.UPDATE_CHANNEL) or bool(await effects.gone(run.holder))


async def give_back(run: OrderRun, effects: Effects, *, reason: str) -> None:
    """Undo what this run did, in reverse, without cancelling the order."""
    await effects.undo_all(run.holder, reason=reason, decision_id=_ground(run))


async def _do(
    run: OrderRun, effects: Effects, kind: EffectKind, args: Document, *, part: str = "", heed_cancel: bool = True
) -> Receipt:
    return await effects.apply(run.holder, _effect(run, kind, args, part), heed_cancel=heed_cancel)


def _effect(run: OrderRun, kind: EffectKind, args: Document, part: str) -> Effect:
    return Effect(
        key=effect_key(run.tenant, run.order_id, kind, part, run.attempt_group),
        kind=kind,
        tenant=run.tenant,
        entity_id=run.order_id,
        args=args.model_dump(mode="json"),
        decision_id=_ground(run),
    )


def _ground(run: OrderRun) -> str:
    """The journaled decision the release rests on: the route, or whichever came last."""
    for agent in (ROUTE_AGENT, STOCK_AGENT):
        if agent in run.decisions:
            return run.decisions[agent].decision_id
    return next((d.decision_id for d in reversed(list(run.decisions.values()))), "")


async def _hold(run: OrderRun, effects: Effects) -> Effect | None:
    stock = run.decisions.get(STOCK_AGENT)
    proposed = [] if stock is None else reversible_effects(stock)
    if not proposed:
        return None
    # An agent in suggestion mode only proposed the hold; for the others this finds the receipt in the ledger.
    await effects.apply(run.holder, proposed[0])
    return proposed[0]


def plan_in_force(decisions: Mapping[str, Decision]) -> RoutePlan | None:
    """The plan to carry out: the shipping method may have named other services for the same parcels."""
    for agent in (METHOD_AGENT, ROUTE_AGENT):
        decision: Decision | None = decisions.get(agent)
        plan = None if decision is None else decision.facts.get("plan")
        if plan is not None:
            return RoutePlan.model_validate(plan)
    return None


def _declared(order: Order, parcel: Parcel) -> Money:
    """The parcel's share of what the order is worth, by the price of what is in it."""
    prices = {line.line_id: line.unit_price.amount_minor for line in order.lines}
    inside = sum(prices[line_id] * units for line_id, units in parcel.lines.items())
    rest = sum(prices[line.line_id] * line.quantity_open for line in order.open_lines) - inside
    if inside + rest <= 0:
        return order.total_open
    return order.total_open.allocate([inside, max(0, rest)])[0]


async def _confirm(run: OrderRun, effects: Effects, hold: Effect, plan: RoutePlan) -> None:
    lines = tuple(line for parcel in plan.parcels for line in hold_lines(run.order, parcel))
    args = ConfirmHold(order_id=run.order_id, hold_key=hold.key, lines=lines)
    await _do(run, effects, EffectKind.CONFIRM_HOLD, args)


def hold_lines(order: Order, parcel: Parcel) -> list[HoldLine]:
    """What a parcel takes from its warehouse.

    Raises:
        ConnectorRejected: the route names lines the order does not have.
    """
    skus = {line.line_id: line.sku for line in order.lines}
    missing = sorted(set(parcel.lines) - set(skus))
    if missing:
        raise ConnectorRejected(f"the route names lines the order does not have: {', '.join(missing)}")
    return [
        HoldLine(line_id=line_id, sku=skus[line_id], warehouse=parcel.warehouse, quantity=quantity)
        for line_id, quantity in parcel.lines.items()
    ]


async def _capture(run: OrderRun, effects: Effects) -> None:
    payment = run.order.payment
    if payment.state is PaymentState.AUTHORISED and run.order.total_open.amount_minor > 0:
        args = CapturePayment(order_id=run.order_id, amount=run.order.total_open)
        await _do(run, effects, EffectKind.CAPTURE_PAYMENT, args)


def label_of(order: Order, parcel: Parcel) -> BookLabel:
    """The label a parcel travels with; the first one collects what is to be paid at the door."""
    return BookLabel(
        order_id=order.order_id,
        parcel=parcel.number,
        warehouse=parcel.warehouse,
        service=parcel.service,
        billable_g=parcel.billable_g,
        ship_to=order.ship_to,
        declared_value=_declared(order, parcel),
        dangerous=parcel.dangerous,
        duty_paid=parcel.duty_paid is not None,
        collect=order.total_open if order.payment.method is PaymentMethod.COD and parcel.number == 1 else None,
    )


def fulfilment_of(order: Order, parcel: Parcel, *, hold_key: EffectKey, tracking: str) -> CreateFulfilment:
    """What the warehouse is told to pick."""
    return CreateFulfilment(
        order_id=order.order_id,
        parcel=parcel.number,
        warehouse=parcel.warehouse,
        hold_key=hold_key,
        skus=parcel.skus,
        tracking=tracking,
    )


def tracking_of(booked: Receipt) -> str:
    """The tracking number of a booked label."""
    return str(booked.detail.get("tracking", booked.reference))


def announcement(order: Order, parcels: Sequence[Parcel], tracking: Sequence[str]) -> tuple[UpdateOms, UpdateChannel]:
    """What order management and the channel are told."""
    state = OrderState.READY_TO_SHIP.value
    oms = UpdateOms(
        order_id=order.order_id,
        state=state,
        warehouses=tuple(dict.fromkeys(p.warehouse for p in parcels)),
        tracking=tuple(tracking),
    )
    channel = UpdateChannel(
        order_id=order.order_id,
        external_id=order.external_id,
        shop=order.shop,
        state=state,
        tracking=tuple(tracking),
        carrier=parcels[0].carrier if parcels else "",
    )
    return oms, channel


async def _send(run: OrderRun, effects: Effects, parcel: Parcel, hold_key: EffectKey) -> str:
    part = str(parcel.number)
    booked = await _do(run, effects, EffectKind.BOOK_LABEL, label_of(run.order, parcel), part=part)
    tracking = tracking_of(booked)
    fulfilment = fulfilment_of(run.order, parcel, hold_key=hold_key, tracking=tracking)
    await _do(run, effects, EffectKind.CREATE_FULFILMENT, fulfilment, part=part)
    return tracking


async def _announce(run: OrderRun, effects: Effects, plan: RoutePlan | None, tracking: list[str]) -> None:
    oms, channel = announcement(run.order, () if plan is None else plan.parcels, tracking)
    await _do(run, effects, EffectKind.UPDATE_OMS, oms)
    await _do(run, effects, EffectKind.UPDATE_CHANNEL, channel)
