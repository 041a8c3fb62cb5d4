"""The canonical state machine of an order: which states follow which, per line, and what the order is as a whole.

Progress, payment and return are three axes. Histories are folded in the platforms' own time, so that the same reports in
any order, once or many times, give the same state. What would go backwards is kept and not applied, unless the pair is
among the few real ones.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime

from domain.order import Order, OrderState, PaymentState
from domain.values import Document

_S = OrderState

LADDER: tuple[OrderState, ...] = (
    _S.CREATED,
    _S.PAID,
    _S.HELD,
    _S.ALLOCATED,
    _S.PACKED,
    _S.READY_TO_SHIP,
    _S.SHIPPED,
    _S.DELIVERED,
    _S.COMPLETED,
)
"""The way of an undisturbed line. Platforms leave steps out, so any later step may follow any earlier one."""

_BEFORE_HANDOVER = frozenset(LADDER[: LADDER.index(_S.SHIPPED)])

FORWARD: dict[OrderState, frozenset[OrderState]] = {
    **{state: frozenset(LADDER[i + 1 :]) for i, state in enumerate(LADDER)},
    _S.CANCEL_REQUESTED: frozenset({_S.CANCELLED}),
    _S.CANCELLED: frozenset(),
    _S.DELIVERY_FAILED: frozenset({_S.DELIVERED, _S.COMPLETED, _S.CANCELLED, _S.LOST, _S.DAMAGED}),
    _S.LOST: frozenset({_S.COMPLETED, _S.CANCELLED}),
    _S.DAMAGED: frozenset({_S.COMPLETED, _S.CANCELLED}),
    _S.UNKNOWN: frozenset(_S) - {_S.UNKNOWN},
}
"""What may follow on the progress axis, whenever it is learnt."""

for _state in _BEFORE_HANDOVER:
    FORWARD[_state] |= {_S.CANCEL_REQUESTED, _S.CANCELLED}
for _state in (_S.READY_TO_SHIP, _S.SHIPPED):
    FORWARD[_state] |= {_S.DELIVERY_FAILED, _S.LOST, _S.DAMAGED}
FORWARD[_S.DELIVERED] |= {_S.DAMAGED}

BACKWARD: frozenset[tuple[OrderState, OrderState]] = frozenset(
    {
        (_S.PAID, _S.CREATED),
        (_S.HELD, _S.CREATED),
        (_S.ALLOCATED, _S.CREATED),
        (_S.HELD, _S.PAID),
        (_S.ALLOCATED, _S.HELD),
        (_S.PACKED, _S.HELD),
        (_S.ALLOCATED, _S.PAID),
        (_S.PACKED, _S.ALLOCATED),
        (_S.READY_TO_SHIP, _S.PACKED),
        (_S.READY_TO_SHIP, _S.PAID),
        (_S.SHIPPED, _S.READY_TO_SHIP),
        (_S.SHIPPED, _S.PAID),
        (_S.SHIPPED, _S.CANCELLED),
        (_S.DELIVERED, _S.SHIPPED),
        (_S.DELIVERY_FAILED, _S.SHIPPED),
        (_S.LOST, _S.SHIPPED),
        (_S.LOST, _S.DELIVERED),
        *((_S.CANCEL_REQUESTED, state) for state in (*_BEFORE_HANDOVER, _S.SHIPPED)),
    }
)
"""Steps back that do happen, when the newer report says so: a payment, stock or a pickup that fell through, a hold
released or placed late, a label voided, a delivery scanned by mistake, another attempt, a lost parcel found, a cancellation refused."""

STOPS_PICKING = frozenset({_S.HELD, _S.CANCEL_REQUESTED, _S.CANCELLED, _S.UNKNOWN})
"""While a line shows one of these nothing more is picked or packed for it. A requested cancellation is not a
cancellation: the seller may still refuse it, and picking goes on."""

ENDED = frozenset({_S.CANCELLED, _S.LOST, _S.DAMAGED})
"""A line in one of these takes no further part in how far its order is."""

_ADVANCE: tuple[OrderState, ...] = (
    _S.UNKNOWN,
    _S.CANCEL_REQUESTED,
    _S.CREATED,
    _S.HELD,
    _S.PAID,
    _S.ALLOCATED,
    _S.PACKED,
    _S.READY_TO_SHIP,
    _S.DELIVERY_FAILED,
    _S.SHIPPED,
    _S.DELIVERED,
    _S.COMPLETED,
)
"""From least to most advanced, for comparing lines: what needs somebody counts as least advanced."""


class ReturnState(StrEnum):
    """The return axis of a line."""

    NONE = "none"
    REQUESTED = "requested"
    RETURNING = "returning"
    RETURNED = "returned"


RETURN_OF: dict[OrderState, ReturnState] = {
    _S.RETURN_REQUESTED: ReturnState.REQUESTED,
    _S.RETURNING: ReturnState.RETURNING,
    _S.RETURNED: ReturnState.RETURNED,
}
"""Canonical states that say something about the return and nothing about how far the delivery got."""

_STATE_OF_RETURN = {back: state for state, back in RETURN_OF.items()}

RETURN_NEXT: dict[ReturnState, frozenset[ReturnState]] = {
    ReturnState.NONE: frozenset({ReturnState.REQUESTED, ReturnState.RETURNING, ReturnState.RETURNED}),
    ReturnState.REQUESTED: frozenset({ReturnState.NONE, ReturnState.RETURNING, ReturnState.RETURNED}),
    ReturnState.RETURNING: frozenset({ReturnState.RETURNED}),
    ReturnState.RETURNED: frozenset(),
}
"""A requested return may be withdrawn or refused; goods on their way back arrive."""

PAYMENT_NEXT: dict[PaymentState, frozenset[PaymentState]] = {
    PaymentState.PENDING: frozenset(PaymentState) - {PaymentState.PENDING},
    PaymentState.AUTHORISED: frozenset(PaymentState) - {PaymentState.PENDING, PaymentState.AUTHORISED},
    PaymentState.PAID: frozenset({PaymentState.PARTLY_REFUNDED, PaymentState.REFUNDED, PaymentState.VOIDED}),
    PaymentState.PARTLY_REFUNDED: frozenset({PaymentState.REFUNDED}),
    PaymentState.REFUNDED: frozenset(),
    PaymentState.VOIDED: frozenset(),
}
"""What may follow on the payment axis."""


RETURN_ENDS: dict[OrderState, frozenset[OrderState]] = {
    _S.RETURN_REQUESTED: frozenset({_S.SHIPPED, _S.DELIVERED, _S.COMPLETED, _S.CANCELLED, _S.LOST, _S.DAMAGED}),
    _S.RETURNING: frozenset({_S.COMPLETED, _S.CANCELLED, _S.LOST, _S.DAMAGED}),
    _S.RETURNED: frozenset({_S.COMPLETED, _S.CANCELLED}),
}
"""Where both axes share one word: what may be shown after a return was."""


class Step(StrEnum):
    """What a report does to the state it meets."""

    SAME = "same"
    FORWARD = "forward"
    BACKWARD = "backward"
    """One of the real steps back."""
    REFUSED = "refused"
    """Kept in the history, applied nowhere."""
    UNREAD = "unread"
    """A word nobody maps: the state stays, a person reads it."""


def step(now: OrderState, then: OrderState) -> Step:
    """What a newer report of ``then`` does to a line or an order that shows ``now``."""
    if then is now:
        return Step.SAME
    if then is OrderState.UNKNOWN:
        return Step.UNREAD
    if then in RETURN_OF:
        back = RETURN_NEXT[RETURN_OF.get(now, ReturnState.NONE)]
        return Step.FORWARD if RETURN_OF[then] in back and now is not OrderState.CANCELLED else Step.REFUSED
    if then in RETURN_ENDS.get(now, FORWARD.get(now, frozenset())):
        return Step.FORWARD
    return Step.BACKWARD if (now, then) in BACKWARD else Step.REFUSED


def admissible(known: Order | None, arrived: Order) -> Order:
    """The newer version of an order with the state it may take: a step back that is not real leaves the one known.

    The platform's own word stays as it came. A word nobody maps stays UNKNOWN, for a person to read.
    """
    if known is None or step(known.state, arrived.state) is not Step.REFUSED:
        return arrived
    return arrived.model_copy(update={"state": known.state})


class Observation(Document):
    """One report about a line, with the platform's own time. Axes it says nothing about are None."""

    source_time: AwareDatetime
    state: OrderState | None = None
    payment: PaymentState | None = None
    returns: ReturnState | None = None
    word: str = ""
    """The platform's own word."""

    @property
    def sort_key(self) -> tuple[float, int, str, str, str, str]:
        """Reports in their own order; of one instant the more advanced comes last, whoever brought it first."""
        return (
            self.source_time.timestamp(),
            _rank(self.state) if self.state is not None else -1,
            self.state or "",
            self.payment or "",
            self.returns or "",
            self.word,
        )


