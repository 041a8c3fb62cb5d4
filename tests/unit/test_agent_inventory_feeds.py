"""The reservation agent and time: ages, buffers, breakers, floors, and why an order waits."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from agents.inventory_reservation import InventoryReservation
from agents.stock_policy import POLICY, StockPolicy
from domain.decision import CONFIDENCE_TO_ACT, Outcome, Verdict
from domain.ids import Sku, WarehouseId
from domain.intent import HoldStock
from domain.inventory import Demand, DemandTable, FeedState, Inbound, StockLevel
from domain.order import Channel, OrderLine, PaymentMethod, PaymentState
from domain.ports import AgentCase
from domain.values import Plain
from tests.support.agent_world import NOW, Payment, case, level, line, order, world

FLOORLESS = replace(POLICY, floors={})
QUIET = Demand(per_hour=0.0)
WORKED = Demand(per_hour=300.0)
"""The worked example: 15,000 orders an hour of which 2 % are for the SKU."""


@dataclass
class Feeds:
    """Breakers as a test wants them."""

    known: dict[WarehouseId, FeedState] = field(default_factory=dict)

    def states(self, now: datetime) -> Mapping[WarehouseId, FeedState]:
        return self.known


@dataclass
class Measured:
    """The same demand everywhere."""

    rate: Demand

    def demand(self, skus: Sequence[Sku]) -> DemandTable:
        return {(WarehouseId(site), sku): self.rate for site in ("HKG", "SIN", "TPE") for sku in skus}


async def judged(
    levels: list[StockLevel], of: AgentCase | None = None, *,
    feeds: dict[str, FeedState] | None = None, demand: Demand | None = None, lines: list[OrderLine] | None = None,
    policy: StockPolicy = POLICY,
) -> Verdict:  # fmt: skip
    ports = world(levels=levels).ports
    agent = InventoryReservation(
        wms=ports.wms,
        network=ports.network,
        feed=Feeds({WarehouseId(site): state for site, state in (feeds or {}).items()}),
        demand=Measured(demand) if demand else None,
        policy=policy,
    )
    return await agent.decide(of or case(order(lines)))


def aged(seconds: float, on_hand: int = 10, site: str = "HKG") -> StockLevel:
    return level(site, on_hand=on_hand, as_of=NOW - timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("age_s", "on_hand", "decision"),
    [
        (29.9, 1, "reserve"),
        (30.0, 1, "reserve"),
        (30.1, 5, "park"),
        (30.1, 6, "reserve"),
        (119.9, 15, "park"),
        (119.9, 16, "reserve"),
        (120.0, 16, "reserve"),
        (120.1, 10_000, "park"),
        (-5.0, 1, "reserve"),
        (-5.1, 10_000, "park"),
    ],
)
async def test_boundaries_of_age(age_s: float, on_hand: int, decision: str) -> None:
    """I4, F56, T04: to 30 s as counted, to 120 s less q95 of what may have been sold, then nothing; so is the future."""
    verdict = await judged([aged(age_s, on_hand)], demand=WORKED, policy=FLOORLESS)
    assert verdict.decision == decision
    if decision == "park":
        assert (verdict.outcome, verdict.flags) == (Outcome.LIMIT, ("feed_stale",))
        assert verdict.confidence is not None
        assert verdict.confidence >= CONFIDENCE_TO_ACT
        assert verdict.facts["waits_for"] == ["HKG"]
        assert verdict.reasons[0].code == ("FEED_AHEAD" if age_s < 0 else "STALE_STOCK")


async def test_a_sku_that_does_not_sell_needs_no_buffer() -> None:
    """I4: the buffer follows the measured rate; unmeasured SKUs count as the busiest of a peak day."""
    assert (await judged([aged(119.9, 1)], demand=QUIET)).decision == "reserve"
    assert (await judged([aged(119.9, 15)])).decision == "park"
    verdict = await judged([aged(119.9, 16)])
    assert verdict.flags == ("buffered",)
    assert [reason.code for reason in verdict.reasons] == ["STOCK_AVAILABLE", "COUNT_BUFFERED"]


async def test_degraded_mode_keeps_more_back() -> None:
    """I4: q99 instead of q95 on peak days: 18 instead of 15 units at 120 s."""
    normal, peak = case(order()), case(order(), hints={"mode": "degraded"})
    assert (await judged([aged(120, 17)], normal, demand=WORKED, policy=FLOORLESS)).decision == "reserve"
    assert (await judged([aged(120, 18)], peak, demand=WORKED, policy=FLOORLESS)).decision == "park"
    assert (await judged([aged(120, 19)], peak, demand=WORKED, policy=FLOORLESS)).decision == "reserve"


async def test_an_open_breaker_stops_one_warehouse_only() -> None:
    """F56: nothing is accepted from it however fresh the count; the others go on."""
    fresh = [aged(1, 50), aged(1, 50, "SIN")]
    verdict = await judged(fresh, feeds={"HKG": FeedState.OPEN})
    assert verdict.facts["warehouses"] == ["SIN"]
    alone = await judged(fresh[:1], feeds={"HKG": FeedState.OPEN})
    assert (alone.decision, alone.facts["waits_for"]) == ("park", ["HKG"])
    probation = await judged(fresh[:1], feeds={"HKG": FeedState.HALF_OPEN})
    assert (probation.decision, probation.flags) == ("reserve", ("buffered",))
    assert (await judged([aged(1, 5)], feeds={"HKG": FeedState.HALF_OPEN})).decision == "park"


async def test_a_count_that_is_behind_is_read_once_more() -> None:
    """T04: before an order waits for a feed, the feed is asked again; a normal reading is asked once."""

    @dataclass
    class Catching:
        readings: list[list[StockLevel]]
        reads: int = 0

        async def warehouses(self) -> Sequence[object]:
            return ()

        async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
            self.reads += 1
            return self.readings.pop(0)

    for readings, decision, reads in (
        ([[aged(300)], [aged(1)]], "reserve", 2),
        ([[aged(300)], [aged(300)]], "park", 2),
        ([[aged(1)]], "reserve", 1),
        ([[aged(1, 0)]], "backorder", 1),
    ):
        wms = Catching(readings)
        agent = InventoryReservation(wms=wms, network=world().ports.network)  # type: ignore[arg-type]
        assert (await agent.decide(case(order()))).decision == decision
        assert wms.reads == reads


async def test_a_shortage_is_no_feed_problem() -> None:
    """F12, P13: when even believing the old counts leaves the order short, it waits for goods."""
    verdict = await judged([aged(300, 1)], lines=[line(quantity=2)])
    assert (verdict.decision, verdict.flags) == ("backorder", ("backorder",))
    assert verdict.reasons[0].code == "QUANTITY_ABOVE_STOCK"
    held = await judged([level("HKG", on_hand=5, held=4)], lines=[line(quantity=2)])
    assert held.reasons[0].code == "STOCK_SHORT"


async def test_units_kept_for_a_channel_are_not_sold_by_others() -> None:
    """P13: a marketplace that punishes cancellations keeps its floor; the hold itself must leave it."""
    fast = Demand(per_hour=50)
    web, shopee = case(order()), case(order(channel=Channel.SHOPEE))
    floors = sum(units for (_, of), units in POLICY.floors.items() if of == "fast")
    short = await judged([level("HKG", on_hand=floors)], web, demand=fast)
    assert (short.decision, short.reasons[0].code) == ("backorder", "CHANNEL_FLOOR")
    enough = await judged([level("HKG", on_hand=floors + 1)], web, demand=fast)
    assert HoldStock.model_validate(enough.proposals[0].args).lines[0].leave == floors
    own = await judged([level("HKG", on_hand=floors)], shopee, demand=fast)
    assert HoldStock.model_validate(own.proposals[0].args).lines[0].leave == floors - 2
    reported = await judged([level("HKG", on_hand=4, reserved={"shopee": 4})], web)
    assert reported.decision == "backorder"
    assert (await judged([level("HKG", on_hand=4, reserved={"shopee": 4})], shopee)).decision == "reserve"


async def test_safety_stock_comes_from_the_warehouse_or_from_demand() -> None:
    """P13: the warehouse's own figure stands; without one measured demand gives it."""
    steady = Demand(per_hour=0.1, daily_mean=2, daily_sd=2, lead_days=4, lead_sd_days=0)
    assert (await judged([level("HKG", on_hand=7)], demand=steady)).decision == "backorder"
    assert (await judged([level("HKG", on_hand=8)], demand=steady)).decision == "reserve"
    assert (await judged([level("HKG", on_hand=7, safety=1)], demand=steady)).decision == "reserve"
    lumpy = Demand(per_hour=0.1, lead_time_demands=(0, 0, 0, 12))
    assert (await judged([level("HKG", on_hand=4)], demand=lumpy)).decision == "backorder"


