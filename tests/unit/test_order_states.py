"""The canonical state machine: its table, total maps from every platform's words, and histories that converge."""

import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.order import OrderState, PaymentState
from domain.transitions import (
    BACKWARD,
    FORWARD,
    LADDER,
    RETURN_OF,
    History,
    LineState,
    Observation,
    ReturnState,
    Step,
    admissible,
    order_state,
    step,
)
from tests.support.agent_world import order
from tests.support.payloads import payload
from tools.channels import (
    adobe_commerce_status,
    amazon_status,
    lazada_status,
    rakuten_status,
    shopee_status,
    shopify_status,
)

START = datetime(2026, 11, 11, tzinfo=UTC)
S = OrderState

DOCUMENTED: dict[str, dict[S, str]] = {
    "shopee": {
        S.CREATED: "UNPAID", S.HELD: "INVOICE_PENDING", S.PAID: "READY_TO_SHIP", S.READY_TO_SHIP: "PROCESSED RETRY_SHIP",
        S.SHIPPED: "SHIPPED", S.DELIVERED: "TO_CONFIRM_RECEIVE", S.COMPLETED: "COMPLETED",
        S.CANCEL_REQUESTED: "IN_CANCEL", S.CANCELLED: "CANCELLED", S.RETURN_REQUESTED: "TO_RETURN",
    },
    "lazada": {
        S.CREATED: "unpaid", S.PAID: "pending topack", S.PACKED: "packed repacked toship ready_to_ship_pending",
        S.READY_TO_SHIP: "ready_to_ship", S.SHIPPED: "shipped shipping", S.DELIVERED: "delivered",
        S.COMPLETED: "confirmed", S.CANCELLED: "canceled", S.DELIVERY_FAILED: "failed failed_delivery",
        S.RETURNING: "shipped_back shipped_back_failed INFO_ST_DOMESTIC_RETURN_WITH_LAST_MILE_3PL",
        S.RETURNED: "returned shipped_back_success", S.LOST: "lost_by_3pl", S.DAMAGED: "damaged_by_3pl",
    },
    "amazon": {
        S.CREATED: "PendingAvailability Pending", S.HELD: "InvoiceUnconfirmed Unfulfillable", S.PAID: "Unshipped",
        S.SHIPPED: "PartiallyShipped Shipped", S.CANCELLED: "Canceled",
    },
    "shopify": {
        S.HELD: "on_hold scheduled request_declined", S.PAID: "unfulfilled open",
        S.ALLOCATED: "in_progress pending_fulfillment", S.SHIPPED: "partially_fulfilled fulfilled",
        S.CANCELLED: "restocked fulfillment_not_required",
    },
    "rakuten": {
        S.CREATED: "100", S.HELD: "200 400", S.PAID: "300", S.SHIPPED: "500", S.COMPLETED: "600 700",
        S.CANCEL_REQUESTED: "800", S.CANCELLED: "900",
    },
    "adobe_commerce": {
        S.CREATED: "new pending_payment", S.HELD: "holded payment_review", S.PAID: "processing", S.SHIPPED: "complete",
        S.CANCELLED: "closed canceled",
    },
}  # fmt: skip


def _shopify(word: str) -> S:
    return shopify_status.order_state(
        word, PaymentState.PAID, cancelled=False, cash_on_delivery=False, open_units=False
    )


MAPS: dict[str, Callable[[str], S]] = {
    "shopee": lambda word: shopee_status.order_state(word, []),
    "lazada": lazada_status.item_state,
    "amazon": amazon_status.order_state,
    "shopify": _shopify,
    "rakuten": rakuten_status.order_state,
    "adobe_commerce": adobe_commerce_status.order_state,
}


@pytest.mark.parametrize(
    ("platform", "word", "state"),
    [(p, word, state) for p, states in DOCUMENTED.items() for state, words in states.items() for word in words.split()],
)
def test_every_documented_status_is_mapped(platform: str, word: str, state: S) -> None:
    """domain/K1: the whole table of platform words, one by one."""
    assert MAPS[platform](word) is state


@pytest.mark.parametrize("platform", MAPS)
def test_a_thousand_unknown_words_are_unknown(platform: str) -> None:
    """domain/K1: no word crashes and none is guessed."""
    random = Random(platform)  # noqa: S311
    letters = string.ascii_letters + string.digits + "_ -./\u4e2d\u0111\u00df\n\x00"
    for _ in range(1_000):
        word = "?" + "".join(random.choices(letters, k=random.randint(0, 40)))
        assert MAPS[platform](word) is S.UNKNOWN


def test_every_order_status_of_the_public_amazon_model_is_mapped() -> None:
    """domain/K1: the platform's own published list, not our memory of it."""
    model = payload("orders/amazon/ordersV0.json")
    for word in amazon_status.ORDER_STATE | amazon_status.EASY_SHIP_STATE:
        assert f'"{word}"' in model
    for word in amazon_status.EASY_SHIP_STATE:
        assert amazon_status.order_state("Shipped", easy_ship=word) is not S.UNKNOWN


