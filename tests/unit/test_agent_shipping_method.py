"""The shipping method agent: only services the carrier sells on that lane for that weight."""

import random

from agents import build
from domain.decision import Decision, Outcome
from domain.order import Payment, PaymentMethod, PaymentState
from domain.shipment import RoutePlan
from tests.support.agent_world import World, case, decided, lane, level, line, order, product, world

LANES = (
    lane("HKG", "HK", "a:1", steps={500: 300, 2000: 600}),
    lane("HKG", "HK", "b:1", steps={1000: 450, 9000: 900}),
    lane("SIN", "HK", "c:1", steps={9000: 700}),
)


async def methods(around: World, subject: object, *, refresh: bool = False) -> tuple[dict[str, Decision], Decision]:
    """Route, then change the world if asked, then choose methods."""
    routed = await build("order_routing", "or-1.1", around.ports).decide(case(subject))  # type: ignore[arg-type]
    decisions = {"order_routing": decided("order_routing", routed)}
    agent = build("shipping_method", "sm-1.0", around.ports)
    return decisions, decided("shipping_method", await agent.decide(case(subject, decisions=decisions)))  # type: ignore[arg-type]


async def test_chosen_method_is_sold_on_the_lane_for_the_weight() -> None:
    """F14: over 200 random orders each chosen service is one of its lane's and takes the billable weight."""
    rng = random.Random(14)  # noqa: S311 - a repeatable world, no secret
    chosen = 0
    for _ in range(200):
        goods = [product(f"S{i}", weight_g=rng.randint(50, 4000)) for i in range(rng.randint(1, 3))]
        levels = [level(w, p.sku, rng.choice((0, 2, 9))) for p in goods for w in ("HKG", "SIN")]
        around = world(levels=levels, lanes=[x for x in LANES if rng.random() < 0.8], products=goods)
        subject = order([line(p.sku, rng.randint(1, 2)) for p in goods])
        decisions, method = await methods(around, subject)
        if decisions["order_routing"].decision != "route":
            assert method.outcome is Outcome.REVIEW
            continue
        for parcel in RoutePlan.model_validate(method.facts["plan"]).parcels:
            sold = [x for x in around.carrier.sold if (x.warehouse, x.service) == (parcel.warehouse, parcel.service)]
            assert len(sold) == 1
            assert parcel.billable_g <= sold[0].steps[-1].up_to_g
            chosen += 1
    assert chosen > 100


async def test_a_service_gone_since_routing_is_replaced_or_asked() -> None:
    """F14: the cheapest other service from the same site takes over; without one a person decides."""
    around = world(levels=[level("HKG")], lanes=LANES[:2])
    subject = order()
    routed = await build("order_routing", "or-1.1", around.ports).decide(case(subject))
    decisions = {"order_routing": decided("order_routing", routed)}
    assert RoutePlan.model_validate(routed.facts["plan"]).parcels[0].service == "a:1"
    around.carrier.sold = LANES[1:]
    replaced = await build("shipping_method", "sm-1.0", around.ports).decide(case(subject, decisions=decisions))
    assert RoutePlan.model_validate(replaced.facts["plan"]).parcels[0].service == "b:1"
    assert "method_changed" in replaced.flags
    around.carrier.sold = LANES[2:]
    none = await build("shipping_method", "sm-1.0", around.ports).decide(case(subject, decisions=decisions))
    assert (none.outcome, none.reasons[0].code) == (Outcome.REVIEW, "NO_SERVICE")


async def test_cash_on_delivery_needs_a_service_that_collects() -> None:
    """F14: a lane that does not collect is not chosen for a cash order."""
    cod = Payment(method=PaymentMethod.COD, state=PaymentState.PENDING)
    around = world(levels=[level("HKG")], lanes=[LANES[0], lane("HKG", "HK", "z:1", steps={9000: 2000}, cod=True)])
    _, method = await methods(around, order(payment=cod))
    assert RoutePlan.model_validate(method.facts["plan"]).parcels[0].service == "z:1"


async def test_the_buyers_choice_is_mapped() -> None:
    """F14: the channel's words become a class of service."""
    around = world(levels=[level("HKG")], lanes=LANES)
    for words, expected in (
        ("順豐快遞", "express"),
        ("7-11 取貨", "pickup"),
        ("Standard", "standard"),
        ("", "standard"),
    ):
        _, method = await methods(around, order(shipping_option=words))
        assert method.facts["option"] == expected


async def test_fallback_keeps_the_routed_service() -> None:
    """F9: lane_default takes the route as it is, and a person when there is none."""
    around = world(levels=[level("HKG")], lanes=LANES)
    decisions, _ = await methods(around, order())
    agent = build("shipping_method", "sm-1.0", around.ports)
    verdict = agent.fallback("lane_default", case(order(), decisions=decisions), "down")
    assert verdict.facts["plan"] == decisions["order_routing"].facts["plan"]
    assert agent.fallback("lane_default", case(order()), "down").outcome is Outcome.REVIEW
