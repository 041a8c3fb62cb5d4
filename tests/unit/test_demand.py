"""Demand: classes, methods, back-test, forecasts and the day stock runs out."""

import csv
import json
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.campaigns import Observed, campaigns, with_observed
from agents.demand_backtest import backtest, rmsse
from agents.demand_forecast import UNPROVEN, forecast_demand
from agents.demand_methods import METHODS, PEERS, forecast
from agents.demand_series import DemandMatrix, classify, demand_matrix
from agents.stockout import Inbound, Outlook, StockPosition, estimate_stockout
from domain.errors import ConfigError, InputError
from domain.forecast import SeriesClass
from tests.support.payloads import payload

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def weekly() -> DemandMatrix:
    """The shared weekly sales of real products."""
    rows = list(csv.DictReader(payload("demand/uci_sales_weekly_dev.csv").splitlines()))
    return demand_matrix([r["Product_Code"] for r in rows], [[float(r[f"W{t}"]) for t in range(52)] for r in rows])


def chosen_forecast(past: DemandMatrix, horizon: int) -> np.ndarray[Any, Any]:
    found = forecast_demand(past, horizon=horizon)
    return np.array([found.by_sku[sku].per_period for sku in past.skus])


def missed(expected: Any, actual: Any, horizon: int) -> float:
    return float(np.abs(expected * horizon - actual).sum() / actual.sum())


@pytest.mark.parametrize("origin", [36, 40, 44])
def test_the_chosen_methods_miss_less_than_naive_ones_on_real_sales(weekly: DemandMatrix, origin: int) -> None:
    """F33, domain/D1: at least 25 % below naive, and below a moving average, on origins the choice has not seen."""
    past, actual = weekly.until(origin), weekly.units[:, origin : origin + 8].sum(axis=1)
    own = missed(chosen_forecast(past, 8), actual, 8)
    peers = {name: missed(forecast(past, name), actual, 8) for name in (*PEERS, "moving_average")}
    assert own <= 0.52
    assert own <= 0.75 * peers["naive"]
    assert own <= peers["moving_average"]


def test_scaled_errors_and_bias_are_small_on_steady_series(weekly: DemandMatrix) -> None:
    """domain/D3: median RMSSE at most 0.83 and bias at most 6 % over the three origins together."""
    scaled, sold, expected = [], 0.0, 0.0
    for origin in (36, 40, 44):
        own = chosen_forecast(weekly.until(origin), 8)
        scaled.append(rmsse(weekly, origin, own, 8))
        sold += float(weekly.units[:, origin : origin + 8].sum())
        expected += float(own.sum() * 8)
    assert np.nanmedian(np.concatenate(scaled)) <= 0.83
    assert abs(expected / sold - 1) <= 0.06


@pytest.mark.parametrize("origin", [36, 44])
def test_stock_out_days_cover_what_happened(weekly: DemandMatrix, origin: int) -> None:
    """F33, domain/D2: the 80 % range holds 75 to 87 % of real stock-out dates; CRPS at most 1.5 weeks, below naive."""
    past, rng = weekly.until(origin), np.random.default_rng(origin)
    crps, naive, inside = [], [], []
    for i, sku in enumerate(past.skus):
        mean = past.units[i, -8:].mean()
        stock = int(mean * rng.uniform(2, 6))
        if stock <= 0:
            continue
        total = np.concatenate([[0.0], weekly.units[i, origin : origin + 8].cumsum()])
        gone = int((total <= stock).sum())
        actual = 56.0 if gone > 8 else 7 * (gone - 1 + (stock - total[gone - 1]) / (total[gone] - total[gone - 1]))
        outlook = Outlook(today=TODAY, earliest_arrival=TODAY + timedelta(days=28), periods=8)
        estimate = estimate_stockout(StockPosition(sku=sku, on_hand=stock), past.units[i], outlook)
        days = [56 if d is None else (d - TODAY).days for d in (estimate.p10, estimate.p50, estimate.p90)]
        inside.append(days[0] <= actual < days[2] + 1)
        # three quantiles approximate the score: mean pinball loss, doubled
        shares = (0.1, 0.5, 0.9)
        loss = [max(q * (actual - d), (q - 1) * (actual - d)) for q, d in zip(shares, days, strict=True)]
        crps.append(2 * sum(loss) / 3 / 7)
        naive.append(abs(min(56.0, 7 * stock / max(past.units[i, -4:].mean(), 1e-9)) - actual) / 7)
    assert np.mean(crps) <= 1.5
    assert np.mean(crps) < np.mean(naive)
    assert 0.75 <= np.mean(inside) <= 0.87


