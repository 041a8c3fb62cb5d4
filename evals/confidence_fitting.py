"""Fits what agents' stated confidences are worth to the answers of people, and proposes it as a dated draft.

Labels are answers of the last 90 days, corrected by outcomes; one curve per action and market group.
"""

from collections.abc import Sequence
from datetime import datetime

from domain.autonomy import POLICY, AutonomyPolicy
from domain.calibration import (
    ISOTONIC_FROM,
    LABELS_WITHIN,
    MILLION,
    ConfidenceCalibration,
    Curve,
    log_odds,
    market_group,
)
from domain.proportions import safe_threshold
from domain.reliability import measured
from domain.values import digest
from evals.fraud_fitting import isotonic, logistic
from graph.runtime.autonomy_ledger import Label

CANDIDATES = tuple(hundredths / 100 for hundredths in range(70, 100))
"""Thresholds that may be suggested: none below the confidence every agent needs to act."""
_RIDGE = 1e-3


def fit(labels: Sequence[Label], *, tenant: str, agent: str, now: datetime, policy: AutonomyPolicy = POLICY) -> (
    ConfidenceCalibration | None
):  # fmt: skip
    """The calibration of an agent's newest version; None when nobody has answered anything of it in 90 days."""
    recent = [label for label in labels if now - label.decided_at <= LABELS_WITHIN]
    if not recent:
        return None
    version = recent[-1].segment.version
    groups: dict[tuple[str, str], list[Label]] = {}
    for label in recent:
        if label.segment.version == version:
            groups.setdefault((label.segment.action, market_group(label.segment.market)), []).append(label)
    curves = tuple(
        _curve(action, group, found, 1 - policy.target_of(action, found[0].segment.outcome))
        for (action, group), found in sorted(groups.items())
    )
    content = digest([curve.model_dump(mode="json") for curve in curves])
    return ConfidenceCalibration(
        calibration_id=f"{agent}-{version}-{now:%Y-%m-%d}-{content[:8]}",
        tenant=tenant,
        agent=agent,
        version=version,
        made_at=now,
        curves=curves,
    )


def _curve(action: str, group: str, labels: Sequence[Label], most_errors: float) -> Curve:
    judged = [(label.stated, label.agreed) for label in labels]
    right = sum(agreed for _, agreed in judged)
    common = {
        "action": action, "market_group": group, "labels": len(judged), "right": right,
        "stated": measured(judged), "most_errors": round(most_errors, 6), "threshold": None,
    }  # fmt: skip
    if len(judged) < ISOTONIC_FROM:
        intercept, slope = _platt(judged)
        curve = Curve.model_validate(common | {"method": "platt", "slope": slope, "intercept": intercept})
    else:
        steps = isotonic((round(stated * MILLION), agreed) for stated, agreed in judged)
        curve = Curve.model_validate(common | {"method": "isotonic", "steps": steps})
    worth = [(round(curve.probability(stated), 4), agreed) for stated, agreed in judged]
    return curve.model_copy(update={"threshold": safe_threshold(worth, most_errors=most_errors, candidates=CANDIDATES)})


def _platt(judged: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Platt's sigmoid over the log odds of what was said, with his smoothed targets (Platt 1999); never falling."""
    right = sum(agreed for _, agreed in judged)
    high, low = (right + 1) / (right + 2), 1 / (len(judged) - right + 2)
    rows = [((0, 1.0), (1, log_odds(stated))) for stated, _ in judged]
    targets = [high if agreed else low for _, agreed in judged]
    intercept, slope = logistic(rows, targets, features=2, ridge=_RIDGE)
    if slope >= 0:
        return intercept, slope
    # Who is surer the less people agree: only the share itself can be promised.
    return log_odds(sum(targets) / len(targets)), 0.0
