"""The lanes of the sandbox world: which service runs from which site to which country, and at what price.

Exactly 30 % of all site-service-country combinations are missing, chosen by the seed. Inside its own country every site
keeps every service, and Singapore to Malaysia never runs with ``banyan``: a carrier picked after the warehouse fails there.
"""

from collections.abc import Iterator
from random import Random

from domain.catalogue import DangerousGoods
from domain.ids import ServiceId
from domain.money import Money
from domain.shipment import Lane, PriceStep, Surcharge, SurchargeKind, TransitShare, Warehouse
from tools.sandbox.geography import (
    PEAKS,
    REMOTE_POSTCODES,
    SERVED,
    SERVICES,
    SETTLEMENT_CURRENCY,
    WAREHOUSES,
    Service,
    distance,
)

MISSING_PER_CENT = 30
STEPS_G = (250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000)
BROKEN_LANE = ("SIN", "banyan", "MY")

_Combination = tuple[Warehouse, Service, str]


def build_lanes(seed: int) -> tuple[Lane, ...]:
    """Every lane of the world with this seed, in a stable order."""
    random = Random(f"lanes:{seed}")
    combinations = [(site, service, country) for site in WAREHOUSES for service in SERVICES for country in SERVED]
    missing = _missing(combinations, random)
    return tuple(
        _lane(site, service, country, noise_per_mille=random.randint(900, 1_100))
        for site, service, country in combinations
        if (site.warehouse, service.service_id, country) not in missing
    )


def _missing(combinations: list[_Combination], random: Random) -> set[tuple[str, str, str]]:
    names = [
        (site.warehouse, service.service_id, country)
        for site, service, country in combinations
        if site.country != country and service.service_id != "harbour:sea"
    ]
    broken = {name for name in names if (name[0], name[1].partition(":")[0], name[2]) == BROKEN_LANE}
    rest = [name for name in names if name not in broken]
    wanted = len(combinations) * MISSING_PER_CENT // 100
    return broken | set(random.sample(rest, wanted - len(broken)))


def _lane(site: Warehouse, service: Service, country: str, *, noise_per_mille: int) -> Lane:
    zone = distance(site.country, country)
    p50, p80 = service.days
    return Lane(
        warehouse=site.warehouse,
        service=ServiceId(service.service_id),
        carrier=service.carrier,
        country=country,
        steps=_steps(service, zone, noise_per_mille),
        transit_days=(
            median := p50 + zone * service.days_per_zone,
            safe := p80 + zone * service.days_per_zone + bool(zone),
        ),
        transit=_transit(median, safe),
        dim_divisor=service.dim_divisor,
        accepts=service.accepts,
        cod=country in service.cod_in,
        ddp=service.ddp and zone > 0,
        max_value=_usd(service.max_value_cents) if service.max_value_cents is not None else None,
        surcharges=tuple(_surcharges(service, country, abroad=zone > 0)),
    )


def _transit(median: int, safe: int) -> tuple[TransitShare, ...]:
    """A few early, most on the usual day, one in seven two days later than four of five parcels."""
    shares = {median - 1: 150, median: 450, safe: 250, safe + 2: 150} if safe > median else {median: 850, safe + 2: 150}
    if median <= 1:
        shares[median] += shares.pop(median - 1, 0)
    return tuple(TransitShare(days=days, per_mille=share) for days, share in sorted(shares.items()))


def _surcharges(service: Service, country: str, *, abroad: bool) -> Iterator[Surcharge]:
    yield Surcharge(kind=SurchargeKind.FUEL, per_mille=service.fuel_per_mille)
    if country in REMOTE_POSTCODES:
        yield Surcharge(kind=SurchargeKind.REMOTE_AREA, at_least=_usd(350), postcode_prefixes=REMOTE_POSTCODES[country])
    for first, last in PEAKS:
        yield Surcharge(kind=SurchargeKind.PEAK, per_mille=50, at_least=_usd(40), valid_from=first, valid_to=last)
    if any(goods is not DangerousGoods.NONE for goods in service.accepts):
        yield Surcharge(kind=SurchargeKind.DANGEROUS_GOODS, at_least=_usd(service.hazard_cents))
    if country in service.cod_in:
        yield Surcharge(kind=SurchargeKind.CASH_ON_DELIVERY, per_mille=20, at_least=_usd(120))
    if service.ddp and abroad:
        yield Surcharge(kind=SurchargeKind.DUTY_DISBURSEMENT, per_mille=25, at_least=_usd(500))


def _steps(service: Service, zone: int, noise_per_mille: int) -> tuple[PriceStep, ...]:
    factor = (100, 170, 240, 320)[zone]
    weights = [step for step in STEPS_G if step <= service.max_g]
    return tuple(
        PriceStep(
            up_to_g=up_to_g,
            price=_usd((service.base_cents * 1_000 + service.kilo_cents * up_to_g) * factor * noise_per_mille // 10**8),
        )
        for up_to_g in weights
    )


def _usd(cents: int) -> Money:
    return Money(amount_minor=cents, currency=SETTLEMENT_CURRENCY)