def test_classes_follow_the_published_cuts() -> None:
    """F33: steady, uneven, rare, rare and uneven, and too new to tell."""
    rare, uneven = [5.0, 0, 0, 5, 0, 0, 5, 0, 0], [1.0, 9, 2, 30, 1, 14, 2, 3, 40]
    lumpy = [1.0, 0, 0, 40, 0, 0, 2, 0, 0]
    rows = [[10.0, 11, 9, 10, 10, 12, 9, 10, 11], uneven, rare, lumpy, [0.0] * 8 + [3]]
    assert classify(demand_matrix(list("abcde"), rows)) == [
        SeriesClass.SMOOTH, SeriesClass.ERRATIC, SeriesClass.INTERMITTENT, SeriesClass.LUMPY, SeriesClass.NEW,
    ]  # fmt: skip


def test_a_stock_out_is_masked_and_not_counted_as_no_demand() -> None:
    """domain/D6: two weeks without stock change nothing when masked, and pull the rate down when counted as zero."""
    steady = [20.0] * 30
    broken = [*steady[:26], 0.0, 0.0, 20.0, 20.0]
    gone = [False] * 26 + [True, True] + [False, False]
    masked = demand_matrix(["a"], [broken], out_of_stock=[gone])
    counted = demand_matrix(["a"], [broken])
    for name in METHODS:
        assert forecast(masked, name)[0] == pytest.approx(20.0, rel=0.06), name
        assert forecast(counted, name)[0] < 19.5, name


def test_a_new_sku_borrows_from_its_category_and_is_never_sure() -> None:
    """domain/D7: fewer than two sales give the category's prior, with a confidence of at most 0.69."""
    rows = [[10.0] * 30, [12.0] * 30, [200.0] * 30, [0.0, 1.0]]
    found = forecast_demand(
        demand_matrix(["a", "b", "c", "new"], rows),
        horizon=4,
        categories={"a": "tea", "b": "tea", "c": "paper", "new": "tea"},
    ).by_sku["new"]
    assert found.series_class is SeriesClass.NEW
    assert found.method == "prior"
    assert 5 < found.per_period < 12
    assert found.confidence <= UNPROVEN


def test_nothing_breaks_on_what_histories_can_look_like() -> None:
    """F33: empty, all unknown, all zero, one period, returns: an answer with its confidence, never a crash."""
    rows: list[list[float | None]] = [[], [None] * 20, [0.0] * 20, [3.0], [-2.0] * 20, [1e9] * 20]
    found = forecast_demand(demand_matrix(list("abcdef"), rows), horizon=6).by_sku
    assert all(np.isfinite(f.per_period) and f.per_period >= 0 for f in found.values())
    assert forecast_demand(demand_matrix([], []), horizon=6).by_sku == {}
    with pytest.raises(InputError, match="infinite"):
        demand_matrix(["a"], [[float("inf")]])
    with pytest.raises(InputError, match="stock-outs"):
        demand_matrix(["a"], [[1.0, 2.0]], out_of_stock=[[True]])


def test_too_little_history_is_said_and_falls_back() -> None:
    """F33: without a back-test the fallback method is used and the confidence says unproven."""
    found = forecast_demand(demand_matrix(["a"], [[5.0, 6, 7, 5, 6, 7]]), horizon=6)
    assert found.backtest.origins == ()
    assert found.by_sku["a"].method == "imapa"
    assert found.by_sku["a"].confidence == UNPROVEN
    assert backtest(demand_matrix(["a"], [[5.0] * 6]), horizon=6).error(SeriesClass.SMOOTH) is None


def outlook(**changes: Any) -> Outlook:
    plain: dict[str, Any] = {"today": TODAY, "earliest_arrival": TODAY + timedelta(days=21), "periods": 12}
    return Outlook(**plain | changes)


def test_steady_demand_runs_out_on_the_computed_day() -> None:
    """F33: 10 a week and 45 units last four and a half weeks; promised units and a delivery move the day."""
    units = np.full(20, 10.0)
    plain = estimate_stockout(StockPosition(sku="a", on_hand=45), units, outlook())
    assert plain.p10 == plain.p50 == plain.p90 == TODAY + timedelta(days=31)
    assert plain.probability_before_arrival == 0
    promised = estimate_stockout(StockPosition(sku="a", on_hand=45, promised=20), units, outlook())
    assert promised.p50 == TODAY + timedelta(days=17)
    assert promised.probability_before_arrival == 1
    assert promised.expected_short == pytest.approx(5)
    coming = (Inbound(units=20, due=TODAY + timedelta(days=14)),)
    later = estimate_stockout(StockPosition(sku="a", on_hand=45, promised=20, inbound=coming), units, outlook())
    assert later.p50 == plain.p50
    assert any("inbound 20" in driver for driver in later.drivers)


