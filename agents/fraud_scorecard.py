"""fd-1.1: the same rules with points fitted to labels, and points for a few measured quantities beside them.

A score is the log odds of being bad on a scale of its own: 40 points are one in five, and ten points are about one
unit of log odds. Every order starts from BASE, so that points still add up to the score.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from agents.fraud_calibration import shipped_calibration
from agents.fraud_detection import Edition
from agents.fraud_rules import Finding
from agents.fraud_scoring import Hit, Trace
from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable, shipped_table
from agents.fraud_thresholds import shipped_thresholds
from domain.errors import ConfigError
from domain.values import Document

SCORECARD_FILE = Path(__file__).with_name("fraud_scorecard.json")
SCORECARD_CALIBRATION_FILE = Path(__file__).with_name("fraud_scorecard_calibration.json")
POINTS_PER_LOG_ODD = 10
REVIEW_AT = 40
REVIEW_ODDS = math.log(0.2 / 0.8)
MEASURED = "N"
"""The group of measured quantities."""


class Scorecard(Document):
    """Fitted points, with everything needed to fit them again."""

    version: str
    source: str
    seed: int
    orders: int
    bad: int
    base_points: int
    rules: dict[str, int]
    """Points by reason code."""
    measures: dict[str, int]
    """Hundredths of a point per unit, by name of the quantity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A quantity that carries points of its own."""

    read: Callable[[Signals], float | None]
    """The quantity in its unit; None when unknown, which is worth nothing."""
    unit: str
    evidence: str


def _amount(signals: Signals) -> float | None:
    segment = signals.segment
    if segment is None or segment.amount <= 0 or segment.p75 <= 0:
        return None
    return max(-3.0, min(3.0, math.log2(segment.amount / segment.p75)))


def _youth(signals: Signals) -> float | None:
    if signals.account_age_s is None:
        return None
    return max(0.0, 2.0 - math.log10(1 + max(0, signals.account_age_s) / 86_400))


def _delivered(signals: Signals) -> float | None:
    return None if signals.delivered is None else min(5.0, math.log2(1 + signals.delivered))


MEASURES: Mapping[str, Measure] = {
    "AMOUNT_LEVEL": Measure(read=_amount, unit="doublings of the segment's p75", evidence="order.total"),
    "ACCOUNT_YOUTH": Measure(read=_youth, unit="powers of ten under 100 days", evidence="order.customer.created_at"),
    "DELIVERED_BEFORE": Measure(read=_delivered, unit="doublings of deliveries", evidence="crm.history"),
    "FIRST_ORDER": Measure(read=lambda s: float(bool(s.first_order)), unit="yes or no", evidence="crm.history"),
    "EXPRESS": Measure(read=lambda s: float(s.express), unit="yes or no", evidence="order.shipping_option"),
    "CASH_ON_DELIVERY": Measure(
        read=lambda s: float(s.cash_on_delivery), unit="yes or no", evidence="order.payment.method"
    ),
    "RESALE_UNITS": Measure(
        read=lambda s: float(min(3, s.resale_quantity or 0)), unit="units, 3 at most", evidence="order.lines"
    ),
}
"""Every measured quantity by its reason code."""


@dataclass(frozen=True, kw_only=True)
class ScorecardEdition(Edition):
    """An edition whose trace also lists measured quantities."""

    card: Scorecard

    def trace(self, signals: Signals, *, degraded: bool = False) -> Trace:
        """Which rules fire, and what was measured."""
        found = super().trace(signals, degraded=degraded)
        return replace(found, hits=(*found.hits, *measured_hits(signals, self.card)))


def measured_hits(signals: Signals, card: Scorecard) -> list[Hit]:
    """The measured quantities that carry points for this order."""
    hits = []
    for code, measure in MEASURES.items():
        amount = measure.read(signals)
        points = 0 if amount is None else round(card.measures.get(code, 0) * amount / 100)
        if points:
            value, per = f"{amount:.2f} {measure.unit}", f"{card.measures[code] / 100:.2f} points per unit"
            finding = Finding(value=value, threshold=per, evidence=measure.evidence)
            hits.append(Hit(code=code, group=MEASURED, points=points, finding=finding))
    return hits


def fitted_table(card: Scorecard, table: FraudTable) -> FraudTable:
    """The rules with the card's points; payment and geography still cannot lift an order beyond a review alone."""
    rules = {code: replace(terms, points=card.rules.get(code, 0)) for code, terms in table.rules.items()}
    return replace(
        table,
        version=f"{table.version}+{card.version}",
        rules=rules,
        base_points=card.base_points,
        cap_points=table.cap_points - card.base_points,
    )


@cache
def shipped_scorecard() -> Scorecard:
    """The fitted points that ship.

    Raises:
        ConfigError: the file is missing.
    """
    if not SCORECARD_FILE.exists():
        raise ConfigError(f"{SCORECARD_FILE.name} is missing; run `python -m evals.fraud_scorecard` to fit it")
    return Scorecard.from_json(SCORECARD_FILE.read_bytes())


def scorecard_edition() -> ScorecardEdition:
    """fd-1.1: the published rules with fitted points."""
    card = shipped_scorecard()
    return ScorecardEdition(
        version="fd-1.1",
        table=fitted_table(card, shipped_table()),
        calibration=shipped_calibration(SCORECARD_CALIBRATION_FILE),
        schedule=shipped_thresholds(),
        card=card,
    )
