"""When goods are divided, when a site is skipped, when an order waits, and what every decision names."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from agents.order_routing import OrderRouting
from agents.routing_policy import POLICY, RoutingPolicy, still_waiting, waits_until
from domain.decision import Outcome, Verdict
from domain.ids import Sku, WarehouseId
from domain.order import Channel
from domain.pick_wave import UnitPrices
from domain.shipment import RoutePlan
from tests.support.agent_world import (
    HKG,
    NOW,
    SIN,
    World,
    case,
    lane,
    level,
    line,
    order,
    product,
    site,
    world,
)  # fmt: skip


async def route(around: World, policy: RoutingPolicy = POLICY, **of: Any) -> Verdict:
    ports = around.ports
    agent = OrderRouting(wms=ports.wms, erp=ports.erp, network=ports.network, exchange=ports.exchange, policy=policy)
    return await agent.decide(case(order(of.pop("lines", None), of.pop("country", "HK"), **of)))


def plan(verdict: Verdict) -> RoutePlan:
    assert verdict.decision == "route", verdict.reasons
    return RoutePlan.model_validate(verdict.facts["plan"])


def facts(verdict: Verdict) -> Any:
    return verdict.model_dump(mode="json")["facts"]


def apart() -> World:
    """A lies in Hong Kong only, B in Singapore only."""
    return world(
        levels=[level("HKG", "A"), level("SIN", "B")],
        lanes=[lane("HKG", "HK"), lane("SIN", "HK")],
        products=[product("A"), product("B")],
        sites=(HKG, SIN),
    )


@pytest.mark.parametrize(("each", "parcels"), [(1000, 0), (1001, 2), (2000, 2)])
async def test_goods_are_divided_only_above_the_threshold(each: int, parcels: int) -> None:
    """P12: two goods in two places: at 20.00 in all the order waits, above it two parcels leave."""
    assert POLICY.split_above_minor == 2000
    verdict = await route(apart(), lines=[line("A", price=each), line("B", price=each)])
    if parcels:
        assert len(plan(verdict).parcels) == parcels
        return
    assert (verdict.decision, verdict.outcome) == ("unfillable", Outcome.LIMIT)
    (reason,) = verdict.reasons
    assert (reason.code, reason.value, reason.threshold) == ("SPLIT_NOT_WORTH_IT", "2000", "2000")
    assert {entry["warehouse"]: entry["lacks"] for entry in facts(verdict)["warehouses"]} == {
        "HKG": {"B": 1}, "SIN": {"A": 1},
    }  # fmt: skip


async def test_below_the_threshold_one_parcel_beats_cheaper_two() -> None:
    """P12: two parcels would cost less; a small order still travels in one."""
    goods = [product("A", weight_g=900), product("B", weight_g=900)]
    lanes = [lane("HKG", "HK", steps={1000: 100, 5000: 2000})]
    around = world(levels=[level("HKG", "A"), level("HKG", "B")], lanes=lanes, products=goods)
    assert len(plan(await route(around, lines=[line("A", price=900), line("B", price=900)])).parcels) == 1
    assert len(plan(await route(around, lines=[line("A"), line("B")])).parcels) == 2


async def test_limits_may_force_several_parcels_of_one_site_on_a_small_order() -> None:
    """P12: what no parcel can hold is not a split; it still leaves from one site."""
    lanes = [lane("HKG", "HK", steps={1000: 300}), lane("SIN", "HK", steps={1000: 100})]
    around = world(levels=[level("HKG", on_hand=9), level("SIN", on_hand=2)], lanes=lanes, sites=(HKG, SIN))
    parcels = plan(await route(around, lines=[line(quantity=4, price=100)])).parcels
    assert {parcel.warehouse for parcel in parcels} == {"HKG"}
    assert len(parcels) == 2


async def test_a_kit_is_kept_together_and_waits_for_a_site_that_has_it_all() -> None:
    """P12, P13: a kit in two places is not divided at any value; it waits, with what each place lacks."""
    kit = [line("A", price=90_000, kit_id="K"), line("B", price=90_000, kit_id="K")]
    verdict = await route(apart(), lines=kit)
    assert (verdict.decision, verdict.reasons[0].code) == ("unfillable", "KEPT_TOGETHER")
    whole = apart()
    whole.wms.levels = [*whole.wms.levels, level("SIN", "A")]
    (parcel,) = plan(await route(whole, lines=kit)).parcels
    assert (parcel.warehouse, set(parcel.skus)) == ("SIN", {"A", "B"})


@pytest.mark.parametrize(("left", "expected"), [(None, "HKG"), (1, "HKG"), (0, "SIN"), (-3, "SIN")])
async def test_a_full_site_is_skipped(left: int | None, expected: str) -> None:
    """P13: no parcel left today means the next best site, and the decision says why the best one lost."""
    full = site("HKG", "HK", "Asia/Hong_Kong", daily_parcels=100, parcels_left=left)
    around = world(
        levels=[level("HKG"), level("SIN")], lanes=[lane("HKG", "HK"), lane("SIN", "HK", steps={5000: 4000})],
        sites=(full, SIN),
    )  # fmt: skip
    verdict = await route(around)
    assert plan(verdict).parcels[0].warehouse == expected
    if expected == "SIN":
        assert facts(verdict)["warehouses"][0]["codes"] == ["SITE_FULL"]
        around.wms.levels = [level("HKG")]
        nowhere = await route(around)
        assert nowhere.decision in {"unfillable", "no_route"}


async def test_a_nearly_full_site_gets_no_more_parcels_than_it_takes() -> None:
    """P13: three parcels' worth of goods, room for one: the rest leaves from elsewhere."""
    narrow = site("HKG", "HK", "Asia/Hong_Kong", parcels_left=1)
    names = "ABC"
    around = world(
        levels=[level(w, name) for w in ("HKG", "SIN") for name in names],
        lanes=[lane("HKG", "HK", steps={1000: 100}), lane("SIN", "HK", steps={1000: 900})],
        products=[product(name, weight_g=900) for name in names],
        sites=(narrow, SIN),
    )
    used = [parcel.warehouse for parcel in plan(await route(around, lines=[line(name) for name in names])).parcels]
    assert sorted(used) == ["HKG", "SIN", "SIN"]


