"""Measures the fraud agent's tables on the generated world and writes them beside the agent.

Two stretches of orders follow each other: on the first the map from score to probability is fitted, on the second how
often each action agrees with the truth. Only labels known on the day of measuring count.
Run: ``python -m evals.fraud_calibration [--orders N] [--seed S]``.
"""

import argparse
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agents.fraud_calibration import (
    CALIBRATION_FILE,
    Calibration,
    CalibrationTable,
    Calibrator,
    Confidence,
    ProbabilityMap,
    log_dollars,
    log_odds,
)
from agents.fraud_detection import Edition, FraudDetection, rules_edition
from agents.fraud_policy import Policy
from agents.fraud_sales import MEASURED_OVER, measured
from agents.fraud_scoring import add_up
from agents.fraud_segments import SEGMENTS_FILE, SegmentTable
from domain.risk import SegmentSnapshot
from evals.fraud_fitting import logistic, probability_map, wilson_lower
from evals.fraud_labels import MATURES_AFTER, LabelledOrder, matured
from evals.fraud_world import WORLD_VERSION, FraudWorld, past_sales

SOURCE = "generated orders with late labels (evals/fraud_world.py); not a shop's"
MEASURED_AT = datetime(2026, 11, 1, tzinfo=UTC)
SALES = 120_000
_RIDGE = 0.5


def measured_segments(seed: int, *, sales: int = SALES, until: datetime = MEASURED_AT) -> SegmentSnapshot:
    """Segment quantiles of the generated shop."""
    snapshot_id = f"{WORLD_VERSION}/n{sales}-s{seed}"
    return measured(past_sales(sales, seed, until=until), until=until, snapshot_id=snapshot_id)


def measure(orders: Iterable[LabelledOrder], *, edition: Edition, at: datetime, seed: int = 0) -> CalibrationTable:
    """The calibration of an edition's rules that the labels known ``at`` an instant support."""
    known = list(matured(orders, at))
    half = len(known) // 2
    table, thresholds = edition.table, edition.judging(at)
    draft = CalibrationTable(
        calibration_id=f"{edition.version}/{table.version}/{thresholds.version}/{WORLD_VERSION}/n{len(known)}-s{seed}",
        agent=FraudDetection.name,
        version=edition.version,
        rules=table.version,
        thresholds=thresholds.version,
        source=SOURCE,
        seed=seed,
        orders=len(known),
        measured_from=min((order.placed_at for order, _ in known), default=at),
        measured_to=at,
        probabilities=tuple(_maps(known[:half], edition, at)),
        calibrators=(),
    )
    return draft.model_copy(update={"calibrators": tuple(_calibrators(known[half:], draft, edition, at))})


def _maps(known: Sequence[tuple[LabelledOrder, bool]], edition: Edition, at: datetime) -> Iterable[ProbabilityMap]:
    cases: dict[str, list[tuple[int, bool]]] = {"direct": [], "platform": []}
    for order, bad in known:
        score = add_up(edition.hits(order.signals), edition.table, edition.judging(at)).points
        cases["platform" if order.signals.platform else "direct"].append((score, bad))
    return [probability_map(segment, found) for segment, found in cases.items() if found]


def _calibrators(
    known: Sequence[tuple[LabelledOrder, bool]], draft: CalibrationTable, edition: Edition, at: datetime
) -> Iterable[Calibrator]:
    policy = Policy(edition.table, _Proven(draft, version=draft.version, rules=edition.table.version))
    thresholds = edition.judging(at)
    seen: dict[tuple[str, str], list[tuple[tuple[float, float], bool]]] = {}
    for order, bad in known:
        ruling = policy.rule(edition.hits(order.signals), order.signals, thresholds)
        features = (log_odds(ruling.p_ppm), log_dollars(ruling.costs.margin if ruling.costs else 0))
        key = (ruling.action, policy.market_group(order.signals))
        seen.setdefault(key, []).append((features, bad is (ruling.action != "approve")))
    for (action, group), cases in sorted(seen.items()):
        yield _calibrator(action, group, cases)


class _Proven(Calibration):
    """A calibration that lets every action through, so that how right each is can be measured in the first place."""

    def confidence(self, *, action: str, market_group: str, thresholds: str, p_ppm: int, margin: int) -> Confidence:
        return Confidence(value=1.0, calibrated=True, precision=1.0)


def _calibrator(action: str, group: str, cases: Sequence[tuple[tuple[float, float], bool]]) -> Calibrator:
    right = sum(agreed for _, agreed in cases)
    rows = [((0, 1.0), (1, odds), (2, margin)) for (odds, margin), _ in cases]
    weights = logistic(rows, [float(agreed) for _, agreed in cases], features=3, ridge=_RIDGE)
    return Calibrator(
        action=action,
        market_group=group,
        labels=len(cases),
        right=right,
        lower_bound=round(wilson_lower(right, len(cases)), 4),
        intercept=round(weights[0], 5),
        odds_weight=round(weights[1], 5),
        margin_weight=round(weights[2], 5),
    )


def labelled(count: int, seed: int, snapshot: SegmentSnapshot) -> Iterable[LabelledOrder]:
    """The orders of the 90 days whose labels have all matured on the day of measuring."""
    until = MEASURED_AT - MATURES_AFTER
    return FraudWorld(seed, SegmentTable(snapshot)).orders(count, since=until - MEASURED_OVER, until=until)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=432_000)
    parser.add_argument("--seed", type=int, default=20261101)
    given = parser.parse_args()
    snapshot = measured_segments(given.seed)
    SEGMENTS_FILE.write_text(snapshot.model_dump_json(indent=1) + "\n", encoding="utf-8")
    orders = labelled(given.orders, given.seed, snapshot)
    table = measure(orders, edition=rules_edition(), at=MEASURED_AT, seed=given.seed)
    write(table, CALIBRATION_FILE)


def write(table: CalibrationTable, file: Path) -> None:
    """Write a table and show it."""
    file.write_text(table.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for one in table.probabilities:
        print(f"{one.segment:8} {one.method}: {one.bad} bad of {one.labels}, {len(one.steps)} steps")
    for it in table.calibrators:
        print(f"{it.action:8} {it.market_group:15} {it.right}/{it.labels} right, at least {it.lower_bound}")


if __name__ == "__main__":
    main()
