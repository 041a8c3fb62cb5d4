"""The routing agent: constraints, reasons, precedents read from decisions, fallback."""

from datetime import timedelta
from typing import Any

import pytest

from agents import build
from agents.order_routing import POLICY, OrderRouting
from domain.catalogue import DangerousGoods
from domain.decision import Decision, Outcome, Reason, Verdict
from domain.errors import ConnectorUnavailable
from domain.inventory import StockLevel
from domain.order import OrderLine, Payment, PaymentMethod, PaymentState
from domain.shipment import Lane, RoutePlan
from tests.support.agent_world import (
    ALL_GOODS,
    HKG,
    NOW,
    SIN,
    TPE,
    World,
    case,
    decided,
    lane,
    level,
    line,
    money,
    order,
    product,
    reserve,
    site,
    usd,
    world,
)


async def route(around: World, lines: list[OrderLine] | None = None, country: str = "HK", **changes: Any) -> Verdict:
    decisions = changes.pop("decisions", {})
    agent = build("order_routing", "or-1.1", around.ports)
    return await agent.decide(case(order(lines, country, **changes), decisions=decisions))


def plan(verdict: Verdict) -> RoutePlan:
    return RoutePlan.model_validate(verdict.facts["plan"])


def used(verdict: Verdict) -> list[tuple[str, str]]:
    return [(parcel.warehouse, parcel.service) for parcel in plan(verdict).parcels]


def facts(verdict: Verdict) -> Any:
    return verdict.model_dump(mode="json")["facts"]


async def test_warehouse_without_lane_is_never_used() -> None:
    """F32, domain/R3: SG holds the goods and has no lane to MY; the order leaves from where a lane exists."""
    around = world(levels=[level("SIN", on_hand=99), level("HKG")], lanes=[lane("HKG", "MY"), lane("SIN", "SG")])
    verdict = await route(around, country="MY")
    assert [warehouse for warehouse, _ in used(verdict)] == ["HKG"]
    standing = {entry["warehouse"]: entry for entry in facts(verdict)["warehouses"]}
    assert standing["SIN"]["codes"] == ["NO_LANE"]


@pytest.mark.parametrize(
    ("lanes", "levels", "changes", "codes"),
    [
        ([lane("SIN", "SG")], [level("HKG"), level("SIN")], {}, {"HKG": "NO_LANE", "SIN": "NO_LANE"}),
        ([lane("HKG", "MY", cod=False)], [level("HKG")],
         {"payment": Payment(method=PaymentMethod.COD, state=PaymentState.PENDING)}, {"HKG": "COD_NOT_OFFERED"}),
        ([lane("HKG", "MY", steps={300: 100})], [level("HKG")], {}, {"HKG": "OVER_WEIGHT"}),
        ([lane("HKG", "MY", max_value=usd(1999))], [level("HKG")], {}, {"HKG": "OVER_VALUE"}),
    ],
)  # fmt: skip
async def test_no_route_names_what_killed_each_site(
    lanes: list[Lane], levels: list[StockLevel], changes: dict[str, Any], codes: dict[str, str]
) -> None:
    """domain/R3: an unroutable order goes to a person, with the constraint per warehouse."""
    verdict = await route(world(levels=levels, lanes=lanes, sites=(HKG, SIN)), country="MY", **changes)
    assert (verdict.decision, verdict.outcome) == ("no_route", Outcome.REVIEW)
    assert {reason.code for reason in verdict.reasons} == {"NO_ROUTE"}
    named = {reason.text.split(":")[0]: reason.value for reason in verdict.reasons}
    assert codes.items() <= named.items()


