"""The seeded world: the same everywhere, with the shapes and gaps that agents must cope with."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from domain.catalogue import DangerousGoods
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.money import Money
from domain.values import digest
from tools.sandbox import World, build_world
from tools.sandbox.assortment import BATTERY_COUNT, SKU_COUNT
from tools.sandbox.geography import CARRIER_CODES, FIXTURE_RATES, SERVED, SERVICES, UNSERVED, WAREHOUSES
from tools.sandbox.lanes import MISSING_PER_CENT

LITHIUM = {DangerousGoods.LITHIUM_CONTAINED, DangerousGoods.LITHIUM_PACKED_WITH, DangerousGoods.LITHIUM_LOOSE}


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(1)


def fingerprint(world: World) -> str:
    lanes = [lane.model_dump(mode="json") for lane in world.lanes]
    products = [product.model_dump(mode="json") for product in world.products.values()]
    opening = [[row.sku, row.warehouse, row.on_hand, row.safety, row.quarantine] for row in world.opening]
    return digest([lanes, products, opening, [repr(history) for history in world.customers.values()]])


def test_a_seed_names_one_world(world: World) -> None:
    """domain 11b: the same seed gives the same world in another process; another seed gives another."""
    script = (
        "from tests.unit.test_sandbox_world import fingerprint\n"
        "from tools.sandbox import build_world\n"
        "print(fingerprint(build_world(1)))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == fingerprint(world)
    assert fingerprint(build_world(2)) != fingerprint(world)


@pytest.mark.parametrize("seed", [1, 2, 3, 99])
def test_thirty_per_cent_of_lanes_are_missing(seed: int) -> None:
    """domain 11b, 2.3: gaps between sites and markets, never inside a market; Singapore to Malaysia is broken for one carrier."""
    lanes = build_world(seed).lanes
    possible = len(WAREHOUSES) * len(SERVICES) * len(SERVED)
    assert possible - len(lanes) == possible * MISSING_PER_CENT // 100
    assert len({(lane.warehouse, lane.service, lane.country) for lane in lanes}) == len(lanes)
    to_malaysia = {(lane.warehouse, lane.carrier) for lane in lanes if lane.country == "MY"}
    assert ("SIN", "banyan") not in to_malaysia
    assert any(carrier == "banyan" for _, carrier in to_malaysia)
    at_home = Counter(
        lane.warehouse
        for site in WAREHOUSES
        for lane in lanes
        if (lane.warehouse, lane.country) == (site.warehouse, site.country)
    )
    assert set(at_home.values()) == {len(SERVICES)}
    for country in SERVED:
        assert len({lane.warehouse for lane in lanes if lane.country == country}) >= 2
    assert not {lane.country for lane in lanes} & set(UNSERVED)


def test_lanes_are_priced_by_weight_and_distance(world: World) -> None:
    """domain 2.1: price tables ascend, P80 is not before P50, service ids start with their carrier."""
    for lane in world.lanes:
        weights = [step.up_to_g for step in lane.steps]
        prices = [step.price for step in lane.steps]
        assert weights == sorted(set(weights))
        assert prices == sorted(prices)
        assert prices[0].amount_minor > 0
        assert 1 <= lane.transit_days[0] <= lane.transit_days[1]
        assert lane.service.startswith(f"{lane.carrier}:")
        assert lane.carrier in CARRIER_CODES
    assert any(lane.cod for lane in world.lanes if lane.country == "VN")
    for kind in DangerousGoods:
        assert all(any(kind in lane.accepts for lane in world.lanes if lane.country == one) for one in SERVED)


def test_sites_have_real_time_zones() -> None:
    """domain 2.1: cut-offs are local times in IANA zones."""
    for site in WAREHOUSES:
        assert datetime(2026, 11, 11, tzinfo=UTC).astimezone(ZoneInfo(site.timezone)).tzinfo is not None
    assert [site.warehouse for site in WAREHOUSES] == ["HKG", "SZX", "SIN", "TPE", "KUL", "SYD"]


def test_the_assortment_has_its_traps(world: World) -> None:
    """domain 11b: 2,000 SKUs, 12 % with batteries, some forbidden somewhere, some easy to resell, all measured."""
    products = world.products.values()
    assert len(products) == SKU_COUNT == 2_000
    assert sum(product.dangerous in LITHIUM for product in products) == BATTERY_COUNT == 240
    assert {product.dangerous for product in products} == set(DangerousGoods)
    assert any(product.restricted_in for product in products)
    assert any(product.high_resale for product in products)
    assert any(product.charge_declared for product in products)
    for product in products:
        assert product.weight_g
        assert product.length_mm
        assert product.list_price.amount_minor > 0
        assert product.list_price.currency == "USD"
        assert len(product.hs_code) == 6


def test_stock_is_uneven(world: World) -> None:
    """domain 11b: most SKUs lie in several sites, some in one, some nowhere; nothing is negative."""
    stocked = world.stocked()
    spread = Counter(len(stocked.get(sku, {})) for sku in world.skus)
    assert spread[0] > 20
    assert spread[1] > 100
    assert sum(count for sites, count in spread.items() if sites >= 2) > 1_500
    assert all(row.on_hand >= 0 and row.safety >= 0 and row.quarantine >= 0 for row in world.opening)
    assert len({(row.sku, row.warehouse) for row in world.opening}) == len(world.opening)


def test_fixture_rates_give_the_documented_limits(world: World) -> None:
    """domain 9: 500 USD is 3,900 HKD, 650 SGD, 16,000 TWD, 750 AUD, 2,100 MYR and 12,700,000 VND at fixture rates."""
    today, noon = date(2026, 11, 11), datetime(2026, 11, 11, 12, tzinfo=UTC)
    table = RateTable(world.rates(list(FIXTURE_RATES), on=today))
    limits = {"HKD": "3900", "SGD": "650", "TWD": "16000", "AUD": "750", "MYR": "2100", "VND": "12700000"}
    for currency, limit in limits.items():
        equivalent = table.usd_equivalent(Money.parse(limit, currency), at=noon)
        assert equivalent.amount == 500
        assert not equivalent.stale
        assert equivalent.rate_id == f"fixture:USD{currency}:2026-11-11"
    assert world.rates(["XXX", "USD"], on=today) == ()
    with pytest.raises(MissingRate):
        table.usd_equivalent(Money.parse("1", "KZT"), at=noon)


def test_customers_have_pasts(world: World) -> None:
    """domain 1.3: good, refusing and known bad customers exist, and a newcomer has no first order."""
    histories = world.customers.values()
    assert any(history.known_bad for history in histories)
    assert any(history.orders_refused >= 3 for history in histories)
    assert sum(history.orders_delivered >= 3 for history in histories) > 300
    assert all((history.first_order_at is None) == (history.orders_delivered == 0) for history in histories)


def test_a_world_prints_short(world: World) -> None:
    """A log line or traceback that holds a world stays readable."""
    assert repr(world) == "World(seed=1)"
