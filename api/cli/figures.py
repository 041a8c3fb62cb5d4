"""``agents latency``, ``orders stuck`` and ``orders funnel``: how the shop is doing, in figures."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, clock, print_json, say, table

if TYPE_CHECKING:
    from api.services import Json
    from domain.latency import Latency

Hours = Annotated[float, typer.Option(min=0.01, max=72, help="How far to look back, hours.")]


def latency(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Measure these instead: CSV (agent,ms), or JSON lines of events."
        ),
    ] = None,
    hours: Hours = 24,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Show how long each agent takes: P50, P95 and P99 by nearest rank, milliseconds."""
    from domain.latency import latencies, read_times  # noqa: PLC0415  # see the package's docstring

    if file is None:
        found = run(_latency(invocation_of(context), tenant, hours))
    else:
        found = latencies(read_times(file.read_text(encoding="utf-8")))
    if as_json:
        print_json([asdict(one) for one in found])
        return
    columns = ("agent", "decisions", "P50 ms", "P95 ms", "P99 ms", "max ms")
    rows = ((x.agent, x.count, *(f"{ms:g}" for ms in (x.p50_ms, x.p95_ms, x.p99_ms, x.max_ms))) for x in found)
    table(columns, rows, right=columns[1:])


def stuck(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """List orders at one stage for more than twice its expected time; those who wait for a person apart. Exit 1 if any is stuck."""
    found = run(_stuck(invocation_of(context), tenant))
    if as_json:
        print_json(found)
    else:
        for name, title in (("stuck", "stuck"), ("waiting_for_a_person", "waiting for a person")):
            rows = ((x["order_id"], x["stage"], clock(x["since"]), f"{x['times']:g}") for x in found[name])
            if found[name]:
                table(("order", f"{title} at", "since (UTC)", "times expected"), rows, right=("times expected",))
        say(
            f"{len(found['stuck'])} stuck, {len(found['waiting_for_a_person'])} late with a person ({found['version']})"
        )
    if found["stuck"]:
        raise typer.Exit(1)


def funnel(context: typer.Context, hours: Hours = 24, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Show completion by stage: of all that came in, how many reached it, are still before it, or ended before it."""
    found = run(_funnel(invocation_of(context), tenant, hours))
    if as_json:
        print_json(found)
        return
    columns = ("stage", "intake", "reached", "waiting", "ended")
    table(columns, ([row[column] for column in columns] for row in found), right=columns[1:])


async def _latency(at: Invocation, named: str | None, hours: float) -> "list[Latency]":
    from api.figures import agent_latencies  # noqa: PLC0415  # see the package's docstring

    tenant = at.tenant(at.settings(), named).tenant
    async with at.opened() as box:
        return await agent_latencies(box, tenant, since=box.clock.now() - timedelta(hours=hours))


async def _stuck(at: Invocation, named: str | None) -> "Json":
    from api.figures import stuck_orders  # noqa: PLC0415  # see the package's docstring

    tenant = at.tenant(at.settings(), named).tenant
    async with at.opened() as box:
        return await stuck_orders(box, tenant)


async def _funnel(at: Invocation, named: str | None, hours: float) -> "list[Json]":
    from api.figures import funnel as counted  # noqa: PLC0415  # see the package's docstring

    tenant = at.tenant(at.settings(), named).tenant
    async with at.opened() as box:
        return await counted(box, tenant, span=timedelta(hours=hours))
