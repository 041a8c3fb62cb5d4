"""Answers of suppliers: each taken once, matched to its order, and confirmed, put before a person, or left waiting.

What an answer wants beyond the declared limits becomes a review that shows what was ordered and what was answered.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from re import compile as pattern

import orjson
import structlog

from agents.reply_matching import ReplyContext, judge_reply
from agents.supplier_reply import read_reply
from domain.errors import InputError, MissingRate, NotFound
from domain.event import Event
from domain.ids import EventId, ThreadId, stable_id, thread_id
from domain.purchasing import PurchaseOrder, PurchaseOrderState
from domain.review import Review
from domain.review_policy import ReviewPolicy, Topic
from domain.supplier_reply import LineReply, ReplyAction, ReplyClass, ReplyVerdict, SupplierReply
from domain.values import Document, Plain, digest
from graph.runtime.atomics import UNFENCED
from graph.runtime.clock import Clock
from graph.runtime.purchase_mail import PurchaseMail
from graph.runtime.purchase_orders import PurchaseOrders, StoredOrder
from graph.runtime.review_events import review_event
from graph.runtime.reviews import review_id
from graph.runtime.store import Store
from graph.runtime.supply_cases import ENTITY, thread_of
from tools.documents.ubl_response import LineCode, OrderResponse, ResponseCode, read_response
from tools.fx import Rates
from tools.mail.incoming import Incoming, read_mail

log = structlog.get_logger(__name__)

WORKFLOW = "supplier_answer"
"""The name under which reviews of answers resume."""
STAGE = "answer"
_NUMBER = pattern(r"\bPO-\d{4}-\d{6,}\b")
_OPEN = (PurchaseOrderState.SENT, PurchaseOrderState.COUNTERED)
_CODES = {
    ResponseCode.ACCEPTED: ReplyClass.ACCEPT,
    ResponseCode.ACKNOWLEDGED: ReplyClass.OTHER,
    ResponseCode.REJECTED: ReplyClass.REJECT,
    ResponseCode.CONDITIONAL: ReplyClass.ACCEPT_WITH_CHANGE,
}


class AnswerTaken(Document):
    """What was done with an answer."""

    number: str
    message_id: str
    action: str
    """``confirm``, ``review``, ``rejected``, ``answer``, ``wait``; ``late`` when the order no longer waits."""
    classes: tuple[str, ...]
    reasons: tuple[str, ...]
    differences: tuple[dict[str, Plain], ...] = ()
    review_id: str = ""


@dataclass(frozen=True, kw_only=True)
class AnswerDesk:
    """Where answers are judged and questions put."""

    store: Store
    orders: PurchaseOrders
    mail: PurchaseMail
    rates: Rates
    policy: ReviewPolicy
    clock: Clock
    checked_by: str = ""
    """Our mail server's name in Authentication-Results; empty when none checks senders."""

    async def take(self, tenant: str, raw: bytes) -> AnswerTaken:
        """Take one mail message, once; taken again it gives what was done the first time.

        Raises:
            InputError: it cannot be read, or belongs to no order of this tenant.
            Transient: it was not taken; the sender should repeat.
        """
        mail = read_mail(raw, checked_by=self.checked_by)
        before = await self.mail.message(tenant, mail.message_id)
        if before is not None and before.direction == "in":
            return AnswerTaken.from_json(before.body)
        stored = await self._order_of(tenant, mail)
        order, now = stored.order, self.clock.now()
        reply = self._read(mail, order, now)
        verdict = judge_reply(reply, order, await self._context(mail, order))
        if mail.authenticated is False:
            why = "its sender could not be proved: the mail server's check failed"
            verdict = verdict.model_copy(update={"action": ReplyAction.REVIEW, "reasons": (why, *verdict.reasons)})
        taken = AnswerTaken(
            number=order.number,
            message_id=mail.message_id,
            action=verdict.action.value if stored.state in _OPEN else "late",
            classes=tuple(each.value for each in reply.classes),
            reasons=verdict.reasons,
            differences=tuple(each.model_dump() for each in verdict.differences),
        )
        if stored.state in _OPEN:
            taken = await self._act(stored, mail, reply, verdict, taken, now)
        await self._tell(order, "answered", taken.model_dump(mode="json"), at=now, part=mail.message_id)
        await self.mail.answered(tenant, mail.message_id, order.number, kind=taken.action, at=now, body=taken.to_json())
        return taken

    async def _order_of(self, tenant: str, mail: Incoming) -> StoredOrder:
        """By the letter it answers, else by the one order number it names."""
        for reference in mail.answers:
            letter = await self.mail.message(tenant, reference)
            if letter is not None and letter.direction == "out":
                return await self.orders.find(tenant, letter.number)
        named = set(_NUMBER.findall(f"{mail.subject}\n{mail.text}"))
        if len(named) != 1:
            raise InputError("the mail answers no letter of ours and names no one purchase order; read it yourself")
        try:
            return await self.orders.find(tenant, named.pop())
        except NotFound as none:
            raise InputError(f"{none}; read the mail yourself") from None

    def _read(self, mail: Incoming, order: PurchaseOrder, now: datetime) -> SupplierReply:
        """The document that came with it, else its words."""
        for document in mail.xml:
            try:
                response = read_response(document)
            except InputError as bad:
                log.info("answer.document_unreadable", number=order.number, why=str(bad))
                continue
            if response.order_number.startswith(order.number):
                words = read_reply(mail.text, order, received=now.date()) if mail.text.strip() else None
                return of_response(response, bank_details=words is not None and words.bank_details)
        return read_reply(f"{mail.subject}\n{mail.text}", order, received=now.date())

    async def _context(self, mail: Incoming, order: PurchaseOrder) -> ReplyContext:
        try:
            worth: Decimal | None = (await self.rates.usd_equivalent(order.total)).amount
        except MissingRate:
            worth = None
        return ReplyContext(sender=mail.sender, total_usd=worth, stockout_p10=await self._runs_out(order))

    async def _runs_out(self, order: PurchaseOrder) -> date:
        """The P10 stock-out day the order was made on; where it is not known any more, what was ordered for."""
        decisions = await self.store.journal.latest(thread_of(order.tenant, order.number))
        known = decisions.get("stockout_date")
        estimates = known.facts.get("estimates") if known is not None else None
        days = (
            [one.get("p10") for one in estimates.values() if isinstance(one, dict)]
            if isinstance(estimates, dict)
            else []
        )
        found = [date.fromisoformat(str(day)) for day in days if day]
        return min(found, default=date.max if days else order.deliver_until)

    async def _act(
        self,
        stored: StoredOrder,
        mail: Incoming,
        reply: SupplierReply,
        verdict: ReplyVerdict,
        taken: AnswerTaken,
        now: datetime,
    ) -> AnswerTaken:
        order, detail = stored.order, "; ".join(verdict.reasons)
        if verdict.action is ReplyAction.CONFIRM:
            await confirm(self.orders, order, reply.lines, by="agent:supplier_reply", at=now, detail=detail)
            await self._tell(order, "confirmed", {"by": "agent:supplier_reply", "reasons": [*verdict.reasons]}, at=now,
                             part=mail.message_id)  # fmt: skip
        elif verdict.action is ReplyAction.REJECTED:
            await self.orders.move(
                order.tenant, order.number, to=PurchaseOrderState.REJECTED, expected=_OPEN, at=now, detail=detail
            )
            await self._tell(
                order, "rejected", {"by": "supplier", "reasons": [*verdict.reasons]}, at=now, part=mail.message_id
            )
        elif verdict.action is ReplyAction.REVIEW:
            await self.orders.move(
                order.tenant, order.number, to=PurchaseOrderState.COUNTERED, expected=_OPEN, at=now, detail=detail
            )
            return taken.model_copy(update={"review_id": await self._ask(stored, mail, reply, verdict, now)})
        return taken

    async def _ask(
        self, stored: StoredOrder, mail: Incoming, reply: SupplierReply, verdict: ReplyVerdict, now: datetime
    ) -> str:
        order, thread = stored.order, answer_thread(stored.order, mail.message_id)
        try:
            cents: int | None = int((await self.rates.usd_equivalent(order.total)).amount * 100)
        except MissingRate:
            cents = None
        topic = Topic(entity_type=ENTITY, stage=STAGE, market=order.ship_to.country, exposure_usd_minor=cents)
        queue = self.policy.queue_for(topic)
        shard = self.store.keys.shard_of(thread)
        review = Review(
            review_id=review_id(thread, STAGE, order.version, 0, shard=shard),
            tenant=order.tenant,
            workflow=WORKFLOW,
            entity_type=ENTITY,
            entity_id=order.number,
            stage=STAGE,
            recommendation="look",
            confidence=reply.confidence,
            reasons=verdict.reasons,
            facts={
                "purchase_order": _plain(order),
                "reply": _plain(reply),
                "differences": [each.model_dump() for each in verdict.differences],
                "words": mail.text[:4000],
                "from": mail.sender,
                "message_id": mail.message_id,
                "approve_means": "the order stands with what was answered",
                "reject_means": "the order is called off; write to the supplier",
            },
            content_digest=order.content_digest,
            allowed_roles=queue.roles,
            second_roles=self.policy.second_roles(topic),
            queue=queue.name,
            exposure_usd_minor=cents,
            correlation_id=order.trigger or order.number,
            currency=order.currency,
            locale=order.vendor.language,
            proposed_by=("agent:supplier_reply",),
            created_at=now,
            deadline=queue.deadline(now, None),
            thread_id=thread,
        )
        asked: dict[str, Plain] = {
            "recommendation": review.recommendation, "reasons": [*review.reasons], "deadline": review.deadline.isoformat(),
            "differences": [each.model_dump() for each in verdict.differences], "blind": False,
            "exposure_usd_minor": cents, "second_roles": [*review.second_roles], "agents": ["supplier_reply"],
        }  # fmt: skip
        event = review_event(review, "requested", asked, by="signalbox", at=now)
        opened = await self.store.reviews.open(
            thread, review, event, token=UNFENCED, detail="; ".join(verdict.reasons)[:500]
        )
        return str(opened.review_id)

    async def _tell(self, order: PurchaseOrder, what: str, facts: dict[str, Plain], *, at: datetime, part: str) -> None:
        await tell(self.store, order, what, facts, at=at, part=part)


