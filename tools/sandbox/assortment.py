"""The 2,000 products of the sandbox world: categories, weights, batteries, prices. Everything is invented, from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from domain.catalogue import DangerousGoods, Product
from domain.ids import Sku
from domain.money import Money
from tools.sandbox.geography import SETTLEMENT_CURRENCY

SKU_COUNT = 2_000
BATTERY_COUNT = SKU_COUNT * 12 // 100
"""12 % of the products contain or are lithium batteries."""


@dataclass(frozen=True, kw_only=True)
class Category:
    """What the products of one category have in common."""

    name: str
    titles: tuple[str, ...]
    hs_code: str
    weight_g: tuple[int, int]
    price_cents: tuple[int, int]
    origins: tuple[str, ...] = ("CN",)
    grams_per_litre: int = 300
    """Packed density, from which the sides are made."""
    dangerous: tuple[DangerousGoods, ...] = ()
    high_resale: bool = False
    restricted_in: tuple[str, ...] = ()


_IN = DangerousGoods.LITHIUM_CONTAINED
_WITH = DangerousGoods.LITHIUM_PACKED_WITH
_LOOSE = DangerousGoods.LITHIUM_LOOSE

POWERED = (
    Category(name="phone", titles=("Smartphone", "Foldable phone"), hs_code="851713", weight_g=(300, 700), high_resale=True,
             price_cents=(18_000, 140_000), origins=("CN", "VN"), dangerous=(_IN,)),
    Category(name="laptop", titles=("Ultrabook", "Gaming laptop"), hs_code="847130", weight_g=(1_400, 3_500), high_resale=True,
             price_cents=(45_000, 240_000), origins=("CN", "TW"), dangerous=(_IN,)),
    Category(name="audio", titles=("Wireless earbuds", "Bluetooth speaker"), hs_code="851830", weight_g=(80, 900),
             price_cents=(1_900, 28_000), origins=("CN", "VN"), dangerous=(_IN, _IN, _WITH)),
    Category(name="camera", titles=("Action camera", "Mirrorless camera"), hs_code="852589", weight_g=(300, 1_400),
             price_cents=(12_000, 190_000), origins=("JP", "CN", "TH"), dangerous=(_WITH,)),
    Category(name="power_tool", titles=("Cordless drill", "Electric shaver"), hs_code="846721", weight_g=(400, 2_800),
             price_cents=(3_900, 19_000), origins=("CN", "MY"), dangerous=(_WITH, _IN)),
    Category(name="power_bank", titles=("Power bank", "Spare battery pack"), hs_code="850760", weight_g=(150, 650),
             price_cents=(1_200, 8_900), origins=("CN",), dangerous=(_LOOSE,), restricted_in=("TH",)),
)  # fmt: skip

UNPOWERED = (
    Category(name="apparel", titles=("T-shirt", "Rain jacket", "Linen trousers"), hs_code="610910", weight_g=(120, 900),
             price_cents=(900, 9_900), origins=("VN", "CN", "TH"), grams_per_litre=200),
    Category(name="shoes", titles=("Running shoes", "Leather boots"), hs_code="640411", weight_g=(600, 1_600),
             price_cents=(3_500, 22_000), origins=("VN", "CN"), grams_per_litre=140),
    Category(name="home", titles=("Ceramic bowl", "Table lamp", "Cotton towel"), hs_code="691110", weight_g=(250, 4_500),
             price_cents=(700, 12_000), origins=("CN", "TW", "JP")),
    Category(name="kitchen", titles=("Chef's knife", "Rice cooker", "Tea pot"), hs_code="821192", weight_g=(300, 5_500),
             price_cents=(1_500, 26_000), origins=("JP", "CN", "KR")),
    Category(name="toys", titles=("Building blocks", "Board game"), hs_code="950300", weight_g=(200, 2_200),
             price_cents=(900, 9_000), grams_per_litre=180),
    Category(name="books", titles=("Paperback", "Art book"), hs_code="490199", weight_g=(200, 1_800),
             price_cents=(600, 6_500), origins=("TW", "HK", "SG"), grams_per_litre=700),
    Category(name="bags", titles=("Backpack", "Tote bag"), hs_code="420292", weight_g=(300, 1_500),
             price_cents=(1_900, 32_000), origins=("VN", "CN"), grams_per_litre=120),
    Category(name="jewellery", titles=("Silver ring", "Jade bracelet", "Gold pendant"), hs_code="711319", weight_g=(20, 120),
             price_cents=(4_000, 180_000), origins=("HK", "TH"), high_resale=True),
    Category(name="components", titles=("Graphics card", "Memory kit"), hs_code="847330", weight_g=(120, 1_900),
             price_cents=(6_000, 160_000), origins=("TW", "CN"), high_resale=True),
    Category(name="supplements", titles=("Vitamin capsules", "Herbal tea"), hs_code="210690", weight_g=(80, 800),
             price_cents=(800, 7_000), origins=("AU", "NZ"), restricted_in=("CN",)),
    Category(name="cosmetics", titles=("Sunscreen", "Face serum"), hs_code="330499", weight_g=(60, 500),
             price_cents=(800, 14_000), origins=("KR", "JP")),
    Category(name="perfume", titles=("Eau de parfum", "Nail lacquer"), hs_code="330300", weight_g=(150, 600),
             price_cents=(2_500, 24_000), origins=("FR", "KR"), dangerous=(DangerousGoods.FLAMMABLE,)),
    Category(name="sprays", titles=("Hair spray", "Insect spray"), hs_code="330530", weight_g=(200, 700),
             price_cents=(500, 3_500), origins=("TH", "JP"), dangerous=(DangerousGoods.AEROSOL,), restricted_in=("SG",)),
)  # fmt: skip

_RARE = {"perfume": 2, "sprays": 1, "jewellery": 4, "components": 4}
"""Weight in the draw; the others count 12."""


def sku_of(number: int) -> Sku:
    """The SKU with this number: ``SB-00042``."""
    return Sku(f"SB-{number:05d}")


def build_products(seed: int) -> Iterator[Product]:
    """The products of the world with this seed, by ascending SKU."""
    random = Random(f"products:{seed}")
    powered = set(random.sample(range(1, SKU_COUNT + 1), BATTERY_COUNT))
    odds = [_RARE.get(category.name, 12) for category in UNPOWERED]
    for number in range(1, SKU_COUNT + 1):
        category = random.choice(POWERED) if number in powered else random.choices(UNPOWERED, odds)[0]
        yield _product(number, category, random)


def _product(number: int, category: Category, random: Random) -> Product:
    weight_g = random.randint(*category.weight_g)
    length, width, height = _sides_mm(weight_g, category.grams_per_litre, random)
    low, high = category.price_cents
    skewed = low + (high - low) * random.randint(0, 1_000) * random.randint(0, 1_000) // 1_000_000
    dangerous = random.choice(category.dangerous) if category.dangerous else DangerousGoods.NONE
    return Product(
        sku=sku_of(number),
        title=f"{random.choice(category.titles)} {random.choice('ABCDEFGHKLMNPRSTUVWXYZ')}{random.randint(10, 999)}",
        category=category.name,
        weight_g=weight_g,
        length_mm=length,
        width_mm=width,
        height_mm=height,
        hs_code=category.hs_code,
        origin=random.choice(category.origins),
        dangerous=dangerous,
        charge_declared=dangerous is _WITH and random.random() < 0.6,
        list_price=Money(amount_minor=skewed // 10 * 10, currency=SETTLEMENT_CURRENCY),
        high_resale=category.high_resale,
        restricted_in=category.restricted_in if random.random() < 0.5 else (),
    )


def _sides_mm(weight_g: int, grams_per_litre: int, random: Random) -> tuple[int, int, int]:
    """Sides of a box of roughly that density, longest first."""
    cubic_mm = weight_g * 1_000_000 // grams_per_litre
    edge = max(20, round(cubic_mm ** (1 / 3)))
    length = edge * random.randint(110, 170) // 100
    width = edge * random.randint(80, 110) // 100
    return length, width, max(10, cubic_mm // (length * width))
