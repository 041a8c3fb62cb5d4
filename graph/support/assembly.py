"""From what the sources said to one context: who is meant, which facts, how sure, and what may be shown of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from agents.support_next import Situation, next_action, refund_options
from agents.support_returns import ReturnTable, eligible_lines
from agents.support_shown import masked, shown_address, shows_account, shows_whole_address
from agents.support_told import holds, told
from agents.support_worth import ltv_bucket, recent, return_rate
from domain.errors import Conflict, ConnectorUnavailable, NotFound
from domain.support import (
    GAP_CONFIDENCE,
    AgentDecisionView,
    CustomerFacts,
    Fact,
    HoldView,
    LineView,
    OrderBrief,
    OrderFacts,
    PaymentView,
    PolicySnippet,
    ProductVariants,
    ReturnView,
    ShipmentStatus,
    ShipmentView,
    SupportContext,
    TimelineEntry,
)
from domain.support_identity import customer_hash
from domain.support_reason import CANCEL_REASONS, Reason, Topic
from domain.support_sources import HistoryLine, HistoryOrder, Profile
from graph.support.gathering import Gathering, OwnOrder, latest

T = TypeVar("T")
MOST_ORDERS = 20
_STALE_AFTER = {"oms": timedelta(hours=1), "crm": timedelta(hours=24), "carrier": timedelta(hours=72)}
"""Beyond this the source's own copy of a fact is too old to promise anything by (design choice)."""


class Consolidation:
    """Builds contexts."""

    def __init__(self, returns: ReturnTable) -> None:
        """``returns`` is the table of return rules in force."""
        self._returns = returns

    def __call__(self, run: Gathering) -> SupportContext:
        """The context of a finished gathering.

        Raises:
            NotFound: nobody in this tenant fits.
            Conflict: several do; the message says what to ask for, and nothing about any of them.
            ConnectorUnavailable: nobody was found, and a source that might know did not answer.
        """
        order, customer_id = identify(run)
        profile = next((one for one in run.profiles if one.customer_id == customer_id), None)
        _require_agreement(run, order, profile)
        mine = next((one for one in run.own if order is not None and one.order.order_id == order.order_id), None)
        theirs = latest([one for one in run.known_orders if one.customer_id == customer_id])
        if order is None and len(theirs) == 1:
            order = theirs[0]
            mine = next((one for one in run.own if one.order.order_id == order.order_id), None)
        shipments = _shipments(run, order, mine)
        detail = run.reason.detail if run.reason and run.reason.topic is Topic.RETURN else ""
        returns = eligible_lines(order, reason=detail, now=run.now, table=self._returns) if order else ()
        held = holds(mine.progress, mine.decisions, blind=mine.blind) if mine else ()
        at = Situation(
            reason=run.reason,
            order=order,
            progress=mine.progress if mine else None,
            holds=held,
            shipments=shipments.value or (),
            returns=returns,
            missing=tuple(sorted(run.gaps)),
        )
        return SupportContext(
            context_id=run.context_id,
            tenant=run.tenant,
            generated_at=run.now,
            role=run.role,
            reason=run.reason,
            resolved_by=run.subject.ways[0],
            missing=tuple(sorted(run.gaps)),
            gaps=tuple(run.gaps[name] for name in sorted(run.gaps)),
            customer=_customer(run, profile, theirs, customer_id),
            order=None if order is None else _order(run, order, mine, held),
            other_orders=fact(run, "oms", _others(run, theirs, order)),
            shipments=shipments,
            returns=_rules(run, returns),
            refunds=_rules(run, refund_options(order, shipments.value or ()) if order else ()),
            exchange_options=fact(run, "catalogue", tuple(_bought_first(run, order))),
            policies=_policies(returns, run.reason),
            next_best_action=next_action(at),
        )


def identify(run: Gathering) -> tuple[HistoryOrder | None, str]:
    """The order and the customer that are meant.

    Raises:
        NotFound, Conflict, ConnectorUnavailable: see ``Consolidation``.
    """
    subject = run.subject
    if subject.order or subject.tracking:
        named = run.named_orders()
        if subject.customer:
            named = [one for one in named if one.customer_id == subject.customer]
        if len(named) > 1:
            raise Conflict(
                "Several orders have this number; ask for the sales channel or the e-mail address of the order."
            )
        if not named:
            raise _nobody(run, "order", ("oms", "signalbox"))
        return named[0], named[0].customer_id
    people = {one.customer_id for one in run.profiles if one.customer_id}
    if not people:
        people = {one.customer_id for one in run.known_orders if one.customer_id}
    if len(people) > 1:
        raise Conflict("Several customers fit this; ask for an order number or the e-mail address.")
    if not people:
        raise _nobody(run, "customer", ("crm", "oms"))
    return None, people.pop()


def _nobody(run: Gathering, what: str, sources: Sequence[str]) -> NotFound | ConnectorUnavailable:
    silent = [source for source in sources if source in run.gaps]
    if silent:
        return ConnectorUnavailable(
            f"{' and '.join(silent)} did not answer, so the {what} could not be looked up; try again"
        )
    return NotFound(f"there is no such {what}")


