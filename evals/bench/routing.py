"""Routing measured: gap to enumeration, latency by lines, batches, and joint choice beside carrier-after-warehouse.

``python -m evals.bench.routing``: every figure is from seeded orders of ``evals.routing_orders``, times are CPU times of
one thread. Exits with 1 when the gap is not 0 or a time is over its bar.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agents.routing_batch import BatchMethod, reroute
from agents.routing_batch_exact import installed
from agents.routing_problem import Problem
from agents.routing_solver import solve
from evals.routing_baselines import carrier_after_warehouse, enumerate_plans, solver_objective
from evals.routing_orders import MISSING_PER_CENT, draw_batch, draw_map, draw_orders

BARS_MS = {5: 5.0, 10: 150.0}
"""p95 by number of lines."""
BATCH_BAR_S = 2.0
"""For a hundred orders."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report, and whether it is within its bar."""

    text: str
    met: bool = True


def gap(orders: int = 200) -> Finding:
    """The largest gap to plain enumeration on orders of up to four lines."""
    small = draw_map(1, sites=3, services=3)
    worst = solved = 0
    for problem in draw_orders(1, orders, lines=(1, 2, 3, 4), on=small):
        best = min((plan.objective_minor for plan in enumerate_plans(problem)), default=None)
        routing = solve(problem)
        found = routing.best.objective_minor if routing else None
        solved += best is not None
        worst = max(worst, abs((found or 0) - (best or 0)), 0 if (found is None) == (best is None) else 1 << 30)
    text = f"gap to enumeration on {orders} orders of 1 to 4 lines ({solved} routable): {worst} minor units"
    return Finding(text=text, met=worst == 0)


def agreement(orders: int = 300) -> Finding:
    """How many orders of five lines have the same optimum by CP-SAT."""
    if not installed():
        return Finding(text="agreement with CP-SAT: not measured, the extra 'routing' is not installed")
    same = 0
    for problem in draw_orders(2, orders, lines=(5,)):
        routing = solve(problem)
        same += (routing.best.objective_minor if routing else None) == solver_objective(problem)
    return Finding(text=f"same optimum as CP-SAT on {same} of {orders} orders of 5 lines", met=same == orders)


def latency(lines: int, orders: int) -> Finding:
    """CPU time per order of so many lines on six sites with eight services."""
    times = sorted(_cpu_ms(problem) for problem in draw_orders(3, orders, lines=(lines,)))
    p50, p95 = statistics.median(times), times[max(0, -(-len(times) * 95 // 100) - 1)]
    bar = BARS_MS.get(lines)
    text = f"{lines:2} lines: p50 {p50:7.2f} ms, p95 {p95:7.2f} ms" + (f" (bar {bar:g} ms)" if bar else "")
    return Finding(text=text, met=bar is None or p95 <= bar)


def _cpu_ms(problem: Problem) -> float:
    began = time.thread_time()
    solve(problem)
    return (time.thread_time() - began) * 1_000


def batch(count: int, method: BatchMethod) -> Finding:
    """One batch of orders with tight stock."""
    orders, stock = draw_batch(1, count, skus=count * 6 // 10, most=6)
    began = time.process_time()
    plan = reroute(orders, stock, parcels_left={}, method=method)
    took = time.process_time() - began
    saved = (plan.first_come_minor - plan.cost_minor) * 100 / plan.first_come_minor
    text = (
        f"batch of {count:3}, {method.value:8}: {took:5.2f} s, {len(plan.unserved)} not served, "
        f"{saved:4.1f} % below first come, gap at most {plan.gap_per_mille / 10:.1f} %"
    )
    return Finding(text=text, met=count != 100 or took <= BATCH_BAR_S)


def comparison(orders: int = 1_000) -> Finding:
    """Joint choice beside fewest sites first and the cheapest carrier afterwards, over ten maps."""
    stuck = optimal = routable = 0
    dearer: list[float] = []
    for seed in range(10):
        for problem in draw_orders(100 + seed, orders // 10, lines=(1, 1, 2, 2, 3, 4)):
            routing = solve(problem)
            if routing is None:
                continue
            routable += 1
            other = carrier_after_warehouse(problem)
            if other is None:
                stuck += 1
                continue
            ratio = other.objective_minor / routing.best.objective_minor
            optimal += other.objective_minor == routing.best.objective_minor
            dearer.append(ratio)
    text = (
        f"carrier after warehouse ({MISSING_PER_CENT} % of lanes missing): {stuck} of {routable} routable orders stuck, "
        f"median {100 * (statistics.median(dearer) - 1):.0f} % dearer where not, optimal in "
        f"{100 * optimal / routable:.0f} %"
    )
    return Finding(text=text, met=stuck > 0 and min(dearer) >= 1)


def findings(scale: int) -> Iterator[Finding]:
    """Every figure; ``scale`` divides the number of orders for a quick look."""
    yield gap(200 // scale)
    yield agreement(300 // scale)
    for lines, orders in ((1, 300), (3, 300), (5, 300), (8, 60), (10, 40)):
        yield latency(lines, max(5, orders // scale))
    for count in (50, 100, 200):
        yield batch(count // scale, BatchMethod.SEARCHED)
        if installed():
            yield batch(count // scale, BatchMethod.PROVED)
    yield comparison(1_000 // scale)


def main(given: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the orders")
    missed = 0
    for finding in findings(10 if parser.parse_args(given).quick else 1):
        print(f"{'ok  ' if finding.met else 'MISS'} {finding.text}", flush=True)
        missed += not finding.met
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