@dataclass(frozen=True, kw_only=True)
class LineState:
    """Where one line stands on its three axes."""

    progress: OrderState = OrderState.UNKNOWN
    payment: PaymentState = PaymentState.PENDING
    returns: ReturnState = ReturnState.NONE
    refused: tuple[Observation, ...] = ()
    """Reports that would have gone backwards."""
    unread: tuple[str, ...] = ()
    """Words nobody maps, since the last one understood: each is a person's to read."""

    @property
    def state(self) -> OrderState:
        """The one canonical state shown for the line: its return when there is one, else its progress."""
        return _STATE_OF_RETURN.get(self.returns, self.progress)

    @property
    def stops_picking(self) -> bool:
        """Whether warehouse work on the line must stop now."""
        return self.progress in STOPS_PICKING or self.returns is not ReturnState.NONE

    @property
    def needs_person(self) -> bool:
        """Whether the platform's last word was not understood, or none ever was."""
        return bool(self.unread) or self.state is OrderState.UNKNOWN

    def after(self, seen: Observation) -> Self:
        """The state after one report that is not older than those before."""
        changed = _progressed(self, seen) if seen.state is not None else {}
        returns = seen.returns or (RETURN_OF.get(seen.state) if seen.state is not None else None)
        if returns is not None and returns in RETURN_NEXT[self.returns]:
            changed["returns"] = returns
        if seen.payment is not None and seen.payment in PAYMENT_NEXT[self.payment]:
            changed["payment"] = seen.payment
        return type(self)(**{**self.__dict__, **changed}) if changed else self


