"""What a demo shows: the bars while it runs, the summary, and what to try next."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.cli.reconcile import print_report
from api.cli.terminal import remark, say, table
from api.reconcile.report import Report
from domain.order import OrderProgress
from domain.review import Review
from evals.replay import Tally
from graph.bootstrap.system import Signalbox

_SHOWN = (OrderProgress.FULFILLED, OrderProgress.BACKORDERED, OrderProgress.CANCELLED)


class ProgressBars:
    """Two bars on stderr: what was sent, and what has been decided so far."""

    def __init__(self, box: Signalbox, orders: int) -> None:
        """``box`` counts in this process; ``orders`` is what both bars run to."""
        self._box = box
        self._bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[told]}"),
            console=Console(stderr=True),
            refresh_per_second=8,
        )
        self._submitted = self._bars.add_task("submitted", total=orders, told="")
        self._decided = self._bars.add_task("decided", total=orders, told="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def sent(self, tally: Tally) -> None:
        """One more delivery was answered."""
        told = f"{tally.repeated} repeated, {tally.refused} forged and refused"
        self._bars.update(self._submitted, completed=tally.accepted, told=told)
        self.look()

    def look(self) -> None:
        """Read the counters again."""
        reached = {progress: self._count("signalbox_orders_total", "progress", progress) for progress in OrderProgress}
        waiting = self._count("signalbox_reviews_total", "event", "requested")
        told = [f"{reached[progress]} {progress}" for progress in _SHOWN if reached[progress]]
        told.append(f"{waiting} in review")
        done = sum(count for progress, count in reached.items() if progress.terminal) + waiting
        self._bars.update(self._decided, completed=done, told=", ".join(told))

    def _count(self, name: str, label: str, value: str) -> int:
        return int(self._box.store.metrics.registry.get_sample_value(name, {label: value}) or 0)


def print_summary(summary: dict[str, Any], tally: Tally, report: Report) -> None:
    """The summary as tables, and whether the books add up."""
    say("")
    say(f"{summary['accepted']} orders accepted", style="bold")
    say(f"deliveries that came twice and changed nothing: {tally.repeated}; forged and refused: {tally.refused}")
    say("")
    outcomes = summary["outcomes"] | {"in review": summary["in_review"], "dead letter": summary["dead_letter"]}
    table(("outcome", "orders"), outcomes.items(), right=("orders",))
    table(("effect outside", "applied"), summary["effects"].items(), right=("applied",))
    spreads = ((name, *spread.values()) for name, spread in _latencies(summary).items())
    table(("latency, ms", "p50", "p95", "p99"), spreads, right=("p50", "p95", "p99"))
    agents = (
        (name, of["decisions"], of["p50_ms"], of["p95_ms"], f"{of['cost_usd']:.2f}", of["overrides"])
        for name, of in summary["agents"].items()
    )
    columns = ("decisions", "p50 ms", "p95 ms", "cost USD", "overruled")
    table(("agent", *columns), agents, right=columns)
    print_report(report)


def _latencies(summary: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        "accepted and durable": summary["latency_ms"]["accept"],
        "ended or with a person": summary["latency_ms"]["routed"],
    }


def print_invitation(home: Path, url: str, reviews: Sequence[Review], *, link: str, quiet: bool) -> None:
    """Where everything is and what to try; on stderr when stdout belongs to the JSON."""
    tell = remark if quiet else say
    command = f"signalbox --home {home}"
    tell("")
    tell(f"Up until Ctrl-C:  API {url}   metrics {url}/metrics   health {url}/healthz")
    tell(f"Console:          {link}   (signs you in once, within 15 minutes; later: {command} console)")
    tell(f"Data in {home}; API keys: {command} keys")
    tell("Try, in another terminal:")
    if not reviews:
        tell(f"  {command} orders list")
        tell(f"  {command} agents conflicts")
    else:
        review = next(filter(_only_fraud, reviews), reviews[0])
        tell(f"  {command} reviews show {review.review_id}")
        tell(f"  {command} why {review.entity_id}")
        tell(f"  {command} reviews decide {review.review_id} --approve --as you --reason 'known customer'")
    tell(f"  {command} reconcile")


def _only_fraud(review: Review) -> bool:
    """Whether an approval lets the order go: nothing but suspicion holds it."""
    grounds = review.facts.get("grounds")
    return isinstance(grounds, list) and all(str(ground).startswith("fraud_detection:") for ground in grounds)
