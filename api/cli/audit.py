"""``signalbox audit``: is the record of who did what still what was written, and how it is kept for years."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, print_json, say

if TYPE_CHECKING:
    from graph.runtime.audit_export_check import ExportReport

app = typer.Typer(help="The append-only audit.", no_args_is_help=True)

By = Annotated[str, typer.Option("--as", metavar="USER", help="Who does it; the audit names them.", envvar="USER")]
Format = Annotated[str, typer.Option("--format", help="parquet (needs the extra 'export') or csv.")]


@app.command()
def verify(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")] = None,
    export: Annotated[Path | None, typer.Option("--export", help="Check the exports in this folder instead.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="With --export: without asking this home's audit what it exported.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check every hash chain, or exported months; exit 1 and name the first bad row of each that does not hold."""
    if export is not None:
        _verify_export(context, export, alone=alone, as_json=as_json)
        return
    report = run(_verify(invocation_of(context), tenant))
    if as_json:
        print_json(report)
    else:
        for bad in report["broken"]:
            row = f"row {bad['position']} ({bad['event_id'] or 'gone'})"
            say(f"{bad['entity_id']} (tenant {bad['tenant']}): {row} {bad['tampering']}: {bad['detail']}")
        say(f"{report['chains']} chains, {report['rows']} rows: {'intact' if report['intact'] else 'NOT INTACT'}")
    if not report["intact"]:
        raise typer.Exit(1)


async def _verify(at: Invocation, tenant: str | None) -> dict[str, Any]:
    async with at.opened() as box:
        report = await box.audit.verify(tenant=tenant)
        return {"intact": report.intact} | report.model_dump(mode="json")


def _verify_export(context: typer.Context, folder: Path, *, alone: bool, as_json: bool) -> None:
    from graph.runtime.audit_export_check import check_export  # noqa: PLC0415  # see the package's docstring

    report = check_export(folder) if alone else run(_checked(invocation_of(context), folder))
    if as_json:
        print_json({"intact": report.intact} | report.model_dump(mode="json"))
    else:
        for problem in report.problems:
            say(problem)
        state = "intact" if report.intact else "NOT INTACT"
        say(f"{len(report.months)} months, {report.rows} rows: {state}")
    if not report.intact:
        raise typer.Exit(1)


async def _checked(at: Invocation, folder: Path) -> "ExportReport":
    from graph.runtime.audit_export import AuditExport  # noqa: PLC0415  # see the package's docstring
    from graph.runtime.audit_export_check import check_export  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return check_export(folder, await AuditExport(box.engine, box.audit).recorded())


@app.command()
def export(
    context: typer.Context,
    month: Annotated[str, typer.Option("--month", help="Month of recording in UTC, like 2026-11.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder; the month becomes a folder in it.")],
    form: Format = "parquet",
    by: By = "operator",
    as_json: AsJson = False,
) -> None:
    """Write a month of the audit to files with a manifest that 'audit verify --export' checks."""
    made = run(_export(invocation_of(context), month, to, form=form, by=by))
    if as_json:
        print_json(made)
    else:
        say(f"{made['rows']} rows in {made['chains']} chains to {made['folder']}, manifest {made['manifest']}")
        if not made["complete"]:
            say("the month is not over: export it again when it is")


async def _export(at: Invocation, month: str, to: Path, *, form: str, by: str) -> dict[str, Any]:
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring
    from graph.runtime.audit_export import AuditExport  # noqa: PLC0415  # see the package's docstring
    from graph.runtime.audit_files import Format as Kind  # noqa: PLC0415  # see the package's docstring

    if form not in list(Kind):
        raise InputError(f"--format is {form!r}; it must be one of {', '.join(Kind)}")
    async with at.opened() as box:
        audit = AuditExport(box.engine, box.audit)
        made = await audit.month(month, to, form=Kind(form), by=by, at=box.clock.now())
    said = made.manifest.model_dump(mode="json", include={"month", "rows", "chains", "complete"})
    return said | {"folder": str(made.folder), "manifest": made.sha256}


@app.command()
def prune(
    context: typer.Context,
    export: Annotated[Path, typer.Option("--export", metavar="DIR", help="The exports of the months that go.")],
    older_than: Annotated[str, typer.Option("--older-than", help="Months to keep, 24m or more.")] = "36m",
    reason: Annotated[str, typer.Option("--reason")] = "retention",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, remove nothing.")] = False,
    by: By = "operator",
    as_json: AsJson = False,
) -> None:
    """Remove whole months that are old enough and safe in a checked export; younger than 24 months is refused."""
    report = run(_prune(invocation_of(context), export, older_than, {"by": by, "reason": reason, "dry_run": dry_run}))
    if as_json:
        print_json(report)
    else:
        would = "would be " if dry_run else ""
        say(
            f"{report['rows']} rows of {report['chains']} chains recorded before {report['before'][:10]} {would}removed"
        )


async def _prune(at: Invocation, folder: Path, older_than: str, said: dict[str, Any]) -> dict[str, Any]:
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring
    from graph.runtime.audit_retention import AuditRetention, PruneOrder  # noqa: PLC0415  # see the package's docstring

    digits = older_than.removesuffix("m")
    if digits == older_than or not (digits.isascii() and digits.isdigit() and len(digits) < 4):
        raise InputError(f"--older-than is {older_than!r}; write whole months like 36m")
    order = PruneOrder(months=int(digits), export=folder, **said)
    async with at.opened() as box:
        report = await AuditRetention(box.engine, box.audit).prune(order, at=box.clock.now())
        return report.model_dump(mode="json")
