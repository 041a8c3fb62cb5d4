"""The compliance agent: blocks with a clause, asks when it cannot tell, clears the rest."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from time import perf_counter
from typing import Any

import pytest

from agents.compliance import Compliance
from agents.compliance_clauses import parse_clauses, shipped_clauses
from agents.compliance_names import NameIndex, normalised_name
from agents.compliance_parties import PartyList, parse_parties
from domain.catalogue import DangerousGoods
from domain.decision import Outcome, Verdict
from domain.errors import ConfigError
from domain.order import OrderIssue
from tests.support.agent_world import NOW, Address, Customer, case, line, order, product, world


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


async def test_a_block_cites_text_source_and_date() -> None:
    """F11: the reason is the clause: its id, what it says, where it stands and since when."""
    verdict = await check(product("GUM", hs_code="1704.10"), country="SG")
    reason = verdict.reasons[0]
    assert reason.code == "SG-GUM"
    assert "Chewing Gum" in reason.text
    assert "in force since 1992-01-03" in reason.text
    assert (reason.value, reason.evidence) == ("GUM to SG", "order.lines[0].sku")
    assert verdict.counterfactual == ("SG-GUM",)
    for clause in shipped_clauses().clauses:
        assert clause.source
        assert clause.text


async def test_a_closed_country_blocks_as_billing_address_too() -> None:
    """F11: the evidence says which of the addresses it was."""
    verdict = await check(bill_to=Address(line1="1", city="X", country="KP"))
    assert [(reason.code, reason.evidence) for reason in verdict.reasons] == [("UN-DPRK", "order.bill_to.country")]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (Address(line1="1", city="Kyiv", country="UA"), None),
        (Address(line1="1", city="Yalta", region="Autonomous Republic of Crimea", country="UA"), "MP-DEST-2"),
        (Address(line1="1", city="Севастополь", region="КРИМ", country="UA"), "MP-DEST-2"),
    ],
)
async def test_part_of_a_country_may_be_closed(address: Address, code: str | None) -> None:
    """F11: a region is known by its name in any script; the rest of the country stays open."""
    verdict = await check(ship_to=address)
    assert ({reason.code for reason in verdict.reasons} == {code}) if code else verdict.decision == "clear"


async def test_goods_are_judged_by_origin_and_some_only_ask() -> None:
    """F11: made in a closed country blocks anywhere; what needs a licence goes to a person, with its clause."""
    assert (await check(product(origin="KP"))).reasons[0].code == "UN-DPRK-ORIGIN"
    medicine = await check(product(hs_code="3004.90"), country="JP")
    assert (medicine.outcome, medicine.reasons[0].code) == (Outcome.REVIEW, "JP-MEDICINE")
    assert (await check(product(hs_code="3004.90"), country="HK")).decision == "clear"


async def test_a_battery_that_calls_itself_harmless_asks() -> None:
    """F11: a lithium battery's tariff code without a dangerous-goods class is a mistake in the product master."""
    verdict = await check(product("BANK", hs_code="8507.60"))
    assert (verdict.outcome, verdict.reasons[0].code) == (Outcome.REVIEW, "BATTERY_UNDECLARED")
    declared = product("BANK", hs_code="8507.60", dangerous=DangerousGoods.LITHIUM_LOOSE)
    assert (await check(declared)).decision == "clear"


async def test_conditions_tell_routing_what_is_forbidden() -> None:
    """F11, domain/R5: loose cells and packed-with of unknown charge are off every aircraft; each with clause and UN number."""
    verdict = await check(
        product("CELL", dangerous=DangerousGoods.LITHIUM_LOOSE, charge_declared=True),
        product("KIT", dangerous=DangerousGoods.LITHIUM_PACKED_WITH),
        product("SPRAY", dangerous=DangerousGoods.AEROSOL),
    )
    facts: Any = verdict.facts
    told = {entry["sku"]: entry for entry in facts["conditions"]}
    assert "passenger_aircraft" in told["CELL"]["forbidden"]
    assert (told["KIT"]["condition"], told["KIT"]["un"]) == ("DGR-PACKED-WITH", ["UN3481", "UN3091"])
    assert told["KIT"]["forbidden"] == ["passenger_aircraft", "cargo_aircraft"]
    assert told["SPRAY"]["forbidden"] == []
    assert verdict.flags == ("dg:aerosol", "dg:lithium_loose", "dg:lithium_packed_with")


async def test_the_charge_rule_begins_in_2026() -> None:
    """F11: conditions have dates like clauses."""
    kit = product("KIT", dangerous=DangerousGoods.LITHIUM_PACKED_WITH)
    assert (await check(kit, now=datetime(2025, 12, 31, 12, tzinfo=UTC))).flags == ()
    assert (await check(kit, now=datetime(2026, 1, 1, 12, tzinfo=UTC))).flags == ("dg:lithium_packed_with",)


