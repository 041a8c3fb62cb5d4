"""A seeded world of orders, good and bad, at the level the fraud rules see, with labels that mature late.

The shares of the kinds of fraud and the markets are the design's; the chance of each sign given the kind is stated
here and is an assumption. What is measured on this world shows how the rules behave on it, not how a shop would fare.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from random import Random
from typing import Any

from agents.fraud_sales import Sale
from agents.fraud_segments import SegmentTable
from agents.fraud_signals import QuantityOutlier, Signals
from domain.ids import Sku
from domain.money import Money
from evals.fraud_labels import DELAY_SIGMA, MEDIAN_DELAY_DAYS, Label, LabelledOrder
from evals.fraud_signs import CHANCES, SIGNS, Kind
from tools.sandbox.assortment import POWERED, UNPOWERED
from tools.sandbox.geography import FIXTURE_RATES

WORLD_VERSION = "fraud-world-2"
DAY_S = 86_400
MARKETS = (
    ("HK", "HKD", 25), ("TW", "TWD", 25), ("SG", "SGD", 15), ("AU", "AUD", 15), ("MY", "MYR", 10), ("VN", "VND", 10),
    ("JP", "JPY", 3), ("TH", "THB", 3), ("NZ", "NZD", 2), ("US", "USD", 2),
)  # fmt: skip
BAD_DIRECT = {Kind.STOLEN_CARD: 45, Kind.COD_REFUSAL: 25, Kind.TAKEOVER: 15, Kind.HOARDING: 10, Kind.FRIENDLY: 5}
BAD_PLATFORM = {Kind.COD_REFUSAL: 60, Kind.HOARDING: 25, Kind.FRIENDLY: 15}
"""What the platform's own screening leaves over."""
LARGER = {Kind.STOLEN_CARD: 2.2, Kind.TAKEOVER: 2.5, Kind.HOARDING: 2.0, Kind.COD_REFUSAL: 1.2, Kind.FRIENDLY: 1.3}
"""How many times an ordinary basket each kind takes."""
UNUSUAL_SHARE = 0.06
"""Good orders that look odd: travellers, gifts, first-time buyers of something dear."""
_FOREIGN = ("BR", "RU", "NG", "US")


@dataclass(frozen=True, kw_only=True)
class Mix:
    """How a generated shop's orders are made up."""

    direct_share: float = 0.45
    bad_direct: float = 0.03
    bad_platform: float = 0.008
    reviewed_share: float = 0.02
    """Orders a person has looked at within a day."""


class FraudWorld:
    """Draws the orders of one seed, one after another."""

    def __init__(self, seed: int, segments: SegmentTable, *, mix: Mix | None = None) -> None:
        """Amounts are judged by ``segments``."""
        self._random = Random(f"{WORLD_VERSION}:{seed}")
        self._segments = segments
        self._mix = mix or Mix()

    def orders(self, count: int, *, since: datetime, until: datetime) -> Iterator[LabelledOrder]:
        """``count`` orders spread evenly over the stretch."""
        step = (until - since) / max(1, count)
        for number in range(count):
            yield self._order(number, since + step * number)

    def _order(self, number: int, at: datetime) -> LabelledOrder:
        random, mix = self._random, self._mix
        platform = random.random() >= mix.direct_share
        kind = _kind(random, platform, mix)
        basket = draw_basket(random, LARGER.get(kind, 1.0))
        signs = CHANCES[kind]
        shown = {sign for sign in SIGNS if random.random() < signs[sign]}
        signals = _signals(random, kind, basket, shown, platform=platform, segments=self._segments)
        bad = kind not in {Kind.GOOD, Kind.UNUSUAL}
        delay = timedelta(days=MEDIAN_DELAY_DAYS * random.lognormvariate(0, DELAY_SIGMA))
        looked = random.random() < mix.reviewed_share
        reviewed_at = at + timedelta(hours=random.randint(1, 24)) if looked else None
        label = Label(bad=bad, placed_at=at, delay=delay, reviewed_at=reviewed_at)
        return LabelledOrder(number=number, placed_at=at, signals=signals, category=basket.category, label=label)


@dataclass(frozen=True, kw_only=True, slots=True)
class Basket:
    """What is bought, where to, for how much."""

    country: str
    currency: str
    category: str
    high_resale: bool
    usd_cents: int
    total_minor: int
    units: int


def draw_basket(random: Random, larger: float) -> Basket:
    """A basket of one category, ``larger`` times as dear as usual in the mean."""
    country, currency, _ = random.choices(MARKETS, weights=[share for _, _, share in MARKETS])[0]
    category = random.choice(POWERED + UNPOWERED)
    units = random.choices((1, 2, 3, 4, 6), weights=(60, 25, 9, 4, 2))[0]
    low, high = category.price_cents
    price = low * (high / low) ** random.random()
    usd_cents = max(500, int(min(price * units, 120_000) * larger * random.lognormvariate(0, 0.3)))
    rate = FIXTURE_RATES.get(currency, Decimal(1))
    total = Money.rounded(Decimal(usd_cents) / 100 * rate, currency)
    return Basket(
        country=country,
        currency=currency,
        category=category.name,
        high_resale=category.high_resale,
        usd_cents=int((total.decimal / rate * 100).to_integral_value(ROUND_FLOOR)),
        total_minor=total.amount_minor,
        units=units,
    )


