"""The fraud thresholds and costs as dated versions: which one is in force follows from the time of the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from domain.errors import ConfigError

THRESHOLDS_FILE = Path(__file__).with_name("fraud_thresholds.yaml")
_STEPS = ("review", "hold", "decline")


@dataclass(frozen=True, kw_only=True, slots=True)
class CostTerms:
    """What a wrong or a careful decision costs, in US cents."""

    chargeback_fee: int
    review: int
    lost_customer: int
    """Lifetime value lost with a good customer who is turned away."""
    margin_percent: int
    reviewer_accuracy_percent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradedTerms:
    """The simplified policy of peak days."""

    approve_below: int
    crm_timeout_ms: int
    default_reviews_per_h: int
    """Review budget when the mode is switched on without one."""
    rescore_within_h: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """One published version."""

    version: str
    effective_from: datetime
    review: int
    hold: int
    decline: int
    reject_precision: float
    """Lower bound of the share of right rejections below which a rejection is only a hold."""
    trusted_confidence: float
    costs: CostTerms
    degraded: DegradedTerms


class ThresholdSchedule:
    """Every published version in the order they take effect."""

    def __init__(self, versions: Sequence[Thresholds]) -> None:
        """Keep the versions.

        Raises:
            ConfigError: there is none, or their dates do not ascend.
        """
        dates = [one.effective_from for one in versions]
        if not versions or dates != sorted(set(dates)):
            raise ConfigError("fraud thresholds: give at least one version, each with a later effective_from")
        self.versions = tuple(versions)

    def at(self, now: datetime) -> Thresholds:
        """The version in force.

        Raises:
            ConfigError: none was in force yet.
        """
        in_force = [one for one in self.versions if one.effective_from <= now]
        if not in_force:
            first = self.versions[0]
            raise ConfigError(
                f"no fraud thresholds at {now.date()}; {first.version} begins {first.effective_from.date()}"
            )
        return in_force[-1]


def parse_thresholds(raw: Mapping[str, Any]) -> Thresholds:
    """One version from its YAML form.

    Raises:
        ConfigError: a part is missing, or the thresholds are not in ascending order.
    """
    try:
        steps = raw["thresholds"]
        review, hold, decline = (steps[name] for name in _STEPS)
        if not review <= hold <= decline:
            raise ConfigError(f"fraud thresholds {raw['version']}: they must satisfy review <= hold <= decline")
        return Thresholds(
            version=raw["version"],
            effective_from=_midnight(raw["effective_from"]),
            review=review,
            hold=hold,
            decline=decline,
            reject_precision=raw["reject_precision_percent"] / 100,
            trusted_confidence=raw["trusted_confidence_percent"] / 100,
            costs=CostTerms(**raw["costs"]),
            degraded=DegradedTerms(**raw["degraded"]),
        )
    except KeyError as missing:
        raise ConfigError(f"fraud thresholds: {missing.args[0]!r} is missing; add it to the file") from None
    except TypeError as wrong:
        raise ConfigError(f"fraud thresholds: {wrong}; compare with the shipped file") from None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@cache
def shipped_thresholds() -> ThresholdSchedule:
    """The versions that ship."""
    raw = yaml.safe_load(THRESHOLDS_FILE.read_text(encoding="utf-8"))
    return ThresholdSchedule([parse_thresholds(entry) for entry in raw])