@pytest.mark.parametrize("country", ["Hong Kong", "hk", "H", "香港"])
async def test_a_country_that_is_no_code_asks(country: str) -> None:
    """F11: no clause can be looked up for it, so nothing is cleared."""
    verdict = await check(ship_to=Address(line1="1", city="X", country=country))
    assert [reason.code for reason in verdict.reasons] == ["COUNTRY_UNREADABLE"]


def party(**changes: object) -> dict[str, object]:
    given: dict[str, object] = {
        "id": "P-1", "programme": "T", "names": ["Muhammad Qasim al-Hussein"], "countries": ["TR"], "text": "t",
        "from": date(2020, 1, 1),
    }  # fmt: skip
    return given | changes


def listed(*parties: dict[str, object], cleared: Sequence[dict[str, object]] = ()) -> PartyList:
    programmes = [{"id": "T", "authority": "test authority", "source": "test list"}]
    raw = {"version": "test", "programmes": programmes, "parties": list(parties), "cleared": list(cleared)}
    return parse_parties(raw)


async def screen(parties: PartyList, *, name: str = "Chan Tai Man", country: str = "HK", **changes: Any) -> Verdict:
    address = Address(name=name, line1="1", city="X", country=country)
    agent = Compliance(erp=world().ports.erp, parties=parties)
    now = changes.pop("now", NOW)
    return await agent.decide(case(order([line()], ship_to=address, **changes), now=now))


@pytest.mark.parametrize(
    ("name", "country", "outcome", "code"),
    [
        ("Muhammad Qasim al-Hussein", "TR", Outcome.REJECT, "P-1"),
        ("AL-HUSSEIN, Muhammad Qasim", "TR", Outcome.REJECT, "P-1"),
        ("Muhammad Qasim al-Hussein", "HK", Outcome.REVIEW, "PARTY_NAME_MATCH"),
        ("Mohamed Qassim Husayn", "SG", Outcome.REVIEW, "PARTY_NAME_SIMILAR"),
        ("Mohammed Kasim Hussain", "SG", Outcome.REVIEW, "PARTY_NAME_SIMILAR"),
        ("Mr Muhammad Qasim el Husseyn Jr", "SG", Outcome.REVIEW, "PARTY_NAME_SIMILAR"),
        ("Muhammad Qasim", "SG", Outcome.PROCEED, "NO_CLAUSE_APPLIES"),
        ("Hussein Trading", "SG", Outcome.PROCEED, "NO_CLAUSE_APPLIES"),
        ("Mui Kwok Hung", "SG", Outcome.PROCEED, "NO_CLAUSE_APPLIES"),
    ],
)
async def test_names_block_ask_or_pass(name: str, country: str, outcome: Outcome, code: str) -> None:
    """F11: the name with its country blocks; the name elsewhere or spelled alike goes to a person; parts of it pass."""
    where = Address(line1="1", city="X", country=country)
    verdict = await screen(listed(party()), name=name, country="HK", bill_to=where)
    assert (verdict.outcome, verdict.reasons[0].code) == (outcome, code)
    assert not any("Qasim" in reason.text for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("on_list", "on_order"),
    [
        ("Nguyễn Văn Đức", "NGUYEN VAN DUC"),
        ("Владимир Щукин", "Vladimir Shchukin"),
        ("長城國際貿易有限公司", "长城国际贸易有限责任公司"),
        ("José Ñáñez-Peña", "Jose Nanez Pena"),
        ("Straße & Söhne GmbH", "STRASSE SOHNE"),
    ],
)
def test_scripts_and_accents_fold_to_one_name(on_list: str, on_order: str) -> None:
    """F11: the same name in another script, with or without accents and legal form, is the same name."""
    assert NameIndex({"X": [on_list]}).exact(on_order) == {"X"}


@pytest.mark.parametrize(
    ("on_list", "on_order", "found"),
    [
        ("Dmitri Volkhonsky", "Dmitry Volkonskiy", True),
        ("Zhao Xiaoping Industries", "Chao Hsiaoping Industries", True),
        ("Golden Dragon Shipping", "Golden Dragon Shiping Hong Kong", True),
        ("Golden Dragon Shipping", "Golden Dragon Restaurant", False),
        ("Kim Un", "Kim Hyun Woo", False),
        ("Lê Văn Đức", "Trần Văn Đức", False),
    ],
)
def test_similar_names_are_found_and_different_ones_are_not(on_list: str, on_order: str, found: bool) -> None:
    """F11: transliterations and one slip of the pen make a person look; short and common parts do not."""
    assert (NameIndex({"X": [on_list]}).similar(on_order) == {"X"}) is found


