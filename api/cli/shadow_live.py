"""``signalbox shadow-live``: a candidate beside production, on the same inputs, never in an order's way."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, clock, print_json, remark, table

if TYPE_CHECKING:
    from api.shadow_live import LiveDesk
    from domain.ids import TenantId

app = typer.Typer(help="A candidate beside production, on the same inputs.", no_args_is_help=True)

Agent = Annotated[str, typer.Option("--agent", help="The agent, as the topology names it.")]
Version = Annotated[str, typer.Option("--version", help="The candidate.")]
Person = Annotated[str, typer.Option("--as", help="Who says so.")]


@app.command()
def start(
    context: typer.Context, agent: Agent, version: Version, person: Person = "operator", tenant: OfTenant = None
) -> None:
    """Let a version answer what production is asked, from now on."""
    run(_with(invocation_of(context), tenant, lambda desk, owner: desk.start(owner, agent, version, by=person)))
    remark(f"{agent} {version} runs beside production")


@app.command()
def stop(
    context: typer.Context, agent: Agent, version: Version, person: Person = "operator", tenant: OfTenant = None
) -> None:
    """Stop a version; what it said is kept."""
    run(_with(invocation_of(context), tenant, lambda desk, owner: desk.stop(owner, agent, version, by=person)))
    remark(f"{agent} {version} has stopped")


@app.command()
def status(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Show every candidate and how often it agreed with production."""
    found = run(_with(invocation_of(context), tenant, lambda desk, owner: desk.status(owner)))
    if as_json:
        print_json(found)
        return
    rows = [
        (one["agent"], one["version"], "running" if one["running"] else "stopped", clock(one["started_at"]),
         one["asked"], one["answered"], one["agreed"], one["flipped"], one["newly_approved"])
        for one in found
    ]  # fmt: skip
    numbers = ("asked", "answered", "agreed", "flipped", "newly approved")
    table(("agent", "version", "state", "since (UTC)", *numbers), rows, right=numbers)


@app.command()
def report(
    context: typer.Context,
    agent: Agent,
    version: Version,
    last: Annotated[int, typer.Option("--last", min=1, max=10_000, help="How many answers.")] = 1000,
    output_report: Annotated[
        Path | None, typer.Option("--output-report", help="Write it here: a page (.html), else JSON.")
    ] = None,
    person: Person = "operator",
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Compare a candidate with production on its last answers, in the form of a shadow test's report."""
    from api.cli.shadow import print_report, write_report  # noqa: PLC0415  # see the package's docstring

    found = run(
        _with(
            invocation_of(context), tenant,
            lambda desk, owner: desk.report(owner, agent, version, by=person, last=last),
        )
    )  # fmt: skip
    if output_report is not None:
        write_report(output_report, found)
    if as_json:
        print_json(found.shown())
    else:
        print_report(found, output_report)


async def _with(at: Invocation, tenant: str | None, ask: "Callable[[LiveDesk, TenantId], Awaitable[Any]]") -> Any:
    from api.shadow_live import LiveDesk  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        return await ask(LiveDesk(box), owner.tenant)
