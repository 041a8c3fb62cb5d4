"""The reservation agent: where units come from, what is short, and what is too old to decide on."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.inventory_reservation import POLICY, InventoryReservation
from agents.stock_allocation import allocate, needed
from domain.decision import Decision, Outcome, Verdict
from domain.effect import EffectKind
from domain.ids import Sku, WarehouseId
from domain.intent import HoldStock
from domain.inventory import StockLevel
from domain.order import OrderLine
from domain.values import Plain
from tests.support.agent_world import NOW, case, level, line, order, reserve, world


async def reservation(
    levels: list[StockLevel], lines: list[OrderLine] | None = None, *, hints: dict[str, Plain] | None = None,
    decisions: dict[str, Decision] | None = None, country: str = "HK",
) -> Verdict:  # fmt: skip
    ports = world(levels=levels).ports
    agent = InventoryReservation(wms=ports.wms, network=ports.network)
    return await agent.decide(case(order(lines, country), hints=hints or {}, decisions=decisions or {}))


def held(verdict: Verdict) -> list[tuple[str, str, int]]:
    lines = HoldStock.model_validate(verdict.proposals[0].args).lines
    return [(hold.sku, hold.warehouse, hold.quantity) for hold in lines]


async def test_one_site_is_preferred_and_the_destinations_own_first() -> None:
    """F12: a site that fills everything wins; among those the destination country's, else the fullest."""
    stock = [level("SIN", on_hand=90), level("HKG", on_hand=5), level("TPE", on_hand=50)]
    assert held(await reservation(stock)) == [("SKU-1", "HKG", 1)]
    assert held(await reservation(stock, country="AU")) == [("SKU-1", "SIN", 1)]


async def test_the_proposal_is_one_all_or_nothing_hold() -> None:
    """F12: the only effect proposed is a reversible hold with an end."""
    verdict = await reservation([level("HKG")])
    (proposal,) = verdict.proposals
    assert proposal.kind is EffectKind.HOLD_STOCK
    assert proposal.kind.reversible
    assert HoldStock.model_validate(proposal.args).expires_at == NOW + timedelta(hours=24)
    assert verdict.outcome is Outcome.PROCEED


async def test_lines_split_before_units_do() -> None:
    """F12: two sites cover two lines whole; only a line no site holds is taken in chunks."""
    stock = [level("HKG", "A", 2), level("SIN", "B", 2)]
    assert held(await reservation(stock, [line("A", 2), line("B", 2)])) == [("A", "HKG", 2), ("B", "SIN", 2)]
    chunks = [level("HKG", "A", 2), level("SIN", "A", 3)]
    assert sorted(held(await reservation(chunks, [line("A", 4)]))) == [("A", "HKG", 1), ("A", "SIN", 3)]


async def test_short_order_is_backordered_with_what_is_missing() -> None:
    """F12: nothing is held and the shortage is named per SKU."""
    verdict = await reservation([level("HKG", "A", 1), level("SIN", "B", 9)], [line("A", 3), line("B", 1)])
    assert (verdict.decision, verdict.outcome) == ("backorder", Outcome.LIMIT)
    assert verdict.facts["short"] == {"A": 2}
    assert verdict.proposals == ()


async def test_safety_quarantine_and_holds_are_not_promised() -> None:
    """F12: only what is available to promise counts."""
    assert (await reservation([level("HKG", on_hand=10, held=4, safety=3, quarantine=3)])).decision == "backorder"


async def test_a_kit_comes_from_one_site() -> None:
    """F12: lines of a kit are not spread, even when that makes the order wait."""
    kit = [line("A", kit_id="K"), line("B", kit_id="K")]
    apart = [level("HKG", "A"), level("SIN", "B")]
    assert (await reservation(apart, kit)).decision == "backorder"
    together = [*apart, level("TPE", "A"), level("TPE", "B")]
    assert {site for _, site, _ in held(await reservation(together, kit))} == {"TPE"}