async def test_an_exact_identifier_blocks_whatever_the_name() -> None:
    """F11: e-mail, telephone and customer id are compared exactly, however they are written."""
    identifiers = [
        {"kind": "email", "value": "Buyer@Blocked.example"}, {"kind": "phone", "value": "+963 11 555-0100"},
        {"kind": "customer_id", "value": "C-99"},
    ]  # fmt: skip
    entries = listed(party(identifiers=identifiers))
    for customer in (
        Customer(email="buyer@blocked.example"),
        Customer(phone="00963115550100"),
        Customer(customer_id="C-99"),
    ):
        verdict = await screen(entries, customer=customer)
        assert (verdict.outcome, verdict.reasons[0].code, verdict.reasons[0].value) == (
            Outcome.REJECT, "P-1", "identifier",
        )  # fmt: skip
    assert (await screen(entries, customer=Customer(phone="555-0100"))).outcome is Outcome.PROCEED


async def test_a_cleared_namesake_is_not_asked_about_again() -> None:
    """F11: a person's decision holds for that customer and that time, and never lifts a certain match."""
    given = {"party": "P-1", "customer_id": "C-1", "by": "ana", "from": date(2026, 1, 1), "to": date(2026, 11, 11)}
    entries = listed(party(), cleared=[given])
    name = "Muhammad Qasim al-Hussein"
    mine, other = Customer(customer_id="C-1"), Customer(customer_id="C-2")
    passed = await screen(entries, name=name, customer=mine)
    assert (passed.outcome, passed.facts["cleared_parties"]) == (Outcome.PROCEED, ["P-1 by ana"])
    assert (await screen(entries, name=name, customer=other)).outcome is Outcome.REVIEW
    late = await screen(entries, name=name, customer=mine, now=datetime(2026, 11, 12, 3, tzinfo=UTC))
    assert late.outcome is Outcome.REVIEW
    assert (await screen(entries, name=name, country="TR", customer=mine)).outcome is Outcome.REJECT


async def test_entries_have_dates() -> None:
    """F11: a party is listed from a day and until one."""
    entries = listed(party(**{"from": date(2026, 11, 11), "to": date(2026, 11, 11)}))
    name = "Muhammad Qasim al-Hussein"
    found = [
        (await screen(entries, name=name, country="TR", now=datetime(2026, 11, day, 3, tzinfo=UTC))).decision
        for day in (10, 11, 12)
    ]
    assert found == ["clear", "block", "clear"]


async def test_hidden_names_are_said_to_be_hidden() -> None:
    """F11: a marketplace's masked name cannot be compared, so it matches nothing and the decision says so."""
    verdict = await screen(listed(party()), name="M****d Q***m", country="TR", customer=Customer(name="******"))
    assert "names_masked" in verdict.flags


def test_a_list_of_ten_thousand_is_searched_quickly() -> None:
    """F11: an index, not a scan: a screening list of real size costs tens of microseconds a name."""
    syllables = ["bor", "kal", "dim", "sov", "tar", "len", "mik", "zor", "pav", "gul"]
    names = {
        f"P-{i}": [f"{syllables[i % 10]}{syllables[i // 10 % 10]}in {syllables[i // 100 % 10]}{syllables[i // 1000]}ov"]
        for i in range(10_000)
    }
    index = NameIndex(names)
    before = perf_counter()
    for i in range(2_000):
        index.similar(f"Chan Tai Man {i}")
    assert (perf_counter() - before) / 2_000 < 0.001
    assert "P-4321" in index.similar(names["P-4321"][0])


@pytest.mark.parametrize("lacking", ["names", "text", "from", "programme"])
def test_a_broken_party_file_is_refused(lacking: str) -> None:
    """F11: an entry that lacks a part, or names a programme that is not there, stops the start."""
    with pytest.raises(ConfigError, match="party file"):
        listed({name: value for name, value in party().items() if name != lacking})
    with pytest.raises(ConfigError, match="party file"):
        listed(party(programme="NONE"))
    with pytest.raises(ConfigError, match="party file"):
        listed(party(identifiers=[{"kind": "shoe_size", "value": "44"}]))


@pytest.mark.parametrize("locale", ["zh-Hant-HK", "vi-VN", "ar"])
async def test_language_never_decides(locale: str) -> None:
    """F50: the customer's language changes nothing about what is allowed."""
    assert await check(product("GUM", hs_code="170410"), country="SG", locale=locale) == await check(
        product("GUM", hs_code="170410"), country="SG"
    )
