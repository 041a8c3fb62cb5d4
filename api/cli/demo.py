"""``signalbox demo``: the whole system on this machine with a few hundred seeded orders, then it stays up to be tried."""

from typing import Annotated

import typer

from api.cli.invocation import invocation_of, run
from api.cli.terminal import AsJson


def demo(
    context: typer.Context,
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="How many orders.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same world, orders and outcomes.")] = 1,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Stay up afterwards, until Ctrl-C.")] = True,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Of the API; default: 8700 if free.")] = None,
    as_json: AsJson = False,
) -> None:
    """Start everything (Redis-protocol server, stand-in back ends, worker, API), replay orders, show what came of them.

    The orders arrive as signed webhooks and API calls of six markets, some twice, some forged. Data is in
    <home>/demo-<seed>, made afresh each time.
    """
    from api.cli.demo_run import Plan, run_demo  # noqa: PLC0415  # see the package's docstring

    plan = Plan(orders=orders, seed=seed, serve=serve, port=port, as_json=as_json)
    run(run_demo(invocation_of(context), plan))
