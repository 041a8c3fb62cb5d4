"""Fits fd-1.1: points for the rules and for measured quantities by logistic regression on matured labels.

Run: ``python -m evals.fraud_scorecard [--orders N] [--seed S]``. It fits on one seed's orders and calibrates on
another's, so that no order is used for both.
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from agents.fraud_calibration import shipped_calibration
from agents.fraud_rules import RULES
from agents.fraud_scorecard import (
    MEASURES,
    POINTS_PER_LOG_ODD,
    REVIEW_AT,
    REVIEW_ODDS,
    SCORECARD_CALIBRATION_FILE,
    SCORECARD_FILE,
    Scorecard,
    ScorecardEdition,
    fitted_table,
)
from agents.fraud_scoring import evaluate
from agents.fraud_segments import shipped_snapshot
from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable, shipped_table
from agents.fraud_thresholds import shipped_thresholds
from evals.fraud_calibration import MEASURED_AT, SOURCE, labelled, measure, write
from evals.fraud_fitting import logistic
from evals.fraud_labels import LabelledOrder, matured

VERSION = "sc-2026-11"
_FEATURES = (*RULES, *MEASURES)
_RIDGE = 2.0


def fit(orders: Iterable[LabelledOrder], *, table: FraudTable, at: datetime, seed: int) -> Scorecard:
    """The scorecard that the labels known ``at`` an instant support. Orders of platforms and our own are fitted alike."""
    known = list(matured(orders, at))
    rows = [features(order.signals, table) for order, _ in known]
    weights = logistic(rows, [float(bad) for _, bad in known], features=1 + len(_FEATURES), ridge=_RIDGE)
    points = [weight * POINTS_PER_LOG_ODD for weight in weights[1:]]
    base = REVIEW_AT + (weights[0] - REVIEW_ODDS) * POINTS_PER_LOG_ODD
    split = len(RULES)
    return Scorecard(
        version=VERSION,
        source=SOURCE,
        seed=seed,
        orders=len(known),
        bad=sum(bad for _, bad in known),
        base_points=round(base),
        rules={code: round(worth) for code, worth in zip(RULES, points[:split], strict=True)},
        measures={code: round(100 * worth) for code, worth in zip(MEASURES, points[split:], strict=True)},
    )


def features(signals: Signals, table: FraudTable) -> Sequence[tuple[int, float]]:
    """What an order has of the features, by place; place 0 is always there."""
    fired = {hit.code for hit in evaluate(signals, table).hits}
    found = [(0, 1.0)]
    for place, code in enumerate(_FEATURES, start=1):
        value = float(code in fired) if code in RULES else MEASURES[code].read(signals)
        if value is not None and not math.isclose(value, 0.0, abs_tol=1e-9):
            found.append((place, value))
    return found


def main() -> None:
    """Fit, calibrate and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=120_000)
    parser.add_argument("--calibrated-on", type=int, default=432_000)
    parser.add_argument("--seed", type=int, default=20261102)
    given = parser.parse_args()
    snapshot, table = shipped_snapshot(), shipped_table()
    card = fit(labelled(given.orders, given.seed, snapshot), table=table, at=MEASURED_AT, seed=given.seed)
    SCORECARD_FILE.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(f"base {card.base_points}", *(f"{code} {worth}" for code, worth in card.rules.items()), sep="\n")
    print(card.measures)
    edition = ScorecardEdition(
        version="fd-1.1",
        table=fitted_table(card, table),
        calibration=shipped_calibration(),
        schedule=shipped_thresholds(),
        card=card,
    )
    orders = labelled(given.calibrated_on, given.seed + 1, snapshot)
    write(measure(orders, edition=edition, at=MEASURED_AT, seed=given.seed + 1), SCORECARD_CALIBRATION_FILE)


if __name__ == "__main__":
    main()
