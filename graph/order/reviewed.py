"""What the review desk asks of the order workflow: is the order still as shown, and would an edit fit it."""

from domain.review import Review, ReviewAnswer
from graph.order.editing import edited
from graph.runtime.orders import OrderBook


class ReviewedOrders:
    """Implements ``domain.review_case.ReviewedWorkflow`` on the order book."""

    def __init__(self, orders: OrderBook) -> None:
        """``orders`` is shared with the rest of the runtime."""
        self._orders = orders

    async def content_digest(self, review: Review) -> str | None:
        """Digest of the order as it stands; None when it is not in the working state."""
        record = await self._orders.find(review.tenant, review.entity_id)
        return None if record is None or record.order is None else record.order.content_digest()

    async def check(self, review: Review, answer: ReviewAnswer) -> None:
        """Refuse edits that do not fit the order.

        Raises:
            UnprocessableOrder: an edit names what the order does not have, or a value that does not fit.
        """
        if not answer.edits:
            return
        record = await self._orders.find(review.tenant, review.entity_id)
        if record is not None and record.order is not None:
            edited(record.order, answer.edits, at=answer.decided_at)