async def test_a_stale_site_is_passed_over_when_another_is_fresh() -> None:
    """F56: one feed behind does not stop the others."""
    old = level("HKG", as_of=NOW - timedelta(minutes=5))
    assert held(await reservation([old, level("SIN")])) == [("SKU-1", "SIN", 1)]
    short = await reservation([old.model_copy(update={"on_hand": 0}), level("SIN", on_hand=0)])
    assert short.decision == "backorder"


async def test_unknown_sku_goes_to_a_person() -> None:
    """F12: a SKU no warehouse knows is not a shortage."""
    verdict = await reservation([level("HKG")], [line("GHOST")])
    assert (verdict.outcome, verdict.reasons[0].code) == (Outcome.REVIEW, "UNKNOWN_SKU")


async def test_a_lost_race_is_decided_differently() -> None:
    """F12: after a refused hold the lagging count of the tried site is not believed again."""
    lagging = [level("HKG", on_hand=1), level("SIN", on_hand=1)]
    first = reserve(("L-SKU-1", "SKU-1", "HKG", 1))
    second = await reservation(lagging, hints={"short": {"SKU-1": 1}}, decisions={"inventory_reservation": first})
    assert held(second) == [("SKU-1", "SIN", 1)]
    alone = await reservation(lagging[:1], hints={"short": {"SKU-1": 1}}, decisions={"inventory_reservation": first})
    assert alone.decision == "backorder"
    unremembered = await reservation(lagging[:1], hints={"short": {"SKU-1": 1}})
    assert unremembered.decision == "backorder"


async def test_nothing_to_ship_needs_no_stock() -> None:
    """F12: digital and already shipped lines are not reserved."""
    lines = [line("A", requires_shipping=False), line("B", quantity_open=0)]
    assert (await reservation([], lines)).decision == "not_needed"


async def test_fallback_is_the_backorder_flag() -> None:
    """F9: without a reading everything counts as short, surely enough to park the order."""
    ports = world().ports
    agent = InventoryReservation(wms=ports.wms, network=ports.network)
    verdict = agent.fallback("backorder_flag", case(order()), "timed out")
    assert (verdict.decision, verdict.outcome) == ("backorder", Outcome.LIMIT)
    assert verdict.facts["short"] == {"SKU-1": 1}
    assert POLICY.fallback >= 0.7


@settings(max_examples=200, deadline=None)
@given(
    wanted=st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 6)), min_size=1, max_size=5),
    stock=st.dictionaries(st.tuples(st.sampled_from(["HKG", "SIN", "TPE"]), st.sampled_from("ABC")), st.integers(0, 8)),
)
def test_allocation_takes_all_or_nothing(wanted: list[tuple[str, int]], stock: dict[tuple[str, str], int]) -> None:
    """F12: every unit is found exactly once within the levels, or the exact shortage is named."""
    lines = [line(sku, units, line_id=f"L{i}") for i, (sku, units) in enumerate(wanted)]
    levels = {(WarehouseId(site), Sku(sku)): units for (site, sku), units in stock.items()}
    sites = [WarehouseId(site) for site in ("HKG", "SIN", "TPE")]
    result = allocate(lines, levels, sites)
    supply = {sku: sum(units for (_, of), units in levels.items() if of == sku) for sku in needed(lines)}
    lacking = {sku: units - supply[sku] for sku, units in needed(lines).items() if units > supply[sku]}
    assert (result.short or {}) == lacking
    if result.short is None:
        assert {wanted_line.line_id: wanted_line.quantity_open for wanted_line in lines} == {
            key: sum(hold.quantity for hold in result.lines if hold.line_id == key)
            for key in (wanted_line.line_id for wanted_line in lines)
        }
        for site, sku in levels:
            taken = sum(hold.quantity for hold in result.lines if (hold.warehouse, hold.sku) == (site, sku))
            assert taken <= levels[site, sku]
