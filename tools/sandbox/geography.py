"""Where the sandbox world happens: sites, countries, carrier services and fixture exchange rates.

Carriers, services, prices and lanes are invented; they imitate the structure of an APAC network, no real tariff.
Exchange rates are fixtures with round numbers, not market rates.
"""

from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal

from domain.catalogue import DangerousGoods
from domain.ids import WarehouseId
from domain.money import Money
from domain.shipment import Warehouse

SETTLEMENT_CURRENCY = "USD"
FX_SOURCE = "fixture"

FIXTURE_RATES: dict[str, Decimal] = {
    code: Decimal(value)
    for code, value in {
        "HKD": "7.80", "SGD": "1.30", "TWD": "32", "AUD": "1.50", "MYR": "4.20", "VND": "25400", "CNY": "7.2",
        "JPY": "150", "THB": "35", "EUR": "0.90", "GBP": "0.78", "CAD": "1.36", "NZD": "1.65", "KRW": "1350",
        "INR": "84", "IDR": "15800", "PHP": "57", "CHF": "0.88", "MXN": "18.5", "BRL": "5.4",
    }.items()
}  # fmt: skip
"""Units per US dollar."""

SERVED = ("HK", "TW", "SG", "AU", "MY", "VN", "TH", "JP", "CN")
"""Countries with at least one lane."""
UNSERVED = ("US", "GB", "DE", "BR", "ZA")
"""Countries nobody in this world ships to: an order there has no route."""

MARKET_SHARES = {"HK": 25, "TW": 25, "SG": 15, "AU": 15, "MY": 10, "VN": 10}
"""Share of orders per market in per cent, for whoever generates orders."""


def _site(code: str, country: str, timezone: str, cutoff: time, days: tuple[int, ...], *, pick_cents: int) -> Warehouse:
    return Warehouse(
        warehouse=WarehouseId(code),
        country=country,
        timezone=timezone,
        cutoff=cutoff,
        pickup_weekdays=days,
        pick_pack=Money(amount_minor=pick_cents, currency=SETTLEMENT_CURRENCY),
    )


_WEEK = (0, 1, 2, 3, 4)
_WITH_SATURDAY = (0, 1, 2, 3, 4, 5)

WAREHOUSES: tuple[Warehouse, ...] = (
    _site("HKG", "HK", "Asia/Hong_Kong", time(17), _WITH_SATURDAY, pick_cents=180),
    _site("SZX", "CN", "Asia/Shanghai", time(18), _WITH_SATURDAY, pick_cents=70),
    _site("SIN", "SG", "Asia/Singapore", time(16), _WITH_SATURDAY, pick_cents=210),
    _site("TPE", "TW", "Asia/Taipei", time(17), _WEEK, pick_cents=150),
    _site("KUL", "MY", "Asia/Kuala_Lumpur", time(15), _WEEK, pick_cents=90),
    _site("SYD", "AU", "Australia/Sydney", time(14), _WEEK, pick_cents=320),
)

_BLOCS = (frozenset({"HK", "CN", "TW"}), frozenset({"SG", "MY", "TH", "VN"}))


def distance(origin: str, destination: str) -> int:
    """0 inside a country, 1 between neighbours, 2 across Asia, 3 to or from Australia."""
    if origin == destination:
        return 0
    if "AU" in (origin, destination):
        return 3
    return 1 if any(origin in bloc and destination in bloc for bloc in _BLOCS) else 2


_PLAIN = DangerousGoods.NONE
_IN = DangerousGoods.LITHIUM_CONTAINED
_WITH = DangerousGoods.LITHIUM_PACKED_WITH
_ALL = tuple(DangerousGoods)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One product of one carrier, before lanes and noise."""

    carrier: str
    code: str
    base_cents: int
    """Start of the price inside a country."""
    kilo_cents: int
    """Per kilogram inside a country; both grow with distance."""
    days: tuple[int, int]
    """Transit at P50 and P80 inside a country."""
    days_per_zone: int
    max_g: int
    accepts: tuple[DangerousGoods, ...]
    dim_divisor: int = 5000
    ddp: bool = False
    cod_in: tuple[str, ...] = ()
    max_value_cents: int | None = None
    fuel_per_mille: int = 60
    hazard_cents: int = 150
    """Least surcharge on a parcel with dangerous goods."""

    @property
    def service_id(self) -> str:
        """``<carrier>:<code>``."""
        return f"{self.carrier}:{self.code}"


_COD = ("TW", "SG", "MY", "VN", "TH", "HK")

SERVICES: tuple[Service, ...] = (
    Service(carrier="kite", code="priority", base_cents=520, kilo_cents=240, days=(1, 2), days_per_zone=0, max_g=30_000,
            accepts=(_PLAIN, _IN, _WITH), ddp=True, fuel_per_mille=140, hazard_cents=300),
    Service(carrier="kite", code="economy", base_cents=360, kilo_cents=170, days=(2, 3), days_per_zone=1, max_g=30_000,
            accepts=(_PLAIN, _IN), ddp=True, fuel_per_mille=140, hazard_cents=300),
    Service(carrier="harbour", code="express", base_cents=440, kilo_cents=200, days=(2, 3), days_per_zone=1,
            max_g=50_000, accepts=(_PLAIN, _IN, _WITH), dim_divisor=6000, ddp=True, cod_in=("HK", "SG"),
            fuel_per_mille=120, hazard_cents=250),
    Service(carrier="harbour", code="sea", base_cents=210, kilo_cents=60, days=(4, 6), days_per_zone=4, max_g=100_000,
            accepts=_ALL, dim_divisor=6000),
    Service(carrier="lotus", code="tracked", base_cents=240, kilo_cents=150, days=(3, 4), days_per_zone=2, max_g=20_000,
            accepts=(_PLAIN, _IN), dim_divisor=8000, max_value_cents=60_000),
    Service(carrier="lotus", code="registered", base_cents=150, kilo_cents=190, days=(4, 6), days_per_zone=3,
            max_g=2_000, accepts=(_PLAIN,), dim_divisor=8000, max_value_cents=20_000),
    Service(carrier="banyan", code="standard", base_cents=230, kilo_cents=110, days=(2, 4), days_per_zone=2,
            max_g=30_000, accepts=(_PLAIN, _IN, _WITH, DangerousGoods.LITHIUM_LOOSE)),
    Service(carrier="banyan", code="doorcash", base_cents=290, kilo_cents=120, days=(3, 4), days_per_zone=2,
            max_g=20_000, accepts=(_PLAIN, _IN), cod_in=_COD, max_value_cents=100_000),
)  # fmt: skip

REMOTE_POSTCODES: dict[str, tuple[str, ...]] = {
    "AU": ("08", "66", "67", "7"),
    "MY": ("87", "88", "89", "90", "91", "93", "94", "95", "96", "97", "98"),
    "TW": ("209", "210", "211", "212", "88", "89"),
    "JP": ("90",),
    "TH": ("58", "94", "95", "96"),
    "CN": ("83", "84", "85", "86"),
}
"""Beginnings of postcodes every carrier here charges extra for: islands, deserts, mountains."""

PEAKS: tuple[tuple[date, date], ...] = (
    (date(2026, 11, 9), date(2026, 11, 15)),
    (date(2026, 12, 10), date(2026, 12, 24)),
    (date(2027, 1, 25), date(2027, 2, 5)),
)
"""Days with a peak surcharge, the last included: Singles' Day, year's end, before lunar new year."""

CARRIER_CODES: tuple[str, ...] = tuple(dict.fromkeys(service.carrier for service in SERVICES))
