"""``signalbox erase-customer`` and ``export-customer``: what a person may ask of whoever keeps their data."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, print_json, say

if TYPE_CHECKING:
    from graph.runtime.erasures import ErasureReport

CustomerId = Annotated[str, typer.Argument(metavar="ID", help="Customer id; of a guest the e-mail or phone.")]


def erase_customer(
    context: typer.Context,
    customer: CustomerId,
    by: Annotated[str, typer.Option("--as", metavar="USER", help="Who answers for it; the audit names them.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")],
    tenant: OfTenant = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a person everywhere; decisions, their reasons and a checkable audit stay. Given again, it goes on or finds nothing."""
    report = run(_erase(invocation_of(context), customer, tenant, {"by": by, "reason": reason}, dry_run))
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print(report)
    if report.remaining:
        raise typer.Exit(1)


async def _erase(
    at: Invocation, customer: str, tenant: str | None, said: dict[str, str], dry_run: bool
) -> "ErasureReport":
    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant).tenant
        erasure = box.privacy.erasure
        return await (erasure.dry_run(owner, customer) if dry_run else erasure.erase(owner, customer, **said))


def _print(report: "ErasureReport") -> None:
    would = "would be looked through" if report.dry_run else "rid of the person"
    say(
        f"{report.orders} orders, {report.audit_rows} audit rows {would}; {report.dead_letters} dead letters",
        style="bold",
    )
    if not report.dry_run:
        say(
            f"{report.redis_keys} keys, {report.stream_entries} stream entries and {report.tapes} tapes deleted; "
            f"{report.sql_rows} rows and {report.stand_in_rows} stand-in records rewritten"
        )
    for place in report.remaining:
        say(f"STILL THERE  {place}", style="bold red")
    if report.export_again:
        say(f"export again (audit export --month): {', '.join(report.export_again)}")
    for system in report.ask:
        say(f"ask          {system}", style="dim")


def export_customer(
    context: typer.Context,
    customer: CustomerId,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A new file; only you may read it.")],
    tenant: OfTenant = None,
) -> None:
    """Write everything that is held of one person to a JSON file."""
    held = run(_export(invocation_of(context), customer, tenant))
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(held, option=orjson.OPT_INDENT_2))
    say(f"{len(held['orders'])} orders and {len(held['events'])} events to {to}")


async def _export(at: Invocation, customer: str, tenant: str | None) -> dict[str, Any]:
    async with at.opened() as box:
        return await box.privacy.finder.export(at.tenant(box.settings, tenant).tenant, customer)
