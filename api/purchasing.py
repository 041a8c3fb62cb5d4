"""Procurement's way in: start a look at SKUs, see purchase orders with their cycle, answer the open question about one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from api.review_views import ReviewViews
from api.services import Json
from domain.errors import Conflict, NotFound
from domain.ids import ReviewId, Sku, TenantId
from domain.purchasing import PurchaseOrderState
from domain.review import ReviewAnswer
from domain.supply_case import SupplyTrigger, TriggerKind
from graph.bootstrap.system import Signalbox
from graph.runtime.purchase_orders import StoredOrder
from graph.runtime.supply_cases import SupplyRecord


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """How long one order took, split into machine work and waiting; minutes, None for what has not happened."""

    draft: float | None
    approval: float | None
    """Waiting for procurement."""
    sending: float | None
    answer: float | None
    """Waiting for the supplier."""
    to_sent: float | None


class PurchasingDesk:
    """Implements ``api.services.Purchasing`` on the store of purchase orders and the supplier workflow."""

    def __init__(self, box: Signalbox, reviews: ReviewViews) -> None:
        """``reviews`` takes the answers, as for any other review."""
        self._box = box
        self._reviews = reviews

    async def start(self, tenant: TenantId, skus: Sequence[str], *, key: str, by: str, alert: bool) -> Json:
        """Look at SKUs now and start a chain for what needs ordering; the same key again leads to the same chains.

        Raises:
            Transient: something could not be read; tell it again.
        """
        kind = TriggerKind.ALERT if alert else TriggerKind.PERSON
        trigger = SupplyTrigger(
            key=key, tenant=tenant, kind=kind, skus=tuple(Sku(sku) for sku in skus), by=by, at=self._box.clock.now()
        )
        return (await self._box.suppliers.chains.begin(trigger)).model_dump(mode="json")

    async def scan(self, tenant: TenantId, *, by: str, limit: int) -> Json:
        """Look at everything sold.

        Raises:
            Transient: something could not be read; what was started stays started.
        """
        return (await self._box.suppliers.scan.scan(tenant, by=by, limit=limit)).model_dump(mode="json")

    async def answered(self, tenant: TenantId, raw: bytes) -> Json:
        """Take one mail message of a supplier, once; taken again it tells what was done the first time.

        Raises:
            InputError: it cannot be read, or belongs to no purchase order of this tenant.
            Transient: it was not taken; the sender should repeat.
        """
        return (await self._box.suppliers.answers.take(tenant, raw)).model_dump(mode="json")

    async def listed(self, tenant: TenantId, states: Sequence[str] = (), *, limit: int = 200) -> Json:
        """Purchase orders, last changed first, and how long orders take by supplier.

        Raises:
            NotFound: there is no such state.
        """
        known = {state.value: state for state in PurchaseOrderState}
        unknown = sorted(set(states) - set(known))
        if unknown:
            raise NotFound(f"there is no state {', '.join(unknown)}; there are {', '.join(known)}")
        found = await self._box.suppliers.orders.listed(tenant, states=[known[one] for one in states], limit=limit)
        return {"purchase_orders": [_line(one) for one in found], "cycle_minutes": cycles(found)}

    async def shown(self, tenant: TenantId, number: str) -> Json:
        """One purchase order with its chain, letter, cycle and open question.

        Raises:
            NotFound: this tenant has none of that number.
        """
        record = await self._box.suppliers.cases.find(tenant, number)
        try:
            stored = await self._box.suppliers.orders.find(tenant, number)
        except NotFound:
            if record is None:
                raise
            return _chain(record) | {"number": number, "state": record.progress.value, "order": None}
        view = _line(stored) | {
            "detail": stored.detail,
            "order": stored.order.model_dump(mode="json"),
            "letter": stored.letter,
            "content_digest": stored.order.content_digest,
        }
        if record is None:
            return view
        asked = await self._box.store.reviews.find(tenant, record.review_id) if record.review_id else None
        shown = {"review_id": asked.review_id, "reasons": list(asked.reasons), "facts": asked.facts} if asked else None
        return view | _chain(record) | {"review": shown}

    async def decide(
        self,
        tenant: TenantId,
        number: str,
        answer: ReviewAnswer,
        roles: frozenset[str],
        *,
        limit_usd_minor: int | None = None,
    ) -> Json:
        """Answer the open question about a purchase order.

        Raises:
            NotFound: this tenant has none of that number.
            Conflict: nothing is asked about it now, or it has changed since it was shown.
            Forbidden, AlreadyDecided, UnprocessableOrder: as for any review.
        """
        record = await self._box.suppliers.cases.find(tenant, number)
        if record is None:
            await self._box.suppliers.orders.find(tenant, number)
        if record is None or not record.review_id:
            raise Conflict(f"nothing is asked about {number} now; see its state")
        return await self._reviews.decide(
            tenant, ReviewId(record.review_id), answer, roles, limit_usd_minor=limit_usd_minor
        )


def cycle_of(stored: StoredOrder) -> Cycle:
    """One order's cycle: drafting and sending are ours, approval and answer are waited for."""
    began, drafted, decided = stored.triggered_at, stored.drafted_at, stored.decided_at
    return Cycle(
        draft=_minutes(began, drafted),
        approval=_minutes(drafted, decided),
        sending=_minutes(decided, stored.sent_at),
        answer=_minutes(stored.sent_at, stored.answered_at),
        to_sent=_minutes(began, stored.sent_at),
    )


def cycles(found: Sequence[StoredOrder]) -> Json:
    """Median minutes by supplier from trigger to sent, work apart from waiting, over the orders that were sent."""
    by_vendor: dict[str, list[Cycle]] = {}
    for one in found:
        if one.sent_at is not None:
            by_vendor.setdefault(one.order.vendor.vendor_id, []).append(cycle_of(one))
    return {vendor: _medians(of_vendor) for vendor, of_vendor in sorted(by_vendor.items())}


def _medians(of_vendor: Sequence[Cycle]) -> Json:
    work = [(one.draft or 0.0) + (one.sending or 0.0) for one in of_vendor]
    answers = [one.answer for one in of_vendor if one.answer is not None]
    return {
        "orders": len(of_vendor),
        "trigger_to_sent": round(median(one.to_sent or 0.0 for one in of_vendor), 3),
        "work": round(median(work), 3),
        "waiting_for_approval": round(median(one.approval or 0.0 for one in of_vendor), 3),
        "waiting_for_supplier": round(median(answers), 3) if answers else None,
    }


def _minutes(since: datetime | None, until: datetime | None) -> float | None:
    return None if since is None or until is None else max(0.0, (until - since).total_seconds() / 60)


def _line(stored: StoredOrder) -> Json:
    order, cycle = stored.order, cycle_of(stored)
    return {
        "number": order.number,
        "version": order.version,
        "state": stored.state.value,
        "vendor_id": order.vendor.vendor_id,
        "vendor": order.vendor.legal_name,
        "language": order.vendor.language,
        "total": order.total.model_dump(mode="json"),
        "lines": len(order.lines),
        "deliver_until": order.deliver_until.isoformat(),
        "changed_at": stored.changed_at.isoformat(),
        "cycle_minutes": {name: None if value is None else round(value, 3) for name, value in vars(cycle).items()},
    }


def _chain(record: SupplyRecord) -> Json:
    return {
        "progress": record.progress.value,
        "why": record.detail,
        "trigger": record.trigger.model_dump(mode="json", exclude={"tenant"}),
        "attempt_group": record.attempt_group,
    }
