"""What customers may change and until when, and what becomes of an order that is short."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.amendment import (
    RULES,
    SHORTAGE,
    AmendmentRule,
    Change,
    ShortageChoice,
    permission,
    shortage_outcome,
    shortage_policy,
)
from domain.order import Channel, OrderProgress, OrderState
from graph.order.amending import noted_late, outside_window
from graph.runtime.orders import OrderRecord, thread_of
from tests.support.agent_world import order

PLACED = datetime(2026, 11, 11, 2, tzinfo=UTC)
RUNNING = OrderProgress.RUNNING


def asked(change: Change, *, minutes: int, progress: OrderProgress = RUNNING, **of: Any) -> str:
    subject = order(placed_at=PLACED, **of)
    return permission(subject, change, progress=progress, now=PLACED + timedelta(minutes=minutes)).code


@pytest.mark.parametrize(
    ("change", "minutes", "code"),
    [
        (Change.ADDRESS, 120, "ALLOWED"),
        (Change.ADDRESS, 121, "WINDOW_CLOSED"),
        (Change.MORE_UNITS, 30, "ALLOWED"),
        (Change.MORE_UNITS, 31, "WINDOW_CLOSED"),
        (Change.CANCEL, 60 * 24 * 9, "ALLOWED"),
        (Change.CONTACT, 60 * 24 * 9, "ALLOWED"),
    ],
)
def test_windows_close_to_the_minute(change: Change, minutes: int, code: str) -> None:
    """P14: inside the window a change works, outside it is refused with the time it ended."""
    assert asked(change, minutes=minutes) == code


@pytest.mark.parametrize(
    ("state", "address", "cancel"),
    [
        (OrderState.CREATED, True, True),
        (OrderState.ALLOCATED, True, True),
        (OrderState.PACKED, False, True),
        (OrderState.READY_TO_SHIP, False, True),
        (OrderState.SHIPPED, False, False),
        (OrderState.CANCELLED, False, False),
        (OrderState.UNKNOWN, False, False),
    ],
)
def test_states_close_what_time_would_allow(state: OrderState, address: bool, cancel: bool) -> None:
    """P14: an address ends with packing, a cancellation with the handover, and nothing is done on an unread state."""
    assert (asked(Change.ADDRESS, minutes=1, state=state) == "ALLOWED") is address
    assert (asked(Change.CANCEL, minutes=1, state=state) == "ALLOWED") is cancel


def test_a_prepared_parcel_can_only_be_cancelled() -> None:
    """P14: once the label is booked an amendment is too late; a cancellation is still tried until the carrier scans."""
    assert asked(Change.ADDRESS, minutes=1, progress=OrderProgress.FULFILLED) == "STATE_TOO_LATE"
    assert asked(Change.CANCEL, minutes=1, progress=OrderProgress.FULFILLED) == "ALLOWED"
    assert asked(Change.CANCEL, minutes=1, progress=OrderProgress.CANCELLED) == "ORDER_OVER"


def test_a_waiting_customer_may_always_leave_or_reduce() -> None:
    """P14: a backordered order waits because of us; its window does not close."""
    days = 60 * 24 * 10
    assert asked(Change.FEWER_UNITS, minutes=days) == "WINDOW_CLOSED"
    assert asked(Change.FEWER_UNITS, minutes=days, progress=OrderProgress.BACKORDERED) == "ALLOWED"
    assert asked(Change.MORE_UNITS, minutes=days, progress=OrderProgress.BACKORDERED) == "WINDOW_CLOSED"


@pytest.mark.parametrize("change", list(Change))
@pytest.mark.parametrize("channel", list(Channel))
def test_every_channel_has_an_answer_to_every_change(channel: Channel, change: Change) -> None:
    """P14: exactly one rule per channel and change; on a marketplace the platform is asked."""
    rules = [rule for rule in RULES if channel in rule.channels and rule.change is change]
    assert len(rules) == 1
    code = asked(change, minutes=1, channel=channel)
    assert code == ("ASK_PLATFORM" if channel.marketplace else "ALLOWED")
    assert len([policy for policy in SHORTAGE if channel in policy.channels]) == 1


def test_a_promise_to_a_platform_ends_a_window_early_and_rules_have_dates() -> None:
    """P14: ship-by minus its margin closes a trade order's window; a rule not in force lets nothing through."""
    ship_by = PLACED + timedelta(hours=30)
    trade = order(channel=Channel.B2B, placed_at=PLACED, ship_by=ship_by)
    answer = permission(trade, Change.CANCEL, progress=RUNNING, now=PLACED + timedelta(hours=5))
    assert (answer.allowed, answer.until) == (True, ship_by - timedelta(hours=24))
    late = permission(trade, Change.CANCEL, progress=RUNNING, now=PLACED + timedelta(hours=7))
    assert (late.allowed, late.code) == (False, "WINDOW_CLOSED")
    over = AmendmentRule(
        rule_id="X", change=Change.CANCEL, channels=frozenset(Channel), states=frozenset(OrderState), window=None,
        valid_to=PLACED.date() - timedelta(days=1),
    )  # fmt: skip
    assert permission(trade, Change.CANCEL, progress=RUNNING, now=PLACED, rules=[over]).code == "NO_RULE"


