"""A ruling of the fraud agent as a verdict: reasons with value, threshold and evidence, and the facts behind them."""

from agents.fraud_costs import MILLION, dollars
from agents.fraud_degraded import GATE, PeakRuling
from agents.fraud_policy import COST_GATE, TRUST, Ruling
from agents.fraud_scoring import Trace
from agents.fraud_signals import Signals
from agents.fraud_snapshot import snapshot
from agents.fraud_table import FraudTable
from agents.fraud_thresholds import Thresholds
from domain.decision import Outcome, Reason, Verdict
from domain.values import Plain

OUTCOMES = {
    "approve": Outcome.PROCEED,
    "review": Outcome.REVIEW,
    "hold": Outcome.HOLD,
    "reject": Outcome.REJECT,
}


def verdict_on(
    signals: Signals,
    trace: Trace,
    ruling: Ruling,
    *,
    table: FraudTable,
    thresholds: Thresholds,
    counterfactual: tuple[str, ...],
    calibration_id: str,
    peak: PeakRuling | None = None,
) -> Verdict:
    """The verdict; ``peak`` is given when the simplified policy of peak days decided."""
    snoozed = tuple(f"snoozed:{code}" for code in trace.snoozed)
    refused = tuple(f"snooze_refused:{code}" for code in sorted(set(signals.snoozed) & table.unforgivable))
    degraded = ("degraded",) if peak is not None else ()
    return Verdict(
        decision=ruling.action,
        outcome=OUTCOMES[ruling.action],
        confidence=ruling.confidence.value,
        flags=(*ruling.flags, *snoozed, *refused, *degraded),
        reasons=(
            *_rule_reasons(trace, ruling, table),
            *_snooze_reasons(trace, signals, table),
            *_gate_reasons(signals, ruling, thresholds, peak),
            _summary(ruling, thresholds),
        ),
        counterfactual=counterfactual,
        facts=_facts(signals, trace, ruling, thresholds, calibration_id=calibration_id, peak=peak),
        versions={"thresholds": thresholds.version, "calibration": calibration_id},
        inputs=snapshot(signals) | {"rules": table.version},
    )


def _rule_reasons(trace: Trace, ruling: Ruling, table: FraudTable) -> list[Reason]:
    points = dict(ruling.score.entries)
    return [
        Reason(
            code=hit.code,
            text=f"{_rule_id(hit.code, table)}{hit.code}: {hit.finding.value}",
            value=hit.finding.value,
            threshold=hit.finding.threshold,
            points=points[hit.code],
            evidence=hit.finding.evidence,
        )
        for hit in trace.hits
    ]


def _rule_id(code: str, table: FraudTable) -> str:
    terms = table.rules.get(code)
    return f"{terms.rule_id} " if terms else ""


def _snooze_reasons(trace: Trace, signals: Signals, table: FraudTable) -> list[Reason]:
    return [
        Reason(
            code="SNOOZED",
            text=f"{_rule_id(code, table)}{code} is silent for this customer until {signals.snoozed[code]}",
            value=code,
            threshold=signals.snoozed[code],
            points=0,
            evidence="risk.exceptions",
        )
        for code in trace.snoozed
    ]


def _gate_reasons(signals: Signals, ruling: Ruling, thresholds: Thresholds, peak: PeakRuling | None) -> list[Reason]:
    reasons = []
    if TRUST in ruling.gates:
        text = f"the customer is on the trusted list ({signals.trusted})"
        reasons.append(Reason(code=TRUST, text=text, value=signals.trusted, points=0, evidence="risk.exceptions"))
    if COST_GATE in ruling.gates and ruling.costs is not None:
        text = f"expected costs at {_share(ruling.p_ppm)} bad: {ruling.costs.text()}"
        limit = f"approve <= {dollars(ruling.costs.review)} USD"
        value = f"{dollars(ruling.costs.approve)} USD"
        reasons.append(
            Reason(code=COST_GATE, text=text, value=value, threshold=limit, points=0, evidence="facts.expected_cost")
        )
    if "no_rate" in ruling.flags:
        text = f"no usable {signals.currency} rate, so the order's value is unknown; a person decides"
        reasons.append(Reason(code="NO_RATE", text=text, value=signals.currency, threshold="a rate of 30 days"))
    if peak is not None:
        text = f"simplified policy of peak days: {peak.why}"
        limit = f"approve below {thresholds.degraded.approve_below} and p75"
        reasons.append(Reason(code="DEGRADED_MODE", text=text, value=peak.why, threshold=limit, points=0))
    return reasons


def _summary(ruling: Ruling, thresholds: Thresholds) -> Reason:
    score = ruling.score.points
    return Reason(
        code="RISK_SCORE",
        text=f"score {score}, {_share(ruling.p_ppm)} bad: {ruling.action} under {thresholds.version}",
        value=str(score),
        threshold=f"review {thresholds.review}, hold {thresholds.hold}, decline {thresholds.decline}",
        evidence="facts.rules",
    )


def _share(p_ppm: int) -> str:
    return f"{p_ppm / 10_000:.2f} %"


def _facts(
    signals: Signals,
    trace: Trace,
    ruling: Ruling,
    thresholds: Thresholds,
    *,
    calibration_id: str,
    peak: PeakRuling | None,
) -> dict[str, Plain]:
    facts: dict[str, Plain] = {
        "score": ruling.score.points,
        "p_bad": f"{ruling.p_ppm / MILLION:.6f}",
        "rules": [{"code": code, "points": points} for code, points in ruling.score.entries],
        "not_evaluated": list(trace.not_evaluated),
        "snoozed": [{"code": code, "until": signals.snoozed[code]} for code in trace.snoozed],
        "thresholds_version": thresholds.version,
        "calibration_id": calibration_id,
        "calibrated": ruling.confidence.calibrated,
        "mode": "normal" if peak is None else "degraded",
    }
    if ruling.costs is not None:
        costs = {"approve": ruling.costs.approve, "review": ruling.costs.review, "reject": ruling.costs.reject}
        facts["expected_cost"] = {name: dollars(cost) for name, cost in costs.items()}
        facts["expected_cost_currency"] = "USD"
    if signals.segment is not None:
        facts["segment"] = signals.segment.name
    if peak is not None:
        facts["degraded"] = {
            "why": peak.why,
            "budget_gate": GATE,
            "saved_by_review": dollars(peak.saved),
            "rescore_within_h": thresholds.degraded.rescore_within_h,
        }
    return facts