@pytest.mark.parametrize(
    ("method", "state", "held_for"),
    [
        (PaymentMethod.CARD, PaymentState.AUTHORISED, timedelta(hours=24)),
        (PaymentMethod.CARD, PaymentState.PAID, timedelta(hours=24)),
        (PaymentMethod.BANK_TRANSFER, PaymentState.PENDING, timedelta(minutes=15)),
        (PaymentMethod.COD, PaymentState.PENDING, timedelta(hours=24)),
    ],
)
async def test_unpaid_orders_hold_for_a_quarter_of_an_hour(
    method: PaymentMethod, state: PaymentState, held_for: timedelta
) -> None:
    """P14: expiry follows the payment; cash on delivery is not an unpaid order."""
    verdict = await judged([level("HKG")], case(order(payment=Payment(method=method, state=state))))
    assert HoldStock.model_validate(verdict.proposals[0].args).expires_at == NOW + held_for


async def test_waiting_ends_at_the_day_limit_or_the_ship_by() -> None:
    """P13: the limit is policy by channel; a marketplace's deadline comes first, one already missed does not count."""

    async def until(**changes: object) -> Plain:
        return (await judged([level("HKG", on_hand=0)], case(order(**changes)))).facts["waits_until"]  # type: ignore[arg-type]

    assert await until() == (NOW + timedelta(days=7)).isoformat()
    assert await until(channel=Channel.SHOPEE) == (NOW + timedelta(days=3)).isoformat()
    assert await until(ship_by=NOW + timedelta(hours=6)) == (NOW + timedelta(hours=6)).isoformat()
    assert await until(ship_by=NOW - timedelta(hours=6)) == (NOW + timedelta(days=7)).isoformat()