def short(hours: float, answer: ShortageChoice | None = None, **of: Any) -> tuple[str, str, bool, bool]:
    subject = order(placed_at=PLACED, **of)
    said = shortage_outcome(subject, short_since=PLACED, answer=answer, now=PLACED + timedelta(hours=hours))
    return said.choice.value, said.code, said.due, said.frees_stock


def test_a_shortage_is_answered_in_time_or_expires() -> None:
    """P14: the answer is carried out; without one the policy cancels after 48 hours and frees the stock."""
    assert short(1) == ("wait", "ANSWER_AWAITED", False, False)
    assert short(1, ShortageChoice.CANCEL) == ("cancel", "ANSWERED", True, True)
    assert short(1, ShortageChoice.SHIP_AVAILABLE) == ("ship_available", "ANSWERED", True, False)
    assert short(47.99) == ("wait", "ANSWER_AWAITED", False, False)
    assert short(48) == ("cancel", "NO_ANSWER", True, True)


def test_waiting_has_an_end() -> None:
    """P14: who chose to wait is waited for until the longest wait, then the order closes and the stock is free."""
    assert short(24 * 13, ShortageChoice.WAIT) == ("wait", "ANSWERED", False, False)
    assert short(24 * 14, ShortageChoice.WAIT) == ("cancel", "WAIT_OVER", True, True)
    assert short(24 * 20, channel=Channel.B2B) == ("wait", "NO_ANSWER", False, False)


def test_a_marketplace_order_does_not_outwait_its_ship_by() -> None:
    """P14: the platform's deadline comes first, and its buyers are not offered what the platform does not allow."""
    ship_by = PLACED + timedelta(hours=6)
    assert short(5.9, channel=Channel.SHOPEE, ship_by=ship_by) == ("wait", "ANSWER_AWAITED", False, False)
    assert short(6, channel=Channel.SHOPEE, ship_by=ship_by) == ("cancel", "WAIT_OVER", True, True)
    assert short(1, ShortageChoice.WAIT, channel=Channel.SHOPEE)[1] == "ANSWER_AWAITED"
    assert shortage_policy(Channel.LAZADA).choices == (ShortageChoice.CANCEL,)


def recorded(**of: Any) -> OrderRecord:
    """An order that waits for a person, as stored."""
    before = order(placed_at=PLACED, **of)
    return OrderRecord(
        thread=thread_of(before.tenant, before.order_id), tenant=before.tenant, order_id=before.order_id,
        progress=OrderProgress.IN_REVIEW, order=before, version=1, attempt_group=1, graph_version="", review_id="",
        cancel="", correlation_id="", accepted_at="", changed_at="", detail="", content_version=1, judged_version=1,
        judged_order="", recheck="",
    )  # fmt: skip


@pytest.mark.parametrize(("channel", "late"), [(Channel.SHOPIFY, True), (Channel.B2B, True), (Channel.SHOPEE, False)])
def test_what_a_marketplace_reports_is_its_truth(channel: Channel, late: bool) -> None:
    """P14: a buyer's change on a marketplace was allowed there and is followed; on our own channels it has a window."""
    record = recorded(channel=channel)
    assert record.order is not None
    now = PLACED + timedelta(hours=30)
    after = record.order.model_copy(update={"shipping_option": "express", "updated_at": now})
    found = outside_window(record, after, now=now)
    assert [one["change"] for one in found] == (["shipping_option"] if late else [])
    in_time = after.model_copy(update={"updated_at": PLACED + timedelta(hours=1)})
    assert outside_window(record, in_time, now=now) == []


def test_a_customer_cannot_date_a_change_into_the_future() -> None:
    """P14: a version from a clock that is ahead is judged by ours."""
    record = recorded()
    assert record.order is not None
    after = record.order.model_copy(
        update={"shipping_option": "express", "updated_at": PLACED + timedelta(days=9)}
    )  # fmt: skip
    assert outside_window(record, after, now=PLACED + timedelta(hours=1)) == []
    assert outside_window(record, after, now=PLACED + timedelta(hours=3)) != []
    assert noted_late(record, [{"text": "once"}, {"text": "once"}], version=2).count("once") == 1
