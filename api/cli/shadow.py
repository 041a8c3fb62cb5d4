"""``signalbox shadow-test``: may this version of an agent be released; exit code 0 only when it may."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, print_json, remark, say, table

if TYPE_CHECKING:
    from evals.shadow_report import ShadowReport

_SAMPLE = re.compile(r"last_([1-9][0-9]{0,6})")


def shadow_test(
    context: typer.Context,
    agent: Annotated[str, typer.Option("--agent", help="The agent, as the topology names it.")],
    old_version: Annotated[str, typer.Option("--old-version", help="The version that runs.")],
    new_version: Annotated[str, typer.Option("--new-version", help="The version that may take its place.")],
    order_sample: Annotated[str, typer.Option("--order-sample", help="last_N: the last N orders.")] = "last_1000",
    output_report: Annotated[
        Path | None, typer.Option("--output-report", help="Write the report here: a page (.html), else JSON.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="What orders turned out to be (JSON lines, CSV).")
    ] = None,
    hard_set: Annotated[
        Path | None, typer.Option("--hard-set", help="A hard set of your own, beside the shipped one.")
    ] = None,
    world: Annotated[int, typer.Option("--world", min=0, max=100_000, help="Generated orders instead of our own.")] = 0,
    person: Annotated[str, typer.Option("--as", help="Who runs it.")] = "operator",
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Play past orders to two versions of an agent and hold the new one against the release gate.

    Each order is judged on what was known then; neither version can reach anything outside. Exit 1 when refused.
    """
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring

    sample = _SAMPLE.fullmatch(order_sample)
    if sample is None:
        raise InputError(f"--order-sample is last_N with a whole number, for example last_1000, not {order_sample!r}")
    wanted = _Wanted(
        agent=agent, old_version=old_version, new_version=new_version, last=int(sample[1]), world=world, person=person,
        labels=labels, hard_set=hard_set, tenant=tenant, quiet=as_json,
    )  # fmt: skip
    report = run(_test(invocation_of(context), wanted))
    if output_report is not None:
        write_report(output_report, report)
    if as_json:
        print_json(report.shown())
    else:
        print_report(report, output_report)
    if not report.passed:
        raise typer.Exit(1)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """The options of one run."""

    agent: str
    old_version: str
    new_version: str
    last: int
    world: int
    person: str
    labels: Path | None
    hard_set: Path | None
    tenant: str | None
    quiet: bool


async def _test(at: Invocation, wanted: _Wanted) -> "ShadowReport":
    from api.shadow import Trial, check, run_test  # noqa: PLC0415  # see the package's docstring
    from evals.labelled import read_cases  # noqa: PLC0415  # see the package's docstring
    from evals.shadow_labels import read_labels  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), wanted.tenant)
    trial = Trial(
        tenant=owner.tenant,
        agent=wanted.agent,
        old_version=wanted.old_version,
        new_version=wanted.new_version,
        last=wanted.last,
        made_by=wanted.person,
        world=wanted.world,
        labels=read_labels(wanted.labels) if wanted.labels else {},
        hard=read_cases(wanted.hard_set) if wanted.hard_set else None,
    )
    check(trial)
    async with at.opened() as box:
        with _progress(wanted.quiet) as tell:
            return await run_test(box, trial, tell)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr that moves with every case."""
    from rich.console import Console  # noqa: PLC0415  # see the package's docstring
    from rich.progress import (  # noqa: PLC0415  # see the package's docstring
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    if quiet:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("cases", total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell


def write_report(path: Path, report: "ShadowReport") -> None:
    """The report as a file: a page with the JSON beside it, or the JSON alone."""
    import orjson  # noqa: PLC0415  # see the package's docstring

    if path.suffix.lower() in {".html", ".htm"}:
        from evals.shadow_page import page  # noqa: PLC0415  # see the package's docstring

        path.write_text(page(report), encoding="utf-8")
        path = path.with_suffix(".json")
    path.write_bytes(orjson.dumps(report.shown(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def print_report(report: "ShadowReport", path: Path | None) -> None:
    """The report for people."""
    say(f"{report.agent} {report.old_version} to {report.new_version}: {report.verdict}", style="bold")
    say(
        f"{report.compared} cases in {report.took_s:.1f} s: {report.sample.found} orders from the {report.sample.source}"
        + (f", {report.hard.n} of the hard set {report.hard.name}" if report.hard else "")
    )
    if report.sample.note:
        say(report.sample.note)
    say("")
    rows = [(name, *counts) for name, counts in zip(report.actions, report.matrix, strict=True)]
    table((f"{report.old_version} \\ {report.new_version}", *report.actions), rows, right=report.actions)
    sides = [
        (one.version, one.answered, one.unanswered, f"{one.latency_p50_ms:.2f}", f"{one.latency_p95_ms:.2f}",
         f"{one.usd_micro_per_decision / 1e6:.6f}", "-" if one.mean_confidence is None else f"{one.mean_confidence:.3f}")
        for one in (report.old, report.new)
    ]  # fmt: skip
    table(("version", "answered", "no answer", "p50 ms", "p95 ms", "USD a decision", "confidence"), sides)
    say(report.power_statement)
    say("")
    for gate in report.gates:
        say(
            f"{'ok    ' if gate.passed else 'FAILED'} {gate.rule}: {gate.said}", style="" if gate.passed else "bold red"
        )
    for flip in report.flips[:10]:
        better = {True: "better", False: "worse", None: ""}[flip.better]
        say(f"  {flip.order_id}: {flip.old} became {flip.new} ({flip.segment}) {flip.label} {better}")
    if len(report.flips) > 10:
        say(f"  and {len(report.flips) - 10} more, all in the report")
    remark(f"report {report.report_id}" + (f" written to {path}" if path else " kept"))
