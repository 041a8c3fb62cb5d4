"""``signalbox agents``: the registry, and who reads and writes what."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import autonomy
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


class Graph(StrEnum):
    """Forms of the conflict graph."""

    TABLE = "table"
    MERMAID = "mermaid"
    SVG = "svg"


@app.command("list")
def list_agents(context: typer.Context, as_json: AsJson = False) -> None:
    """List every agent version with its place in the workflow in force."""
    from api.registry import registered  # noqa: PLC0415  # see the package's docstring

    listed = registered(_workflow(context))
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
    """Show who reads and writes what, and the rule wherever several write the same."""
    from graph.topology.conflict_graph import (  # noqa: PLC0415  # see the package's docstring
        conflict_graph_mermaid,
        conflict_graph_svg,
        facets,
    )
    from graph.topology.conflicts import conflicts as of  # noqa: PLC0415  # see the package's docstring
    from graph.topology.model import covers  # noqa: PLC0415  # see the package's docstring

    workflow = _workflow(context)
    if form is not Graph.TABLE and not as_json:
        put(conflict_graph_svg(workflow) if form is Graph.SVG else conflict_graph_mermaid(workflow), output)
        return
    rules = {found.facet: found for found in of(workflow)}
    data = [
        {
            "data": facet,
            "writers": [a.name for a in workflow.agents if any(covers(written, facet) for written in a.writes)],
            "readers": [a.name for a in workflow.agents if facet in a.reads],
            "rule": rules[facet].rule if facet in rules else None,
        }
        for facet in facets(workflow)
    ]
    if as_json:
        print_json({"workflow": workflow.name, "data": data})
        return
    say(f"{workflow.name} {workflow.version}", style="bold")
    rows = ((d["data"], ", ".join(d["writers"]), ", ".join(d["readers"]), d["rule"]) for d in data)  # type: ignore[arg-type]
    table(("data", "written by", "read by", "rule where several write"), rows)


def _workflow(context: typer.Context) -> "Workflow":
    from graph.bootstrap.system import ORDER_WORKFLOW, load_topology  # noqa: PLC0415  # see the package's docstring

    return load_topology(invocation_of(context).settings()).workflow(ORDER_WORKFLOW)
