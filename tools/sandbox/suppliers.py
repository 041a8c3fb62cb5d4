"""The 30 suppliers of the sandbox world and what they offer. Everything is invented, from a seed; tax ids only check out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from random import Random

from stdnum.cn import uscc
from stdnum.sg import uen
from stdnum.tw import ubn
from stdnum.vn import mst

from domain.address import Address
from domain.catalogue import Product
from domain.ids import Sku
from domain.purchasing import BuyerParty, Contact, Incoterm, PaymentTerms, Vendor
from domain.supply import PriceBreak, SupplierOffer
from tools.sandbox.geography import FIXTURE_RATES

SUPPLIER_COUNT = 30
_WHOLE = frozenset({"TWD", "VND"})
"""Currencies nobody quotes parts of."""
BUYER = BuyerParty(
    legal_name="Signal Trading (HK) Limited",
    address=Address(line1="18 Harbour Road", city="Hong Kong", country="HK"),
    contact="Purchasing",
    email="purchasing@signal-trading.example",
)


@dataclass(frozen=True, kw_only=True)
class Region:
    """Where some of the suppliers are, and how they trade."""

    language: str
    share: int
    """Of all suppliers, per cent."""
    country: str
    currency: str
    tax_scheme: str
    places: tuple[str, ...]
    families: tuple[str, ...]
    given: tuple[str, ...]
    companies: tuple[str, ...]
    suffix: str
    lead_days: tuple[int, int]
    lead_sd_days: tuple[int, int]
    origins: tuple[str, ...]


REGIONS = (
    Region(language="zh-Hans", share=40, country="CN", currency="CNY", tax_scheme="cn.uscc",
           places=("Shenzhen", "Yiwu", "Ningbo"), families=("王", "李", "张", "刘"), given=("伟", "芳", "敏"),
           companies=("深圳晨光", "义乌恒达", "宁波海川", "东莞华盛", "佛山同创", "厦门联丰"), suffix="有限公司",
           lead_days=(12, 20), lead_sd_days=(2, 4), origins=("CN", "HK")),
    Region(language="zh-Hant", share=30, country="TW", currency="TWD", tax_scheme="tw.ubn",
           places=("Taoyuan", "Taichung", "Kaohsiung"), families=("陳", "林", "黃", "張"), given=("志明", "淑芬"),
           companies=("晨光文具", "大同精密", "永豐貿易", "台灣新光", "全興實業"), suffix="股份有限公司",
           lead_days=(6, 12), lead_sd_days=(1, 3), origins=("TW", "JP", "KR")),
    Region(language="vi", share=20, country="VN", currency="VND", tax_scheme="vn.mst",
           places=("Hải Phòng", "Đà Nẵng", "Hồ Chí Minh"), families=("Nguyễn", "Trần", "Lê"), given=("Minh", "Lan", "Hùng"),
           companies=("Công ty TNHH Bình Minh", "Công ty Cổ phần Sao Mai", "Công ty TNHH An Phát"), suffix="",
           lead_days=(18, 26), lead_sd_days=(3, 6), origins=("VN", "TH")),
    Region(language="en", share=10, country="SG", currency="SGD", tax_scheme="sg.uen",
           places=("Singapore",), families=("Tan", "Lim"), given=("Wei", "Mei"),
           companies=("Merlion Trading", "Straits Supply"), suffix=" Pte Ltd",
           lead_days=(8, 16), lead_sd_days=(1, 4), origins=("AU", "NZ", "SG", "MY")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Suppliers:
    """The vendor master and the offers at the beginning."""

    vendors: Mapping[str, Vendor]
    offers: Mapping[Sku, tuple[SupplierOffer, ...]]


def build_suppliers(seed: int, products: Mapping[Sku, Product]) -> Suppliers:
    """Suppliers and offers of the world with this seed."""
    random = Random(f"suppliers:{seed}")
    vendors: dict[str, tuple[Vendor, Region]] = {}
    for region in REGIONS:
        for number in range(1, SUPPLIER_COUNT * region.share // 100 + 1):
            one = _vendor(region, number, random)
            vendors[one.vendor_id] = (one, region)
    offers = {
        sku: tuple(_offers(product, vendors, Random(f"offers:{seed}:{sku}"))) for sku, product in products.items()
    }
    return Suppliers(vendors={name: one for name, (one, _) in vendors.items()}, offers=offers)


def _vendor(region: Region, number: int, random: Random) -> Vendor:
    code = f"V-{region.country}-{number:02d}"
    company = f"{region.companies[(number - 1) % len(region.companies)]}"
    named = f"{company}{region.suffix}" if number <= len(region.companies) else f"{company} {number}{region.suffix}"
    place = random.choice(region.places)
    deposit = 30 if random.random() < 0.25 else 0
    return Vendor(
        vendor_id=code,
        legal_name=named,
        contact=Contact(
            family_name=random.choice(region.families),
            given_name=random.choice(region.given),
            title=random.choice(("manager", "director", "")),
            gender=random.choice(("f", "m", "")),
        ),
        email=f"sales@{code.casefold()}.example",
        language=region.language,
        country=region.country,
        address=Address(line1=f"{random.randint(1, 300)} Industrial Road", city=place, country=region.country),
        tax_scheme=region.tax_scheme,
        tax_id=_tax_id(region.tax_scheme, random),
        currency=region.currency,
        payment=PaymentTerms(net_days=random.choice((0, 30, 30, 45, 60)), deposit_percent=deposit),
        incoterm=Incoterm.FCA,
        incoterm_place=place,
        bank_digest=f"{random.getrandbits(256):064x}",
        on_time=random.randint(75, 97) / 100,
    )


def _tax_id(scheme: str, random: Random) -> str:
    """A number whose check digit is right."""
    digits = f"{random.randrange(10**9):09d}"
    match scheme:
        case "cn.uscc":
            body = f"91440300MA{digits[:7]}"
            return body + str(uscc.calc_check_digit(body))
        case "vn.mst":
            return digits + str(mst.calc_check_digit(digits))
        case "tw.ubn":
            return next(one for n in range(10**8) if ubn.is_valid(one := f"{(int(digits[:8]) + n) % 10**8:08d}"))
        case _:
            body = digits[:8]
            return body + str(uen.calc_business_check_digit(body))


def _offers(product: Product, vendors: Mapping[str, tuple[Vendor, Region]], random: Random) -> Iterator[SupplierOffer]:
    """One to three offers, the first from where the goods are made when somebody trades there."""
    near = [name for name, (_, region) in vendors.items() if product.origin in region.origins]
    first = random.choice(near or list(vendors))
    others = [name for name in vendors if name != first]
    for name in (first, *random.sample(others, random.choice((0, 1, 1, 2)))):
        yield _offer(product, *vendors[name], random)


def _offer(product: Product, vendor: Vendor, region: Region, random: Random) -> SupplierOffer:
    rate = FIXTURE_RATES[vendor.currency]
    base = product.list_price.decimal * random.randint(40, 60) / 100 * rate
    pack = random.choice((1, 5, 10, 10, 20))
    moq = pack * random.choice((1, 2, 5))
    second = moq * random.choice((5, 10))
    return SupplierOffer(
        supplier_id=vendor.vendor_id,
        sku=product.sku,
        currency=vendor.currency,
        prices=(
            PriceBreak(from_quantity=0, unit_price=_price(base, vendor.currency)),
            PriceBreak(from_quantity=second, unit_price=_price(base * 95 / 100, vendor.currency)),
        ),
        moq=moq,
        pack=pack,
        lead_days=random.randint(*region.lead_days),
        lead_sd_days=random.randint(*region.lead_sd_days),
        on_time=vendor.on_time,
        deposit_share=Decimal(vendor.payment.deposit_percent) / 100,
        net_days=vendor.payment.net_days,
        duty_share=Decimal("0.02") if region.country in {"CN", "VN"} else Decimal(0),
        freight=Decimal(random.choice((40, 60, 120))),
    )


def _price(value: Decimal, currency: str) -> Decimal:
    """At least the smallest amount one can pay, in whole ones."""
    unit = Decimal(1) if currency in _WHOLE else Decimal("0.01")
    return max(unit, value.quantize(unit, rounding=ROUND_HALF_UP))