@pytest.mark.parametrize("quantity", [15, 900, 100_000])
async def test_more_than_all_sites_have_waits_with_what_is_missing(quantity: int) -> None:
    """P13: quantity above every warehouse: unfillable with the units missing, whatever the quantity."""
    around = world(levels=[level("HKG"), level("SIN")], lanes=[lane("HKG", "HK"), lane("SIN", "HK")])
    around.wms.levels = [level("HKG", on_hand=8), level("SIN", on_hand=4)]
    verdict = await route(around, lines=[line(quantity=quantity)])
    assert (verdict.decision, verdict.outcome) == ("unfillable", Outcome.LIMIT)
    assert facts(verdict)["missing"] == [{"sku": "SKU-1", "units": quantity - 12}]
    assert facts(verdict)["waits_until"] == (NOW - timedelta(minutes=1) + timedelta(days=14)).isoformat()
    assert verdict.confidence == POLICY.exact


async def test_no_lane_is_not_a_matter_of_stock() -> None:
    """P13, domain/R3: an order no arrival of stock could mend goes to a person instead of waiting."""
    around = world(levels=[level("HKG", on_hand=0)], lanes=[lane("HKG", "SG")])
    assert (await route(around)).decision == "no_route"


def test_waiting_ends_at_the_day_limit_or_the_marketplaces_deadline() -> None:
    """P13: still_waiting is false from the limit's instant on."""
    placed = NOW - timedelta(minutes=1)
    direct = order()
    assert waits_until(direct) == placed + timedelta(days=14)
    assert still_waiting(direct, placed + timedelta(days=14) - timedelta(microseconds=1))
    assert not still_waiting(direct, placed + timedelta(days=14))
    shopee = order(channel=Channel.SHOPEE)
    assert waits_until(shopee) == placed + timedelta(days=3)
    hurried = order(channel=Channel.SHOPEE, ship_by=NOW + timedelta(days=1))
    assert waits_until(hurried) == NOW + timedelta(days=1)
    patient = RoutingPolicy(**(vars(POLICY) | {"day_limit": 60}))
    assert still_waiting(direct, placed + timedelta(days=59), patient)


