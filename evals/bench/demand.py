"""Demand forecasts measured beside simple ones on real weekly sales, and the time of 10,000 SKUs.

``python -m evals.bench.demand [FILE.csv]``: a row a product, columns ``Product_Code`` and ``W0`` on; without a file the
one of the folder ``SIGNALBOX_DATA`` names. Errors are the share of a horizon's demand that was missed, on origins the
choice of method has not seen. ``statsforecast`` is printed beside them where it is installed. Exits with 1 over a bar.
"""

import argparse
import csv
import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from agents.demand_forecast import forecast_demand
from agents.demand_methods import PEERS, forecast
from agents.demand_series import DemandMatrix, Matrix, demand_matrix

WEEKS = 52
HORIZON = 8
ORIGINS = (36, 40, 44)
MANY = 10_000
BAR_S = 60.0
BAR_SHARE_OF_NAIVE = 0.75
SHARED = "demand/uci_sales_weekly_dev.csv"


def read(path: Path) -> DemandMatrix:
    """The histories of a file."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return demand_matrix([r["Product_Code"] for r in rows], [[float(r[f"W{t}"]) for t in range(WEEKS)] for r in rows])


def missed(expected: Matrix, actual: Matrix) -> float:
    """Share of the horizon's demand that was not foreseen, or was foreseen and did not come."""
    return float(np.abs(expected * HORIZON - actual).sum() / actual.sum())


def errors(history: DemandMatrix) -> dict[str, list[float]]:
    """By method, one error per origin."""
    found: dict[str, list[float]] = {}
    for origin in ORIGINS:
        past, actual = history.until(origin), history.units[:, origin : origin + HORIZON].sum(axis=1)
        own = forecast_demand(past, horizon=HORIZON)
        found.setdefault("signalbox", []).append(
            missed(np.array([own.by_sku[s].per_period for s in past.skus]), actual)
        )
        for name in (*PEERS, "moving_average"):
            found.setdefault(name, []).append(missed(forecast(past, name), actual))
        for name, expected in others(past).items():
            found.setdefault(name, []).append(missed(expected, actual))
    return found


def others(past: DemandMatrix) -> dict[str, Matrix]:
    """What another library expects, where it is installed."""
    try:
        models: Any = importlib.import_module("statsforecast.models")
    except ImportError:
        return {}
    made = {}
    for name, model in (("statsforecast SESOpt", models.SimpleExponentialSmoothingOptimized), ("IMAPA", models.IMAPA)):
        means = [float(model().forecast(y=np.nan_to_num(row), h=1)["mean"][0]) for row in past.units]
        made[name if name.startswith("stats") else f"statsforecast {name}"] = np.array(means)
    return made


def seconds(history: DemandMatrix) -> float:
    """CPU time of one thread to choose methods for and forecast ``MANY`` SKUs."""
    rows = np.arange(MANY) % len(history.skus)
    many = DemandMatrix(tuple(f"{history.skus[i]}-{n}" for n, i in enumerate(rows)), history.units[rows])
    began = time.thread_time()
    forecast_demand(many, horizon=HORIZON)
    return time.thread_time() - began


def main() -> int:
    """Measure and print; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = os.environ.get("SIGNALBOX_DATA")
    parser.add_argument("file", nargs="?", type=Path, default=Path(shared) / SHARED if shared else None)
    path: Path | None = parser.parse_args().file
    if path is None or not path.exists():
        print("demand: not measured, no file of weekly sales; name one, or set SIGNALBOX_DATA")
        return 0
    history = read(path)
    found = errors(history)
    means = {name: sum(each) / len(each) for name, each in found.items()}
    print(f"missed demand over {HORIZON} weeks, {len(history.skus)} products, origins {ORIGINS}")
    for name in sorted(means, key=lambda one: means[one]):
        print(f"  {name:<28} {means[name]:.3f}  ({', '.join(f'{each:.3f}' for each in found[name])})")
    if not any(name.startswith("statsforecast") for name in means):
        print("  statsforecast: not measured, it is not installed")
    took = seconds(history)
    print(f"{MANY} SKUs chosen for and forecast in {took:.1f} s of one core (bar {BAR_S:.0f} s)")
    good = took <= BAR_S and means["signalbox"] <= BAR_SHARE_OF_NAIVE * means["naive"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
