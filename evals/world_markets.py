"""The markets of the seeded world: shares, languages, payment habits, and invented buyers with invented addresses."""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from domain.money import Money
from domain.order import PaymentMethod
from tools.sandbox.geography import FIXTURE_RATES

_CARD, _WALLET = PaymentMethod.CARD, PaymentMethod.WALLET
_COD, _STORE = PaymentMethod.COD, PaymentMethod.CONVENIENCE_STORE


@dataclass(frozen=True, kw_only=True)
class Market:
    """One country we sell to."""

    country: str
    share: int
    """Of all orders, in per cent."""
    currency: str
    languages: tuple[tuple[str, int], ...]
    """Shopify language tags with their weights."""
    payments: tuple[tuple[PaymentMethod, int], ...]
    """Methods with their weights. Over all markets: card 53, wallet 27, cash on delivery 12, convenience store 8 %."""
    tax_percent: int
    """Included in prices."""
    refusal_percent: int
    """Cash-on-delivery parcels refused at the door."""
    shopee_shop: str
    """Shop id; empty where Shopee has no marketplace."""
    price_step: int
    """Prices end on multiples of this many minor units."""
    dial: str
    places: tuple[tuple[str, str, str, str], ...]
    """Street, city, region, postcode."""
    surnames: tuple[str, ...]
    given_names: tuple[str, ...]
    surname_first: bool


MARKETS: tuple[Market, ...] = (
    Market(
        country="HK", share=25, currency="HKD", languages=(("zh-HK", 75), ("en", 25)),
        payments=((_CARD, 67), (_WALLET, 33)), tax_percent=0, refusal_percent=0, shopee_shop="", price_step=10,
        dial="+8526",
        places=(
            ("彌敦道 {n} 號", "油尖旺區", "九龍", ""), ("軒尼詩道 {n} 號", "灣仔", "香港島", ""),
            ("Flat {n}, Tai Koo Shing", "Quarry Bay", "Hong Kong Island", ""), ("沙田正街 {n} 號", "沙田", "新界", ""),
        ),
        surnames=("陳", "李", "黃", "張", "Wong", "Chan", "Leung"), given_names=("大文", "嘉欣", "志明", "Ka Yan", "Siu Ming"),
        surname_first=True,
    ),
    Market(
        country="TW", share=25, currency="TWD", languages=(("zh-TW", 96), ("en", 4)),
        payments=((_CARD, 29), (_WALLET, 15), (_COD, 24), (_STORE, 32)), tax_percent=5, refusal_percent=6,
        shopee_shop="880001", price_step=100, dial="+88691",
        places=(
            ("忠孝東路四段 {n} 號", "大安區", "臺北市", "106"), ("中正路 {n} 號", "板橋區", "新北市", "220"),
            ("公益路 {n} 號", "西區", "臺中市", "403"), ("民族二路 {n} 號", "前金區", "高雄市", "801"),
        ),
        surnames=("林", "陳", "王", "張", "吳"), given_names=("怡君", "家豪", "雅婷", "冠宇", "淑芬"), surname_first=True,
    ),
    Market(
        country="SG", share=15, currency="SGD", languages=(("en", 85), ("zh-CN", 15)),
        payments=((_CARD, 65), (_WALLET, 35)), tax_percent=9, refusal_percent=0, shopee_shop="880002", price_step=10,
        dial="+658",
        places=(
            ("{n} Anson Road", "Singapore", "", "079903"), ("Blk {n} Ang Mo Kio Ave 3", "Singapore", "", "560233"),
            ("{n} Jurong West St 41", "Singapore", "", "640455"),
        ),
        surnames=("Tan", "Lim", "Lee", "Ng", "Rahman", "Pillai"), given_names=("Mei Ling", "Wei Jie", "Aisyah", "Arjun", "Hui Min"),
        surname_first=False,
    ),
    Market(
        country="AU", share=15, currency="AUD", languages=(("en", 97), ("zh-CN", 3)),
        payments=((_CARD, 72), (_WALLET, 28)), tax_percent=10, refusal_percent=0, shopee_shop="", price_step=5, dial="+6141",
        places=(
            ("{n} George Street", "Sydney", "New South Wales", "2000"), ("{n} Lygon Street", "Carlton", "Victoria", "3053"),
            ("{n} Adelaide Street", "Brisbane", "Queensland", "4000"),
        ),
        surnames=("Smith", "Nguyen", "Brown", "Singh", "O'Connor"), given_names=("Olivia", "Jack", "Linh", "Priya", "Noah"),
        surname_first=False,
    ),
    Market(
        country="MY", share=10, currency="MYR", languages=(("en", 55), ("ms", 30), ("zh-CN", 15)),
        payments=((_CARD, 50), (_WALLET, 35), (_COD, 15)), tax_percent=0, refusal_percent=10, shopee_shop="880003",
        price_step=10, dial="+6012",
        places=(
            ("{n} Jalan Ampang", "Kuala Lumpur", "Wilayah Persekutuan", "50450"), ("{n} Lebuh Chulia", "George Town", "Pulau Pinang", "10200"),
            ("{n} Jalan Wong Ah Fook", "Johor Bahru", "Johor", "80000"),
        ),
        surnames=("Abdullah", "Tan", "Lim", "Kumar", "Ismail"), given_names=("Nur Aina", "Wei Ming", "Siti", "Rajesh", "Farid"),
        surname_first=False,
    ),
    Market(
        country="VN", share=10, currency="VND", languages=(("vi", 95), ("en", 5)),
        payments=((_CARD, 30), (_WALLET, 25), (_COD, 45)), tax_percent=8, refusal_percent=20, shopee_shop="880004",
        price_step=1_000, dial="+8490",
        places=(
            ("{n} Đường Lê Lợi", "Quận 1", "Thành phố Hồ Chí Minh", "700000"), ("{n} Phố Hàng Bông", "Hoàn Kiếm", "Hà Nội", "100000"),
            ("{n} Đường Trần Phú", "Hải Châu", "Đà Nẵng", "550000"),
        ),
        surnames=("Nguyễn", "Trần", "Lê", "Phạm"), given_names=("Văn Anh", "Thị Hương", "Minh Đức", "Ngọc Lan"),
        surname_first=True,
    ),
)  # fmt: skip

