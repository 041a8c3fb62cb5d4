"""Measures the fraud agent's calibration table on simulated labelled orders and writes it beside the agent.

The labels are simulated: each order is drawn good or bad first, then its features given that label, at feature level.
What the table shows is how the published rules behave on this stated world, not how they would do in a shop.
Run: ``python -m evals.fraud_calibration [--orders N] [--seed S] [--output FILE]``.
"""

import argparse
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from agents.fraud_calibration import CALIBRATION_FILE, Band, CalibrationTable
from agents.fraud_detection import FraudDetection
from agents.fraud_scoring import evaluate, judge
from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable, shipped_table

SOURCE = "simulated labels (evals/fraud_calibration.py), features drawn independently given the label"
WORLD_VERSION = "fraud-world-1"
PLATFORM_SHARE = 0.55
BAD_RATE = {"direct": 0.03, "platform": 0.008}
MIN_CASES = 200
UNCALIBRATED_CAP = 0.69
Z_ONE_SIDED_95 = 1.645
CUTS: tuple[int | None, ...] = (None, 1, 20, 40, 60, 75, 90, 120, None)

CHANCES: dict[str, tuple[float, float]] = {
    "card_velocity": (0.004, 0.42),
    "device_accounts": (0.006, 0.38),
    "ip_velocity": (0.02, 0.25),
    "address_accounts": (0.006, 0.22),
    "avs_known": (0.35, 0.35),
    "avs_fail": (0.03, 0.35),
    "avs_partial": (0.06, 0.15),
    "cvv_fail": (0.004, 0.22),
    "bin_elsewhere": (0.04, 0.40),
    "bin_prepaid": (0.04, 0.20),
    "three_ds": (0.30, 0.05),
    "ip_elsewhere": (0.10, 0.45),
    "proxy": (0.015, 0.30),
    "hosting": (0.01, 0.20),
    "forwarder": (0.03, 0.20),
    "disposable": (0.004, 0.25),
    "new_account": (0.06, 0.50),
    "first_order": (0.30, 0.80),
    "resale_bulk": (0.01, 0.25),
    "express": (0.15, 0.45),
    "cod": (0.12, 0.20),
    "refuser": (0.01, 0.45),
    "phone_invalid": (0.01, 0.12),
    "known_bad": (0.0004, 0.12),
    "good_history": (0.35, 0.02),
    "high_amount": (0.09, 0.35),
}
"""Chance of each feature for a good and for a bad order: stated assumptions, not measurements."""


def draw_case(rng: Random, table: FraudTable) -> tuple[Signals, bool]:
    """One order at feature level with its label (True is bad)."""
    platform = rng.random() < PLATFORM_SHARE
    bad = rng.random() < BAD_RATE["platform" if platform else "direct"]

    def happens(name: str) -> bool:
        return rng.random() < CHANCES[name][bad]

    p95 = table.quantiles["USD"]["p95"]
    first = happens("first_order")
    history = not first and happens("good_history")
    cod = happens("cod")
    refuser = cod and happens("refuser")
    counts = {
        "CARD_VELOCITY": rng.choice((3, 4, 6)) if happens("card_velocity") else rng.choice((1, 1, 1, 2)),
        "DEVICE_MULTI_ACCOUNT": rng.choice((3, 5)) if happens("device_accounts") else 1,
        "IP_VELOCITY": rng.choice((5, 9)) if happens("ip_velocity") else rng.choice((1, 2, 3)),
        "ADDRESS_MULTI_ACCOUNT": 4 if happens("address_accounts") else rng.choice((1, 2)),
    }
    return (
        Signals(
            platform=platform,
            total_minor=p95 + 5000 if happens("high_amount") else rng.randrange(1500, p95 // 2),
            counts={} if platform else counts,
            avs=_avs(happens("avs_known"), happens("avs_fail"), happens("avs_partial")),
            cvv="fail" if happens("cvv_fail") else "match",
            bin_country="BR" if happens("bin_elsewhere") else "SG",
            bin_prepaid=happens("bin_prepaid"),
            three_ds_shift=happens("three_ds"),
            bill_country="SG",
            ship_country="SG",
            ip_country="RU" if happens("ip_elsewhere") else "SG",
            proxy=happens("proxy"),
            hosting=happens("hosting"),
            forwarder=happens("forwarder"),
            email_domain="mailinator.com" if happens("disposable") else "example.com",
            account_age_s=3600 if happens("new_account") else 90 * 86400,
            first_order=first,
            resale_quantity=4 if happens("resale_bulk") else 0,
            express=happens("express"),
            cash_on_delivery=cod,
            refused=5 if refuser else 0,
            delivered=5 if history else 0,
            disputed=0,
            history_age_s=200 * 86400 if history else 0,
            phone_valid=not happens("phone_invalid"),
            known_bad=happens("known_bad"),
        ),
        bad,
    )


def _avs(known: bool, fail: bool, partial: bool) -> str | None:
    if not known:
        return None
    return "fail" if fail else "partial" if partial else "match"


def wilson_lower(right: int, cases: int, z: float = Z_ONE_SIDED_95) -> float:
    """Wilson's lower confidence bound of a share (Wilson 1927), 0 without cases."""
    if cases == 0:
        return 0.0
    share = right / cases
    centre = share + z * z / (2 * cases)
    spread = z * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    return max(0.0, (centre - spread) / (1 + z * z / cases))


def measure(orders: int, seed: int) -> CalibrationTable:
    """Run the rules over ``orders`` simulated orders and count agreement per segment, action and score band."""
    table = shipped_table()
    rng = Random(seed)
    seen: Counter[tuple[str, str, int]] = Counter()
    bads: Counter[tuple[str, str, int]] = Counter()
    for _ in range(orders):
        signals, bad = draw_case(rng, table)
        judgement = judge(evaluate(signals, table).hits, table, platform=signals.platform)
        key = ("platform" if signals.platform else "direct", judgement.action, _band(judgement.score))
        seen[key] += 1
        bads[key] += bad
    return CalibrationTable(
        calibration_id=f"{FraudDetection.version}/{table.version}/{WORLD_VERSION}/n{orders}-s{seed}",
        agent=FraudDetection.name,
        version=FraudDetection.version,
        thresholds=table.version,
        source=SOURCE,
        seed=seed,
        orders=orders,
        min_cases=MIN_CASES,
        uncalibrated_cap=UNCALIBRATED_CAP,
        bands=tuple(_bands(seen, bads)),
    )


def _band(score: int) -> int:
    return sum(score >= cut for cut in CUTS[1:-1] if cut is not None)


def _bands(seen: Counter[tuple[str, str, int]], bads: Counter[tuple[str, str, int]]) -> Iterator[Band]:
    for key in sorted(seen):
        segment, action, index = key
        right = seen[key] - bads[key] if action == "approve" else bads[key]
        yield Band(
            segment=segment,
            action=action,
            low=CUTS[index],
            high=CUTS[index + 1],
            cases=seen[key],
            right=right,
            bad=bads[key],
            lower_bound=round(wilson_lower(right, seen[key]), 4),
        )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=240_000)
    parser.add_argument("--seed", type=int, default=20261101)
    parser.add_argument("--output", type=Path, default=CALIBRATION_FILE)
    given = parser.parse_args()
    table = measure(given.orders, given.seed)
    given.output.write_text(table.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for band in table.bands:
        print(f"{band.segment:8} {band.action:8} {band.low}..{band.high}: n={band.cases} bound={band.lower_bound}")


if __name__ == "__main__":
    main()
