"""``signalbox examples``: what people's edits have taught the agents, undone and restored by people."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Why
from api.cli.terminal import AsJson, OfTenant, clock, print_json, say, table

if TYPE_CHECKING:
    from api.services import Json

app = typer.Typer(help="What people's edits have taught: list, show, undo, restore.", no_args_is_help=True)

ExampleId = Annotated[str, typer.Argument(metavar="EXAMPLE", help="The example's id, from the list.")]


@app.command("list")
def listed(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """List the examples, newest first, undone ones included."""
    found = run(_list(invocation_of(context), tenant))
    if as_json:
        print_json(found)
        return
    rows = (
        (
            one["example_id"],
            f"{one['situation']['agent']} {one['situation']['kind']}",
            " ".join(filter(None, (one["situation"]["market"], one["situation"]["segment"]))),
            f"{one['before']} -> {one['after']}"[:60],
            one["taught_by"],
            clock(one["at"]),
            f"undone by {one['undone_by']}" if one["undone_at"] else "in use",
        )
        for one in found
    )
    table(("example", "agent and kind", "where", "edit", "taught by", "on (UTC)", "state"), rows)


@app.command()
def show(context: typer.Context, example: ExampleId, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Show one example: the edit, who made it and why, and whether it has influence."""
    _print(run(_show(invocation_of(context), example, tenant)), as_json=as_json)


@app.command()
def undo(
    context: typer.Context,
    example: ExampleId,
    person: Person,
    reason: Why,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Take an example's influence away, from the next proposal on."""
    changed = run(_set(invocation_of(context), example, tenant, active=False, person=person, reason=reason))
    _print(changed, as_json=as_json)


@app.command()
def restore(
    context: typer.Context,
    example: ExampleId,
    person: Person,
    reason: Why,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Give an undone example its influence back."""
    changed = run(_set(invocation_of(context), example, tenant, active=True, person=person, reason=reason))
    _print(changed, as_json=as_json)


async def _list(at: Invocation, tenant: str | None) -> "list[Json]":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).examples(at.tenant(box.settings, tenant).tenant)


async def _show(at: Invocation, example: str, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).example(at.tenant(box.settings, tenant).tenant, example)


async def _set(at: Invocation, example: str, tenant: str | None, *, active: bool, person: str, reason: str) -> "Json":
    from api.cli.reviews import actor_at_terminal  # noqa: PLC0415  # see the package's docstring
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant)
        by = actor_at_terminal(owner, person)
        return await Desk(box).set_example(
            owner.tenant, example, active=active, actor=by.name, roles=by.roles, reason=reason
        )


def _print(example: "Json", *, as_json: bool) -> None:
    if as_json:
        print_json(example)
        return
    own = example["situation"]
    state = f"undone by {example['undone_by']}: {example['undone_reason']}" if example["undone_at"] else "in use"
    say(f"{example['example_id']}  {state}", style="bold")
    say(f"{own['agent']} {own['kind']} for {own['cue']!r} in {own['market'] or 'any market'} {own['segment']}")
    say(f"  was     {example['before']}")
    say(f"  became  {example['after']}")
    say(
        f"taught by {example['taught_by']} ({', '.join(example['roles'])}) on {clock(example['at'])} UTC with "
        f"{example['entity_type']} {example['entity_id']}: {example['reason']}"
    )