@pytest.mark.parametrize(
    ("goods", "declared", "service"),
    [
        (DangerousGoods.LITHIUM_PACKED_WITH, False, "sea:1"),
        (DangerousGoods.LITHIUM_PACKED_WITH, True, "air:1"),
        (DangerousGoods.LITHIUM_LOOSE, True, "sea:1"),
    ],
)
async def test_lithium_of_unknown_charge_travels_by_surface(
    goods: DangerousGoods, declared: bool, service: str
) -> None:
    """domain/R5: UN3481 packed with equipment, charge unknown, takes a surface service or none."""
    air = lane("HKG", "HK", "air:1", accepts=(DangerousGoods.NONE, DangerousGoods.LITHIUM_PACKED_WITH))
    sea = lane("HKG", "HK", "sea:1", steps={9000: 9000}, accepts=ALL_GOODS)
    goods_of = [product(dangerous=goods, charge_declared=declared)]
    both = world(levels=[level("HKG")], lanes=[air, sea], products=goods_of)
    assert used(await route(both)) == [("HKG", service)]
    if service == "sea:1":
        only_air = world(levels=[level("HKG")], lanes=[air], products=goods_of)
        verdict = await route(only_air)
        assert verdict.decision == "no_route"
        assert {reason.value for reason in verdict.reasons if reason.text.startswith("HKG")} == {"DANGEROUS_GOODS"}


async def test_volume_counts_when_it_exceeds_mass() -> None:
    """F13: billable weight is the larger of mass and volume by the carrier's divisor."""
    bulky = product(weight_g=100, length_mm=300, width_mm=300, height_mm=300)
    verdict = await route(world(levels=[level("HKG")], lanes=[lane("HKG", "HK", steps={9000: 700})], products=[bulky]))
    assert plan(verdict).parcels[0].billable_g == 5400


async def test_promise_outweighs_price_when_lateness_costs_more() -> None:
    """F32: cost and time are one decision; the loser is listed with why it lost."""
    slow = lane("HKG", "HK", "slow:1", steps={5000: 300}, transit_days=(7, 9))
    fast = lane("SIN", "HK", "fast:1", steps={5000: 900}, transit_days=(1, 1))
    around = world(levels=[level("HKG"), level("SIN")], lanes=[slow, fast])
    assert used(await route(around)) == [("HKG", "slow:1")]
    urgent = await route(around, deliver_by=NOW + timedelta(days=2))
    assert used(urgent) == [("SIN", "fast:1")]
    (lost,) = facts(urgent)["alternatives"]
    assert "cheaper" in lost["why_lost"]
    assert "later" in lost["why_lost"]
    express = await route(around, shipping_option="Express (1-2 days)")
    assert used(express) == [("SIN", "fast:1")]


async def test_ship_by_is_kept_when_it_can_be() -> None:
    """domain/R8: a site whose next pick-up is after the marketplace's deadline loses to one in time."""
    today = lane("HKG", "SG", "a:1", steps={5000: 1500})
    weekend = site("TPE", "TW", "Asia/Taipei", pickup_weekdays=(5,))
    cheap = lane("TPE", "SG", "b:1", steps={5000: 200})
    around = world(levels=[level("HKG"), level("TPE")], lanes=[today, cheap], sites=(HKG, weekend))
    assert used(await route(around, country="SG")) == [("TPE", "b:1")]
    verdict = await route(around, country="SG", ship_by=NOW + timedelta(days=1))
    assert used(verdict) == [("HKG", "a:1")]
    assert not plan(verdict).ship_by_missed


async def test_a_kit_travels_in_one_parcel() -> None:
    """F13: lines of a kit are never separated."""
    kit = [line("A", kit_id="K"), line("B", kit_id="K"), line("C")]
    goods = [product(name, weight_g=600) for name in "ABC"]
    around = world(
        levels=[level("HKG", name) for name in "ABC"], lanes=[lane("HKG", "HK", steps={1300: 100})], products=goods
    )
    verdict = await route(around, kit)
    parcels = [set(parcel.lines) for parcel in plan(verdict).parcels]
    assert {"L-A", "L-B"} in parcels


async def test_a_heavy_line_is_split_into_parcels_a_lane_takes() -> None:
    """F14: several parcels from one site by one service when limits demand it, units adding up."""
    around = world(
        levels=[level("HKG", on_hand=50)],
        lanes=[lane("HKG", "HK", steps={2000: 500})],
        products=[product(weight_g=900)],
    )
    verdict = await route(around, [line(quantity=7)])
    parcels = plan(verdict).parcels
    assert sum(parcel.lines["L-SKU-1"] for parcel in parcels) == 7
    assert all(parcel.billable_g <= 2000 for parcel in parcels)
    assert [parcel.number for parcel in parcels] == list(range(1, len(parcels) + 1))