def test_amazons_part_facts() -> None:
    """domain/K1: a partly shipped order is as far as what is open; a buyer's request counts until it has shipped."""
    assert amazon_status.order_state("PartiallyShipped", open_units=True) is S.PAID
    assert amazon_status.order_state("Unshipped", buyer_cancel=True) is S.CANCEL_REQUESTED
    assert amazon_status.order_state("Shipped", buyer_cancel=True) is S.SHIPPED
    assert amazon_status.order_state("Shipped", easy_ship="Lost") is S.LOST
    assert amazon_status.order_state("Shipped", easy_ship="Teleported") is S.UNKNOWN


def test_known_mistakes_are_not_made() -> None:
    """domain 8.1: a requested cancellation and a failed delivery are not cancellations; a shop's own status is not guessed."""
    assert shopee_status.order_state("IN_CANCEL", []) is S.CANCEL_REQUESTED
    assert lazada_status.order_state(["failed", "failed"]) is S.DELIVERY_FAILED
    assert lazada_status.order_state(["shipped", "canceled", "ready_to_ship"]) is S.READY_TO_SHIP
    assert adobe_commerce_status.order_state("processing", "our_own_step") is S.PAID
    assert adobe_commerce_status.order_state("processing", "fraud") is S.HELD
    assert rakuten_status.order_state(300) is S.PAID


def test_the_table_covers_every_state() -> None:
    """domain 8.1: each state has a row, is on one axis, and is reachable; only the named pairs lead back."""
    assert set(FORWARD) == set(S) - set(RETURN_OF)
    reachable = {after for row in FORWARD.values() for after in row} | set(RETURN_OF)
    assert reachable == set(S) - {S.UNKNOWN}
    for now, then in BACKWARD:
        assert then not in FORWARD[now]
        assert step(now, then) is Step.BACKWARD


@pytest.mark.parametrize("now", list(S))
@pytest.mark.parametrize("then", list(S))
def test_every_pair_of_states_has_one_answer(now: S, then: S) -> None:
    """domain 8.1: the machine is total, a repeated state changes nothing, an unread word never decides."""
    said = step(now, then)
    assert (said is Step.SAME) is (now is then)
    assert (said is Step.UNREAD) is (then is S.UNKNOWN and now is not S.UNKNOWN)


def test_steps_may_be_left_out_but_not_taken_back() -> None:
    """domain 8.1: any later step may follow any earlier; back only where it is real."""
    for i, early in enumerate(LADDER):
        for late in LADDER[i + 1 :]:
            assert step(early, late) is Step.FORWARD
            assert step(late, early) is (Step.BACKWARD if (late, early) in BACKWARD else Step.REFUSED)
    assert step(S.CANCELLED, S.PAID) is Step.REFUSED
    assert step(S.SHIPPED, S.READY_TO_SHIP) is Step.BACKWARD
    assert step(S.RETURNED, S.RETURN_REQUESTED) is Step.REFUSED


@pytest.mark.parametrize(
    ("known", "arrived", "kept"),
    [
        (None, S.SHIPPED, S.SHIPPED),
        (S.PAID, S.SHIPPED, S.SHIPPED),
        (S.CANCELLED, S.PAID, S.CANCELLED),
        (S.DELIVERED, S.PAID, S.DELIVERED),
        (S.SHIPPED, S.PAID, S.PAID),
        (S.CANCEL_REQUESTED, S.PAID, S.PAID),
        (S.PAID, S.UNKNOWN, S.UNKNOWN),
        (S.RETURN_REQUESTED, S.COMPLETED, S.COMPLETED),
    ],
)
def test_a_newer_version_takes_the_state_it_may(known: S | None, arrived: S, kept: S) -> None:
    """domain/K3: the version is taken, its word stays as sent, its state only where the machine allows it."""
    before = order(state=known) if known else None
    given = order(state=arrived, platform_status="AS SENT", note="changed")
    taken = admissible(before, given)
    assert taken == given.model_copy(update={"state": kept})


def report(minute: int, state: S | None = None, **more: object) -> Observation:
    return Observation.model_validate({"source_time": START + timedelta(minutes=minute), "state": state} | more)


def told(*reports: Observation) -> LineState:
    history = History()
    for seen in reports:
        history = history.with_report(seen)
    return history.line


def test_a_late_older_report_changes_nothing() -> None:
    """domain/K3: shipped arrives before ready to ship; the platform's time decides."""
    assert told(report(5, S.SHIPPED), report(3, S.READY_TO_SHIP)).progress is S.SHIPPED
    assert told(report(5, S.SHIPPED), report(7, S.READY_TO_SHIP)).progress is S.READY_TO_SHIP


