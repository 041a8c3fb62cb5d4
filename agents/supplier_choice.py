"""Which supplier, and how many: the lowest total cost per unit over all suppliers and sensible quantities.

Total cost is goods, duty, freight, finance (deposit and payment term), carrying and expected shortage until arrival.
Lead-time demand is taken as normal. The table of all options is the explanation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import NormalDist

from agents.reorder_points import normal_loss
from domain.errors import InputError, MissingRate
from domain.supply import SupplierOffer, SupplyOption

STANDARD = NormalDist()
YEAR_DAYS = 365


@dataclass(frozen=True, kw_only=True)
class ReorderTerms:
    """Costs and policy of the buyer, in the base currency."""

    base_currency: str = "USD"
    wacc: float = 0.10
    """Cost of money, a year."""
    holding: float = 0.20
    """Cost of carrying stock, share of its value a year."""
    review_days: float = 7.0
    service_z: float = 1.645
    """Safety in standard deviations: 1.645 covers 95 %."""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """What one SKU needs."""

    sku: str
    daily_mean: float
    daily_sd: float
    on_hand: int
    """Free to sell: promised units already taken off."""
    inbound: int = 0
    """Units of open purchase orders that arrive within the lead time and review."""
    margin: Decimal
    """Lost with each unit that cannot be sold, base currency."""


@dataclass(frozen=True, kw_only=True)
class SupplyChoice:
    """The best option and all others."""

    best: SupplyOption
    options: tuple[SupplyOption, ...]
    """Cheapest first, the best included."""

    @property
    def too_late(self) -> bool:
        """Whether stock probably runs out before any supplier can deliver: sales should be slowed."""
        return all(option.stockout_probability > TOO_LATE for option in self.options)


TOO_LATE = Decimal("0.2")


def choose_supply(
    requirement: Requirement,
    offers: Sequence[SupplierOffer],
    rates: Mapping[str, Decimal],
    *,
    today: date,
    terms: ReorderTerms | None = None,
    any_quantity_up_to: int | None = None,
) -> SupplyChoice | None:
    """Choose supplier and quantity; None when nothing needs ordering from anybody.

    ``rates`` are units of a currency per unit of the base currency. Quantities tried are the need and every price break
    above it; with ``any_quantity_up_to`` every quantity the supplier's lot rules admit up to it. Ties go to the higher
    on-time rate, then to the shorter lead time.

    Raises:
        InputError: there is no valid offer, or the demand is not a number.
        MissingRate: no rate for a currency of an offer.
    """
    if not all(math.isfinite(v) and v >= 0 for v in (requirement.daily_mean, requirement.daily_sd)):
        raise InputError(f"the demand of {requirement.sku} is not a number of 0 or more")
    valid = [o for o in offers if o.sku == requirement.sku and (o.valid_until is None or o.valid_until >= today)]
    if not valid:
        raise InputError(f"no supplier has a valid offer for {requirement.sku}; add one in the ERP")
    used = terms or ReorderTerms()
    options: list[SupplyOption] = []
    for offer in valid:
        need = needed(requirement, offer, used)
        if need > 0:
            tried = quantities(offer, need, up_to=any_quantity_up_to)
            options += [_option(requirement, offer, quantity, need, rates, used) for quantity in tried]
    if not options:
        return None
    ranked = sorted(options, key=lambda o: (o.unit_total, -o.on_time, o.lead_days, o.supplier_id, o.quantity))
    best = ranked[0]
    told = tuple(o if o is best else o.model_copy(update={"why_not": _why_not(o, best)}) for o in ranked)
    return SupplyChoice(best=best, options=told)


def needed(requirement: Requirement, offer: SupplierOffer, terms: ReorderTerms) -> int:
    """Units to cover lead time and review with safety, less what is there and coming; never negative."""
    horizon = offer.lead_days + terms.review_days
    mean, sd = requirement.daily_mean, requirement.daily_sd
    spread = math.sqrt(horizon * sd**2 + mean**2 * offer.lead_sd_days**2)
    cover = math.ceil(round(mean * horizon + terms.service_z * spread, 9))
    return max(0, cover - requirement.on_hand - requirement.inbound)


def quantities(offer: SupplierOffer, need: int, *, up_to: int | None = None) -> list[int]:
    """Quantities worth comparing: the need and every price break above it, in whole packs of at least the MOQ."""
    least = _packed(max(need, offer.moq), offer.pack)
    if up_to is not None:
        return list(range(least, max(least, up_to) + 1, offer.pack))
    breaks = [_packed(max(b.from_quantity, offer.moq), offer.pack) for b in offer.prices if b.from_quantity >= need]
    return sorted({least, *breaks})


def _packed(quantity: int, pack: int) -> int:
    return -(-quantity // pack) * pack


def _option(
    requirement: Requirement,
    offer: SupplierOffer,
    quantity: int,
    need: int,
    rates: Mapping[str, Decimal],
    terms: ReorderTerms,
) -> SupplyOption:
    price = offer.price(quantity)
    price_base = price / _rate(offer.currency, rates, terms)
    goods = price_base * quantity
    freight = offer.freight / _rate(offer.freight_currency, rates, terms)
    deposit = float(offer.deposit_share)
    waiting = deposit * offer.lead_days - (1 - deposit) * offer.net_days
    short, probability = _shortage(requirement, offer)
    days_of_stock = quantity / requirement.daily_mean if requirement.daily_mean > 0 else YEAR_DAYS
    parts = {
        "goods": goods,
        "duty": goods * offer.duty_share,
        "freight": freight,
        "finance": _exact(terms.wacc * waiting / YEAR_DAYS) * goods,
        "carrying": _exact(terms.holding / YEAR_DAYS * days_of_stock / 2) * goods,
        "shortage": _exact(short) * requirement.margin,
    }
    return SupplyOption(
        supplier_id=offer.supplier_id,
        sku=offer.sku,
        quantity=quantity,
        need=need,
        unit_price=price,
        currency=offer.currency,
        unit_price_base=price_base,
        unit_total=sum(parts.values(), Decimal(0)) / quantity,
        parts=parts,
        stockout_probability=_exact(probability),
        on_time=offer.on_time,
        lead_days=offer.lead_days,
    )


def _shortage(requirement: Requirement, offer: SupplierOffer) -> tuple[float, float]:
    """Expected units short before the order arrives, and the chance of any."""
    mean = requirement.daily_mean * offer.lead_days
    spread = math.sqrt(offer.lead_days * requirement.daily_sd**2 + requirement.daily_mean**2 * offer.lead_sd_days**2)
    short = normal_loss(requirement.on_hand, mean, spread)
    if spread <= 0:
        return short, float(mean > requirement.on_hand)
    return short, 1 - STANDARD.cdf((requirement.on_hand - mean) / spread)


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))


def _rate(currency: str, rates: Mapping[str, Decimal], terms: ReorderTerms) -> Decimal:
    if currency == terms.base_currency:
        return Decimal(1)
    found = rates.get(currency)
    if found is None:
        raise MissingRate(f"there is no exchange rate for {currency}; offers in it cannot be compared")
    return found


def _why_not(option: SupplyOption, best: SupplyOption) -> str:
    more = option.unit_total - best.unit_total
    if more == 0:
        return "costs the same; less reliable or slower"
    names = [
        name
        for name, cost in sorted(
            option.parts.items(),
            key=lambda each: each[1] / option.quantity - best.parts[each[0]] / best.quantity,
            reverse=True,
        )
        if cost / option.quantity > best.parts[name] / best.quantity
    ]
    cheaper = option.unit_price_base < best.unit_price_base
    lead = "cheaper to buy, but " if cheaper else ""
    return f"{lead}{more:.3f} a unit dearer in all, mostly {' and '.join(names[:2])}"