async def test_a_line_no_site_holds_is_taken_from_several() -> None:
    """F13: units are chunked over sites only when no single one has them all."""
    around = world(
        levels=[level("HKG", on_hand=3), level("SIN", on_hand=2)], lanes=[lane("HKG", "HK"), lane("SIN", "HK")]
    )
    verdict = await route(around, [line(quantity=5)])
    assert {parcel.warehouse: parcel.lines["L-SKU-1"] for parcel in plan(verdict).parcels} == {"HKG": 3, "SIN": 2}


async def test_own_hold_counts_as_stock() -> None:
    """F12: the last units are this order's own when it holds them."""
    around = world(levels=[level("HKG", on_hand=1, held=1)], lanes=[lane("HKG", "HK")])
    assert (await route(around)).decision == "unfillable"
    held = {"inventory_reservation": reserve(("L-SKU-1", "SKU-1", "HKG", 1))}
    assert used(await route(around, decisions=held)) == [("HKG", "sf:std")]


async def test_fraud_verdict_is_read_from_decisions_with_the_service_off() -> None:
    """F24: fraud's systems are down; routing reads the recorded verdict and never calls."""
    around = world(levels=[level("HKG")], lanes=[lane("HKG", "HK")])
    around.crm.down = around.activity.down = True
    hold = Verdict(
        decision="hold", outcome=Outcome.HOLD, confidence=0.9, reasons=(Reason(code="KNOWN_BAD", text="listed"),)
    )
    fraud: dict[str, Decision] = {"fraud_detection": decided("fraud_detection", hold)}
    verdict = await route(around, decisions=fraud)
    assert verdict.facts["fraud"] == {"decision": "hold", "version": "test"}
    assert "fraud_not_clear" in verdict.flags
    assert around.crm.reads == 0


@pytest.mark.parametrize(
    ("goods", "changes", "code"),
    [
        ([product(weight_g=None)], {}, "WEIGHT_UNKNOWN"),
        ([product()], {"ship_to": {"line1": "1 Road"}}, "NO_COUNTRY"),
    ],
)
async def test_missing_inputs_are_asked_not_guessed(goods: list[object], changes: dict[str, Any], code: str) -> None:
    """F13: no weight or no country is a review with that reason."""
    around = world(levels=[level("HKG")], lanes=[lane("HKG", "HK")], products=goods)  # type: ignore[arg-type]
    verdict = await route(around, **changes)
    assert (verdict.outcome, verdict.reasons[0].code) == (Outcome.REVIEW, code)


async def test_the_channels_weight_serves_when_the_catalogue_has_none() -> None:
    """F13: a weight somebody stated is better than a person's time."""
    around = world(levels=[level("HKG")], lanes=[lane("HKG", "HK")], products=[product(weight_g=None)])
    assert (await route(around, [line(weight_g=250)])).decision == "route"


async def test_values_in_another_currency_are_judged_by_rate() -> None:
    """F13: a limit in dollars is compared at the day's rate; without a rate no limit is passed."""
    limited = world(levels=[level("HKG")], lanes=[lane("HKG", "HK", max_value=usd(10_000))])
    cheap, dear = line(price=70_000, currency="HKD"), line(price=80_000, currency="HKD")
    assert (await route(limited, [cheap])).decision == "route"
    assert (await route(limited, [dear])).decision == "no_route"
    limited.erp.quoted = {}
    assert (await route(limited, [cheap])).decision == "no_route"
    unlimited = world(levels=[level("HKG")], lanes=[lane("HKG", "HK")])
    unlimited.erp.quoted = {}
    assert (await route(unlimited, [cheap])).decision == "route"
    assert money(1, "HKD") != usd(1)


