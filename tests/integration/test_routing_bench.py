"""The routing benchmark's figures on fewer orders: gap 0, time bars, and the baseline that gets stuck."""

import pytest

from agents.routing_batch_exact import installed
from evals.bench.routing import agreement, comparison, gap, latency, main
from evals.routing_baselines import carrier_after_warehouse
from evals.routing_orders import draw_map, draw_orders


def test_the_gap_to_enumeration_is_nothing() -> None:
    """domain/R1: the published generator's 200 orders of up to four lines, every one at its optimum."""
    finding = gap(200)
    assert finding.met
    assert "0 minor units" in finding.text


@pytest.mark.skipif(not installed(), reason="the extra 'routing' (ortools) is not installed")
def test_dynamic_programming_equals_the_solver() -> None:
    """domain/R1: the same optimum as CP-SAT on orders of five lines (all 300 in the benchmark)."""
    assert agreement(60).met


@pytest.mark.parametrize(("lines", "orders"), [(5, 60), (10, 20)])
def test_latency_is_within_its_bar(lines: int, orders: int) -> None:
    """domain/R2: p95 of computing at most 5 ms for five lines, 150 ms for ten."""
    finding = latency(lines, orders)
    assert finding.met, finding.text


def test_the_carrier_after_the_warehouse_gets_stuck_or_pays_more() -> None:
    """F32: on the published generator joint choice is never dearer, and the other way leaves orders without a route."""
    finding = comparison(300)
    assert finding.met, finding.text


def test_the_generator_is_repeatable_and_leaves_lanes_out() -> None:
    """F32: the same seed gives the same problems; about 30 % of the lanes are missing."""
    assert draw_orders(5, 20, lines=(1, 2)) == draw_orders(5, 20, lines=(1, 2))
    assert draw_orders(5, 20, lines=(1, 2)) != draw_orders(6, 20, lines=(1, 2))
    lanes = sum(len(offers) for offers in draw_map(1).offers.values())
    assert 0.6 < lanes / (6 * 8 * 8) < 0.8
    assert any(carrier_after_warehouse(problem) is None for problem in draw_orders(1, 100, lines=(1, 2, 3)))


def test_the_report_prints_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    """F13: the quick run of the benchmark names gap, latency, batches and baseline."""
    main(["--quick"])
    printed = capsys.readouterr().out
    for figure in ("gap to enumeration", "CP-SAT", " 5 lines", "10 lines", "batch of  10", "carrier after warehouse"):
        assert figure in printed
