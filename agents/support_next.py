"""What to do about a contact, and what may be given back: rules on the facts of a context."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.money import Money
from domain.order import OrderProgress, OrderState, PaymentMethod
from domain.support import (
    GAP_CONFIDENCE,
    HoldView,
    NextAction,
    RefundOption,
    ReturnView,
    ShipmentStatus,
    ShipmentView,
    SupportAction,
)
from domain.support_reason import Reason, Topic
from domain.support_sources import HistoryOrder

VERSION = "next-action-1"
_OPEN = frozenset({OrderState.CREATED, OrderState.PAID, OrderState.HELD, OrderState.ALLOCATED})
_LOST = frozenset({"lost", "damaged"})
_CONFIRM = "the customer confirms"
_SURE, _LIKELY, _ASK = 0.9, 0.75, 0.6

_ETA_DAYS = {
    PaymentMethod.CARD: (5, 10),
    PaymentMethod.WALLET: (1, 5),
    PaymentMethod.COD: (3, 7),
    PaymentMethod.BANK_TRANSFER: (3, 7),
    PaymentMethod.CONVENIENCE_STORE: (3, 7),
    PaymentMethod.PLATFORM: (3, 15),
    PaymentMethod.OTHER: (0, 7),
}
"""Days until the customer sees the money (design choice; a shop's payment contract says better)."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the next action follows from."""

    reason: Reason | None
    order: HistoryOrder | None
    progress: OrderProgress | None
    holds: Sequence[HoldView]
    shipments: Sequence[ShipmentView]
    returns: Sequence[ReturnView]
    missing: Sequence[str]


def paid_left(order: HistoryOrder) -> dict[str, tuple[Money, PaymentMethod]]:
    """What each way of payment has taken and not given back."""
    left: dict[str, tuple[Money, PaymentMethod]] = {}
    for payment in order.payments:
        so_far = left.get(payment.method_id, (Money.zero(order.currency), payment.method))[0]
        change = -payment.amount if payment.kind == "refund" else payment.amount
        left[payment.method_id] = (so_far + change, payment.method)
    return left


def refund_options(order: HistoryOrder, shipments: Sequence[ShipmentView]) -> tuple[RefundOption, ...]:
    """The ways to give back what was paid and not yet given back, in the order's currency."""
    lost = any(one.sub_reason in _LOST for one in shipments)
    condition = (
        "now" if lost or order.state in _OPEN | {OrderState.CANCELLED, OrderState.RETURNED} else "goods returned"
    )
    return tuple(
        RefundOption(amount=amount, method_id=method_id, eta_days=_ETA_DAYS[method], condition=condition)
        for method_id, (amount, method) in paid_left(order).items()
        if amount.amount_minor > 0
    )


def next_action(at: Situation) -> NextAction:
    """The action the facts suggest; never surer than 0.69 about a parcel whose carrier did not answer."""
    suggested = _suggested(at)
    needs_carrier = suggested.action in {
        SupportAction.WAIT,
        SupportAction.TRACE,
        SupportAction.RESHIP,
        SupportAction.INFORM,
    }
    if at.missing and (("carrier" in at.missing and needs_carrier) or "oms" in at.missing):
        sure = min(suggested.confidence, GAP_CONFIDENCE)
        still = (
            *suggested.preconditions,
            f"{', '.join(at.missing)} did not answer; look again before promising anything",
        )
        return suggested.model_copy(update={"confidence": sure, "preconditions": still})
    return suggested


def _suggested(at: Situation) -> NextAction:
    topic = at.reason.topic if at.reason else None
    if at.order is None:
        return _do(SupportAction.ASK, _ASK, "no order was named", "the customer says which order it is about")
    if topic in {Topic.COMPLAINT, Topic.WARRANTY}:
        return _do(SupportAction.ESCALATE, _LIKELY, f"{topic} goes to a person with the whole story")
    if topic is Topic.CHANGE:
        return _changed(at)
    if topic is Topic.RETURN:
        return _returned(at)
    if topic is Topic.WISMO or topic is None:
        return _where(at)
    return _do(SupportAction.INFORM, _LIKELY, "the facts answer the question")


def _changed(at: Situation) -> NextAction:
    order, detail = at.order, at.reason.detail if at.reason else ""
    gone = order is not None and (order.state not in _OPEN or at.progress is OrderProgress.FULFILLED)
    if detail == "cancel":
        if order is not None and order.state is OrderState.CANCELLED:
            return _do(SupportAction.INFORM, _SURE, "the order is cancelled already")
        if gone:
            return _do(
                SupportAction.RETURN, _LIKELY, "it is too late to cancel; offer a return", "the parcel arrives first"
            )
        return _do(SupportAction.CANCEL, _SURE, "the order has not left", _CONFIRM)
    if gone:
        return _do(SupportAction.INFORM, _LIKELY, "the order has left, so nothing of it can be changed")
    if detail == "address":
        return _do(SupportAction.CHANGE_ADDRESS, _LIKELY, "the order has not left", "the full new address", _CONFIRM)
    return _do(SupportAction.ESCALATE, _ASK, "the change has to be looked at")


def _returned(at: Situation) -> NextAction:
    eligible = [one for one in at.returns if one.eligible]
    if eligible:
        evidence = sorted({proof for one in eligible for proof in one.evidence})
        needs = [f"evidence: {', '.join(evidence)}"] if evidence else []
        why = f"{len(eligible)} of {len(at.returns)} lines may be returned ({eligible[0].rule_id})"
        return _do(SupportAction.RETURN, _SURE, why, "the customer names the lines", *needs)
    unknown = [one for one in at.returns if one.eligible is None]
    if unknown:
        return _do(SupportAction.RETURN, _ASK, unknown[0].why, "the day of delivery is within the window", _CONFIRM)
    why = at.returns[0].why if at.returns else "no line can be returned"
    return _do(SupportAction.INFORM, _LIKELY, why)


def _where(at: Situation) -> NextAction:
    if at.holds:
        return _do(SupportAction.INFORM, _LIKELY, at.holds[0].tell_customer)
    if any(one.sub_reason == "lost" for one in at.shipments):
        return _do(SupportAction.RESHIP, _LIKELY, "the carrier has lost the parcel", "the goods are in stock", _CONFIRM)
    troubled = [one for one in at.shipments if one.status in {ShipmentStatus.EXCEPTION, ShipmentStatus.EXPIRED}]
    if troubled:
        return _do(SupportAction.TRACE, _LIKELY, f"the carrier reports {troubled[0].status}")
    if any(one.status is ShipmentStatus.AVAILABLE_FOR_PICKUP for one in at.shipments):
        return _do(SupportAction.INFORM, _SURE, "the parcel waits to be picked up")
    received = [one for one in at.shipments if one.status is ShipmentStatus.DELIVERED]
    if received and at.reason is not None and at.reason.detail == "delivered_not_received":
        return _do(
            SupportAction.TRACE, _LIKELY, "it is marked delivered, and the customer has not got it", "proof of delivery"
        )
    if any((one.days_late or 0) > 0 for one in at.shipments if one.status is not ShipmentStatus.DELIVERED):
        late = max(one.days_late or 0 for one in at.shipments)
        return _do(SupportAction.TRACE, _LIKELY, f"the parcel is {late} days late")
    if at.shipments and len(received) < len(at.shipments):
        return _do(SupportAction.WAIT, _LIKELY, "the parcel is on its way and in time")
    return _do(SupportAction.INFORM, _LIKELY, "the facts answer the question")


def _do(action: SupportAction, sure: float, why: str, *preconditions: str) -> NextAction:
    return NextAction(action=action, confidence=sure, why=why, preconditions=preconditions)