async def test_large_orders_end_in_bounded_time() -> None:
    """domain/R2: forty lines are routed by the bounded method and say so; absurd quantities go to a person."""
    names = [f"S{i}" for i in range(40)]
    around = world(
        levels=[level(w, name, 9) for name in names for w in ("HKG", "SIN")],
        lanes=[lane("HKG", "HK"), lane("SIN", "HK", "x:1")],
        products=[product(name) for name in names],
    )
    verdict = await route(around, [line(name) for name in names])
    assert verdict.decision == "route"
    assert verdict.facts["method"] == "bounded"
    assert sum(sum(parcel.lines.values()) for parcel in plan(verdict).parcels) == 40
    vast = world(levels=[level("HKG", on_hand=10**6)], lanes=[lane("HKG", "HK")])
    assert (await route(vast, [line(quantity=100_000)])).reasons[0].code == "TOO_MANY_PARCELS"


async def test_stale_count_gives_only_what_is_held() -> None:
    """F56: a count older than 30 s is not decided on, even for another site than the hold's."""
    old = level("SIN", as_of=NOW - timedelta(seconds=31))
    around = world(levels=[old], lanes=[lane("SIN", "HK")])
    assert (await route(around)).decision == "unfillable"


async def test_fallback_is_the_cheapest_remembered_route() -> None:
    """F9: cheapest_route reads nothing, uses the lanes last seen, and asks a person when it remembers none."""
    around = world(levels=[level("HKG")], lanes=[lane("HKG", "HK", "a:1", steps={5000: 900}), lane("HKG", "HK", "b:1")])
    agent = build("order_routing", "or-1.1", around.ports)
    held = {"inventory_reservation": reserve(("L-SKU-1", "SKU-1", "HKG", 1))}
    asked = case(order(), decisions=held)
    assert agent.fallback("cheapest_route", asked, "down").outcome is Outcome.REVIEW
    await agent.decide(asked)
    around.wms.down = around.carrier.down = around.erp.down = True
    later = case(order(), decisions=held, now=NOW + timedelta(hours=2))
    with pytest.raises(ConnectorUnavailable):
        await agent.decide(later)
    verdict = agent.fallback("cheapest_route", later, "down")
    assert used(verdict) == [("HKG", "b:1")]
    assert verdict.confidence == POLICY.fallback
    assert "fallback" in verdict.flags


async def test_lanes_are_read_once_a_minute_not_once_an_order() -> None:
    """F13: sites and lanes are shared and refreshed."""
    around = world(levels=[level("HKG")], lanes=[lane("HKG", "HK")])
    agent = build("order_routing", "or-1.1", around.ports)
    assert isinstance(agent, OrderRouting)
    for seconds in (0, 10, 59, 60, 61):
        around.wms.levels = [level("HKG", as_of=NOW + timedelta(seconds=seconds))]
        await agent.decide(case(order(), now=NOW + timedelta(seconds=seconds)))
    assert around.carrier.reads == 2


async def test_golden_orders_over_three_sites() -> None:
    """F13: the expected site for hand-checked situations, each loser with its reason."""
    lanes = [
        lane("HKG", "HK", steps={5000: 400}),
        lane("SIN", "HK", "x:1", steps={5000: 700}),
        lane("TPE", "HK", "y:1", steps={5000: 500}),
    ]
    situations = [
        ([level("HKG"), level("SIN"), level("TPE")], ["HKG"], {"SIN": "lost", "TPE": "lost"}),
        ([level("SIN"), level("TPE")], ["TPE"], {"HKG": "infeasible", "SIN": "lost"}),
        ([level("SIN")], ["SIN"], {"HKG": "infeasible", "TPE": "infeasible"}),
    ]
    for levels, expected, losers in situations:
        verdict = await route(world(levels=levels, lanes=lanes, sites=(HKG, SIN, TPE)))
        assert [warehouse for warehouse, _ in used(verdict)] == expected
        standing = {e["warehouse"]: e for e in facts(verdict)["warehouses"]}
        assert {name: standing[name]["status"] for name in losers} == losers
        assert all(standing[name]["why"] for name in losers)
