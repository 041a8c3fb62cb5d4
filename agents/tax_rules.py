"""Dated tax rows and the arithmetic on them: every line rounded half up to what people pay in, totals their exact sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from domain.errors import ConfigError
from domain.money import CASH_EXPONENT, Money, exponent, total

TAX_FILE = Path(__file__).with_name("tax_rules.yaml")
BASIS_POINTS = 10_000


class Collector(StrEnum):
    """Who takes the tax from whom."""

    SELLER = "seller"
    """Charged at the sale."""
    BORDER = "border"
    """Paid at import, by the consignee unless the parcel travels duty paid."""
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class TaxRule:
    """One row: a country's tax on goods of some origin and value, between two days."""

    rule_id: str
    country: str
    domestic: bool
    valid_from: date
    valid_to: date | None
    up_to: Money | None
    above: Money | None
    duty_bp: int
    tax_bp: int
    collector: Collector
    shipping_in_base: bool
    freight_dutiable: bool
    """Duty is on the landed value (CIF), not on the goods alone."""
    most_imports: int | None
    """Parcels per half year and consignee the row is good for."""
    otherwise: str | None
    """The row that applies beyond them."""

    def in_force(self, day: date) -> bool:
        """Whether the row applies on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    @property
    def limit(self) -> Money | None:
        """The value at which the row begins or ends, in its own currency."""
        return self.up_to or self.above

    def covers(self, value: Decimal) -> bool:
        """Whether goods of this value (major units of the limit's currency) fall under the row."""
        if self.up_to is not None:
            return value <= self.up_to.decimal
        return self.above is None or value > self.above.decimal


@dataclass(frozen=True, kw_only=True)
class PlatformRule:
    """A law that makes the marketplace the supplier for tax, between two days (the last included)."""

    rule_id: str
    country: str
    valid_from: date
    valid_to: date | None
    source: str

    def in_force(self, day: date) -> bool:
        """Whether the rule applies on a day."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, kw_only=True)
class TaxTable:
    """All rows of one version."""

    version: str
    as_of: date
    """When the whole table was last checked."""
    zones: Mapping[str, ZoneInfo]
    """By destination: whose calendar its days are of."""
    platforms: tuple[PlatformRule, ...]
    rules: Mapping[str, TaxRule]
    no_tax: frozenset[str]
    tolerance_bp: int
    """A difference to the channel's tax up to this share of it is rounding."""
    tolerance_units: int
    """... or up to so many of the smallest payable units."""

    def candidates(self, country: str, *, domestic: bool, day: date) -> tuple[TaxRule, ...]:
        """The rows in force for a country and origin."""
        return tuple(
            rule
            for rule in self.rules.values()
            if rule.country == country and rule.domestic is domestic and rule.in_force(day)
        )

    def day(self, country: str, now: datetime) -> date:
        """The day it is at the destination; UTC's where the table has no zone."""
        return now.astimezone(self.zones.get(country, UTC)).date()

    def day_began(self, country: str, now: datetime) -> datetime:
        """When the destination's present day began."""
        return self._midnight(country, self.day(country, now))

    def half_year_began(self, country: str, now: datetime) -> datetime:
        """When the destination's present half year began: 1 January or 1 July."""
        day = self.day(country, now)
        return self._midnight(country, date(day.year, 1 if day.month <= 6 else 7, 1))

    def _midnight(self, country: str, day: date) -> datetime:
        return datetime.combine(day, time(0), self.zones.get(country, UTC)).astimezone(UTC)

    def platform(self, country: str, day: date) -> PlatformRule | None:
        """The law that makes a marketplace the supplier there, if one is in force."""
        return next((rule for rule in self.platforms if rule.country == country and rule.in_force(day)), None)

    def over_a_day_old(self, now: datetime) -> bool:
        """Whether the table was last checked more than 24 hours ago (from the end of that day, UTC)."""
        return now - datetime.combine(self.as_of, time(0), UTC) > timedelta(hours=48)

    def knows(self, country: str) -> bool:
        """Whether there is anything at all about the country."""
        return country in self.no_tax or any(rule.country == country for rule in self.rules.values())


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Tax by line, and their exact sums."""

    rule_id: str
    collector: Collector
    duties: tuple[Money, ...]
    taxes: tuple[Money, ...]
    shipping_tax: Money

    @property
    def duty(self) -> Money:
        """All duty."""
        return total(self.duties, self.shipping_tax.currency)

    @property
    def tax(self) -> Money:
        """All tax, on shipping too, without duty."""
        return total((*self.taxes, self.shipping_tax), self.shipping_tax.currency)


def assess(
    rule: TaxRule,
    goods: Sequence[Money],
    shipping: Money,
    *,
    tax_included: bool,
    duty_bp: Sequence[int] | None = None,
) -> Assessment:
    """Duty and tax on line values and shipping under one row.

    A seller's tax is taken out of prices that include it; border tax is on the declared value whatever the price says.
    Duty comes first, tax is on value plus duty. Freight is dutiable where the row says so, shared among the lines by
    value (largest remainder), and carries its own tax. ``duty_bp`` are the lines' own duties; the row's default else.
    """
    included = tax_included and rule.collector is Collector.SELLER
    currency = shipping.currency
    rates = duty_bp if duty_bp is not None else [rule.duty_bp] * len(goods)
    landed = _with_freight(goods, shipping) if rule.freight_dutiable and any(rates) else goods
    duties = tuple(
        _part(value.amount_minor, rate, BASIS_POINTS, currency) for value, rate in zip(landed, rates, strict=True)
    )
    whole = BASIS_POINTS + rule.tax_bp if included else BASIS_POINTS
    taxes = tuple(
        _part(value.amount_minor + duty.amount_minor, rule.tax_bp, whole, currency)
        for value, duty in zip(goods, duties, strict=True)
    )
    freight = shipping.amount_minor if rule.shipping_in_base else 0
    return Assessment(
        rule_id=rule.rule_id,
        collector=rule.collector,
        duties=duties,
        taxes=taxes,
        shipping_tax=_part(freight, rule.tax_bp, whole, currency),
    )


def _with_freight(goods: Sequence[Money], freight: Money) -> Sequence[Money]:
    weights = [max(0, value.amount_minor) for value in goods]
    if not freight.amount_minor or not any(weights):
        return goods
    return [value + share for value, share in zip(goods, freight.allocate(weights), strict=True)]


def untaxed(country: str, goods: Sequence[Money], currency: str) -> Assessment:
    """The assessment where there is no tax on goods."""
    zero = Money.zero(currency)
    nothing = tuple(zero for _ in goods)
    return Assessment(
        rule_id=f"{country}-NONE", collector=Collector.NONE, duties=nothing, taxes=nothing, shipping_tax=zero
    )


def _part(minor: int, share: int, whole: int, currency: str) -> Money:
    """So much of an amount, rounded half up (away from zero) to the unit people pay in. Whole numbers throughout."""
    unit = 10 ** (exponent(currency) - CASH_EXPONENT[currency])
    rounded = (2 * abs(minor) * share + whole * unit) // (2 * whole * unit) * unit
    return Money(amount_minor=-rounded if minor < 0 else rounded, currency=currency)


def parse_rules(raw: Mapping[str, Any]) -> TaxTable:
    """The table from its YAML form.

    Raises:
        ConfigError: a row lacks a part, or refers to a row that does not exist.
    """
    try:
        rules = {entry["id"]: _rule(entry) for entry in raw["rules"]}
        for rule in rules.values():
            if rule.otherwise is not None and rule.otherwise not in rules:
                raise ConfigError(f"tax rule {rule.rule_id}: otherwise names {rule.otherwise!r}, which does not exist")
        return TaxTable(
            version=raw["version"],
            as_of=raw["as_of"],
            zones={country: ZoneInfo(name) for country, name in raw["zones"].items()},
            platforms=tuple(_platform(entry) for entry in raw["platforms"]),
            rules=rules,
            no_tax=frozenset(raw["no_tax"]),
            tolerance_bp=raw["tolerance"]["percent_bp"],
            tolerance_units=raw["tolerance"]["units"],
        )
    except KeyError as missing:
        raise ConfigError(f"tax rules: {missing.args[0]!r} is missing; mend the rules file") from None


def _platform(entry: Mapping[str, Any]) -> PlatformRule:
    return PlatformRule(
        rule_id=entry["id"],
        country=entry["country"],
        valid_from=entry["from"],
        valid_to=entry.get("to"),
        source=entry["source"],
    )


def _rule(entry: Mapping[str, Any]) -> TaxRule:
    def limit(name: str) -> Money | None:
        return Money.parse(entry[name], entry["currency"]) if name in entry else None

    return TaxRule(
        rule_id=entry["id"],
        country=entry["country"],
        domestic=entry["origin"] == "domestic",
        valid_from=entry["from"],
        valid_to=entry.get("to"),
        up_to=limit("up_to"),
        above=limit("above"),
        duty_bp=entry.get("duty_bp", 0),
        tax_bp=entry["tax_bp"],
        collector=Collector(entry["collector"]),
        shipping_in_base=entry["shipping_in_base"],
        freight_dutiable=entry.get("freight_dutiable", False),
        most_imports=entry.get("most_imports"),
        otherwise=entry.get("otherwise"),
    )


@cache
def shipped_rules() -> TaxTable:
    """The rows that ship with this version of the agent."""
    return parse_rules(yaml.safe_load(TAX_FILE.read_text(encoding="utf-8")))
