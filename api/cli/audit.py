"""``signalbox audit``: is the record of who did what still what was written."""

from typing import Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, print_json, say

app = typer.Typer(help="The append-only audit.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps ``verify`` a command of its own while it is the only one."""


@app.command()
def verify(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check every hash chain; exit 1 and name the first bad row of each chain that does not hold."""
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
