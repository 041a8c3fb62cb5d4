"""From fired rules to one decision: hard blocks, trusted list, score, expected cost, and what may be done unasked.

Each step may only raise the severity, save the trusted list, which no hard block passes, and the marketplace clamp.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from agents.fraud_calibration import UNCALIBRATED_CAP, Calibration, Confidence
from agents.fraud_costs import ExpectedCosts, expected_costs
from agents.fraud_scoring import ACTIONS, PLATFORM_CODE, Hit, Score, add_up
from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable
from agents.fraud_thresholds import Thresholds

COST_GATE = "EXPECTED_COST"
TRUST = "TRUSTED_CUSTOMER"
_APPROVE, _REVIEW, _HOLD, _REJECT = range(len(ACTIONS))
_COST_FLOOR = {"approve": _APPROVE, "review": _REVIEW, "reject": _HOLD}
"""The least severe action an expected cost may lead to: rejecting unasked stays a matter of the decline threshold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """One decision and what it rests on."""

    action: str
    score: Score
    p_ppm: int
    """Probability that the order is bad, in millionths."""
    costs: ExpectedCosts | None
    """None without an exchange rate."""
    confidence: Confidence
    gates: tuple[str, ...] = ()
    """Steps beyond the score that made the decision: TRUSTED_CUSTOMER, EXPECTED_COST."""
    flags: tuple[str, ...] = ()


class Policy:
    """The rules' table and the calibration of one version of the agent, applied."""

    def __init__(self, table: FraudTable, calibration: Calibration) -> None:
        """Both are of the same version of the agent."""
        self.table = table
        self.calibration = calibration

    def market_group(self, signals: Signals) -> str:
        """Which orders share a calibrator with this one."""
        if signals.platform:
            return "platform"
        return self.table.market_groups.get(signals.ship_country or "", self.table.other_markets)

    def rule(
        self, hits: Sequence[Hit], signals: Signals, thresholds: Thresholds, *, without: Collection[str] = ()
    ) -> Ruling:
        """The decision; ``without`` names gates to leave out, to learn what hangs on them."""
        score, p_ppm, costs = self.weigh(hits, signals, thresholds)
        trusted = signals.trusted is not None and TRUST not in without
        if trusted and not {hit.code for hit in hits} & self.table.unforgivable:
            return self._trusting(score, p_ppm, costs, signals, thresholds)
        severity, gates = score.severity, []
        if costs is not None and COST_GATE not in without and _COST_FLOOR[costs.cheapest] > severity:
            severity = _COST_FLOOR[costs.cheapest]
            gates.append(COST_GATE)
        return self.settle(severity, score, p_ppm, costs, signals=signals, thresholds=thresholds, gates=tuple(gates))

    def weigh(
        self, hits: Sequence[Hit], signals: Signals, thresholds: Thresholds
    ) -> tuple[Score, int, ExpectedCosts | None]:
        """Score, probability of being bad in millionths, and expected costs (None without an exchange rate)."""
        score = add_up(hits, self.table, thresholds)
        p_ppm = self.calibration.p_ppm("platform" if signals.platform else "direct", score.points)
        if signals.usd_cents is None:
            return score, p_ppm, None
        return score, p_ppm, expected_costs(p_ppm=p_ppm, amount_cents=signals.usd_cents, terms=thresholds.costs)

    def settle(
        self,
        severity: int,
        score: Score,
        p_ppm: int,
        costs: ExpectedCosts | None,
        *,
        signals: Signals,
        thresholds: Thresholds,
        gates: tuple[str, ...] = (),
    ) -> Ruling:
        """Clamp a severity to what the channel allows and precision has earned, and attach its confidence."""
        flags = []
        if signals.platform:
            flags.append("platform_screened")
            severity = min(severity, _REVIEW)
            score = Score(points=score.points, severity=severity, entries=(*score.entries, (PLATFORM_CODE, 0)))
        confidence = self._confidence(ACTIONS[severity], p_ppm, costs, signals, thresholds)
        if severity == _REJECT and confidence.precision < thresholds.reject_precision:
            severity = _HOLD
            flags.append("precision_gate")
            confidence = self._confidence(ACTIONS[severity], p_ppm, costs, signals, thresholds)
        if costs is None:
            flags.append("no_rate")
            confidence = _capped(confidence)
        if not confidence.calibrated:
            flags.append("uncalibrated")
        return Ruling(
            action=ACTIONS[severity],
            score=score,
            p_ppm=p_ppm,
            costs=costs,
            confidence=confidence,
            gates=gates,
            flags=tuple(flags),
        )

    def _confidence(
        self, action: str, p_ppm: int, costs: ExpectedCosts | None, signals: Signals, thresholds: Thresholds
    ) -> Confidence:
        return self.calibration.confidence(
            action=action,
            market_group=self.market_group(signals),
            thresholds=thresholds.version,
            p_ppm=p_ppm,
            margin=costs.margin if costs else 0,
        )

    def _trusting(
        self, score: Score, p_ppm: int, costs: ExpectedCosts | None, signals: Signals, thresholds: Thresholds
    ) -> Ruling:
        """Approve on the risk desk's word, which also gives the confidence once the agent is calibrated at all."""
        measured = self._confidence("approve", p_ppm, costs, signals, thresholds)
        value = max(measured.value, thresholds.trusted_confidence)
        confidence = Confidence(value=value, calibrated=measured.calibrated, precision=measured.precision)
        flags = ("platform_screened", "trusted") if signals.platform else ("trusted",)
        if not measured.calibrated:
            confidence, flags = _capped(confidence), (*flags, "uncalibrated")
        return Ruling(
            action="approve", score=score, p_ppm=p_ppm, costs=costs, confidence=confidence, gates=(TRUST,), flags=flags
        )


def _capped(confidence: Confidence) -> Confidence:
    value = min(confidence.value, UNCALIBRATED_CAP)
    return Confidence(value=value, calibrated=confidence.calibrated, precision=confidence.precision)