def _require_agreement(run: Gathering, order: HistoryOrder | None, profile: Profile | None) -> None:
    """Who names somebody else's order besides their own address learns nothing."""
    subject = run.subject
    if subject.customer and order is not None and order.customer_id != subject.customer:
        raise NotFound("there is no such order")
    if not (subject.email or subject.phone or subject.name):
        return
    fits = []
    if profile is not None:
        where = profile.address
        fits.append(
            subject.fits_profile(email=profile.email, phone=profile.phone, name=profile.name, postcode=where.postcode)
        )
    if order is not None:
        to = order.ship_to
        fits.append(subject.fits_profile(email=order.email, phone=order.phone, name=to.name, postcode=to.postcode))
    if fits and not any(fits):
        raise NotFound("there is no such order or customer")


def fact(run: Gathering, source: str, value: T | None, *, as_of: datetime | None = None, sure: float = 1.0) -> Fact[T]:
    """A value with its origin; what a silent source should have confirmed is never surer than 0.69."""
    limit = _STALE_AFTER.get(source)
    stale = as_of is not None and limit is not None and run.now - as_of > limit
    at_most = GAP_CONFIDENCE if source in run.gaps else 1.0
    return Fact(
        value=value,
        source=source,
        fetched_at=run.fetched.get(source, run.now).replace(microsecond=0),
        as_of=as_of,
        stale=stale,
        confidence=min(sure, at_most),
    )


def _rules(run: Gathering, value: tuple[T, ...]) -> Fact[tuple[T, ...]]:
    sure = GAP_CONFIDENCE if "oms" in run.gaps else 1.0
    return Fact(value=value, source="rules", fetched_at=run.now.replace(microsecond=0), confidence=sure)


def _customer(
    run: Gathering, profile: Profile | None, orders: Sequence[HistoryOrder], customer_id: str
) -> CustomerFacts:
    lately = recent(orders, run.now)
    bucket, sure = ltv_bucket(lately, run.usd())
    known = profile or Profile(customer_id=customer_id)
    as_of = known.as_of
    refused = round(known.cod_refused / known.cod_orders, 3) if known.cod_orders else None
    account = shows_account(run.reason, run.role)
    whole = shows_whole_address(run.reason, run.role)
    there = profile is not None
    return CustomerFacts(
        id_hash=customer_hash(run.tenant, customer_id),
        crm_id=fact(run, "crm", customer_id, as_of=as_of) if account and customer_id else None,
        language=fact(run, "crm", known.language or None, as_of=as_of),
        tier=fact(run, "crm", known.tier or None, as_of=as_of),
        ltv_bucket=fact(run, "oms", bucket if orders else None, sure=sure),
        orders_24m=fact(run, "oms", len(lately)),
        return_rate=fact(run, "oms", return_rate(lately)),
        cod_refusal_rate=fact(run, "crm", refused, as_of=as_of),
        open_tickets=fact(run, "crm", known.open_tickets if there else None, as_of=as_of),
        last_3_ticket_summaries=fact(
            run, "crm", tuple(map(masked, known.ticket_summaries[:3])) if there else None, as_of=as_of
        ),
        address=fact(run, "crm", shown_address(known.address, whole=whole), as_of=as_of) if account and there else None,
        payment_methods=fact(run, "crm", known.payment_methods, as_of=as_of) if account and there else None,
    )


def _source_of(run: Gathering, order: HistoryOrder) -> str:
    return "oms" if any(one.order_id == order.order_id for one in run.orders) else "signalbox"


def _order(run: Gathering, order: HistoryOrder, mine: OwnOrder | None, held: tuple[HoldView, ...]) -> OrderFacts:
    source, as_of = _source_of(run, order), order.as_of
    whole = shows_whole_address(run.reason, run.role)
    decisions: tuple[AgentDecisionView, ...] = ()
    if mine is not None and not mine.blind:
        decisions = tuple(
            AgentDecisionView(agent=one.agent, decision=one.decision, at=one.decided_at, tell_customer=told(one))
            for one in mine.decisions
        )
    return OrderFacts(
        order_id=order.order_id,
        number=order.number,
        channel=order.channel.value,
        placed_at=order.placed_at,
        currency=order.currency,
        state=fact(run, source, order.state.value, as_of=as_of),
        progress=fact(run, "signalbox", mine.progress.value) if mine else None,
        total=fact(run, source, order.total, as_of=as_of),
        timeline=fact(run, source, _timeline(order), as_of=as_of),
        lines=fact(run, source, tuple(map(_line, order.lines)), as_of=as_of),
        payments=fact(run, source, _payments(order), as_of=as_of),
        holds=fact(run, "signalbox", held),
        decisions=fact(run, "signalbox", decisions),
        ship_to=fact(run, source, shown_address(order.ship_to, whole=whole), as_of=as_of),
    )


