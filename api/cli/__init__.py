"""The command line ``signalbox``: every way in for an operator at a terminal.

Refusals are one sentence on stderr and exit code 1, usage errors exit code 2. Command modules import what they work with
only when they run: the whole product takes seconds to import, ``--help`` must not.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli import (
    agents,
    audit,
    bench,
    clocks,
    console,
    costs,
    customers,
    degraded,
    demo,
    dlq,
    doctor,
    examples,
    models,
    orders,
    reconcile,
    registry,
    reviews,
    risk,
    rules,
    serve,
    shadow,
    shadow_live,
    suppliers,
    support,
    topology,
    versions,
    what_if,
    why,
)
from api.cli.invocation import Invocation
from domain.errors import SignalboxError

# LangGraph reads this when it is imported; without it a stored thread could name any Python object to be called.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

app = typer.Typer(
    name="signalbox",
    help="The coordination layer for e-commerce operations: orders come in, agents decide, people review, nothing is lost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _begin(
    context: typer.Context,
    home: Annotated[
        Path | None, typer.Option(help="Folder of all embedded data.", envvar="SIGNALBOX_HOME", show_default="./var")
    ] = None,
) -> None:
    context.obj = Invocation(home=home)


app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("console")(console.console)
app.add_typer(serve.sandbox, name="sandbox")
app.add_typer(support.app, name="support")
app.add_typer(orders.app, name="orders")
app.add_typer(reviews.app, name="reviews")
app.command("doctor")(doctor.doctor)
app.add_typer(suppliers.app, name="suppliers")
app.command("registry")(registry.registry)
app.command("why")(why.why)
app.add_typer(versions.app, name="versions")
app.command("what-if")(what_if.what_if)
app.command("replay")(what_if.replay)
app.add_typer(shadow_live.app, name="shadow-live")
app.command("shadow-test")(shadow.shadow_test)
app.add_typer(topology.app, name="topology")
app.add_typer(agents.app, name="agents")
app.add_typer(clocks.app, name="clocks")
app.add_typer(dlq.app, name="dlq")
app.add_typer(degraded.app, name="degraded")
app.add_typer(models.app, name="models")
app.command("costs")(costs.costs)
app.add_typer(costs.budgets, name="budgets")
app.command("reconcile")(reconcile.reconcile)
app.add_typer(audit.app, name="audit")
app.command("erase-customer")(customers.erase_customer)
app.command("export-customer")(customers.export_customer)
app.command("keys")(serve.keys)
app.add_typer(risk.app, name="risk")
app.add_typer(examples.app, name="examples")
app.add_typer(rules.app, name="rules")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run one command; whatever is refused becomes one sentence and an exit code."""
    try:
        app(prog_name="signalbox")
    except SignalboxError as refusal:
        _refuse(str(refusal))
    except OSError as failure:
        _refuse(f"{failure.filename or 'the system'}: {failure.strerror or failure}")


def _refuse(sentence: str) -> None:
    print(f"signalbox: {sentence}", file=sys.stderr)
    sys.exit(1)