def past_sales(count: int, seed: int, *, until: datetime) -> Iterator[Sale]:
    """Ordinary sales of the 90 days before ``until``, for measuring segments."""
    random = Random(f"{WORLD_VERSION}:sales:{seed}")
    for number in range(count):
        basket = draw_basket(random, 1.0)
        yield Sale(
            placed_at=until - timedelta(days=90) + timedelta(days=90) * number / count,
            country=basket.country,
            category=basket.category,
            total=Money(amount_minor=basket.total_minor, currency=basket.currency),
            usd_cents=basket.usd_cents,
            units={Sku(f"{basket.category}-{random.randrange(60)}"): basket.units},
        )


def _kind(random: Random, platform: bool, mix: Mix) -> Kind:
    if random.random() < (mix.bad_platform if platform else mix.bad_direct):
        shares = BAD_PLATFORM if platform else BAD_DIRECT
        return random.choices(list(shares), weights=list(shares.values()))[0]
    return Kind.UNUSUAL if random.random() < UNUSUAL_SHARE else Kind.GOOD


def _signals(
    random: Random, kind: Kind, basket: Basket, shown: set[str], *, platform: bool, segments: SegmentTable
) -> Signals:
    total = Money(amount_minor=basket.total_minor, currency=basket.currency)
    first = "first_order" in shown
    proven = "good_history" in shown and not first
    cod = kind is Kind.COD_REFUSAL or ("cod" in shown and kind is not Kind.STOLEN_CARD)
    refused = random.randint(4, 7) if cod and "refuser" in shown else 0
    changed = "profile_change" in shown and not first
    many = "bulk" in shown
    return Signals(
        platform=platform,
        currency=basket.currency,
        total_minor=basket.total_minor,
        usd_cents=basket.usd_cents,
        segment=segments.choose(
            country=basket.country, category=basket.category, total=total, usd_cents=basket.usd_cents
        ),
        counts={} if platform else _counts(random, shown),
        paid=not cod,
        **_card(shown, basket.country, cod=cod or platform),
        ship_country=basket.country,
        ip_country=None if platform else (random.choice(_FOREIGN) if "ip_elsewhere" in shown else basket.country),
        proxy=None if platform else "proxy" in shown,
        hosting=None if platform else "hosting" in shown,
        forwarder="forwarder" in shown,
        throwaway=None if platform else ("mailinator.com" if "disposable" in shown else ""),
        account_age_s=_account_age_s(random, shown, first=first),
        profile_age_s=random.randint(60, DAY_S - 1) if changed else None,
        new_device="new_device" in shown if changed else None,
        first_order=first,
        resale_quantity=(random.randint(3, 6) if many else 1) if basket.high_resale or "resale" in shown else 0,
        quantity_known=True,
        quantity_outlier=QuantityOutlier(sku="S", quantity=12, p99=6) if "quantity" in shown else None,
        express="express" in shown,
        cash_on_delivery=cod,
        refused=refused,
        delivered=0 if first else random.randint(3, 30) if proven else random.randint(0, 2),
        disputed=0 if proven or random.random() > 0.01 else 1,
        history_age_s=0 if first else random.randint(61, 900) * DAY_S if proven else random.randint(1, 200) * DAY_S,
        phone="invalid" if "phone" in shown else "ok",
        known_bad="known_bad" in shown,
    )


def _account_age_s(random: Random, shown: set[str], *, first: bool) -> int:
    if "new_account" in shown:
        return random.randint(60, DAY_S - 1)
    return random.randint(1, 60 if first else 900) * DAY_S


def _counts(random: Random, shown: set[str]) -> dict[str, int]:
    return {
        "CARD_VELOCITY": random.choice((3, 4, 6)) if "card_velocity" in shown else random.choice((1, 1, 1, 2)),
        "DEVICE_MULTI_ACCOUNT": random.choice((3, 5)) if "device_accounts" in shown else 1,
        "IP_VELOCITY": random.choice((5, 9)) if "ip_velocity" in shown else random.choice((1, 2, 3)),
        "DECLINES_BEFORE_SUCCESS": random.choice((3, 5, 8)) if "declines" in shown else random.choice((0, 0, 0, 1)),
        "ADDRESS_MULTI_ACCOUNT": random.choice((4, 6)) if "address_accounts" in shown else random.choice((1, 2)),
    }


def _card(shown: set[str], country: str, *, cod: bool) -> dict[str, Any]:
    if cod:
        return {}
    avs = "fail" if "avs_fail" in shown else "partial" if "avs_partial" in shown else "match"
    return {
        "avs": avs if "avs_known" in shown else None,
        "cvv": "fail" if "cvv_fail" in shown else "match",
        "bin_country": "BR" if "bin_elsewhere" in shown else country,
        "bin_prepaid": "bin_prepaid" in shown,
        "three_ds_shift": "three_ds" in shown,
        "bill_country": country,
    }
