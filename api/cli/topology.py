"""``signalbox topology``: validate, print and draw a workflow file."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import invocation_of
from api.cli.terminal import AsJson, print_json, say, table

if TYPE_CHECKING:
    from graph.topology.model import Topology

app = typer.Typer(help="Validate, print and draw a workflow file.", no_args_is_help=True)

File = Annotated[Path | None, typer.Argument(exists=True, dir_okay=False, help="Default: the file in force.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write here instead of to stdout.")]


class Picture(StrEnum):
    """Forms of a picture."""

    MERMAID = "mermaid"
    SVG = "svg"


Format = Annotated[Picture, typer.Option("--format", help="As Mermaid text or as an SVG picture.")]


@app.command()
def check(context: typer.Context, file: File = None, as_json: AsJson = False) -> None:
    """Validate: every problem with its file and line, exit 1 when there is one."""
    from graph.topology.problems import TopologyError  # noqa: PLC0415  # see the package's docstring

    try:
        topology = _checked(context, file)
    except TopologyError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": [problem.model_dump() for problem in error.problems]})
        raise typer.Exit(1) from None
    if as_json:
        print_json({"ok": True, "problems": [], "workflows": [workflow.name for workflow in topology.workflows]})
        return
    for workflow in topology.workflows:
        state = "enabled" if workflow.enabled else "not enabled"
        say(f"{workflow.name} {workflow.version} is sound: {len(workflow.agents)} agents, {state}")


@app.command()
def show(context: typer.Context, file: File = None, as_json: AsJson = False) -> None:
    """Print the workflows as tables: one row per agent, in the order they run."""
    from graph.topology.table import COLUMNS, rows  # noqa: PLC0415  # see the package's docstring

    topology = _checked(context, file)
    if as_json:
        print_json([workflow.model_dump(mode="json") | {"digest": workflow.digest} for workflow in topology.workflows])
        return
    for workflow in topology.workflows:
        state = "enabled" if workflow.enabled else "not enabled"
        say(f"{workflow.name} {workflow.version} ({state}, digest {workflow.digest[:12]})", style="bold")
        table(COLUMNS, ([row[column] for column in COLUMNS] for row in rows(workflow)), right=COLUMNS[4:7])
        for rule in workflow.conflict_rules:
            say(f"two writers of {rule.facet}: {rule.rule.value}")


@app.command()
def diagram(
    context: typer.Context,
    file: File = None,
    form: Format = Picture.MERMAID,
    workflow: Annotated[str | None, typer.Option(help="Which one; default: the file's first.")] = None,
    output: Output = None,
) -> None:
    """Draw a workflow: its three tiers, the gates, the way to a person, the effects."""
    from graph.topology.diagram import to_mermaid, to_svg  # noqa: PLC0415  # see the package's docstring

    topology = _checked(context, file)
    chosen = topology.workflow(workflow) if workflow else topology.workflows[0]
    put(to_svg(chosen) if form is Picture.SVG else to_mermaid(chosen), output)


def put(text: str, output: Path | None) -> None:
    """A picture to a file or to stdout."""
    if output is None:
        typer.echo(text, nl=not text.endswith("\n"))
        return
    output.write_text(text, encoding="utf-8")
    say(f"written to {output}")


def _checked(context: typer.Context, file: Path | None) -> "Topology":
    from graph.bootstrap.system import load_topology  # noqa: PLC0415  # see the package's docstring

    chosen = {} if file is None else {"topology_file": file}
    return load_topology(invocation_of(context).settings(**chosen))
