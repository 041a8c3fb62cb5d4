"""customer_notification: one message per change the customer should know of, in the customer's language.

The message's key carries the change, so a repeat is the same message and is sent once.
"""

from agents.fallbacks import retry_queue, undeclared
from agents.message_templates import MessageTable, shipped_messages
from agents.precedents import route_plan
from domain.decision import Outcome, Proposal, Reason, Verdict
from domain.effect import EffectKind
from domain.intent import SendMessage
from domain.order import Order, OrderProgress
from domain.ports import AgentCase
from domain.values import Plain

TOLD = frozenset({OrderProgress.FULFILLED, OrderProgress.CANCELLED, OrderProgress.BACKORDERED})
LONGEST_NUMBER = 40
SURE = 0.95
"""Declared: a template filled from records."""


class CustomerNotification:
    """Writes to the buyer when the order is on its way, cancelled or delayed."""

    name = "customer_notification"
    version = "cn-1.0"
    fallbacks = ("retry_queue",)

    def __init__(self, *, messages: MessageTable | None = None) -> None:
        """Another table than the shipped one may be given."""
        self.messages = messages or shipped_messages()

    async def decide(self, case: AgentCase) -> Verdict:
        """Propose the message for ``hints["progress"]``."""
        order, progress = case.order, case.hints.get("progress")
        if progress not in TOLD:
            return self._silent("NOTHING_TO_SAY", f"customers are not told about {progress}", "hints.progress")
        if progress == OrderProgress.BACKORDERED and case.hints.get("again") is True:
            return self._silent("TOLD_BEFORE", "the customer knows that the order is delayed", "hints.again")
        stock = case.decisions.get("inventory_reservation")
        if progress == OrderProgress.BACKORDERED and stock is not None and "feed_stale" in stock.flags:
            return self._silent("NOT_A_DELAY", "the order waits for a stock count, not for goods", "decisions")
        recipient = order.customer.email or (order.customer.customer_id if order.channel.marketplace else "")
        if not recipient or "*" in recipient:
            return self._silent("NO_RECIPIENT", "the channel gave no usable address", "order.customer")
        language = self.messages.language(order.locale)
        template = self.messages.templates[language, str(progress)]
        slots = slot_values(case)
        intent = SendMessage(
            order_id=order.order_id,
            template=f"{self.messages.version}/{progress}",
            locale=language,
            recipient=recipient,
            subject=template.subject.format_map(slots),
            body=template.body.format_map(slots),
        )
        return Verdict(
            decision="notify",
            outcome=Outcome.PROCEED,
            confidence=SURE,
            reasons=(
                Reason(
                    code="STATE_CHANGED",
                    text=f"the order is {progress}; told in {language}",
                    value=str(progress),
                    evidence="order.progress",
                ),
                *_merged(case.hints.get("merged")),
            ),
            proposals=(
                Proposal(kind=EffectKind.SEND_MESSAGE, part=str(progress), args=intent.model_dump(mode="json")),
            ),
            facts={"template": intent.template, "locale": language, "thresholds_version": self.messages.version},
        )

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``retry_queue``: written later.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        return retry_queue(self.name, why)

    def _silent(self, code: str, text: str, evidence: str) -> Verdict:
        return Verdict(
            decision="nothing_to_send",
            outcome=Outcome.PROCEED,
            confidence=SURE,
            reasons=(Reason(code=code, text=text, evidence=evidence),),
            facts={"thresholds_version": self.messages.version},
        )


def _merged(happenings: Plain) -> tuple[Reason, ...]:
    """Why one message stands for several: peak mode held them back for each other."""
    if not isinstance(happenings, list):
        return ()
    count = len(happenings)
    text = f"held back on a peak day; {count} happening{'s' if count != 1 else ''} told in one message"
    return (Reason(code="MERGED", text=text, value=str(count), evidence="hints.merged"),)


def slot_values(case: AgentCase) -> dict[str, str]:
    """What the slots of a message are filled with, from records alone."""
    plan = route_plan(case.decisions)
    parcels = plan.parcels if plan else ()
    carriers = sorted({parcel.carrier for parcel in parcels})
    return {"number": _number(case.order), "parcels": str(len(parcels) or 1), "carriers": ", ".join(carriers) or "-"}


def _number(order: Order) -> str:
    """The number the buyer knows, reduced to what an order number is made of: the channel's text is not trusted."""
    shown = order.external_number or order.external_id
    return "".join(ch for ch in shown if ch.isalnum() or ch in "#-_/.")[:LONGEST_NUMBER]
