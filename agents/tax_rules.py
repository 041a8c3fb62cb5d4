"""Dated tax rows and the arithmetic on them: every line rounded half up to what people pay in, totals their exact sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from domain.errors import ConfigError
from domain.money import Money, total

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
class TaxTable:
    """All rows of one version."""

    version: str
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


def assess(rule: TaxRule, goods: Sequence[Money], shipping: Money, *, tax_included: bool) -> Assessment:
    """Duty and tax on line values and shipping under one row.

    A seller's tax is taken out of prices that include it; border tax is on the declared value whatever the price says.
    Duty comes first, tax is on value plus duty. Freight is dutiable with the goods and carries its own tax.
    """
    included = tax_included and rule.collector is Collector.SELLER
    currency = shipping.currency
    duties = tuple(_share(value.decimal, rule.duty_bp, currency) for value in goods)
    taxes = tuple(
        _tax(value.decimal + duty.decimal, rule.tax_bp, currency, included=included)
        for value, duty in zip(goods, duties, strict=True)
    )
    freight = shipping.decimal if rule.shipping_in_base else Decimal(0)
    return Assessment(
        rule_id=rule.rule_id,
        collector=rule.collector,
        duties=duties,
        taxes=taxes,
        shipping_tax=_tax(freight, rule.tax_bp, currency, included=included),
    )


def untaxed(country: str, goods: Sequence[Money], currency: str) -> Assessment:
    """The assessment where there is no tax on goods."""
    zero = Money.zero(currency)
    nothing = tuple(zero for _ in goods)
    return Assessment(
        rule_id=f"{country}-NONE", collector=Collector.NONE, duties=nothing, taxes=nothing, shipping_tax=zero
    )


def _share(value: Decimal, basis_points: int, currency: str) -> Money:
    return Money.rounded(value * basis_points / BASIS_POINTS, currency, cash=True)


def _tax(value: Decimal, basis_points: int, currency: str, *, included: bool) -> Money:
    whole = BASIS_POINTS + basis_points if included else BASIS_POINTS
    return Money.rounded(value * basis_points / whole, currency, cash=True)


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
            rules=rules,
            no_tax=frozenset(raw["no_tax"]),
            tolerance_bp=raw["tolerance"]["percent_bp"],
            tolerance_units=raw["tolerance"]["units"],
        )
    except KeyError as missing:
        raise ConfigError(f"tax rules: {missing.args[0]!r} is missing; mend the rules file") from None


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
        most_imports=entry.get("most_imports"),
        otherwise=entry.get("otherwise"),
    )


@cache
def shipped_rules() -> TaxTable:
    """The rows that ship with this version of the agent."""
    return parse_rules(yaml.safe_load(TAX_FILE.read_text(encoding="utf-8")))
