"""``signalbox agents``: the registry, and who reads and writes what."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import autonomy, figures, registry
from api.cli.invocation import invocation_of
from api.cli.terminal import AsJson, print_json, say, table
from api.cli.topology import Output, put

if TYPE_CHECKING:
    from graph.topology.model import Workflow

app = typer.Typer(
    help="The agents: what exists, who reads and writes what, what each has earned.", no_args_is_help=True
)
app.command("autonomy")(autonomy.autonomy)
app.command("promote")(autonomy.promote)
app.command("demote")(autonomy.demote)
app.command("outcome")(autonomy.outcome)
app.command("calibration")(autonomy.calibration)
app.command("unregistered")(registry.unregistered)
app.command("latency")(figures.latency)


class Graph(StrEnum):
    """Forms of the conflict graph."""

    TABLE = "table"
    MERMAID = "mermaid"
    SVG = "svg"


@app.command("list")
def list_agents(context: typer.Context, as_json: AsJson = False) -> None:
    """List every agent version with its place in the workflow in force."""
    from api.registry import registered  # noqa: PLC0415  # see the package's docstring

    listed = registered(_workflows(context))
    if as_json:
        print_json(listed)
        return
    columns = ("agent", "version", "tier", "mode", "timeout ms", "fallback", "trigger", "reads", "writes")
    rows = (
        (
            a["name"],
            a["version"],
            a["tier"] if a["active"] else "not used",
            a["mode"],
            a["timeout_ms"],
            a["fallback"],
            a["trigger"],
            ", ".join(a["reads"]),
            ", ".join(a["writes"]),
        )
        for a in listed
    )
    table(columns, rows, right=("timeout ms",))


@app.command()
def conflicts(
    context: typer.Context,
    form: Annotated[Graph, typer.Option("--format", help="A table, Mermaid text or an SVG picture.")] = Graph.TABLE,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Show who reads and writes what, agents and automations alike, and every pair of writers no rule settles."""
    from api.conflicts import conflict_graph  # noqa: PLC0415  # see the package's docstring
    from graph.topology.automations import load_automations  # noqa: PLC0415  # see the package's docstring
    from graph.topology.conflict_policy import load_policy  # noqa: PLC0415  # see the package's docstring
    from graph.topology.participants import everybody_mermaid, everybody_svg  # noqa: PLC0415  # see the package's docstring

    settings, workflows = invocation_of(context).settings(), _workflows(context)
    book, policy = load_automations(settings.automations_file), load_policy(settings.conflicts_file)
    if form is Graph.MERMAID and not as_json:
        put(everybody_mermaid(workflows, book, policy), output)
        return
    if form is Graph.SVG and not as_json:
        put(everybody_svg(workflows, book, policy), output)
        return
    found = conflict_graph(workflows, book, policy)
    if as_json:
        print_json(found)
        return
    for flow in workflows:
        say(f"{flow.name} {flow.version}", style="bold")
    rows = ((d["data"], ", ".join(d["writers"]), ", ".join(d["readers"]), d["rule"]) for d in found["data"])
    table(("data", "written by", "read by", "rule where several write"), rows)
    for pair in found["without_rule"]:
        say(f"NO RULE: {pair['one']} and {pair['other']} both write {pair['data']}", style="red")
    if not found["without_rule"]:
        say("Every two writers of the same data have a rule.")


def _workflows(context: typer.Context) -> "tuple[Workflow, ...]":
    from graph.bootstrap.system import load_topology  # noqa: PLC0415  # see the package's docstring

    return load_topology(invocation_of(context).settings()).workflows