def answer_thread(order: PurchaseOrder, message_id: str) -> ThreadId:
    """The thread of one answer: its review pins nothing of the order's own."""
    return thread_id(order.tenant, f"{ENTITY}_answer", f"{order.number}:{message_id}")


async def tell(
    store: Store,
    order: PurchaseOrder,
    what: str,
    facts: dict[str, Plain],
    *,
    at: datetime,
    part: str,
    by: str = "signalbox",
) -> None:
    """Publish a happening of an order, once for each ``part``."""
    event = Event(
        event_id=EventId(stable_id(order.tenant, order.number, what, part)),
        event_type=f"{ENTITY}.{what}",
        entity_type=ENTITY,
        entity_id=order.number,
        agent_name=by,
        timestamp=at,
        result=facts,
        tenant=order.tenant,
        sequence=0,
        correlation_id=order.trigger or order.number,
        currency=order.currency,
        locale=order.vendor.language,
    )
    await store.journal.publish(thread_of(order.tenant, order.number), [event], at=at)


async def confirm(
    orders: PurchaseOrders,
    order: PurchaseOrder,
    lines: tuple[LineReply, ...],
    *,
    by: str,
    at: datetime,
    detail: str,
) -> PurchaseOrder:
    """Confirm an order as answered: what changed becomes the next version, what fits no rule is left as it was."""
    changed = amended(order, lines)
    if changed is not None:
        _, letter = await orders.version(order.tenant, order.number, order.version)
        await orders.keep(changed, letter=letter, by=by, at=at)
    await orders.move(
        order.tenant,
        order.number,
        to=PurchaseOrderState.CONFIRMED,
        # A draft is the changed version that a crash left between keeping and confirming it.
        expected=(*_OPEN, PurchaseOrderState.DRAFT),
        at=at,
        detail=detail,
    )
    return changed or order


