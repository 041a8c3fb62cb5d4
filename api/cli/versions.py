"""``signalbox versions``: the tables agents decide by, as drafts, published, rolled back, with author and reason."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Why
from api.cli.terminal import AsJson, OfTenant, clock, print_json, remark, say, table

if TYPE_CHECKING:
    from api.versions import VersionDesk
    from domain.ids import TenantId

app = typer.Typer(
    help="The tables agents decide by: write a draft, prove it with shadow-test, publish it, go back.",
    no_args_is_help=True,
)

Subject = Annotated[str, typer.Argument(help="The table, as 'versions list' names it.")]
Named = Annotated[str, typer.Argument(help="The version; 'shipped' is the one that comes with the software.")]


@app.command("list")
def listed(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """List every table: what is in force, drafts, publications."""
    found = run(_with(invocation_of(context), tenant, lambda desk, owner: desk.listed(owner)))
    if as_json:
        print_json(found)
        return
    rows = [(one["subject"], one["in_force"], one["shipped"], ", ".join(one["agents"])) for one in found]
    table(("table", "in force", "ships with", "decides for"), rows)
    written = [
        (one["subject"], v["version"], v["state"], v["author"], clock(v["written_at"]), v["reason"])
        for one in found
        for v in one["versions"]
    ]
    table(("table", "version", "state", "author", "written (UTC)", "reason"), written)
    put = [
        (one["subject"], p["version"], p["action"], p["by"], clock(p["in_force_from"]), p["reason"])
        for one in found
        for p in one["publications"]
    ]
    table(("table", "version", "action", "by", "in force from (UTC)", "reason"), put)


@app.command()
def show(context: typer.Context, subject: Subject, version: Named = "shipped", tenant: OfTenant = None) -> None:
    """Print the text of a version, to start a draft from."""
    print(run(_with(invocation_of(context), tenant, lambda desk, owner: desk.text(owner, subject, version))), end="")


@app.command()
def draft(
    context: typer.Context,
    subject: Subject,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The table's text (YAML).")],
    person: Person,
    reason: Why,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Check a text and keep it as a draft; no order is judged by it yet."""
    text = _read(file)
    made = run(
        _with(
            invocation_of(context),
            tenant,
            lambda desk, owner: desk.draft(owner, subject, text, by=person, reason=reason),
        )
    )
    if as_json:
        print_json(made.model_dump(mode="json", exclude={"text"}))
    else:
        remark(f"{subject} {made.version} is a draft; prove it with shadow-test, then publish it")


@app.command()
def diff(context: typer.Context, subject: Subject, old: Named, new: Named, tenant: OfTenant = None) -> None:
    """Show what changes between two versions."""
    say(run(_with(invocation_of(context), tenant, lambda desk, owner: desk.diff(owner, subject, old, new))))


@app.command()
def publish(
    context: typer.Context,
    subject: Subject,
    version: Named,
    person: Person,
    reason: Why,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Put a version in force for orders that come in from now on; refused without a passing shadow report."""
    _said(
        run(
            _with(
                invocation_of(context), tenant,
                lambda desk, owner: desk.publish(owner, subject, version, by=person, reason=reason),
            )
        ),
        as_json=as_json,
    )  # fmt: skip


@app.command()
def rollback(
    context: typer.Context,
    subject: Subject,
    person: Person,
    reason: Why,
    to: Annotated[str | None, typer.Option("--to", help="An earlier version; the one before when not named.")] = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Go back to a version that was in force before; orders already in keep the one they came in under."""
    _said(
        run(
            _with(
                invocation_of(context), tenant,
                lambda desk, owner: desk.rollback(owner, subject, to, by=person, reason=reason),
            )
        ),
        as_json=as_json,
    )  # fmt: skip


@app.command()
def release(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help="The agent, as the topology names it.")],
    version: Annotated[str, typer.Argument(help="Its new version.")],
    output: Annotated[Path, typer.Option("--output", help="Where to write the workflow file.")],
    person: Person,
    reason: Why,
    tenant: OfTenant = None,
) -> None:
    """Write the workflow file that asks an agent's new version; refused without its passing shadow report."""
    text = run(
        _with(
            invocation_of(context), tenant,
            lambda desk, owner: desk.release(owner, agent, version, by=person, reason=reason),
        )
    )  # fmt: skip
    output.write_text(text, encoding="utf-8")
    remark(f"{output} asks {agent} {version}; start the workers with SIGNALBOX_TOPOLOGY_FILE={output}")


def _said(made: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(made.model_dump(mode="json"))
    else:
        remark(
            f"{made.subject} {made.version} is in force for orders from {clock(made.in_force_from.isoformat())} UTC on"
        )


def _read(file: Path) -> str:
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring

    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as bad:
        raise InputError(f"{file} is not UTF-8 text: {bad.reason} at byte {bad.start}") from None


async def _with(at: Invocation, tenant: str | None, ask: "Callable[[VersionDesk, TenantId], Awaitable[Any]]") -> Any:
    from api.versions import VersionDesk  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        return await ask(VersionDesk(box), owner.tenant)
