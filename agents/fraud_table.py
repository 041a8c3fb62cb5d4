"""The fraud agent's points, limits and word lists as one validated, versioned value."""

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


@dataclass(frozen=True, kw_only=True)
class FraudTable:
    """Everything the rules read besides the order."""

    version: str
    cap_groups: frozenset[str]
    cap_points: int
    force_hold: frozenset[str]
    unforgivable: frozenset[str]
    degraded_hold: frozenset[str]
    degraded_skips: frozenset[str]
    platform_skips: frozenset[str]
    rules: Mapping[str, RuleTerms]
    cod_caps: Mapping[str, int]
    travel_pairs: frozenset[frozenset[str]]
    consolidation_countries: frozenset[str]
    forwarder_terms: tuple[str, ...]
    forwarder_patterns: tuple[re.Pattern[str], ...]
    pickup_terms: tuple[str, ...]
    shared_networks: tuple[IPv4Network | IPv6Network, ...]
    relay_domains: frozenset[str]
    market_groups: Mapping[str, str]
    """Group by country; a country that is not named belongs to ``other_markets``."""
    other_markets: str
    base_points: int = 0
    """What every order starts from; not 0 only where points were fitted."""

    def code_of(self, rule: str) -> str:
        """The reason code of a rule named by code or id (``V1``); as given when there is no such rule."""
        if rule in self.rules:
            return rule
        return next((code for code, terms in self.rules.items() if terms.rule_id == rule), rule)


def parse_table(raw: Mapping[str, Any]) -> FraudTable:
    """The table from its YAML form.

    Raises:
        ConfigError: a part is missing.
    """
    try:
        groups = raw["market_groups"]
        return FraudTable(
            version=raw["version"],
            cap_groups=frozenset(raw["cap"]["groups"]),
            cap_points=raw["cap"]["points"],
            force_hold=frozenset(raw["force_hold"]),
            unforgivable=frozenset(raw["unforgivable"]),
            degraded_hold=frozenset(raw["degraded_hold"]),
            degraded_skips=frozenset(raw["degraded_skips"]),
            platform_skips=frozenset(raw["platform_skips"]),
            rules={code: _terms(code, entry) for code, entry in raw["rules"].items()},
            cod_caps=raw["cod_caps"],
            travel_pairs=frozenset(frozenset(pair.split("-")) for pair in raw["travel_pairs"]),
            consolidation_countries=frozenset(raw["consolidation_countries"]),
            forwarder_terms=tuple(term.casefold() for term in raw["forwarder_terms"]),
            forwarder_patterns=tuple(re.compile(pattern) for pattern in raw["forwarder_patterns"]),
            pickup_terms=tuple(term.casefold() for term in raw["pickup_terms"]),
            shared_networks=tuple(ip_network(net) for net in raw["shared_networks"]),
            relay_domains=frozenset(raw["relay_domains"]),
            market_groups={country: group for group, countries in groups.items() for country in countries},
            other_markets=list(groups)[-1],
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