_POOL = 400
"""Buyers per market who come back."""


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """One invented buyer."""

    number: int
    """Unique over all markets."""
    name: str
    email: str
    phone: str
    street: str
    city: str
    region: str
    postcode: str
    card_bin: str
    card_last4: str
    ip: str


def price_in(market: Market, usd_cents: int) -> Money:
    """A list price in US cents as a shelf price of the market, at fixture rates."""
    exact = Money.rounded(Decimal(usd_cents) / 100 * FIXTURE_RATES[market.currency], market.currency)
    steps = max(1, exact.amount_minor // market.price_step)
    return Money(amount_minor=steps * market.price_step, currency=market.currency)


def returning_buyer(market: Market, random: Random) -> Buyer:
    """One of the market's regular buyers."""
    place = random.randrange(_POOL)
    return _buyer(market, place)


def new_buyer(market: Market, serial: int) -> Buyer:
    """A buyer never seen before, by a serial number of the caller."""
    return _buyer(market, _POOL + serial)


def _buyer(market: Market, place: int) -> Buyer:
    own = Random(f"buyer:{market.country}:{place}")
    surname, given = own.choice(market.surnames), own.choice(market.given_names)
    glue = "" if not surname.isascii() and market.country in ("HK", "TW") else " "
    name = f"{surname}{glue}{given}" if market.surname_first else f"{given} {surname}"
    street, city, region, postcode = own.choice(market.places)
    number = (1 + MARKETS.index(market)) * 100_000_000 + place
    return Buyer(
        number=number,
        name=name,
        email=f"buyer{number}@mail.example.com",
        phone=f"{market.dial}{own.randrange(10**6, 10**7)}",
        street=street.format(n=own.randint(1, 400)),
        city=city,
        region=region,
        postcode=postcode,
        card_bin=f"4{own.randrange(10**4, 10**5)}",
        card_last4=f"{own.randrange(10**4):04d}",
        ip=f"203.0.113.{own.randrange(1, 255)}",
    )