def _progressed(line: LineState, seen: Observation) -> dict[str, object]:
    then = seen.state
    if then is None:
        return {}
    if then is OrderState.UNKNOWN:
        return {} if seen.word in line.unread else {"unread": (*line.unread, seen.word)}
    understood: dict[str, object] = {"unread": ()} if line.unread else {}
    if then in RETURN_OF:
        return understood
    match step(line.progress, then):
        case Step.FORWARD | Step.BACKWARD:
            return understood | {"progress": then}
        case Step.REFUSED:
            return understood | {"refused": (*line.refused, seen)}
        case Step.SAME | Step.UNREAD:
            return understood


@dataclass(frozen=True, kw_only=True)
class History:
    """Everything reported about one line: a set, so that repetition and order of arrival mean nothing."""

    reports: tuple[Observation, ...] = field(default=())
    """By source time."""

    def with_report(self, seen: Observation) -> "History":
        """The history with one more report; a repeated one changes nothing."""
        if seen in self.reports:
            return self
        reports = list(self.reports)
        insort(reports, seen, key=lambda report: report.sort_key)
        return History(reports=tuple(reports))

    @property
    def line(self) -> LineState:
        """Where the line stands by all reports."""
        line = LineState()
        for report in self.reports:
            line = line.after(report)
        return line


def order_state(lines: Iterable[OrderState]) -> OrderState:
    """The state of an order: that of its least advanced active line.

    Without an active line it is what became of the goods: lost or damaged before cancelled. No line at all is UNKNOWN.
    """
    states = set(lines)
    active = states - ENDED
    if active:
        return min(active, key=_rank)
    for ended in (OrderState.LOST, OrderState.DAMAGED, OrderState.CANCELLED):
        if ended in states:
            return ended
    return OrderState.UNKNOWN


def _rank(state: OrderState) -> int:
    # Returns come after a delivery, and a line that ended after everything.
    if state in RETURN_OF:
        return len(_ADVANCE) + list(RETURN_OF).index(state)
    return len(_ADVANCE) + len(RETURN_OF) if state in ENDED else _ADVANCE.index(state)
