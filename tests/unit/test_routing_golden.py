"""Fifty hand-checkable orders over three sites: the expected site, and every losing option with why."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from agents.order_routing import OrderRouting
from agents.routing_policy import POLICY
from domain.catalogue import DangerousGoods
from domain.decision import Outcome, Verdict
from domain.shipment import Lane, RoutePlan
from evals.routing_golden import DOLLARS, GRAMS, LANES, LATE_DAY, PICK, SITES, SPLIT, SPLIT_ABOVE, golden
from tests.support.agent_world import case, lane, level, line, order, product, site, usd, world

GOLDEN: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parents[1] / "support/routing_golden.yaml").read_text(encoding="utf-8")
)
ZONES = {"HKG": ("HK", "Asia/Hong_Kong"), "SIN": ("SG", "Asia/Singapore"), "TPE": ("TW", "Asia/Taipei")}
AT = {"HK": "Asia/Hong_Kong", "TW": "Asia/Taipei", "SG": "Asia/Singapore", "MY": "Asia/Kuala_Lumpur",
      "AU": "Australia/Sydney", "JP": "Asia/Tokyo"}  # fmt: skip
BATTERY = DangerousGoods.LITHIUM_CONTAINED


def lanes(country: str) -> list[Lane]:
    return [
        lane(name, country, service, {1000: light * 100, 5000: heavy * 100}, transit_days=(days, days),
             accepts=(DangerousGoods.NONE,) if service == "exp" else (DangerousGoods.NONE, BATTERY))
        for name, sold in LANES[country].items()
        for service, (light, heavy, days) in sold.items()
    ]  # fmt: skip


async def decide(entry: dict[str, Any]) -> Verdict:
    around = world(
        sites=[site(name, *ZONES[name], pick_pack=usd(dollars * 100)) for name, dollars in PICK.items()],
        lanes=lanes(entry["to"]),
        levels=[level(name, sku) for name in SITES for sku in entry["stock"][name]],
        products=[
            product(sku, weight_g=grams, dangerous=BATTERY if sku == "D" else DangerousGoods.NONE)
            for sku, grams in GRAMS.items()
        ],
    )
    ports = around.ports
    agent = OrderRouting(wms=ports.wms, erp=ports.erp, network=ports.network, exchange=ports.exchange)
    goods = [line(sku, price=DOLLARS[sku] * 100, kit_id="K" if entry["kit"] else None) for sku in entry["skus"]]
    return await agent.decide(case(order(goods, entry["to"], deliver_by=promise(entry))))


def promise(entry: dict[str, Any]) -> datetime | None:
    """Eight in the evening so many days after the order, where it goes."""
    if entry["due_days"] is None:
        return None
    day = datetime(2026, 11, 11, 20, tzinfo=ZoneInfo(AT[entry["to"]])) + timedelta(days=entry["due_days"])
    return day.astimezone(UTC)


def test_the_checked_in_set_is_what_the_enumeration_says() -> None:
    """F13: the expectations come from plain enumeration over whole dollars, by the weights in force."""
    assert golden() == GOLDEN
    weights = POLICY.weights
    assert (weights.late_hour_minor * 24, weights.split_minor) == (LATE_DAY * 100, SPLIT * 100)
    assert POLICY.split_above_minor == SPLIT_ABOVE * 100
    assert len(GOLDEN) == 50
    assert {len(entry["expected"].get("parcels", ())) for entry in GOLDEN} >= {0, 1, 2}
    assert {sku for entry in GOLDEN for sku in entry["skus"]} == set(GRAMS)


@pytest.mark.parametrize("entry", GOLDEN, ids=lambda entry: str(entry["order"]))
async def test_golden_order(entry: dict[str, Any]) -> None:
    """F13: the expected site for each of 50 orders over 3 warehouses, with the losing options and why."""
    verdict = await decide(entry)
    wanted = entry["expected"]
    assert verdict.decision == wanted["decision"]
    if wanted["decision"] != "route":
        assert verdict.outcome is (Outcome.LIMIT if wanted["decision"] == "unfillable" else Outcome.REVIEW)
        return
    plan = RoutePlan.model_validate(verdict.facts["plan"])
    parcels = [f"{parcel.warehouse} {parcel.service} {'+'.join(sorted(parcel.skus))}" for parcel in plan.parcels]
    assert sorted(parcels) == wanted["parcels"]
    assert plan.cost == usd(wanted["dollars"] * 100)
    assert plan.objective_minor == wanted["with_penalties"] * 100
    arrives = max(parcel.arrives_p80 for parcel in plan.parcels)
    assert arrives.astimezone(ZoneInfo(AT[entry["to"]])).day == 11 + wanted["days"]
    standing = {known["warehouse"]: known for known in verdict.model_dump()["facts"]["warehouses"]}
    for name, lost in wanted["lost"].items():
        assert standing[name]["why"]
        if isinstance(lost, int):
            assert (standing[name]["status"], standing[name]["objective_minor"]) == ("lost", lost * 100)
        else:
            assert lost in standing[name]["codes"]


def test_no_golden_plan_leaves_from_a_site_without_a_lane() -> None:
    """F32, domain/R3: nobody sells Singapore to Malaysia, so no expected plan uses it."""
    malaysian = [entry for entry in GOLDEN if entry["to"] == "MY"]
    assert malaysian
    for entry in malaysian:
        assert not any(parcel.startswith("SIN") for parcel in entry["expected"].get("parcels", ()))
