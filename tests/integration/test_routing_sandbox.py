"""Routing on the seeded world: every parcel's label can be bought as routed, and full sites are skipped."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from agents import AgentPorts, build
from domain.address import Address
from domain.effect import EffectKind
from domain.ids import OrderId
from domain.intent import BookLabel
from domain.order import Order, Payment, PaymentMethod, PaymentState
from domain.ports import AgentCase
from domain.shipment import Lane, RoutePlan, SurchargeKind
from tests.support.agent_world import MemoryActivity, case, line, order
from tests.support.outside import SettableClock, confirm, effect, fulfil, hold
from tests.support.outside import line as hold_line
from tools.sandbox import Sandbox

VERSION = "or-1.1"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path / "sandbox.sqlite3", clock=SettableClock()) as opened:
        yield opened


def ports(sandbox: Sandbox) -> AgentPorts:
    return AgentPorts(
        wms=sandbox.wms, carriers=sandbox.carriers, crm=sandbox.crm, erp=sandbox.erp, activity=MemoryActivity()
    )


def some_orders(sandbox: Sandbox, count: int) -> list[Order]:
    rng = Random(14)  # noqa: S311 - a repeatable world, no secret
    goods = sorted(sandbox.world.stocked())
    found = []
    for number in range(count):
        country = rng.choice(sandbox.world.countries)
        lines = [
            line(sku, rng.randint(1, 3), rng.randint(500, 9_000)) for sku in rng.sample(goods, rng.choice((1, 2, 3)))
        ]
        collects = rng.random() < 0.2
        found.append(
            order(
                lines,
                country,
                order_id=OrderId(f"o-{number}"),
                ship_to=Address(name="X", line1="1 Road", city="Y", postcode=rng.choice(("1000", "0872", "88000")), country=country),
                payment=Payment(method=PaymentMethod.COD, state=PaymentState.PENDING)
                if collects
                else Payment(method=PaymentMethod.CARD, state=PaymentState.PAID),
            )
        )  # fmt: skip
    return found


def at(sandbox: Sandbox, of: Order) -> AgentCase:
    return case(of, now=sandbox.clock())


async def test_every_routed_parcel_can_be_labelled(sandbox: Sandbox) -> None:
    """F14: what routing chose, the carrier sells on that lane for that weight, goods, value and payment."""
    agent = build("order_routing", VERSION, ports(sandbox))
    labelled = 0
    for of in some_orders(sandbox, 80):
        verdict = await agent.decide(at(sandbox, of))
        if verdict.decision != "route":
            continue
        plan = RoutePlan.model_validate(verdict.facts["plan"])
        for parcel in plan.parcels:
            label = BookLabel(
                order_id=of.order_id, parcel=parcel.number, warehouse=parcel.warehouse, service=parcel.service,
                billable_g=parcel.billable_g, ship_to=of.ship_to, declared_value=of.total_open,
                dangerous=parcel.dangerous,
                collect=of.total_open if of.payment.method is PaymentMethod.COD else None,
            )  # fmt: skip
            if len(plan.parcels) > 1:
                label = label.model_copy(update={"declared_value": of.total_open.allocate([1, 999])[0]})
            carrier = sandbox.carriers[parcel.carrier]
            booked = await carrier.apply(
                effect(EffectKind.BOOK_LABEL, label.model_dump(mode="json"), order=of.order_id, part=str(parcel.number))
            )
            assert booked.detail["cost_minor"] <= parcel.cost.amount_minor  # type: ignore[operator]
            labelled += 1
    assert labelled > 50


async def test_a_site_at_its_daily_limit_is_skipped(sandbox: Sandbox) -> None:
    """P13: the warehouse system counts the parcels it has to pick; at the limit the next order leaves from elsewhere."""
    shops = [site.warehouse for site in sandbox.world.warehouses]
    sku = next(sku for sku, held in sandbox.world.stocked().items() if len(held) == len(shops))
    agent = build("order_routing", VERSION, ports(sandbox))
    wanted = order([line(sku)], "HK")
    first = RoutePlan.model_validate((await agent.decide(at(sandbox, wanted))).facts["plan"]).parcels[0]
    limited = [
        site.model_copy(update={"daily_parcels": 1}) if site.warehouse == first.warehouse else site
        for site in sandbox.world.warehouses
    ]
    narrow = replace(sandbox.wms, world=replace(sandbox.world, warehouses=tuple(limited)))
    again = build("order_routing", VERSION, replace(ports(sandbox), wms=narrow))
    open_site = RoutePlan.model_validate((await again.decide(at(sandbox, wanted))).facts["plan"]).parcels[0]
    assert open_site.warehouse == first.warehouse
    held = hold([hold_line(sku, first.warehouse)], expires_at=sandbox.clock() + timedelta(hours=1))
    for step in (held, confirm(held), fulfil(held, first.warehouse, {sku: 1}, "T-1")):
        await narrow.apply(step)
    fresh = build("order_routing", VERSION, replace(ports(sandbox), wms=narrow))
    verdict = await fresh.decide(at(sandbox, wanted))
    elsewhere = RoutePlan.model_validate(verdict.facts["plan"]).parcels[0]
    assert elsewhere.warehouse != first.warehouse
    standing = {entry["warehouse"]: entry for entry in verdict.model_dump()["facts"]["warehouses"]}
    assert standing[first.warehouse]["codes"] == ["SITE_FULL"]


def test_the_worlds_lanes_carry_distributions_and_dated_surcharges(sandbox: Sandbox) -> None:
    """domain 2.1: every lane reads back from JSON as it was, with its transit distribution and surcharges."""
    kinds = set()
    for lane in sandbox.world.lanes:
        assert Lane.model_validate_json(lane.model_dump_json()) == lane
        assert lane.transit
        kinds |= {fee.kind for fee in lane.surcharges}
    assert kinds == set(SurchargeKind)
