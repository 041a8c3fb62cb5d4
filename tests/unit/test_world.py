"""The seeded world: its shares, its labels, and that every order in it is what its platform would send."""

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from domain.catalogue import Product
from domain.ids import Sku, TenantId
from domain.money import Money
from domain.order import Channel, Order, OrderIssue, PaymentMethod
from evals.world import Catalogue, Label, RawOrder, generate, shops
from evals.world_faults import DeliveryFaults, arrivals
from evals.world_markets import MARKETS
from tools.channels import DeliveryKind, adapter
from tools.sandbox.world import build_world

START = datetime(2026, 6, 1, tzinfo=UTC)
TENANT = TenantId("demo")
COUNT = 3_000


def catalogue() -> Catalogue:
    return Catalogue.of_sandbox(build_world(1))


@pytest.fixture(scope="module")
def raw() -> list[RawOrder]:
    return list(generate(COUNT, 7, start=START, catalogue=catalogue()))


@pytest.fixture(scope="module")
def orders(raw: list[RawOrder]) -> list[Order]:
    return [
        order
        for item in raw
        for order in adapter(item.channel).normalise(
            item.body.decode(), tenant=TENANT, shop=item.shop, payload_ref=item.external_id
        )
    ]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_orders() -> None:
    first, again, other = (list(generate(60, seed, start=START, catalogue=catalogue())) for seed in (3, 3, 4))
    assert first == again
    assert not {order.order_id for order in first} & {order.order_id for order in other}


def test_a_longer_series_begins_with_the_shorter_one() -> None:
    longer = generate(60, 3, start=START, catalogue=catalogue())
    assert list(itertools.islice(longer, 20)) == list(generate(20, 3, start=START, catalogue=catalogue()))


def test_every_order_is_read_as_it_was_meant(raw: list[RawOrder], orders: list[Order]) -> None:
    """F31: the generator speaks the platforms' documented forms, the adapters read them to the cent."""
    assert len(orders) == len(raw) == len({order.order_id for order in orders}) == COUNT
    for item, order in zip(raw, orders, strict=True):
        assert (order.order_id, order.channel, order.external_id) == (item.order_id, item.channel, item.external_id)
        assert order.total == item.total
        assert order.placed_at == item.placed_at
        assert order.subtotal + order.shipping == order.total
        odd = {OrderIssue.NO_ADDRESS} if item.label is Label.NO_ADDRESS else set()
        assert set(order.issues) == odd


def test_every_delivery_is_signed_for_its_shop(raw: list[RawOrder]) -> None:
    secrets = shops(TENANT)
    for item in raw:
        if item.channel not in secrets:
            assert item.headers["Idempotency-Key"] == item.external_id
            continue
        delivery = adapter(item.channel).verify(item.delivery, item.headers, secrets[item.channel], now=item.placed_at)
        assert (delivery.tenant, delivery.shop, delivery.external_id) == (TENANT, item.shop, item.external_id)
        assert delivery.kind is DeliveryKind.ORDER
        assert delivery.fetch is (item.channel is Channel.SHOPEE)
        assert delivery.topic == item.topic


def test_times_move_forward_at_the_given_pace(raw: list[RawOrder]) -> None:
    times = [item.placed_at for item in raw]
    assert times == sorted(times)
    assert times[0] >= START
    pace = COUNT / ((times[-1] - START) / timedelta(hours=1))
    assert 180 < pace < 220


def test_market_shares_are_the_worlds(raw: list[RawOrder]) -> None:
    """domain 11b: HK 25, TW 25, SG 15, AU 15, MY 10, VN 10 %."""
    counts = Counter(item.market for item in raw)
    assert sum(market.share for market in MARKETS) == 100
    for market in MARKETS:
        assert abs(counts[market.country] / COUNT * 100 - market.share) < 3


def test_payment_shares_are_the_worlds(orders: list[Order]) -> None:
    """domain 11b: cash on delivery 12 % (VN 45 %), convenience store in Taiwan only."""
    methods = Counter(order.payment.method for order in orders)
    assert 9 < methods[PaymentMethod.COD] / COUNT * 100 < 15
    vietnamese = [order for order in orders if order.ship_to.country == "VN"]
    cash = sum(order.payment.method is PaymentMethod.COD for order in vietnamese)
    assert 36 < cash / len(vietnamese) * 100 < 54
    stores = {order.currency for order in orders if order.payment.method is PaymentMethod.CONVENIENCE_STORE}
    assert stores == {"TWD"}


def test_declared_payment_habits_add_up_over_the_markets() -> None:
    """domain 11b: card 55, wallet 25, cash on delivery 12, convenience store 8 %."""
    overall: Counter[PaymentMethod] = Counter()
    for market in MARKETS:
        assert sum(weight for _, weight in market.payments) == 100
        for method, weight in market.payments:
            overall[method] += weight * market.share
    assert [round(overall[m] / 100) for m in (PaymentMethod.COD, PaymentMethod.CONVENIENCE_STORE)] == [12, 8]
    assert 50 <= overall[PaymentMethod.CARD] / 100 <= 57
    assert 23 <= overall[PaymentMethod.WALLET] / 100 <= 29


