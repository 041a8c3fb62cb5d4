"""Order quantities, reorder points and the choice of a supplier, on published problems and on a worked table."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.lot_sizing import (
    backorder_quantity,
    economic_order_quantity,
    joint_replenishment,
    lots_over_time,
    production_quantity,
    quantity_discount,
    silver_joint_replenishment,
)
from agents.reorder_points import (
    newsvendor,
    newsvendor_poisson,
    newsvendor_profit,
    r_q_normal,
    r_q_poisson,
    s_s_poisson,
    s_s_power,
)
from agents.supplier_choice import ReorderTerms, Requirement, choose_supply, needed, quantities
from domain.errors import InputError, MissingRate
from domain.supply import PriceBreak, SupplierOffer
from tests.support.payloads import payload

TODAY = date(2026, 11, 22)
RATES = {"TWD": Decimal(32), "CNY": Decimal("7.2")}


def solve(model: str, x: dict[str, Any]) -> dict[str, Any]:  # noqa: C901  # one case a published model
    """Our answer to a published problem, in the names of the published one."""
    costs = (x.get("fixed_cost", 0), x.get("holding_cost", 0))
    match model:
        case "EOQ":
            lot = economic_order_quantity(*costs, x["demand_rate"])
            return {"Q": lot.quantity, "cost": lot.cost}
        case "EOQB":
            lot = backorder_quantity(*costs, x["demand_rate"], stockout_cost=x["stockout_cost"])
            return {"Q": lot.quantity, "x": lot.backordered, "cost": lot.cost}
        case "EOQ_all_units_discounts":
            tiers = {"breakpoints": x["breakpoints"], "unit_costs": x["unit_costs"]}
            lot = quantity_discount(x["fixed_cost"], x["holding_cost_rate"], x["demand_rate"], **tiers)
            return {"Q": lot.quantity, "region": lot.tier, "cost": lot.cost}
        case "wagner_whitin":
            n = x["num_periods"]
            lots, cost = lots_over_time(
                x["demand"], fixed_costs=[costs[0]] * n, holding_costs=[costs[1]] * n, unit_costs=x.get("purchase_cost")
            )
            return {"order_quantities": [0.0, *lots], "cost": cost}
        case "newsvendor_normal":
            level = newsvendor(costs[1], x["stockout_cost"], mean=x["demand_mean"], deviation=x["demand_sd"],
                               lead_time=x.get("lead_time", 0))  # fmt: skip
            return {"base_stock": level.base_stock, "cost": level.cost}
        case "newsvendor_explicit":
            level = newsvendor_profit(x["revenue"], x["purchase_cost"], x["salvage_value"], mean=x["demand_mean"],
                                      deviation=x["demand_sd"])  # fmt: skip
            return {"base_stock": level.base_stock, "profit": -level.cost}
        case "s_S_discrete_exact_poisson":
            policy = s_s_poisson(*costs, x["stockout_cost"], mean=x["demand_mean"])
            return {"s": policy.point, "S": policy.up_to, "cost": policy.cost}
        case "s_S_power_approximation":
            policy = s_s_power(*costs, x["stockout_cost"], mean=x["demand_mean"], deviation=x["demand_sd"])
            return {"s": policy.point, "S": policy.up_to}
        case "r_q_eil_approximation":
            policy = r_q_normal(*costs, x["stockout_cost"], mean=x["demand_mean"], deviation=x["demand_sd"],
                                lead_time=x["lead_time"])  # fmt: skip
            return {"r": policy.point, "Q": policy.quantity, "cost": policy.cost}
        case "r_q_poisson_exact":
            policy = r_q_poisson(*costs, x["stockout_cost"], mean=x["demand_mean"], lead_time=x["lead_time"])
            return {"r": policy.point, "Q": policy.quantity, "cost": policy.cost}
        case _:
            joint = silver_joint_replenishment(
                x["shared_fixed_cost"], x["individual_fixed_costs"], x["holding_costs"], x["demand_rates"]
            )
            return {
                "order_quantities": list(joint.quantities),
                "base_cycle_time": joint.cycle,
                "multiples": list(joint.multiples),
                "cost": joint.cost,
            }


def test_published_reorder_problems_have_their_published_answers() -> None:
    """F34, F35: every problem of the shared set, exact to the digits given."""
    problems = json.loads(payload("demand/reorder_instances_dev.json"))
    assert problems
    for problem in problems:
        answer = next(v for k, v in problem.items() if k.startswith("result_by"))
        ours = solve(answer["model"], problem["data"])
        for name, value in answer.items():
            if name != "model":
                assert ours[name] == pytest.approx(value, rel=1e-9), (problem["name"], name)


def test_known_answers_without_the_shared_set() -> None:
    """F35: textbook identities: a lot balances order and holding cost; tiers, gradual supply, backorders, joint orders."""
    lot = economic_order_quantity(50, 2, 1000)
    assert 50 * 1000 / lot.quantity == pytest.approx(2 * lot.quantity / 2)
    assert production_quantity(50, 2, 1000, supply_rate=1e12).quantity == pytest.approx(lot.quantity)
    assert backorder_quantity(50, 2, 1000, stockout_cost=1e12).cost == pytest.approx(lot.cost)
    assert newsvendor_poisson(1, 4, mean=6).base_stock == 8
    assert lots_over_time([0, 0, 5], fixed_costs=[9, 9, 9], holding_costs=[1, 1, 1])[0] == (0.0, 0.0, 5.0)
    with pytest.raises(InputError, match="positive"):
        economic_order_quantity(0, 2, 1000)
    with pytest.raises(InputError, match="never catches up"):
        production_quantity(50, 2, 1000, supply_rate=900)
    with pytest.raises(InputError, match="price tiers"):
        quantity_discount(8, 0.3, 1300, breakpoints=[0, 400], unit_costs=[1])


positive = st.floats(1, 1000)


@given(positive, st.floats(0.05, 1), positive, st.lists(st.floats(0.5, 0.99), min_size=1, max_size=4))
def test_price_tiers_match_trying_every_quantity(k: float, rate: float, d: float, steps: list[float]) -> None:
    """F35: no quantity of a fine grid beats the chosen one, all-units and incremental."""
    breaks, prices = [0.0], [10.0]
    for i, step in enumerate(steps):
        breaks.append(100.0 * (i + 1))
        prices.append(prices[-1] * step)
    for incremental in (False, True):
        best = quantity_discount(k, rate, d, breakpoints=breaks, unit_costs=prices, incremental=incremental)
        for q in range(1, 900, 7):
            tier = max(i for i, b in enumerate(breaks) if b <= q)
            goods = prices[tier] * q
            if incremental:
                bounds = [*breaks[1 : tier + 1], q]
                goods = sum((hi - lo) * p for lo, hi, p in zip(breaks, bounds, prices, strict=False))
            cost = goods * d / q + k * d / q + rate * goods / 2
            assert best.cost <= cost * (1 + 1e-9)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=7), st.floats(0, 200), st.floats(0, 5))
def test_lots_over_time_match_trying_every_plan(demand: list[int], fixed: float, holding: float) -> None:
    """F35: no pattern of order periods is cheaper."""
    n = len(demand)
    _, cost = lots_over_time(demand, fixed_costs=[fixed] * n, holding_costs=[holding] * n)
    least = None
    for pattern in range(2**n):
        total, last = 0.0, None
        for t in range(n):
            if pattern >> t & 1:
                last = t
            if demand[t] and last is None:
                break
            total += demand[t] * holding * (t - last if last is not None else 0)
        else:
            orders = [t for t in range(n) if pattern >> t & 1]
            total += fixed * len(orders)
            least = total if least is None or total < least else least
    assert least is not None
    assert cost == pytest.approx(least)


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=5), positive)
def test_joint_orders_never_cost_more_than_the_heuristic(items: list[tuple[float, float]], shared: float) -> None:
    """F35: the improved plan is at most as dear, and its quantities fit its multiples."""
    own, demand = [k for k, _ in items], [d for _, d in items]
    plain = silver_joint_replenishment(shared, own, [0.2] * len(items), demand)
    better = joint_replenishment(shared, own, [0.2] * len(items), demand)
    assert better.cost <= plain.cost * (1 + 1e-12)
    for d, m, q in zip(demand, better.multiples, better.quantities, strict=True):
        assert q == pytest.approx(d * m * better.cycle)


def offer(name: str, currency: str, prices: list[tuple[int, str]], **terms: Any) -> SupplierOffer:
    breaks = tuple(PriceBreak(from_quantity=q, unit_price=Decimal(p)) for q, p in prices)
    return SupplierOffer(supplier_id=name, sku="S", currency=currency, prices=breaks, **terms)


OFFERS = [
    offer("A-TW", "TWD", [(0, "320"), (500, "305")], moq=200, pack=20, lead_days=7, lead_sd_days=2, net_days=30,
          freight=Decimal(60)),
    offer("C-CN", "CNY", [(0, "68"), (1000, "64")], moq=300, pack=50, lead_days=14, lead_sd_days=3, net_days=60,
          duty_share=Decimal("0.02"), freight=Decimal(240)),
    offer("B-VN", "USD", [(0, "9.60"), (1000, "9.10")], moq=500, pack=50, lead_days=21, lead_sd_days=5,
          deposit_share=Decimal("0.3"), duty_share=Decimal("0.02"), freight=Decimal(380)),
]  # fmt: skip
NEED = Requirement(sku="S", daily_mean=40, daily_sd=15, on_hand=520, margin=Decimal(6))


def test_the_worked_supplier_table() -> None:
    """F35, domain/D5: five options to three decimals; the cheapest unit price loses."""
    choice = choose_supply(NEED, OFFERS, RATES, today=TODAY)
    assert choice is not None
    table = [
        (
            o.supplier_id,
            o.quantity,
            o.need,
            f"{o.unit_price_base:.3f}",
            f"{o.stockout_probability:.3f}",
            f"{o.unit_total:.3f}",
        )
        for o in choice.options
    ]
    assert table == [
        ("A-TW", 500, 201, "9.531", "0.004", "9.607"),
        ("C-CN", 1000, 548, "8.889", "0.619", "9.673"),
        ("A-TW", 220, 201, "10.000", "0.004", "10.208"),
        ("C-CN", 550, 548, "9.444", "0.619", "10.771"),
        ("B-VN", 1000, 954, "9.100", "0.935", "11.696"),
    ]
    assert choice.best.supplier_id == "A-TW"
    assert not choice.best.why_not
    assert "cheaper to buy, but" in choice.options[1].why_not
    assert not choice.too_late


def test_any_quantity_matches_trying_all_of_them() -> None:
    """domain/D5: over every admissible quantity up to 2,000 the best is the least of all evaluated one by one."""
    choice = choose_supply(NEED, OFFERS, RATES, today=TODAY, any_quantity_up_to=2000)
    assert choice is not None
    least = min(
        (one.best.unit_total, each.supplier_id, q)
        for each in OFFERS
        for q in range(1, 2001)
        if q % each.pack == 0 and q >= each.moq and q >= needed(NEED, each, ReorderTerms())
        and (one := choose_supply(NEED, [each.model_copy(update={"moq": q})], RATES, today=TODAY, any_quantity_up_to=q))
    )  # fmt: skip
    assert (choice.best.unit_total, choice.best.supplier_id, choice.best.quantity) == least


def test_open_orders_count_and_nothing_needed_is_nothing_ordered() -> None:
    """F34, P26: inbound units lower the need; enough of them and nobody is asked."""
    enough = Requirement(sku="S", daily_mean=40, daily_sd=15, on_hand=520, inbound=5000, margin=Decimal(6))
    assert choose_supply(enough, OFFERS, RATES, today=TODAY) is None
    some = Requirement(sku="S", daily_mean=40, daily_sd=15, on_hand=520, inbound=100, margin=Decimal(6))
    choice = choose_supply(some, OFFERS, RATES, today=TODAY)
    assert choice is not None
    assert choice.best.need == 101


def test_ties_go_to_the_more_reliable_then_the_faster() -> None:
    """F35: equal cost is decided by on-time rate, then by lead time."""
    twins = [
        OFFERS[0].model_copy(update={"supplier_id": name, "on_time": rate}) for name, rate in (("x", 0.8), ("y", 0.9))
    ]
    choice = choose_supply(NEED, twins, RATES, today=TODAY)
    assert choice is not None
    assert choice.best.supplier_id == "y"


def test_what_cannot_be_compared_is_said() -> None:
    """F35: no offer, an expired one, no rate, no number: an error that says what to mend."""
    with pytest.raises(InputError, match="no supplier has a valid offer"):
        choose_supply(NEED, [], RATES, today=TODAY)
    expired = OFFERS[0].model_copy(update={"valid_until": date(2026, 11, 21)})
    with pytest.raises(InputError, match="valid offer"):
        choose_supply(NEED, [expired], RATES, today=TODAY)
    with pytest.raises(MissingRate, match="TWD"):
        choose_supply(NEED, OFFERS, {}, today=TODAY)
    with pytest.raises(InputError, match="not a number"):
        choose_supply(Requirement(sku="S", daily_mean=float("nan"), daily_sd=1, on_hand=1, margin=Decimal(1)), OFFERS,
                      RATES, today=TODAY)  # fmt: skip
    assert quantities(OFFERS[0], 201) == [220, 500]