def test_a_refused_report_is_kept() -> None:
    """domain/K3: a step back that is not real stays in the history and in sight."""
    line = told(report(5, S.DELIVERED), report(9, S.PAID))
    assert (line.progress, [seen.state for seen in line.refused]) == (S.DELIVERED, [S.PAID])


def test_a_requested_cancellation_stops_picking_and_may_be_refused() -> None:
    """domain/K5: picking stops at once; the order is not cancelled; when the seller refuses, work goes on."""
    asked = told(report(1, S.ALLOCATED), report(2, S.CANCEL_REQUESTED))
    assert asked.stops_picking
    assert asked.state is S.CANCEL_REQUESTED
    refused = told(report(1, S.ALLOCATED), report(2, S.CANCEL_REQUESTED), report(3, S.READY_TO_SHIP))
    assert (refused.progress, refused.stops_picking) == (S.READY_TO_SHIP, False)
    granted = told(report(1, S.ALLOCATED), report(2, S.CANCEL_REQUESTED), report(3, S.CANCELLED), report(4, S.PAID))
    assert (granted.progress, granted.stops_picking) == (S.CANCELLED, True)


def test_an_unknown_word_asks_and_decides_nothing() -> None:
    """domain/K1: the state stays, a person is asked, and a word that is understood ends the question."""
    odd = report(2, S.UNKNOWN, word="FULFILMENT_BY_PIGEON")
    line = told(report(1, S.PAID), odd)
    assert (line.progress, line.needs_person, line.unread) == (S.PAID, True, ("FULFILMENT_BY_PIGEON",))
    assert not told(report(1, S.PAID), odd, report(3, S.SHIPPED)).needs_person
    assert LineState().needs_person


def test_payment_and_return_are_axes_of_their_own() -> None:
    """domain 8.1: a refund or a return does not move the delivery, nor the other way round."""
    line = told(
        report(1, S.SHIPPED, payment=PaymentState.PAID),
        report(2, S.DELIVERED),
        report(3, S.RETURN_REQUESTED),
        report(4, payment=PaymentState.PARTLY_REFUNDED),
        report(5, S.RETURNED),
        report(6, payment=PaymentState.PENDING),
    )
    assert (line.progress, line.payment, line.returns) == (
        S.DELIVERED, PaymentState.PARTLY_REFUNDED, ReturnState.RETURNED,
    )  # fmt: skip
    assert line.state is S.RETURNED
    withdrawn = told(report(1, S.DELIVERED), report(2, S.RETURN_REQUESTED), report(3, returns=ReturnState.NONE))
    assert withdrawn.state is S.DELIVERED


WORDS = list(S)


@pytest.mark.parametrize("seed", range(200))
def test_shuffled_and_repeated_histories_converge(seed: int) -> None:
    """domain/K3: 200 histories, likely and unlikely ones, in twenty orders of arrival with repetitions."""
    random = Random(seed)  # noqa: S311
    minutes = [random.randint(0, 12) for _ in range(random.randint(1, 9))]
    reports = [
        report(
            minute,
            random.choice(WORDS),
            payment=random.choice([None, *PaymentState]),
            returns=random.choice([None, None, *ReturnState]),
            word=random.choice("ab"),
        )
        for minute in minutes
    ]
    expected = told(*reports)
    for _ in range(20):
        arriving = reports + random.choices(reports, k=random.randint(0, 4))
        random.shuffle(arriving)
        assert told(*arriving) == expected


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.randoms())
def test_an_order_is_as_far_as_its_least_advanced_active_line(states: list[S], random: Random) -> None:
    """domain 8.1: whatever the order of lines; ended lines do not count while another is active."""
    whole = order_state(states)
    shuffled = random.sample(states, len(states))
    assert order_state(shuffled) is whole
    assert whole in states or (not states and whole is S.UNKNOWN)
    active = [state for state in states if state not in {S.CANCELLED, S.LOST, S.DAMAGED}]
    if active:
        assert order_state([*active, S.CANCELLED]) is whole
        assert whole in active


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        ((S.SHIPPED, S.PAID), S.PAID),
        ((S.SHIPPED, S.CANCELLED), S.SHIPPED),
        ((S.CANCELLED, S.CANCELLED), S.CANCELLED),
        ((S.CANCELLED, S.LOST), S.LOST),
        ((S.DELIVERED, S.RETURNED), S.DELIVERED),
        ((S.SHIPPED, S.DELIVERY_FAILED), S.DELIVERY_FAILED),
        ((S.PAID, S.CANCEL_REQUESTED), S.CANCEL_REQUESTED),
        ((S.PAID, S.UNKNOWN), S.UNKNOWN),
    ],
)
def test_orders_of_several_lines(lines: tuple[S, ...], whole: S) -> None:
    """domain 8.1: what needs somebody counts as least advanced."""
    assert order_state(lines) is whole