def test_a_late_delivery_does_not_save_the_day_and_an_empty_shelf_is_out_today() -> None:
    """F33: what comes after the shelf is empty is no cover; no stock is out of stock now; no demand never runs out."""
    units = np.full(20, 10.0)
    late = (Inbound(units=500, due=TODAY + timedelta(days=40)),)
    assert estimate_stockout(StockPosition(sku="a", on_hand=45, inbound=late), units, outlook()).p50 == (
        TODAY + timedelta(days=31)
    )
    assert estimate_stockout(StockPosition(sku="a", on_hand=0), units, outlook()).p90 == TODAY
    assert estimate_stockout(StockPosition(sku="a", on_hand=3, promised=9), units, outlook()).p90 == TODAY
    assert estimate_stockout(StockPosition(sku="a", on_hand=5), np.zeros(20), outlook()).p10 is None
    assert estimate_stockout(StockPosition(sku="a", on_hand=5), np.full(20, np.nan), outlook()).p10 is None


def test_a_campaign_brings_the_day_forward_and_is_named() -> None:
    """F33: the calendar's multipliers count, and the driver says which event."""
    units = np.full(20, 10.0)
    lifts = campaigns().lifts(date(2026, 12, 7), 12, "SG")
    assert lifts[0][1] == "12.12"
    assert lifts[0][0] > 1
    plain = estimate_stockout(StockPosition(sku="a", on_hand=45), units, outlook(today=date(2026, 12, 7)))
    busy = estimate_stockout(StockPosition(sku="a", on_hand=45), units, outlook(today=date(2026, 12, 7)), future=lifts)
    assert busy.p50 is not None
    assert plain.p50 is not None
    assert busy.p50 < plain.p50
    assert any("12.12" in driver and "sooner" in driver for driver in busy.drivers)


def test_the_same_seed_gives_the_same_estimate() -> None:
    """F33: an estimate can be repeated from its record."""
    units = np.random.default_rng(4).poisson(6, 40).astype(float)
    one, two = (estimate_stockout(StockPosition(sku="a", on_hand=45), units, outlook()) for _ in range(2))
    assert one == two


def test_the_calendar_mixes_in_what_a_shop_has_seen_and_closes_factories() -> None:
    """F33: (n x own + 4 x given) / (n + 4); a lead time over the Lunar New Year is longer; a bad file is one sentence."""
    calendar = campaigns()
    given, name = calendar.lift(date(2026, 11, 11), "SG")
    own = with_observed(calendar, [(name, "SG", "phones", Observed(mean=8.0, count=4))])
    assert own.lift(date(2026, 11, 11), "SG", "phones")[0] == pytest.approx((4 * 8 + 4 * given) / 8)
    assert calendar.closed_days(date(2027, 1, 20), 14, "CN") == (21, "Lunar New Year")
    assert calendar.closed_days(date(2027, 1, 20), 14, "VN")[0] == 9
    assert calendar.closed_days(date(2027, 5, 1), 14, "CN") == (0, "")


def test_a_bad_calendar_names_its_place(tmp_path: Path) -> None:
    """F33: a mistake in the file is told with its place."""
    file = tmp_path / "bad.yaml"
    file.write_text(json.dumps({"version": "x", "events": [{"name": "a", "dates": ["soon"], "offsets": []}]}))
    with pytest.raises(ConfigError, match=r"bad\.yaml: dates"):
        campaigns(file)


def test_ten_thousand_skus_take_seconds() -> None:
    """domain/D4: the time of 10,000 SKUs, measured on a tenth of them, is at most 60 s on one core."""
    rng = np.random.default_rng(1)
    history = DemandMatrix(tuple(f"S{i}" for i in range(1000)), rng.poisson(3, (1000, 104)).astype(float))
    began = time.process_time()
    forecast_demand(history, horizon=8)
    for i, sku in enumerate(history.skus):
        estimate_stockout(StockPosition(sku=sku, on_hand=30), history.units[i], outlook(periods=26))
    assert (time.process_time() - began) * 10 <= 60
