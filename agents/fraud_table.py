"""The fraud agent's thresholds, points and word lists as one validated, versioned value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import yaml

from domain.errors import ConfigError

TABLE_FILE = Path(__file__).with_name("fraud_rules.yaml")


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleTerms:
    """One rule's published terms: what it is worth and its limits."""

    code: str
    rule_id: str
    points: int
    limits: Mapping[str, int]

    @property
    def group(self) -> str:
        """The family the rule belongs to: V, P, G, E, A, O, C, B or W."""
        return self.rule_id[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class PhonePlan:
    """How a country's phone numbers look: calling code and length of the national number."""

    calling_code: str
    shortest: int
    longest: int


@dataclass(frozen=True, kw_only=True)
class FraudTable:
    """Everything the rules read besides the order."""

    version: str
    review: int
    hold: int
    decline: int
    reject_precision: float
    """Lower bound of the share of right rejections below which a rejection is only a hold."""
    cap_groups: frozenset[str]
    cap_points: int
    force_hold: frozenset[str]
    unforgivable: frozenset[str]
    platform_skips: frozenset[str]
    rules: Mapping[str, RuleTerms]
    quantiles: Mapping[str, Mapping[str, int]]
    cod_caps: Mapping[str, int]
    travel_pairs: frozenset[frozenset[str]]
    consolidation_countries: frozenset[str]
    forwarder_terms: tuple[str, ...]
    forwarder_patterns: tuple[re.Pattern[str], ...]
    pickup_terms: tuple[str, ...]
    shared_networks: tuple[IPv4Network | IPv6Network, ...]
    relay_domains: frozenset[str]
    disposable_domains: frozenset[str]
    phone_plans: Mapping[str, PhonePlan]


def parse_table(raw: Mapping[str, Any]) -> FraudTable:
    """The table from its YAML form.

    Raises:
        ConfigError: a part is missing, or the thresholds are not in ascending order.
    """
    try:
        steps = raw["thresholds"]
        if not steps["review"] <= steps["hold"] <= steps["decline"]:
            raise ConfigError(f"fraud table {raw['version']}: thresholds must satisfy review <= hold <= decline")
        return FraudTable(
            version=raw["version"],
            review=steps["review"],
            hold=steps["hold"],
            decline=steps["decline"],
            reject_precision=raw["reject_precision_percent"] / 100,
            cap_groups=frozenset(raw["cap"]["groups"]),
            cap_points=raw["cap"]["points"],
            force_hold=frozenset(raw["force_hold"]),
            unforgivable=frozenset(raw["unforgivable"]),
            platform_skips=frozenset(raw["platform_skips"]),
            rules={code: _terms(code, entry) for code, entry in raw["rules"].items()},
            quantiles=raw["amount_quantiles"],
            cod_caps=raw["cod_caps"],
            travel_pairs=frozenset(frozenset(pair.split("-")) for pair in raw["travel_pairs"]),
            consolidation_countries=frozenset(raw["consolidation_countries"]),
            forwarder_terms=tuple(term.casefold() for term in raw["forwarder_terms"]),
            forwarder_patterns=tuple(re.compile(pattern) for pattern in raw["forwarder_patterns"]),
            pickup_terms=tuple(term.casefold() for term in raw["pickup_terms"]),
            shared_networks=tuple(ip_network(net) for net in raw["shared_networks"]),
            relay_domains=frozenset(raw["relay_domains"]),
            disposable_domains=frozenset(raw["disposable_domains"]),
            phone_plans={
                country: PhonePlan(calling_code=plan[0], shortest=plan[1], longest=plan[2])
                for country, plan in raw["phone_plans"].items()
            },
        )
    except KeyError as missing:
        raise ConfigError(f"fraud table: {missing.args[0]!r} is missing; add it to the rules file") from None


def _terms(code: str, entry: Mapping[str, Any]) -> RuleTerms:
    limits = {name: value for name, value in entry.items() if name not in {"id", "points"}}
    return RuleTerms(code=code, rule_id=entry["id"], points=entry["points"], limits=limits)


@cache
def shipped_table() -> FraudTable:
    """The table that ships with this version of the agent."""
    return parse_table(yaml.safe_load(TABLE_FILE.read_text(encoding="utf-8")))