def test_shopee_orders_come_only_from_markets_it_serves(raw: list[RawOrder]) -> None:
    assert {item.market for item in raw if item.channel is Channel.SHOPEE} == {"TW", "SG", "MY", "VN"}
    assert {item.channel for item in raw} == {Channel.SHOPIFY, Channel.SHOPEE, Channel.STOREFRONT, Channel.B2B}


def test_languages_follow_the_markets(orders: list[Order]) -> None:
    seen = Counter(order.locale for order in orders)
    for locale in ("zh-Hant-HK", "zh-Hant-TW", "en-SG", "en-AU", "vi-VN", "zh-Hans-CN", "ms-MY", "en-HK"):
        assert seen[locale] > 0, locale


def test_every_label_occurs_and_good_orders_prevail(raw: list[RawOrder]) -> None:
    labels = Counter(item.label for item in raw)
    assert set(labels) == set(Label)
    assert labels[Label.GOOD] / COUNT > 0.8
    stolen = labels[Label.STOLEN_CARD_BIN] + labels[Label.STOLEN_CARD_CVV] + labels[Label.STOLEN_CARD_VELOCITY]
    assert 0.008 < stolen / COUNT < 0.03


def by_label(raw: list[RawOrder], orders: list[Order], label: Label) -> list[Order]:
    return [order for item, order in zip(raw, orders, strict=True) if item.label is label]


def test_labelled_orders_show_what_their_label_says(raw: list[RawOrder], orders: list[Order]) -> None:
    world = build_world(1)
    stocked = world.stocked()
    known, refusers = world.products, set(catalogue().refusers)
    assert all(o.lines[0].sku not in stocked for o in by_label(raw, orders, Label.BACKORDER))
    assert all(line.sku not in known for o in by_label(raw, orders, Label.UNKNOWN_SKU) for line in o.lines)
    assert all(
        o.ship_to.country in known[o.lines[0].sku].restricted_in for o in by_label(raw, orders, Label.RESTRICTED)
    )
    assert all(o.ship_to.country not in world.countries for o in by_label(raw, orders, Label.NO_LANE))
    assert all(o.payment.cvv == "fail" for o in by_label(raw, orders, Label.STOLEN_CARD_CVV))
    for order in by_label(raw, orders, Label.STOLEN_CARD_BIN):
        assert order.payment.bin_country not in (None, order.ship_to.country)
        assert order.device.hosting_asn
    for order in by_label(raw, orders, Label.COD_REFUSER):
        assert order.payment.method is PaymentMethod.COD
        if order.channel is Channel.STOREFRONT:
            assert order.customer.customer_id in refusers
    for order in by_label(raw, orders, Label.GOOD):
        assert {line.sku for line in order.lines} <= set(stocked)
        assert all(order.ship_to.country not in known[line.sku].restricted_in for line in order.lines)


def test_a_stolen_card_is_used_again_within_the_hour_by_other_accounts(
    raw: list[RawOrder], orders: list[Order]
) -> None:
    """domain 1.3, V1: the card on three orders or more within an hour."""
    bursts: dict[str, list[Order]] = {}
    for order in by_label(raw, orders, Label.STOLEN_CARD_VELOCITY):
        assert order.payment.card_fingerprint is not None
        bursts.setdefault(order.payment.card_fingerprint, []).append(order)
    whole = [burst for burst in bursts.values() if len(burst) >= 3]
    assert whole
    for burst in whole:
        assert burst[-1].placed_at - burst[0].placed_at < timedelta(hours=1)
        assert len({order.customer.customer_id for order in burst}) == len(burst)


def test_expectations_are_outcomes_an_agent_can_have() -> None:
    assert {word for label in Label for word in label.expected} == {"proceed", "limit", "review", "hold", "reject"}


def test_deliveries_arrive_twice_late_or_never_by_their_shares(raw: list[RawOrder]) -> None:
    """domain 11b: 2 % duplicate, 3 % out of order, 4 % lost; no order is missing from the account."""
    seen = list(arrivals(raw, 5))
    assert seen == list(arrivals(raw, 5))
    first = [arrival.order.order_id for arrival in seen if not arrival.repeat]
    assert sorted(first) == sorted(order.order_id for order in raw)
    repeats, lost = sum(a.repeat for a in seen), sum(a.lost for a in seen)
    assert 0.01 < repeats / COUNT < 0.03
    assert 0.03 < lost / COUNT < 0.05
    overtaken = sum(a.order.placed_at < max(b.order.placed_at for b in seen[max(0, i - 21) : i + 1])
                    for i, a in enumerate(seen) if not a.repeat)  # fmt: skip
    assert 0.02 < overtaken / COUNT < 0.05
    calm = DeliveryFaults(duplicated=0, late=0, lost=0)
    assert [a.order for a in arrivals(raw[:50], 5, faults=calm)] == raw[:50]


def test_any_catalogue_will_do_and_an_empty_one_is_refused() -> None:
    only = Product(
        sku=Sku("SB-00042"), title="Tea", category="food", weight_g=100,
        list_price=Money(amount_minor=990, currency="USD"),
    )  # fmt: skip
    few = list(generate(300, 1, start=START, catalogue=Catalogue(products=(only,))))
    assert len(few) == 300
    assert not {Label.BACKORDER, Label.RESTRICTED} & {item.label for item in few}
    with pytest.raises(ValueError, match="at least one product"):
        list(generate(1, 1, start=START, catalogue=Catalogue(products=())))
