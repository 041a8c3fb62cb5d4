"""``signalbox bench``: the product's own benchmarks."""

from typing import Annotated

import typer

from api.cli.terminal import say

app = typer.Typer(help="Measure the running product.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Measure the running product."""


@app.command("pipeline")
def pipeline(
    orders: Annotated[int, typer.Option(min=1, help="Orders for the throughput run.")] = 1000,
    rate: Annotated[float, typer.Option(min=0.1, help="Orders per second for the acceptance run.")] = 25.0,
    seconds: Annotated[float, typer.Option(min=1, help="Length of the acceptance run.")] = 20.0,
    seed: int = 1,
    port: int = 8791,
) -> None:
    """Throughput of one worker process, and latency of acceptance under steady load."""
    from api.bench.pipeline import run  # noqa: PLC0415  # see the package's docstring
    from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring

    log_to_stderr("error")
    for line in run(orders=orders, rate=rate, seconds=seconds, seed=seed, port=port):
        say(line)


@app.command("gateway")
def gateway(calls: Annotated[int, typer.Option(min=20, help="Calls to make.")] = 500) -> None:
    """What the language gateway adds to a model call, on stand-in models."""
    from api.bench.gateway import measure  # noqa: PLC0415  # see the package's docstring
    from api.cli.invocation import run as run_async  # noqa: PLC0415  # see the package's docstring
    from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring

    log_to_stderr("error")
    for line in run_async(measure(calls)):
        say(line)


@app.command("audit")
def audit(
    rows: Annotated[int, typer.Option(min=1000, help="Rows to write, spread over 24 months.")] = 100_000,
    seed: int = 1,
) -> None:
    """How fast the audit is written, and how fast it answers 'why'."""
    from api.bench.audit import measure  # noqa: PLC0415  # see the package's docstring
    from api.cli.invocation import run as run_async  # noqa: PLC0415  # see the package's docstring
    from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring

    async def told() -> None:
        async for line in measure(rows, seed=seed):
            say(line)

    log_to_stderr("error")
    run_async(told())
