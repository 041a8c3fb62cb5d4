"""What people decide about suppliers' answers, carried out once however often the decision is delivered."""

import structlog

from domain.errors import Conflict, NotFound, UnprocessableOrder
from domain.ports import Delivery
from domain.purchasing import PurchaseOrderState
from domain.review import Review, ReviewAction, ReviewAnswer, ReviewState
from domain.supplier_reply import ReplyClass, SupplierReply
from graph.runtime.clock import Clock
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.purchase_orders import PurchaseOrders
from graph.runtime.store import Store
from graph.supplier.answering import WORKFLOW, confirm, tell

log = structlog.get_logger(__name__)


class ReviewedAnswers:
    """Implements ``domain.review_case.ReviewedWorkflow``: the answer was read against the version that stands."""

    def __init__(self, orders: PurchaseOrders) -> None:
        """Where orders stand."""
        self._orders = orders

    async def content_digest(self, review: Review) -> str | None:
        """Digest of the order as it stands."""
        try:
            return (await self._orders.find(review.tenant, review.entity_id)).order.content_digest
        except NotFound:
            return None

    async def check(self, review: Review, answer: ReviewAnswer) -> None:
        """Refuse edits: what was answered is accepted or not.

        Raises:
            UnprocessableOrder: the answer edits something.
        """
        if answer.action is ReviewAction.EDIT:
            raise UnprocessableOrder(
                "a supplier's answer is accepted or rejected; other terms are a new version of the order"
            )


class AnswerDecisions:
    """A consumer group of its own on the intake topic."""

    topic = INTAKE
    group = WORKFLOW

    def __init__(self, store: Store, orders: PurchaseOrders, clock: Clock) -> None:
        """All are shared."""
        self._store = store
        self._orders = orders
        self._clock = clock

    def concerns(self, delivery: Delivery) -> bool:
        """Whether the work is a decided answer."""
        return delivery.message.headers.get("workflow") == WORKFLOW

    async def handle(self, delivery: Delivery) -> None:
        """Confirm or call off the order.

        Raises:
            Transient: it cannot be done now; it should be delivered again.
        """
        headers, now = delivery.message.headers, self._clock.now()
        review = await self._store.reviews.find(headers["tenant"], headers["review"])
        if review.state is not ReviewState.DECIDED or review.answer is None:
            return
        stored = await self._orders.find(review.tenant, review.entity_id)
        said = f"{review.answer.decided_by} via {review.answer.via}: {review.answer.reason}"
        try:
            if review.answer.action is ReviewAction.APPROVE:
                reply = SupplierReply.model_validate(review.facts["reply"])
                lines = () if ReplyClass.OTHER in reply.classes else reply.lines
                by = review.answer.decided_by
                await confirm(self._orders, stored.order, lines, by=by, at=now, detail=f"answer accepted by {said}")
                what = "confirmed"
            else:
                await self._orders.move(
                    review.tenant, review.entity_id, to=PurchaseOrderState.REJECTED,
                    expected=(PurchaseOrderState.SENT, PurchaseOrderState.COUNTERED), at=now, detail=f"called off by {said}",
                )  # fmt: skip
                what = "rejected"
        except Conflict as settled:
            log.info("answer.settled_before", number=review.entity_id, why=str(settled))
            return
        await tell(self._store, stored.order, what, {"by": review.answer.decided_by, "reasons": [review.answer.reason]},
                   at=now, part=review.review_id)  # fmt: skip
