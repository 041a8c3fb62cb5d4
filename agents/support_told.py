"""What of the agents' decisions and of holds may be told to a customer. Reasons of fraud and compliance never are."""

from domain.decision import Decision, Outcome
from domain.order import OrderProgress
from domain.support import HoldView

_STOPS = frozenset({Outcome.REVIEW, Outcome.HOLD, Outcome.REJECT})
_CHECK = "A routine check of the order is under way; it usually takes less than a working day."

_TOLD: dict[tuple[str, bool], str] = {
    ("fraud_detection", True): _CHECK,
    ("compliance", True): _CHECK,
    ("inventory_reservation", False): "The goods are reserved.",
    ("inventory_reservation", True): "An item is being restocked.",
    ("order_routing", False): "Warehouse and carrier are chosen.",
    ("shipping_method", False): "The delivery service is chosen.",
}
"""By agent, and whether it stops the order."""


def told(decision: Decision) -> str:
    """The sentence a customer may hear; empty when there is none."""
    limits = decision.outcome is Outcome.LIMIT and decision.agent == "inventory_reservation"
    return _TOLD.get((decision.agent, decision.outcome in _STOPS or limits), "")


def holds(progress: OrderProgress | None, decisions: list[Decision], *, blind: bool) -> tuple[HoldView, ...]:
    """Why the order does not move, with our reason codes; a blind sample keeps the codes to itself."""
    if progress is OrderProgress.IN_REVIEW:
        stopping = [one for one in decisions if one.outcome in _STOPS or not one.may_act]
        codes = dict.fromkeys(reason.code for one in stopping for reason in one.reasons)
        shown = () if blind else tuple(codes)
        return (HoldView(kind="review", reason_codes=shown or ("IN_REVIEW",), tell_customer=_CHECK),)
    if progress is OrderProgress.BACKORDERED:
        sentence = "An item is being restocked; the order goes on by itself."
        return (HoldView(kind="stock", reason_codes=("BACKORDERED",), tell_customer=sentence),)
    return ()
