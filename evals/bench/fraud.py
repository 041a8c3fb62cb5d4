"""Figures of the fraud agent: what it costs, whether its probabilities hold, what it finds, how long it takes.

Run: ``python -m evals.bench.fraud [--orders N]``. Exit status 1 when a bar is missed.
"""

import argparse
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from statistics import quantiles

from agents.fraud_costs import MILLION
from agents.fraud_detection import Edition, FraudJudge, rules_edition
from agents.fraud_scorecard import scorecard_edition
from agents.fraud_segments import SegmentTable, shipped_snapshot
from evals.fraud_calibration import MEASURED_AT
from evals.fraud_labels import matured
from evals.fraud_measures import Case, Ruler, calibration_error, cost_per_order, detection, pass_mark, recall_at
from evals.fraud_transactions import FILE, REVIEW_SHARE, compare, read_transactions
from evals.fraud_world import FraudWorld, Mix

COST_BAR = 0.65
LATENCY_BAR_MS = 5.0
LABELS = 1_000
SEED = 101


def held_out(orders: int) -> list[Case]:
    """Orders of our own checkout with 3 % fraud that nothing was fitted on."""
    shop = FraudWorld(SEED, SegmentTable(shipped_snapshot()), mix=Mix(direct_share=1.0, bad_direct=0.03))
    found = shop.orders(orders, since=MEASURED_AT, until=MEASURED_AT + timedelta(days=90))
    return list(matured(found, MEASURED_AT + timedelta(days=4_000)))


def report(edition: Edition, cases: list[Case]) -> list[str]:
    """Print one version's figures; the names of the bars it misses."""
    thresholds = edition.judging(MEASURED_AT)
    ruler, terms = Ruler(edition, thresholds), thresholds.costs
    single = cost_per_order(cases, ruler.single_gate, terms)
    cheapest, agent = (cost_per_order(cases, choose, terms) for choose in (ruler.cheapest, ruler.action))
    found = detection(cases, ruler.action)
    said = [ruler.p_ppm(order.signals) for order, _ in cases]
    bads = [bad for _, bad in cases]
    error = calibration_error([p / MILLION for p in said[:LABELS]], bads[:LABELS])
    mark = pass_mark(said[:LABELS], bads[:LABELS], seed=SEED)
    p95 = latency_p95_ms(edition, cases)
    print(f"{edition.version} on {len(cases)} generated orders, {sum(bads)} bad (seed {SEED})")
    print(
        f"  cost per order: single 0.7 gate {single / 100:.2f}, argmin {cheapest / 100:.2f}, agent {agent / 100:.2f} USD"
    )
    print(f"  ratio to the single gate: argmin {cheapest / single:.3f}, agent {agent / single:.3f} (bar {COST_BAR})")
    print(f"  recall {found.recall:.3f}, false flags {found.false_flags:.3f}, flagged {found.flagged:.3f}")
    print(
        f"  recall at a {REVIEW_SHARE:.0%} review rate: {recall_at([float(p) for p in said], bads, REVIEW_SHARE):.3f}"
    )
    print(f"  calibration error on {LABELS} labels {error:.4f}, noise floor p95 {mark:.4f}")
    print(f"  decision p95 {p95:.3f} ms (bar {LATENCY_BAR_MS:.0f} ms)")
    missed = {
        "argmin cost": cheapest > COST_BAR * single,
        "agent cost": agent > COST_BAR * single,
        "calibration": error > mark,
        "latency": p95 > LATENCY_BAR_MS,
    }
    return [f"{edition.version} {name}" for name, is_missed in missed.items() if is_missed]


def latency_p95_ms(edition: Edition, cases: list[Case], count: int = 2_000) -> float:
    """95th percentile of a whole verdict, reasons and counterfactual included, in milliseconds."""
    judge, took = FraudJudge(edition), []
    for order, _ in cases[:count]:
        started = time.perf_counter()
        judge.judge(order.signals, at=MEASURED_AT)
        took.append((time.perf_counter() - started) * 1_000)
    return quantiles(took, n=20)[-1]


def shared_data() -> Path | None:
    """The folder of shared data: SIGNALBOX_DATA, else beside the checkout; None when it is not there."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SIGNALBOX_DATA", beside))
    return folder if (folder / FILE).is_file() else None


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000)
    cases = held_out(parser.parse_args().orders)
    editions = (rules_edition(), scorecard_edition())
    missed = [bar for edition in editions for bar in report(edition, cases)]
    folder = shared_data()
    if folder is None:
        print("shared transactions: not there, skipped (set SIGNALBOX_DATA)")
    else:
        seen = compare(read_transactions(folder), editions)
        agents = ", ".join(f"{version} {recall:.3f}" for version, recall in seen.agent.items())
        print(f"shared transactions: the later {seen.measured} labelled ones, {seen.bad} bad")
        print(f"  recall at a {REVIEW_SHARE:.0%} review rate: {agents} (never fitted on this data)")
        print(f"  plain logistic regression, fitted on the earlier {seen.fitted}: {seen.regression:.3f}")
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
