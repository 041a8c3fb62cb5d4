"""What a customer may still change on an order, in which state and until when, and what becomes of a shortage offer.

Dated policy rows and pure functions on them: the same question gives the same answer to the customer, the desk and the
runtime that carries it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from domain.order import Channel, Order, OrderProgress, OrderState

_BEFORE_PICKING = frozenset({OrderState.CREATED, OrderState.PAID, OrderState.HELD})
_BEFORE_PACKING = _BEFORE_PICKING | {OrderState.ALLOCATED}
_BEFORE_HANDOVER = _BEFORE_PACKING | {OrderState.PACKED, OrderState.READY_TO_SHIP, OrderState.CANCEL_REQUESTED}


class Change(StrEnum):
    """What a customer may ask to be changed."""

    CONTACT = "contact"
    ADDRESS = "address"
    FEWER_UNITS = "fewer_units"
    """Fewer units of a line, or a line less."""
    MORE_UNITS = "more_units"
    SHIPPING_OPTION = "shipping_option"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True)
class AmendmentRule:
    """One kind of change on some channels, between two days (the last included)."""

    rule_id: str
    change: Change
    channels: frozenset[Channel]
    states: frozenset[OrderState]
    """The order's states in which it may be made; empty: never, the platform does it."""
    window: timedelta | None
    """How long after the order was placed; None: as long as the state allows."""
    ship_by_margin: timedelta = timedelta(0)
    """How long before the platform's ship-by time it ends at the latest."""
    valid_from: date = date(2026, 1, 1)
    valid_to: date | None = None

    def in_force(self, day: date) -> bool:
        """Whether the rule applies on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Whether a change may be made now, and why or until when."""

    allowed: bool
    code: str
    text: str
    rule_id: str = ""
    until: datetime | None = None
    """When it ends at the latest; None when only the state ends it."""


OWN = frozenset({Channel.STOREFRONT, Channel.SHOPIFY, Channel.ADOBE_COMMERCE, Channel.SHOPLINE})
TRADE = frozenset({Channel.B2B})
MARKETPLACES = frozenset(channel for channel in Channel if channel.marketplace)

VERSION = "amendment-2026-11-01"

RULES: tuple[AmendmentRule, ...] = (
    AmendmentRule(
        rule_id="OWN-CONTACT", change=Change.CONTACT, channels=OWN | TRADE, states=_BEFORE_HANDOVER, window=None
    ),
    AmendmentRule(
        rule_id="OWN-ADDRESS", change=Change.ADDRESS, channels=OWN, states=_BEFORE_PACKING, window=timedelta(hours=2)
    ),
    AmendmentRule(
        rule_id="OWN-FEWER", change=Change.FEWER_UNITS, channels=OWN, states=_BEFORE_PACKING, window=timedelta(hours=2)
    ),
    AmendmentRule(
        rule_id="OWN-MORE", change=Change.MORE_UNITS, channels=OWN, states=_BEFORE_PICKING, window=timedelta(minutes=30)
    ),
    AmendmentRule(
        rule_id="OWN-OPTION", change=Change.SHIPPING_OPTION, channels=OWN, states=_BEFORE_PACKING,
        window=timedelta(hours=2),
    ),
    AmendmentRule(rule_id="OWN-CANCEL", change=Change.CANCEL, channels=OWN, states=_BEFORE_HANDOVER, window=None),
    *(
        AmendmentRule(
            rule_id=f"TRADE-{change.name}", change=change, channels=TRADE, states=_BEFORE_PICKING,
            window=timedelta(hours=24), ship_by_margin=timedelta(hours=24),
        )
        for change in (Change.ADDRESS, Change.FEWER_UNITS, Change.MORE_UNITS, Change.SHIPPING_OPTION, Change.CANCEL)
    ),
    *(
        AmendmentRule(
            rule_id=f"PLATFORM-{change.name}", change=change, channels=MARKETPLACES, states=frozenset(), window=None
        )
        for change in Change
    ),
)  # fmt: skip
"""Starting values. On a marketplace the buyer asks the platform, which tells us: changes made elsewhere would leave its
record wrong and count against the seller."""


def permission(
    order: Order, change: Change, *, progress: OrderProgress, now: datetime, rules: Iterable[AmendmentRule] = RULES
) -> Permission:
    """Whether the customer may make a change now.

    A backordered order may always be cancelled or reduced by its customer, however old: it waits because of us.
    """
    day = now.date()
    rule = next((r for r in rules if r.change is change and order.channel in r.channels and r.in_force(day)), None)
    if rule is None:
        return Permission(allowed=False, code="NO_RULE", text=f"no rule lets a customer change {change.value} here")
    if not rule.states:
        asked = f"{order.channel.value} handles this; the customer asks there"
        return Permission(allowed=False, code="ASK_PLATFORM", text=asked, rule_id=rule.rule_id)
    waiting = progress is OrderProgress.BACKORDERED and change in {Change.CANCEL, Change.FEWER_UNITS}
    if progress in {OrderProgress.CANCELLED, OrderProgress.CLOSED_EXTERNALLY}:
        over = f"the order is {progress.value.replace('_', ' ')}"
        return Permission(allowed=False, code="ORDER_OVER", text=over, rule_id=rule.rule_id)
    handed_over = progress is OrderProgress.FULFILLED and change is not Change.CANCEL
    if order.state not in rule.states or handed_over:
        late = f"{change.value} is no longer possible once an order is {order.state.value.replace('_', ' ')}"
        late = f"{change.value} is no longer possible: the parcel is being prepared" if handed_over else late
        return Permission(allowed=False, code="STATE_TOO_LATE", text=late, rule_id=rule.rule_id)
    until = None if waiting else _end(order, rule)
    if until is not None and now > until:
        closed = f"{change.value} was possible until {until.isoformat()}"
        return Permission(allowed=False, code="WINDOW_CLOSED", text=closed, rule_id=rule.rule_id, until=until)
    text = f"{change.value} is possible" + (f" until {until.isoformat()}" if until else " until handover")
    return Permission(allowed=True, code="ALLOWED", text=text, rule_id=rule.rule_id, until=until)


