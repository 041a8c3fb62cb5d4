"""The customer's language changes what customers read, and nothing else: every agent under several locales."""

import pytest

from agents import SPECS, build
from domain.decision import Verdict
from domain.ids import Sku
from tests.support.agent_world import case, lane, level, line, order, product, reserve, world

LOCALES = ("en", "zh-Hant-TW", "zh-Hans-CN", "vi-VN", "ms-MY", "ar", "")
WRITERS = {"customer_notification"}


async def verdict(name: str, version: str, locale: str) -> Verdict:
    around = world(
        levels=[level(warehouse, on_hand=9) for warehouse in ("HKG", "SIN", "TPE")],
        lanes=[lane(warehouse, "TW", f"post:{warehouse.lower()}") for warehouse in ("HKG", "SIN", "TPE")],
        products=[product(hs_code="610910")],
    )
    subject = order([line(quantity=2, price=300_000, currency="TWD")], "TW", locale=locale)
    decisions = {"inventory_reservation": reserve((subject.lines[0].line_id, Sku("SKU-1"), "HKG", 2))}
    return await build(name, version, around.ports).decide(
        case(subject, decisions=decisions, hints={"progress": "fulfilled"})
    )


@pytest.mark.parametrize(("name", "version"), sorted(SPECS))
async def test_language_changes_messages_only(name: str, version: str) -> None:
    """F50: decision, confidence, reasons, proposals and facts are the same in every language; a message's words differ."""
    verdicts = {locale: await verdict(name, version, locale) for locale in LOCALES}
    plain = verdicts["en"]
    if name not in WRITERS:
        assert all(other == plain for other in verdicts.values())
        return
    bodies = set()
    for other in verdicts.values():
        assert (other.decision, other.outcome, other.confidence, other.flags) == (
            plain.decision, plain.outcome, plain.confidence, plain.flags,
        )  # fmt: skip
        args, usual = other.proposals[0].args, plain.proposals[0].args
        differs = {field for field in usual if args[field] != usual[field]}
        assert differs <= {"locale", "subject", "body"}
        bodies.add(str(args["body"]))
    assert len(bodies) >= 3


@pytest.mark.parametrize(
    ("currency", "amount", "high"),
    [("USD", 49_999, False), ("HKD", 390_000, True), ("TWD", 1_500_000, False), ("VND", 12_700_000, True)],
)
async def test_settlement_currency_not_language_places_an_order(currency: str, amount: int, high: bool) -> None:
    """F49, F50: the side of the 500 dollar rule follows the money, in every language."""
    rates = world().ports.exchange
    for locale in LOCALES:
        subject = order([line(price=amount, currency=currency)], locale=locale)
        now = case(subject).now
        table = await rates.table({currency}, now)
        assert (table.usd_equivalent(subject.total, at=now).amount >= 500) is high
