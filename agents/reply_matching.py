"""What to do with a supplier's answer: matched against the order, within declared limits, or before a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.decision import CONFIDENCE_TO_ACT
from domain.purchasing import PurchaseOrder, PurchaseOrderLine, Vendor
from domain.supplier_reply import Difference, LineReply, ReplyAction, ReplyClass, ReplyVerdict, SupplierReply

PRICE_RISE = Decimal("0.02")
"""A dearer unit price up to this share may be accepted without a person."""
PRICE_FALL = Decimal("0.20")
"""A price lower by more than this is more often a slip of the pen than a gift."""
LIMIT_USD = Decimal(500)
"""Below this total, and within the other limits, a counter-offer may be accepted without a person."""


@dataclass(frozen=True, kw_only=True)
class ReplyContext:
    """What an answer is measured against."""

    sender: str
    """The address the answer came from, as the mail server saw it."""
    total_usd: Decimal | None
    """The order's value; None when there is no rate, which counts as too much."""
    stockout_p10: date | None
    """With one chance in ten stock runs out before this day; None when it does not within the horizon."""


def judge_reply(reply: SupplierReply, order: PurchaseOrder, context: ReplyContext) -> ReplyVerdict:
    """Confirm, review, reject, answer or wait. A change of bank details or an unknown sender is always a person's."""
    differences = tuple(differences_of(reply.lines, order))
    doubts = _doubts(reply, order, context)
    if doubts:
        return ReplyVerdict(action=ReplyAction.REVIEW, differences=differences, reasons=tuple(doubts))
    kinds = set(reply.classes)
    if ReplyClass.OUT_OF_OFFICE in kinds:
        return _verdict(ReplyAction.WAIT, differences, "nobody has read it yet")
    if ReplyClass.REJECT in kinds:
        return _verdict(ReplyAction.REJECTED, differences, "the supplier will not deliver")
    if ReplyClass.QUESTION in kinds and not differences:
        return _verdict(ReplyAction.ANSWER, differences, "the supplier asks something")
    if ReplyClass.ACCEPT in kinds and not differences and not reply.changes:
        return _verdict(ReplyAction.CONFIRM, differences, "accepted as ordered")
    beyond = _beyond(reply, differences, order, context)
    if beyond:
        return ReplyVerdict(action=ReplyAction.REVIEW, differences=differences, reasons=tuple(beyond))
    return _verdict(ReplyAction.CONFIRM, differences, "the change is within the limits")


def differences_of(lines: Sequence[LineReply], order: PurchaseOrder) -> list[Difference]:
    """Everything an answer says otherwise than the order, line by line."""
    found = []
    for said in lines:
        spoken_of = [line for line in order.lines if said.line_id in {"", line.line_id}]
        for line in spoken_of:
            found += _of_line(said, line, order)
        if not said.line_id and said.unit_price is not None:
            found.append(_difference("", "unit_price", "as ordered", said.unit_price))
        if not said.line_id and said.quantity is not None:
            found.append(_difference("", "quantity", "as ordered", said.quantity))
    return found


def _of_line(said: LineReply, line: PurchaseOrderLine, order: PurchaseOrder) -> list[Difference]:
    """Price and quantity count only where the line was named; currency and date speak of all."""
    own = bool(said.line_id)
    pairs: list[tuple[str, object, object, bool]] = [
        ("unit_price", line.unit_price, said.unit_price, own and said.unit_price not in {None, line.unit_price}),
        ("currency", order.currency, said.currency, said.currency not in {"", order.currency}),
        ("quantity", line.quantity, said.quantity, own and said.quantity not in {None, line.quantity}),
        ("date", order.deliver_until, said.promised, (said.promised or order.deliver_until) > order.deliver_until),
        ("substitute", line.sku, said.substitute, bool(said.substitute)),
    ]
    return [_difference(line.line_id, name, ours, theirs) for name, ours, theirs, differs in pairs if differs]


def sender_known(sender: str, vendor: Vendor) -> bool:
    """Whether an address belongs to the vendor: its mail domain is exactly one of the vendor master's."""
    domain = sender.rpartition("@")[2].strip().casefold().rstrip(">")
    known = {vendor.email.rpartition("@")[2].casefold(), *(d.casefold() for d in vendor.reply_domains)}
    return domain in known


def _verdict(action: ReplyAction, differences: tuple[Difference, ...], reason: str) -> ReplyVerdict:
    return ReplyVerdict(action=action, differences=differences, reasons=(reason,))


def _difference(line_id: str, field: str, ordered: object, answered: object) -> Difference:
    return Difference(line_id=line_id, field=field, ordered=str(ordered), answered=str(answered))


def _doubts(reply: SupplierReply, order: PurchaseOrder, context: ReplyContext) -> list[str]:
    """Reasons for which a person reads the letter, whatever it says."""
    found = []
    if reply.bank_details:
        found.append("it speaks of bank details: call the supplier on a number you know before anything is paid")
    if not sender_known(context.sender, order.vendor):
        found.append("it comes from a mail domain the vendor master does not have")
    if ReplyClass.OTHER in reply.classes:
        found.append("it could not be understood")
    elif reply.confidence < CONFIDENCE_TO_ACT:
        found.append(f"it was read with confidence {reply.confidence:.2f}, below {CONFIDENCE_TO_ACT}")
    return found


def _beyond(
    reply: SupplierReply, differences: Sequence[Difference], order: PurchaseOrder, context: ReplyContext
) -> list[str]:
    """Why a change is more than may be accepted without a person."""
    found = []
    if not differences:
        found.append("it wants a change and names no figure")
    if {ReplyClass.PARTIAL, ReplyClass.ACCEPT_WITH_CHANGE} & set(reply.classes):
        found.append("it delivers something else than was ordered")
    if context.total_usd is None or context.total_usd >= LIMIT_USD:
        worth = "of unknown value" if context.total_usd is None else f"worth {context.total_usd:.2f} USD"
        found.append(f"the order is {worth}; changes below {LIMIT_USD} USD only are accepted without a person")
    prices = {line.line_id: line.unit_price for line in order.lines}
    for said in reply.lines:
        if said.unit_price is not None and said.unit_price > prices.get(said.line_id, Decimal(0)) * (1 + PRICE_RISE):
            found.append(f"line {said.line_id or '?'}: {said.unit_price} is more than {PRICE_RISE:.0%} dearer")
        if said.unit_price is not None and said.unit_price < prices.get(said.line_id, said.unit_price) * (
            1 - PRICE_FALL
        ):
            found.append(
                f"line {said.line_id}: {said.unit_price} is more than {PRICE_FALL:.0%} cheaper: ask whether it is meant"
            )
        if said.promised is not None and context.stockout_p10 is not None and said.promised > context.stockout_p10:
            found.append(f"{said.promised.isoformat()} is after stock may run out ({context.stockout_p10.isoformat()})")
    odd = sorted({d.field for d in differences} - {"unit_price", "date"})
    if odd:
        found.append(f"it changes {', '.join(odd)}")
    return list(dict.fromkeys(found))