def amended(order: PurchaseOrder, lines: tuple[LineReply, ...]) -> PurchaseOrder | None:
    """The next version with the answered prices, quantities and date; None when nothing changes or it would not be valid."""
    document = order.model_dump(mode="json")
    by_id = {said.line_id: said for said in lines}
    total = 0
    document["lines"] = [
        line for line in document["lines"] if not (said := by_id.get(line["line_id"])) or said.quantity != 0
    ]
    for line in document["lines"]:
        said = by_id.get(line["line_id"])
        if said is not None and said.unit_price is not None:
            line["unit_price"] = str(said.unit_price)
        if said is not None and said.quantity is not None:
            line["quantity"] = said.quantity
        worth = Decimal(line["unit_price"]) * line["quantity"]
        line["amount"] = order.total.rounded(worth, order.currency).model_dump(mode="json")
        total += line["amount"]["amount_minor"]
    later = max((said.promised for said in lines if said.promised is not None), default=order.deliver_until)
    document["deliver_until"] = max(later, order.deliver_until).isoformat()
    document["total"]["amount_minor"] = total + order.tax.amount_minor
    if digest(document) == digest(order.model_dump(mode="json")):
        return None
    try:
        return PurchaseOrder.from_json(orjson.dumps(document | {"version": order.version + 1}))
    except ValueError as bad:
        log.info("answer.not_amended", number=order.number, why=str(bad)[:200])
        return None


def _plain(document: Document) -> Plain:
    """A document as plain data: shares and rates as text."""
    plain: Plain = json.loads(document.to_json(), parse_float=str)
    return plain


def of_response(response: OrderResponse, *, bank_details: bool) -> SupplierReply:
    """A structured answer in the words of the rules; a line that differs is a counter whatever the header says."""
    lines = tuple(
        LineReply(
            line_id=line.line_id,
            quantity=0 if line.code is LineCode.NOT_ACCEPTED else None if line.quantity is None else int(line.quantity),
            unit_price=line.unit_price,
            currency=line.currency,
            promised=line.promised,
            substitute=line.substitute or ("?" if line.code is LineCode.ADDED else ""),
        )
        for line in response.lines
    )
    return SupplierReply(
        classes=(_CODES[response.code],),
        lines=lines,
        language="",
        names_order=True,
        bank_details=bank_details,
        confidence=0.95,
        source="ubl",
    )