async def test_an_order_that_comes_late_is_not_closed_on_sight() -> None:
    """P13: a deadline that passed before the order was looked at is no end of its wait; one ahead is."""
    around = world(levels=[level("HKG", on_hand=0)], lanes=[lane("HKG", "HK")])
    late = await route(around, channel=Channel.SHOPEE, ship_by=NOW - timedelta(hours=1))
    assert (late.decision, facts(late)["waits_until"]) == ("unfillable", None)
    ahead = await route(around, channel=Channel.SHOPEE, ship_by=NOW + timedelta(hours=1))
    assert facts(ahead)["waits_until"] == (NOW + timedelta(hours=1)).isoformat()


async def test_units_kept_for_other_channels_are_not_taken() -> None:
    """P13: a site whose last units are kept for a marketplace is short for everybody else."""
    kept = level("HKG", on_hand=5, reserved={"shopee": 5})
    around = world(levels=[kept, level("SIN")], lanes=[lane("HKG", "HK"), lane("SIN", "HK", steps={5000: 2000})])
    assert plan(await route(around)).parcels[0].warehouse == "SIN"
    assert plan(await route(around, channel=Channel.SHOPEE)).parcels[0].warehouse == "HKG"


async def test_units_worth_more_to_later_orders_are_spared() -> None:
    """domain 2.1: the opportunity cost of a site's units is weighed and recorded, and is no part of the cost."""
    around = world(
        levels=[level("HKG"), level("SIN")],
        lanes=[lane("HKG", "HK", steps={5000: 500}), lane("SIN", "HK", steps={5000: 600})],
    )
    assert plan(await route(around)).parcels[0].warehouse == "HKG"
    scarce = {(WarehouseId("HKG"), Sku("SKU-1")): 150, (WarehouseId("HKG"), Sku("OTHER")): 9}
    verdict = await route(around, RoutingPolicy(**(vars(POLICY) | {"scarcity": scarce})))
    assert plan(verdict).parcels[0].warehouse == "SIN"
    assert plan(verdict).objective_minor == plan(verdict).cost.amount_minor == 700
    assert facts(verdict)["weights"]["scarcity_minor"] == {"HKG:SKU-1": 150}


async def test_every_decision_names_its_weights_and_rules() -> None:
    """F13, F32: the weights of the objective, the split rule and the tables' version are in the decision."""
    verdicts = [
        await route(apart(), lines=[line("A"), line("B")]),
        await route(apart(), lines=[line("A", price=1), line("B", price=1)]),
        await route(apart(), country="MY", lines=[line("A")]),
    ]
    assert [verdict.decision for verdict in verdicts] == ["route", "unfillable", "no_route"]
    for verdict in verdicts:
        known = facts(verdict)
        assert known["weights"] == {
            "late_hour_minor": 25, "split_minor": 100, "ship_by_minor": 2500, "scarcity_minor": {},
        }  # fmt: skip
        assert known["split"]["above_minor"] == 2000
        assert known["thresholds_version"] == POLICY.version