def _timeline(order: HistoryOrder) -> tuple[TimelineEntry, ...]:
    known = list(order.timeline)
    for event, at in (("placed", order.placed_at), ("delivered", order.delivered_at)):
        if at is not None and not any(one.event == event for one in known):
            known.append(TimelineEntry(event=event, at=at, source="oms"))
    return tuple(sorted(known, key=lambda one: one.at))


def _line(line: HistoryLine) -> LineView:
    return LineView(
        line_id=line.line_id,
        sku=line.sku,
        product_id=line.product_id,
        name=line.name,
        quantity=line.quantity,
        quantity_open=line.quantity if line.quantity_open is None else line.quantity_open,
        unit_price=line.unit_price,
        options=line.options,
    )


def _payments(order: HistoryOrder) -> tuple[PaymentView, ...]:
    return tuple(
        PaymentView(kind=one.kind, amount=one.amount, method_id=one.method_id, at=one.at) for one in order.payments
    )


def _others(run: Gathering, theirs: Sequence[HistoryOrder], order: HistoryOrder | None) -> tuple[OrderBrief, ...]:
    wide = shows_account(run.reason, run.role)
    whole = shows_whole_address(run.reason, run.role)
    rest = [one for one in theirs if order is None or one.order_id != order.order_id]
    return tuple(
        OrderBrief(
            order_id=one.order_id,
            number=one.number,
            state=one.state.value,
            placed_at=one.placed_at,
            total=one.total,
            lines=tuple(map(_line, one.lines)),
            payments=_payments(one) if wide else (),
            tracking_numbers=one.tracking,
            ship_to=shown_address(one.ship_to, whole=True) if whole else None,
        )
        for one in rest[:MOST_ORDERS]
    )


def _shipments(run: Gathering, order: HistoryOrder | None, mine: OwnOrder | None) -> Fact[tuple[ShipmentView, ...]]:
    if order is None:
        return fact(run, "carrier", ())
    by_number = {one.shipment.tracking_number: one for one in run.parcels}
    views = []
    for number, parcel in by_number.items():
        if number in order.tracking or parcel.order_number in {order.number, order.order_id}:
            views.append(parcel.shipment)
    views += [ShipmentView(tracking_number=one) for one in order.tracking if one not in by_number]
    times = [one.as_of for one in run.parcels if one.as_of is not None and one.shipment in views]
    dated = tuple(_dated(one, order, mine, run.now) for one in views)
    return fact(run, "carrier", dated, as_of=min(times, default=None))


def _dated(shipment: ShipmentView, order: HistoryOrder, mine: OwnOrder | None, now: datetime) -> ShipmentView:
    """The parcel with promise, prediction and lateness. A prediction time has overtaken is dropped."""
    plan = mine.plan.parcels if mine and mine.plan else ()
    promised = shipment.promised_at or order.promised_at or max((one.arrives_p80 for one in plan), default=None)
    arrived = shipment.delivered_at or (order.delivered_at if shipment.status is ShipmentStatus.DELIVERED else None)
    open_still = shipment.status is not ShipmentStatus.DELIVERED
    p50 = shipment.predicted_p50_at or max((one.arrives_p50 for one in plan), default=None)
    p80 = shipment.predicted_p80_at or max((one.arrives_p80 for one in plan), default=None)
    until = arrived or (now if open_still else None)
    late = None if promised is None or until is None else max(0, (until.date() - promised.date()).days)
    return shipment.model_copy(
        update={
            "promised_at": promised,
            "delivered_at": arrived,
            "predicted_p50_at": p50 if open_still and p50 and p50 > now else None,
            "predicted_p80_at": p80 if open_still and p80 and p80 > now else None,
            "days_late": late,
        }
    )


def _bought_first(run: Gathering, order: HistoryOrder | None) -> list[ProductVariants]:
    """Variants of what was bought: the order's products before the customer's others; none for where-is-my-order."""
    if run.reason is not None and run.reason.topic in {Topic.WISMO, Topic.REFUND_STATUS, Topic.ACCOUNT}:
        return []
    here = {line.product_id for line in order.lines} if order else set()
    return sorted(map(_obtainable, run.products), key=lambda one: one.product_id not in here)


def _obtainable(product: ProductVariants) -> ProductVariants:
    available = tuple(one for one in product.variants if one.available)
    gone = tuple(one.sku for one in product.variants if not one.available)
    return product.model_copy(update={"variants": available, "sold_out": gone})


def _policies(returns: Sequence[ReturnView], reason: Reason | None) -> tuple[PolicySnippet, ...]:
    rules = {one.rule_id: one for one in returns if one.rule_id}
    snippets = [PolicySnippet(policy_id=rule, text=f"{one.basis}: {one.why}") for rule, one in rules.items()]
    if reason is None or reason.topic is Topic.CHANGE:
        snippets.append(PolicySnippet(policy_id="CANCEL-REASONS", text="; ".join(CANCEL_REASONS)))
    return tuple(snippets)