async def test_a_backorder_names_when_goods_are_expected() -> None:
    """P13: goods on their way are not promised, but the order knows when they cover it."""
    due = NOW + timedelta(days=2)
    coming = level("HKG", on_hand=1, inbound=(Inbound(quantity=3, due=due),))
    verdict = await judged([coming], lines=[line(quantity=3)])
    assert (verdict.decision, verdict.facts["expected_at"]) == ("backorder", due.isoformat())
    assert (await judged([coming], lines=[line(quantity=9)])).facts["expected_at"] is None
    assert coming.inbound_by(due) == 3
    assert coming.inbound_by(due - timedelta(seconds=1)) == 0


async def test_another_policy_may_be_given() -> None:
    """I4: the limits are data."""
    strict = replace(POLICY, normal=timedelta(seconds=1), open=timedelta(seconds=2))
    ports = world(levels=[aged(3, 10_000)]).ports
    agent = InventoryReservation(wms=ports.wms, network=ports.network, policy=strict)
    assert (await agent.decide(case(order()))).decision == "park"


async def test_a_decision_costs_well_under_a_millisecond() -> None:
    """F56: three lines over three sites, with feeds and demand known."""
    levels = [level(site, sku) for site in ("HKG", "SIN", "TPE") for sku in ("A", "B", "C")]
    ports = world(levels=levels).ports
    agent = InventoryReservation(
        wms=ports.wms, network=ports.network, feed=Feeds(), demand=Measured(Demand(per_hour=1))
    )
    asked = case(order([line("A"), line("B"), line("C")]))
    best = float("inf")
    for _ in range(7):
        begun = time.process_time()
        for _ in range(50):
            await agent.decide(asked)
        best = min(best, (time.process_time() - begun) / 50)
    assert best < 0.001, f"{best * 1000:.2f} ms"
