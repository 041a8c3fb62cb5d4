"""Purchase orders for tests: suppliers in four languages, orders of any size and currency."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from domain.address import Address
from domain.money import Money, total
from domain.purchasing import (
    BaseDate,
    BuyerParty,
    Contact,
    Incoterm,
    PaymentTerms,
    PurchaseOrder,
    PurchaseOrderLine,
    Vendor,
)  # fmt: skip

BUYER = BuyerParty(
    legal_name="Harbour & Sons <HK>",
    address=Address(line1="1 Pier Rd", city="Hong Kong", country="HK"),
    email="po@harbour.example",
)
_VENDORS: dict[str, dict[str, Any]] = {
    "zh-Hant": {"legal_name": "晨光文具股份有限公司", "contact": Contact(family_name="陳", title="manager"), "country": "TW",
                "currency": "TWD", "tax_scheme": "tw.ubn", "tax_id": "04595257", "incoterm_place": "Taoyuan"},
    "zh-Hans": {"legal_name": "深圳晨光电子有限公司", "contact": Contact(family_name="王", gender="f"), "country": "CN",
                "currency": "CNY", "incoterm_place": "Shenzhen"},
    "vi": {"legal_name": "Công ty TNHH Bình Minh", "contact": Contact(family_name="Nguyễn", given_name="Minh", gender="m"),
           "country": "VN", "currency": "VND", "incoterm_place": "Hải Phòng"},
    "en": {"legal_name": "Merlion Trading Pte Ltd", "contact": Contact(family_name="Tan", gender="f"), "country": "SG",
           "currency": "SGD", "incoterm_place": "Singapore"},
}  # fmt: skip


def vendor(language: str = "zh-Hant", **changes: Any) -> Vendor:
    """A supplier who is written to in this language."""
    plain: dict[str, Any] = {
        "vendor_id": f"V-{language}", "email": f"sales@{language.casefold()}.example", "language": language,
        "payment": PaymentTerms(net_days=30), "incoterm": Incoterm.FCA,
    }  # fmt: skip
    return Vendor(**plain | _VENDORS[language] | changes)


def line(number: int, quantity: int, price: str, currency: str = "TWD") -> PurchaseOrderLine:
    """One line whose amount is right."""
    unit = Decimal(price)
    return PurchaseOrderLine(
        line_id=str(number), sku=f"SKU-{number}", supplier_sku=f"S{number}", description=f"茶壺 {number} & <pot>",
        hs_code="691110", origin="TW", quantity=quantity, unit_price=unit,
        amount=Money.rounded(unit * quantity, currency),
    )  # fmt: skip


def purchase_order(lines: list[PurchaseOrderLine], currency: str = "TWD", **changes: Any) -> PurchaseOrder:
    """An order of these lines."""
    tax = Money.zero(currency)
    plain: dict[str, Any] = {
        "number": "PO-2026-000123", "tenant": "demo", "issued": date(2026, 11, 22), "reply_by": date(2026, 11, 25),
        "currency": currency, "buyer": BUYER, "vendor": vendor(), "ship_to": Address(line1="9 Dock", city="TPE", country="TW"),
        "warehouse": "TPE", "deliver_from": date(2026, 12, 1), "deliver_until": date(2026, 12, 5),
        "incoterm": Incoterm.FCA, "incoterm_place": "Taoyuan", "payment": PaymentTerms(net_days=30), "lines": tuple(lines),
        "tax": tax, "total": total([x.amount for x in lines], currency) + tax, "notes": ("Pack & label",),
        "quoted_at": datetime(2026, 11, 22, 3, tzinfo=UTC),
    }  # fmt: skip
    return PurchaseOrder(**plain | changes)


def generated_order(language: str, seed: str) -> PurchaseOrder:
    """A plausible order in a language, another one for each seed."""
    random = Random(seed)  # noqa: S311
    who = vendor(language)
    unit = "{:.0f}" if who.currency in {"TWD", "VND"} else "{:.2f}"
    scale = {"VND": 90_000, "TWD": 300}.get(who.currency, 12)
    lines = [
        line(n, random.randrange(1, 80) * 10, unit.format(scale * random.uniform(0.6, 3)), who.currency)
        for n in range(1, random.randrange(1, 6) + 1)
    ]
    issued = date(2026, 11, 22) + timedelta(days=random.randrange(300))
    terms = PaymentTerms(
        net_days=random.choice((0, 30, 45, 60)), base_date=random.choice(list(BaseDate)),
        deposit_percent=random.choice((0, 0, 30)),
    )  # fmt: skip
    start = issued + timedelta(days=random.randrange(7, 40))
    return purchase_order(
        lines, who.currency, vendor=who, number=f"PO-{issued.year}-{random.randrange(10**6):06d}", issued=issued,
        reply_by=issued + timedelta(days=random.randrange(2, 6)), deliver_from=start,
        deliver_until=start + timedelta(days=random.randrange(6)), payment=terms, incoterm_place=who.incoterm_place,
        version=random.choice((1, 1, 1, 2)),
    )  # fmt: skip