async def test_alternatives_are_the_other_pareto_plans_with_cost_and_date() -> None:
    """F32: each alternative is cheaper or earlier than the chosen plan, never both, and carries cost and date."""
    lanes = [
        lane("HKG", "HK", f"c:{days}", steps={5000: price}, transit_days=(days, days))
        for days, price in ((1, 1500), (2, 900), (5, 400), (6, 1200))
    ]
    verdict = await route(
        world(levels=[level("HKG")], lanes=lanes, sites=(HKG,)), deliver_by=NOW + timedelta(days=2, hours=12)
    )
    known = facts(verdict)
    chosen = known["chosen"]
    assert plan(verdict).parcels[0].service == "c:2"
    shown = {entry["parcels"][0]["service"] for entry in known["alternatives"]}
    assert shown == {"c:1", "c:5"}
    for other in known["alternatives"]:
        assert (other["cost_minor"] < chosen["cost_minor"]) != (other["arrives_p80"] < chosen["arrives_p80"])
        assert other["why_lost"]


class Prices:
    """Unit prices as the last look before a wave left them."""

    def __init__(self, minor: int) -> None:
        worth = {WarehouseId("HKG"): {Sku("SKU-1"): minor}}
        self.kept = UnitPrices(version="wave:1", found_at=NOW, until=NOW + timedelta(hours=24), worth_minor=worth)

    async def prices(self, *, tenant: str, now: datetime) -> UnitPrices | None:
        return self.kept if self.kept.found_at <= now < self.kept.until else None


async def test_prices_of_the_last_batch_weigh_until_their_time_is_over() -> None:
    """domain 2.1: what the batch found scarce is spared by later orders, its version is in the decision; peak days forget it."""
    around = world(
        levels=[level("HKG"), level("SIN")],
        lanes=[lane("HKG", "HK", steps={5000: 500}), lane("SIN", "HK", steps={5000: 600})],
    )
    ports = around.ports
    agent = OrderRouting(
        wms=ports.wms, erp=ports.erp, network=ports.network, exchange=ports.exchange, unit_prices=Prices(150)
    )
    spared = await agent.decide(case(order(None, "HK")))
    assert plan(spared).parcels[0].warehouse == "SIN"
    assert facts(spared)["scarcity_version"] == "wave:1"
    late = NOW + timedelta(hours=24)
    around.wms.levels = [level("HKG", as_of=late), level("SIN", as_of=late)]
    over = await agent.decide(case(order(None, "HK"), now=late))
    assert (plan(over).parcels[0].warehouse, facts(over)["scarcity_version"]) == ("HKG", None)
    around.wms.levels = [level("HKG"), level("SIN")]
    peak = await agent.decide(case(order(None, "HK"), hints={"mode": "degraded"}))
    assert (plan(peak).parcels[0].warehouse, facts(peak)["scarcity_version"]) == ("HKG", None)


async def test_peak_mode_looks_at_three_services_of_a_site() -> None:
    """domain 10.1: the three best services of each site, and all of them where those three have no plan."""
    lanes = [lane("HKG", "HK", f"kite:s{n}", steps={5000: 500 + n}) for n in range(6)]
    around = world(levels=[level("HKG")], lanes=lanes)
    ports = around.ports
    agent = OrderRouting(wms=ports.wms, erp=ports.erp, network=ports.network, exchange=ports.exchange)
    usual = await agent.decide(case(order(None, "HK")))
    peak = await agent.decide(case(order(None, "HK"), hints={"mode": "degraded"}))
    assert (usual.inputs["lanes"], peak.inputs["lanes"]) == (6, 3)
    assert (facts(usual)["services_per_lane"], facts(peak)["services_per_lane"]) == (None, 3)
    assert plan(peak).parcels == plan(usual).parcels
    many = [line("SKU-1", 12)]
    narrow = [lane("HKG", "HK", f"kite:s{n}", steps={1: 5}) for n in range(3)] + [lane("HKG", "HK", "kite:wide")]
    around = world(levels=[level("HKG", on_hand=50)], lanes=narrow)
    ports = around.ports
    agent = OrderRouting(wms=ports.wms, erp=ports.erp, network=ports.network, exchange=ports.exchange)
    wide = await agent.decide(case(order(many, "HK"), hints={"mode": "degraded"}))
    assert plan(wide).parcels[0].service == "kite:wide"
