"""``signalbox reconcile``: nothing lost, nothing done twice, stock and money add up, or the ids where they do not."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, print_json, say

if TYPE_CHECKING:
    from api.reconcile.report import Report


def reconcile(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this tenant; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare every store with every other: accepted = terminal + in review + dead letter + given up + in flight.

    Exit 1 when something does not add up, with the ids. It may run while orders flow.
    """
    report = run(_reconcile(invocation_of(context), tenant))
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        print_report(report)
    if not report.ok:
        raise typer.Exit(1)


async def _reconcile(at: Invocation, tenant: str | None) -> "Report":
    from api.reconcile.check import reconcile as compare  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await compare(box, tenant=tenant)


def print_report(report: "Report") -> None:
    """The report for people."""
    from domain.money import Money  # noqa: PLC0415  # see the package's docstring

    ended = " + ".join(f"{count} {name}" for name, count in report.terminal.items()) or "0 terminal"
    others = f"{report.in_review} in review + {report.dead_letter} dead letter"
    rest = f" + {report.given_up} given up" if report.given_up else ""
    rest += f" + {report.in_flight} in flight" if report.in_flight else ""
    say(f"orders   {report.accepted} accepted = {ended} + {others}{rest}")
    effects = report.effects
    outside = "looked up one by one outside" if effects.applied is None else f"{effects.applied} applied outside"
    say(f"effects  {outside}, {effects.recorded} in our ledger, {effects.audited} in the audit")
    for key in effects.unsettled:
        say(f"         begun and not settled: {key}")
    stock = {None: "not checked", True: "every unit accounted for", False: "DOES NOT ADD UP"}[report.stock_balanced]
    say(f"stock    {stock}")
    for currency, sums in report.money.items():
        parts = (sums.captured_minor, sums.refunded_minor, sums.fulfilled_minor)
        captured, refunded, kept = (Money(amount_minor=part, currency=currency) for part in parts)
        say(f"money    {captured} captured - {refunded} refunded = {kept} of fulfilled orders")
    chains = "intact" if report.audit.intact else "NOT INTACT"
    say(f"audit    {report.audit.rows} rows in {report.audit.chains} chains, {chains}")
    for sentence in report.not_checked:
        say(f"         {sentence}")
    for one in report.mismatches:
        say(f"MISMATCH {one.check}: {one.id} {one.text}", style="bold red")
    say(f"{'reconciled' if report.ok else f'{len(report.mismatches)} mismatches'}", style="bold")