def changes(before: Order, after: Order) -> tuple[Change, ...]:
    """What a newer version asks to be changed, in the order of ``Change``; prices and states are not the customer's."""
    units = {line.line_id: line.quantity_open for line in before.lines}
    wanted = {line.line_id: line.quantity_open for line in after.lines}
    skus = {line.line_id: line.sku for line in before.lines}
    other = {line.line_id for line in after.lines if skus.get(line.line_id, line.sku) != line.sku}
    contact = {"name", "company", "phone"}
    found = {
        Change.CONTACT: before.customer != after.customer
        or before.ship_to.model_dump(include=contact) != after.ship_to.model_dump(include=contact),
        Change.ADDRESS: before.ship_to.model_dump(exclude=contact) != after.ship_to.model_dump(exclude=contact),
        Change.FEWER_UNITS: bool(other) or any(wanted.get(line_id, 0) < count for line_id, count in units.items()),
        Change.MORE_UNITS: bool(other) or any(units.get(line_id, 0) < count for line_id, count in wanted.items()),
        Change.SHIPPING_OPTION: before.shipping_option != after.shipping_option,
    }
    return tuple(change for change, made in found.items() if made)


def _end(order: Order, rule: AmendmentRule) -> datetime | None:
    ends = [order.placed_at + rule.window] if rule.window is not None else []
    if order.ship_by is not None and rule.ship_by_margin:
        ends.append(order.ship_by - rule.ship_by_margin)
    return min(ends, default=None)


class ShortageChoice(StrEnum):
    """What a customer may choose when units are missing."""

    WAIT = "wait"
    SHIP_AVAILABLE = "ship_available"
    """Without the missing units, which are refunded."""
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True)
class ShortagePolicy:
    """What is offered on a shortage, how long the answer is waited for, and what happens without one."""

    policy_id: str
    channels: frozenset[Channel]
    choices: tuple[ShortageChoice, ...]
    answer_within: timedelta
    without_answer: ShortageChoice
    longest_wait: timedelta
    """After this an order that waits is cancelled whatever was chosen, and its units are freed."""


SHORTAGE: tuple[ShortagePolicy, ...] = (
    ShortagePolicy(
        policy_id="OWN-SHORTAGE", channels=OWN, choices=tuple(ShortageChoice), answer_within=timedelta(hours=48),
        without_answer=ShortageChoice.CANCEL, longest_wait=timedelta(days=14),
    ),
    ShortagePolicy(
        policy_id="TRADE-SHORTAGE", channels=TRADE, choices=tuple(ShortageChoice), answer_within=timedelta(days=5),
        without_answer=ShortageChoice.WAIT, longest_wait=timedelta(days=60),
    ),
    ShortagePolicy(
        policy_id="PLATFORM-SHORTAGE", channels=MARKETPLACES, choices=(ShortageChoice.CANCEL,),
        answer_within=timedelta(hours=24), without_answer=ShortageChoice.CANCEL, longest_wait=timedelta(days=2),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ShortageOutcome:
    """What to do with a short order now."""

    choice: ShortageChoice
    due: bool
    """Whether it is to be done now; else the answer is still waited for."""
    frees_stock: bool
    """Whether units held for the order go back."""
    until: datetime
    """When the next thing happens by itself, or has."""
    code: str


def shortage_policy(channel: Channel) -> ShortagePolicy:
    """The policy of a channel; every channel has one."""
    return next(policy for policy in SHORTAGE if channel in policy.channels)


def shortage_outcome(
    order: Order, *, short_since: datetime, answer: ShortageChoice | None, now: datetime
) -> ShortageOutcome:
    """What becomes of a short order: the customer's answer, or the policy's once time is up.

    On a marketplace the platform's ship-by time ends the wait when it comes first.
    """
    policy = shortage_policy(order.channel)
    last = short_since + policy.longest_wait
    if order.channel.marketplace and order.ship_by is not None:
        last = min(last, order.ship_by)
    if now >= last:
        return _settled(ShortageChoice.CANCEL, until=last, code="WAIT_OVER")
    if answer is not None and answer in policy.choices:
        return _settled(answer, until=last, code="ANSWERED")
    until = min(short_since + policy.answer_within, last)
    if now < until:
        return ShortageOutcome(
            choice=ShortageChoice.WAIT, due=False, frees_stock=False, until=until, code="ANSWER_AWAITED"
        )
    ends = last if policy.without_answer is ShortageChoice.WAIT else until
    return _settled(policy.without_answer, until=ends, code="NO_ANSWER")


def _settled(choice: ShortageChoice, *, until: datetime, code: str) -> ShortageOutcome:
    return ShortageOutcome(
        choice=choice,
        due=choice is not ShortageChoice.WAIT,
        frees_stock=choice is ShortageChoice.CANCEL,
        until=until,
        code=code,
    )
