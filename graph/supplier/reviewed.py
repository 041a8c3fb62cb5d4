"""What the review desk asks of the supplier workflow: does the order still stand as shown, and would an edit fit it."""

from collections.abc import Awaitable, Callable
from datetime import date

from domain.errors import NotFound, UnprocessableOrder
from domain.purchasing import PurchaseOrder
from domain.review import Review, ReviewAction, ReviewAnswer
from domain.values import Plain, digest
from graph.runtime.clock import Clock
from graph.runtime.purchase_orders import PurchaseOrders
from graph.supplier.reviewing import EDITABLE
from graph.supplier.standing import StandingTerms

Changed = Callable[[str, str, str], Awaitable[None]]
"""Told tenant, number and why when what was shown no longer stands."""


class ReviewedPurchases:
    """Implements ``domain.review_case.ReviewedWorkflow`` on the store of purchase orders and the ERP."""

    def __init__(self, orders: PurchaseOrders, standing: StandingTerms, clock: Clock, changed: Changed) -> None:
        """``changed`` starts the next version when prices moved under an open question."""
        self._orders = orders
        self._standing = standing
        self._clock = clock
        self._changed = changed

    async def content_digest(self, review: Review) -> str | None:
        """Digest of the order as it stands in the ERP now; None when there is no order to compare with.

        Raises:
            Transient: the ERP cannot be asked; the answer is not taken.
        """
        order = await self._order(review)
        if order is None:
            return digest(review.entity_id)
        if order.content_digest != review.content_digest:
            return order.content_digest
        if "release" in review.stage:
            # The question is about terms that have changed: an answer to it writes the next version, or rejects.
            return order.content_digest
        today = self._clock.now().date()
        changed = await self._standing.findings(order, today=today)
        if changed:
            await self._changed(review.tenant, review.entity_id, "; ".join(text for _, text in changed))
        return await self._standing.seal(order, today=today)

    async def check(self, review: Review, answer: ReviewAnswer) -> None:
        """Refuse an edit that does not fit the order.

        Raises:
            UnprocessableOrder: it names what may not be edited, or a value that does not fit.
        """
        if answer.action is not ReviewAction.EDIT:
            return
        order = await self._order(review)
        check_edits(order, answer.edits)

    async def _order(self, review: Review) -> PurchaseOrder | None:
        try:
            return (await self._orders.find(review.tenant, review.entity_id)).order
        except NotFound:
            return None


def check_edits(order: PurchaseOrder | None, edits: dict[str, Plain]) -> None:
    """Hold an edit against the order: only known fields, whole packs, dates that exist. Prices cannot be edited at all.

    Raises:
        UnprocessableOrder: it does not fit; the message says how it would.
    """
    unknown = sorted(set(edits) - set(EDITABLE))
    if unknown or not edits:
        raise UnprocessableOrder(f"{', '.join(unknown) or 'nothing'} cannot be edited; {', '.join(EDITABLE)} can")
    quantities = edits.get("quantities", {})
    if not isinstance(quantities, dict):
        raise UnprocessableOrder("quantities is an object of SKU and whole number")
    lines = {line.sku: line for line in order.lines} if order else {}
    for sku, quantity in quantities.items():
        line = lines.get(sku)
        if line is None:
            raise UnprocessableOrder(f"{sku} is not on this order; it has {', '.join(lines)}")
        if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 0:
            raise UnprocessableOrder(f"{sku}: {quantity!r} is not a quantity; give a whole number, 0 to leave it out")
        if quantity and (quantity % line.pack or quantity < line.moq):
            raise UnprocessableOrder(f"{sku}: {quantity} is not a multiple of {line.pack} of at least {line.moq}")
    if lines and quantities and all(quantities.get(sku) == 0 for sku in lines):
        raise UnprocessableOrder("no line would be left; reject the order instead")
    _check_date(order, edits.get("deliver_until"))
    notes = edits.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) and len(note) <= 500 for note in notes):
        raise UnprocessableOrder("notes is a list of texts of at most 500 characters")
    if not isinstance(edits.get("vendor_id", ""), str):
        raise UnprocessableOrder("vendor_id is the id of a supplier in the vendor master")


def _check_date(order: PurchaseOrder | None, given: Plain) -> None:
    if given is None:
        return
    try:
        wanted = date.fromisoformat(str(given))
    except ValueError:
        raise UnprocessableOrder(f"deliver_until {given!r} is not a date such as 2026-12-05") from None
    if order is not None and wanted < order.deliver_from:
        raise UnprocessableOrder(
            f"{wanted} is before {order.deliver_from}, when the supplier can deliver at the earliest"
        )
