"""What a parcel costs: surcharges, duty, dated price tables, gaps; and what is said when a table gives no price."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from agents.order_routing import OrderRouting
from agents.routing_policy import POLICY, DutyPaidRule, RoutingPolicy
from domain.address import Address
from domain.catalogue import DangerousGoods
from domain.consignee import Consigned
from domain.decision import Outcome, Verdict
from domain.order import Channel, Payment, PaymentMethod, PaymentState
from domain.shipment import Lane, PriceStep, RoutePlan, Surcharge, SurchargeKind, TransitShare
from tests.support.agent_world import (
    ALL_GOODS,
    HKG,
    NOW,
    SIN,
    TPE,
    World,
    case,
    lane,
    level,
    line,
    money,
    order,
    product,
    site,
    usd,
    world,
)  # fmt: skip

COD = Payment(method=PaymentMethod.COD, state=PaymentState.PENDING)
DUTY_PAID = DutyPaidRule(rule_id="merchant", countries=("TH", "AU", "SG"), valid_from=date(2026, 1, 1))


async def route(around: World, policy: RoutingPolicy = POLICY, **of: Any) -> Verdict:
    ports = around.ports
    agent = OrderRouting(
        wms=ports.wms,
        erp=ports.erp,
        network=ports.network,
        exchange=ports.exchange,
        policy=policy,
        consignees=ports.consignees,
    )
    country = of.pop("country", "HK")
    return await agent.decide(case(order(of.pop("lines", None), country, **of)))


def plan(verdict: Verdict) -> RoutePlan:
    assert verdict.decision == "route", verdict.reasons
    return RoutePlan.model_validate(verdict.facts["plan"])


def cost(verdict: Verdict) -> int:
    return plan(verdict).cost.amount_minor


def paying(*fees: Surcharge, **changes: Any) -> World:
    """One lane at 10.00, picking 1.00."""
    only = lane("HKG", "HK", steps={5000: 1000}, surcharges=fees, cod=True, accepts=ALL_GOODS, **changes)
    return world(levels=[level("HKG", on_hand=50)], lanes=[only])


@pytest.mark.parametrize(
    ("fee", "of", "expected"),
    [
        ({"kind": "fuel", "per_mille": 125}, {}, 1225),
        ({"kind": "fuel", "per_mille": 125, "valid_from": date(2026, 11, 12)}, {}, 1100),
        ({"kind": "peak", "at_least": usd(40), "per_mille": 50, "valid_to": date(2026, 11, 11)}, {}, 1150),
        ({"kind": "peak", "at_least": usd(60), "per_mille": 50, "valid_to": date(2026, 11, 11)}, {}, 1160),
        ({"kind": "peak", "at_least": usd(60), "valid_to": date(2026, 11, 10)}, {}, 1100),
        ({"kind": "cash_on_delivery", "per_mille": 20, "at_least": usd(10)}, {}, 1100),
        ({"kind": "cash_on_delivery", "per_mille": 20, "at_least": usd(10)}, {"payment": COD}, 1140),
        ({"kind": "cash_on_delivery", "per_mille": 20, "at_least": usd(90)}, {"payment": COD}, 1190),
        ({"kind": "duty_disbursement", "at_least": usd(500)}, {}, 1100),
    ],
)
async def test_surcharges_are_dated_shares_or_least_amounts(
    fee: dict[str, Any], of: dict[str, Any], expected: int
) -> None:
    """F13, domain 2.1: fuel, peak and collection by hand on a parcel of 10.00 + 1.00 worth 20.00, picked up on 11 Nov."""
    assert cost(await route(paying(Surcharge(**fee)), **of)) == expected


@pytest.mark.parametrize(
    ("postcode", "expected"),
    [("0872", 1450), ("08-72", 1450), ("０８７２", 1450), ("2000", 1100), ("", 1450)],
)
async def test_remote_areas_are_told_by_postcode(postcode: str, expected: int) -> None:
    """F13: a prefix decides however the code is written; without a code the dear case is assumed."""
    fee = Surcharge(kind=SurchargeKind.REMOTE_AREA, at_least=usd(350), postcode_prefixes=("08", "67"))
    there = Address(line1="1 Road", city="Y", postcode=postcode, country="HK")
    assert cost(await route(paying(fee), ship_to=there)) == expected


async def test_dangerous_goods_pay_their_surcharge_and_others_do_not() -> None:
    """F13: the surcharge falls on the parcel that holds them; here one parcel for both beats two."""
    fee = Surcharge(kind=SurchargeKind.DANGEROUS_GOODS, at_least=usd(300))
    around = world(
        levels=[level("HKG"), level("HKG", "B")],
        lanes=[lane("HKG", "HK", steps={5000: 1000}, surcharges=(fee,), accepts=ALL_GOODS)],
        products=[product(), product("B", dangerous=DangerousGoods.LITHIUM_CONTAINED)],
    )
    assert cost(await route(around)) == 1100
    both = await route(around, lines=[line(), line("B")])
    assert (cost(both), len(plan(both).parcels)) == (1400, 1)


async def test_collecting_an_unknown_value_is_not_guessed() -> None:
    """F13: a fee by value needs the value; without a rate the lane is out, and that is the reason given."""
    around = paying(Surcharge(kind=SurchargeKind.CASH_ON_DELIVERY, per_mille=20))
    around.erp.quoted = {}
    verdict = await route(around, lines=[line(price=9000, currency="HKD")], payment=COD)
    assert verdict.decision == "no_route"
    assert {reason.value for reason in verdict.reasons if reason.text.startswith("HKG")} == {"OVER_VALUE"}


def two_sites(*, ddp: bool = True) -> World:
    """Goods in Hong Kong (abroad) and Singapore; 10.00 + 1.00 from Hong Kong, 30.00 + 1.00 from Singapore."""
    advance = Surcharge(kind=SurchargeKind.DUTY_DISBURSEMENT, per_mille=25, at_least=usd(500))
    lanes = [
        lane(name, country, steps={5000: price}, ddp=ddp and name == "HKG", surcharges=(advance,))
        for name, price in (("HKG", 1000), ("SIN", 3000))
        for country in ("TH", "AU", "SG")
    ]
    return world(levels=[level("HKG", on_hand=99), level("SIN", on_hand=99)], lanes=lanes, sites=(HKG, SIN))


async def test_duty_paid_orders_carry_duty_tax_and_the_fee_for_advancing_them() -> None:
    """F13, domain 2.1: Thailand, 100.00 of goods: 10.00 duty + 7 % of 110.00 = 17.70, and 5.00 for advancing it."""
    policy = RoutingPolicy(**(vars(POLICY) | {"duty_paid": (DUTY_PAID,)}))
    around = two_sites()
    around.erp.quoted = {**around.erp.quoted, "THB": "35"}
    verdict = await route(around, policy, country="TH", lines=[line(price=10_000)])
    (parcel,) = plan(verdict).parcels
    assert parcel.warehouse == "HKG"
    assert parcel.duty_paid == usd(1770)
    assert parcel.cost == usd(1100 + 1770 + 500)
    assert verdict.facts["duty"] == {
        "rule": "merchant", "bill": "TH-IMPORT-2026", "aggregate_same_day_same_consignee": True,
    }  # fmt: skip
    unpaid = await route(two_sites(), country="TH", lines=[line(price=10_000)])
    assert (plan(unpaid).parcels[0].duty_paid, cost(unpaid)) == (None, 1100)


async def test_a_domestic_site_wins_when_duty_makes_the_foreign_one_dearer() -> None:
    """F32: duty is part of the one decision; what never crosses the border pays none and needs no duty-paid lane."""
    policy = RoutingPolicy(**(vars(POLICY) | {"duty_paid": (DUTY_PAID,)}))
    dear = [line(price=100_000)]
    assert plan(await route(two_sites(), country="SG", lines=dear)).parcels[0].warehouse == "HKG"
    paid = await route(two_sites(), policy, country="SG", lines=dear)
    assert plan(paid).parcels[0].warehouse == "SIN"
    assert plan(paid).parcels[0].duty_paid is None


async def test_duty_paid_without_a_lane_that_offers_it_is_no_route() -> None:
    """F13: the order must travel duty paid, nobody sells that: the constraint is named."""
    policy = RoutingPolicy(**(vars(POLICY) | {"duty_paid": (DUTY_PAID,)}))
    verdict = await route(two_sites(ddp=False), policy, country="AU")
    assert {reason.value for reason in verdict.reasons} == {"DDP_NOT_OFFERED"}
    amazon = await route(two_sites(ddp=False), country="AU", channel=Channel.AMAZON)
    assert {reason.value for reason in amazon.reasons} == {"DDP_NOT_OFFERED"}


async def test_dividing_never_buys_tax_relief() -> None:
    """F13, domain 2.1: two halves under the Australian limit are taxed as the one consignment above it.

    Relief is judged by the whole order and by what the consignee was sent on the same day.
    """
    policy = RoutingPolicy(**(vars(POLICY) | {"duty_paid": (DUTY_PAID,), "split_above_minor": 0}))
    lines = [line("A", price=40_000), line("B", price=40_000)]
    around = two_sites()
    around.wms.levels = [level("HKG", "A"), level("HKG", "B")]
    around.erp.catalogue = {sku: product(sku, weight_g=4000) for sku in "AB"}
    verdict = await route(around, policy, country="AU", lines=lines)
    parcels = plan(verdict).parcels
    assert len(parcels) == 2
    whole = 4000 + 8400
    assert sum(parcel.duty_paid.amount_minor for parcel in parcels if parcel.duty_paid) == whole
    small = [line("A", price=40_000)]
    relieved = await route(around, policy, country="AU", lines=small)
    assert plan(relieved).parcels[0].duty_paid == usd(0)
    around.consignees.sent_before = Consigned(imports=1, today=(usd(20_000), money(30_000, "AUD")))
    again = await route(around, policy, country="AU", lines=small)
    assert plan(again).parcels[0].duty_paid == usd(2000 + 4200)


async def test_duty_that_cannot_be_settled_is_asked() -> None:
    """F13: a limit without a rate, or a destination without a dated row, is a person's, never a guess."""
    policy = RoutingPolicy(
        **(vars(POLICY) | {"duty_paid": (DutyPaidRule(rule_id="all", countries=(), valid_from=date(2026, 1, 1)),)})
    )
    around = two_sites()
    around.erp.quoted = {}
    verdict = await route(around, policy, country="AU")
    assert (verdict.outcome, verdict.reasons[0].code) == (Outcome.REVIEW, "DUTY_RATE_MISSING")
    nowhere = await route(around, policy, country="BR")
    assert (nowhere.outcome, nowhere.reasons[0].code) == (Outcome.REVIEW, "NO_DUTY_RULE")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"valid_to": date(2026, 11, 10)}, "RATE_TABLE_EXPIRED"),
        ({"valid_from": date(2026, 11, 12)}, "RATE_TABLE_EXPIRED"),
        ({"steps": (PriceStep(up_to_g=300, price=usd(1)), PriceStep(over_g=500, up_to_g=900, price=usd(9)))}, "PRICE_GAP"),
        ({"steps": (PriceStep(up_to_g=300, price=money(1, "CHF")),)}, "NO_RATE"),
    ],
)  # fmt: skip
async def test_a_table_past_its_date_or_with_a_gap_gives_no_price(changes: dict[str, Any], code: str) -> None:
    """F13: 400 g between the steps, a table out of force, a currency without rate: no price, and the code says which."""
    given = lane("HKG", "HK").model_dump() | changes
    around = world(levels=[level("HKG")], lanes=[Lane.model_validate(given)], sites=(HKG,))
    verdict = await route(around)
    assert verdict.decision == "no_route"
    assert [reason.value for reason in verdict.reasons] == [code]


