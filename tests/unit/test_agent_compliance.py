"""The compliance agent: blocks with a clause, asks when it cannot tell, clears the rest."""

from datetime import UTC, datetime

import pytest

from agents.compliance import Compliance
from agents.compliance_clauses import normalised_name, parse_clauses
from domain.catalogue import DangerousGoods
from domain.decision import Outcome, Verdict
from domain.errors import ConfigError
from domain.order import OrderIssue
from tests.support.agent_world import Address, case, line, order, product, world


async def check(*goods: object, **changes: object) -> Verdict:
    products = goods or (product(),)
    around = world(products=products)  # type: ignore[arg-type]
    items = [line(p.sku) for p in products]  # type: ignore[attr-defined]
    now = changes.pop("now", None)
    given = {"now": now} if now else {}
    return await Compliance(erp=around.ports.erp).decide(case(order(items, **changes), **given))  # type: ignore[arg-type]


async def test_ordinary_order_is_clear() -> None:
    """F11: nothing applies, so it proceeds, and says which clauses were looked at."""
    verdict = await check()
    assert (verdict.decision, verdict.outcome) == ("clear", Outcome.PROCEED)
    assert verdict.facts["clauses_version"]


@pytest.mark.parametrize(
    ("goods", "country", "clause"),
    [
        (product("GUM", hs_code="1704.10"), "SG", "SG-GUM"),
        (product("VAPE", category="e_cigarette"), "HK", "HK-VAPE"),
        (product("BANK", restricted_in=("TH",)), "TH", "CATALOGUE-RESTRICTION"),
        (product("SHIRT"), "KP", "UN-DPRK"),
    ],
)
async def test_forbidden_pair_blocks_with_its_clause(goods: object, country: str, clause: str) -> None:
    """F11: a restricted SKU and destination, or a closed destination, blocks and the reason is the clause."""
    verdict = await check(goods, country=country)
    assert (verdict.decision, verdict.outcome) == ("block", Outcome.REJECT)
    assert clause in {reason.code for reason in verdict.reasons}
    assert clause in verdict.facts["clauses"]  # type: ignore[operator]


async def test_clause_applies_only_while_in_force() -> None:
    """F11: clauses have dates; the day before, the same order is clear."""
    goods = product("VAPE", category="e_cigarette")
    before, after = datetime(2022, 4, 29, 23, tzinfo=UTC), datetime(2022, 4, 30, 1, tzinfo=UTC)
    assert (await check(goods, country="HK", now=before)).decision == "clear"
    assert (await check(goods, country="HK", now=after)).decision == "block"


async def test_denied_party_blocks_and_a_namesake_asks() -> None:
    """F11: name and country together block; the name alone goes to a person."""
    blocked = Address(company="EXAMPLE Sanctioned Trading Co., Ltd.", line1="1", city="X", country="CN")
    namesake = blocked.model_copy(update={"country": "HK"})
    assert (await check(ship_to=blocked)).decision == "block"
    verdict = await check(ship_to=namesake)
    assert (verdict.decision, verdict.reasons[0].code) == ("review", "PARTY_NAME_MATCH")
    assert "Sanctioned" not in verdict.reasons[0].text


@pytest.mark.parametrize("issue", list(OrderIssue))
async def test_every_issue_of_normalisation_asks_a_person(issue: OrderIssue) -> None:
    """F11: what the adapter found odd is a reason for review."""
    verdict = await check(issues=(issue,))
    assert verdict.outcome is Outcome.REVIEW
    assert issue.value.upper() in {reason.code for reason in verdict.reasons}


async def test_missing_address_country_or_product_asks_a_person() -> None:
    """F11: an unknown SKU or an address without country is never guessed at."""
    nowhere = await check(ship_to=Address(line1="1 Road"))
    assert [reason.code for reason in nowhere.reasons] == ["NO_COUNTRY"]
    bare = await check(ship_to=Address(country="HK"))
    assert [reason.code for reason in bare.reasons] == ["NO_ADDRESS"]
    around = world()
    unknown = await Compliance(erp=around.ports.erp).decide(case(order([line("GHOST")])))
    assert [reason.code for reason in unknown.reasons] == ["UNKNOWN_SKU"]


async def test_digital_order_needs_no_address() -> None:
    """F11: nothing to ship, so no address is no doubt."""
    around = world()
    digital = order([line(requires_shipping=False)], ship_to=Address(), issues=(OrderIssue.NO_ADDRESS,))
    assert (await Compliance(erp=around.ports.erp).decide(case(digital))).decision == "clear"


async def test_a_block_outweighs_doubts() -> None:
    """F11: severity is monotone; the doubts stay among the reasons."""
    verdict = await check(product("GUM", hs_code="170410"), country="SG", issues=(OrderIssue.TEST_ORDER,))
    assert verdict.decision == "block"
    assert {"SG-GUM", "TEST_ORDER"} <= {reason.code for reason in verdict.reasons}


@pytest.mark.parametrize(
    ("goods", "declared", "flags"),
    [
        (DangerousGoods.LITHIUM_LOOSE, False, ("dg:lithium_loose",)),
        (DangerousGoods.LITHIUM_PACKED_WITH, False, ("dg:lithium_packed_with",)),
        (DangerousGoods.LITHIUM_PACKED_WITH, True, ()),
        (DangerousGoods.LITHIUM_CONTAINED, False, ()),
    ],
)
async def test_dangerous_goods_carry_a_condition(goods: DangerousGoods, declared: bool, flags: tuple[str, ...]) -> None:
    """F11: loose lithium, and packed-with of unknown charge, are flagged for surface transport."""
    verdict = await check(product("BAT", dangerous=goods, charge_declared=declared))
    assert verdict.flags == flags
    assert verdict.decision == "clear"


def test_names_are_compared_without_case_punctuation_and_suffix() -> None:
    """F11: spelling variants of one name are one name."""
    assert normalised_name("Ｅxample, Trading CO.  Ltd") == normalised_name("example trading")


def test_a_broken_clause_file_is_refused() -> None:
    """F11: an unknown kind of clause stops the start, not an order."""
    with pytest.raises(ConfigError, match="clause file"):
        parse_clauses({"version": "x", "clauses": [{"id": "A", "kind": "mood", "text": "", "from": None}]})