async def test_weights_on_both_sides_of_a_gap_are_carried() -> None:
    """F14: a gap refuses the weights in it and no others; five units go in parcels around it."""
    steps = (PriceStep(up_to_g=800, price=usd(300)), PriceStep(over_g=1500, up_to_g=2000, price=usd(500)))
    given = Lane.model_validate(lane("HKG", "HK").model_dump() | {"steps": steps})
    around = world(levels=[level("HKG", on_hand=50)], lanes=[given], sites=(HKG,))
    assert (await route(around, lines=[line(quantity=3)])).decision == "route"
    for units in (1, 2, 4, 5, 7):
        parcels = plan(await route(around, lines=[line(quantity=units)])).parcels
        assert sum(parcel.lines["L-SKU-1"] for parcel in parcels) == units
        assert all(given.step_for(parcel.billable_g) for parcel in parcels)


async def test_transit_distribution_gives_dates_and_odds() -> None:
    """F13: P50 and P80 come from the distribution, and the decision says how likely the promise is kept."""
    shares = tuple(TransitShare(days=d, per_mille=p) for d, p in ((1, 300), (2, 400), (3, 200), (6, 100)))
    given = {**lane("HKG", "HK").model_dump(exclude={"transit_days", "transit"}), "transit": shares}
    sold = Lane.model_validate(given)
    assert sold.transit_days == (2, 3)
    around = world(levels=[level("HKG")], lanes=[sold])
    friday = datetime(2026, 11, 13, 20, tzinfo=UTC)
    verdict = await route(around, deliver_by=friday)
    assert verdict.model_dump()["facts"]["chosen"]["on_time_per_mille"] == 700
    (parcel,) = plan(verdict).parcels
    assert (parcel.arrives_p50.day, parcel.arrives_p80.day) == (13, 16)
    with pytest.raises(ValueError, match="add up"):
        Lane.model_validate(given | {"transit": shares[:2], "transit_days": (1, 2)})
    with pytest.raises(ValueError, match="quantiles"):
        Lane.model_validate(given | {"transit_days": (1, 1)})


async def test_a_warehouse_with_a_wrong_zone_stops_no_order() -> None:
    """F13: one bad record takes its site out and says so; the others go on."""
    lost = site("MOON", "HK", "Mars/Olympus")
    around = world(
        levels=[level("MOON"), level("TPE")], lanes=[lane("MOON", "HK"), lane("TPE", "HK")], sites=(lost, TPE)
    )
    verdict = await route(around)
    assert plan(verdict).parcels[0].warehouse == "TPE"
    assert verdict.model_dump()["facts"]["warehouses"][0]["codes"] == ["BAD_TIME_ZONE"]


async def test_own_closures_move_the_pickup() -> None:
    """F13, domain 2.1: a site closed for stock-taking today and tomorrow is picked up from the day after."""
    closed = site("HKG", "HK", "Asia/Hong_Kong", closed_on=(NOW.date(), NOW.date() + timedelta(days=1)))
    around = world(levels=[level("HKG")], lanes=[lane("HKG", "HK")], sites=(closed,))
    assert plan(await route(around)).parcels[0].ready_at.day == 13
