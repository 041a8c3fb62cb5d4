"""``signalbox clocks``: promises with a deadline, and how they are kept."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person
from api.cli.terminal import AsJson, OfTenant, clock, print_json, say, table

if TYPE_CHECKING:
    from api.services import Json

app = typer.Typer(help="Reply times, return windows and refund deadlines: list, start, end.", no_args_is_help=True)
Entity = Annotated[str, typer.Argument(help="The order, or whatever it is about.")]


@app.command("list")
def listed(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """List them, the nearest deadline first, and how each kind was kept lately."""
    found = run(_list(invocation_of(context), tenant, running=not everything))
    if as_json:
        print_json(found)
        return
    rows = [
        (c["clock_id"], c["kind"], c["entity_id"], clock(c["due_at"]), f"{c['used']:.0%}", c["state"])
        for c in found["clocks"]
    ]
    table(("clock", "promise", "about", "due (UTC)", "used", "state"), rows, right=("used",))
    table(
        ("promise", "met", "breached", "open", "share", "target", "median h", "days"),
        [
            (m["kind"], m["met"], m["breached"], m["open"], _share(m["share"]), _share(m["target"]),
             "" if m["median_hours"] is None else f"{m['median_hours']:.1f}", m["days"])
            for m in found["measures"]
        ],
        right=("met", "breached", "open", "share", "target", "median h", "days"),
    )  # fmt: skip


@app.command()
def start(
    context: typer.Context,
    entity: Entity,
    kind: Annotated[str, typer.Option(help="Which promise, for example shopee_chat_reply.")],
    entity_type: Annotated[str, typer.Option(help="What it is about.")] = "order",
    subject: Annotated[str, typer.Option(help="Id of the message, ticket or return.")] = "",
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Start one; the same thing owed has one clock, however often it is told."""
    _print(run(_start(invocation_of(context), tenant, kind, (entity_type, entity), subject)), as_json=as_json)


@app.command()
def end(
    context: typer.Context,
    clock_id: Annotated[str, typer.Argument(metavar="CLOCK", help="Its id, from the list.")],
    person: Person = "operator",
    withdrawn: Annotated[bool, typer.Option(help="Nothing is owed any more.")] = False,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """What was owed happened, or is not owed any more."""
    _print(run(_end(invocation_of(context), tenant, clock_id, person, withdrawn=withdrawn)), as_json=as_json)


async def _list(at: Invocation, tenant: str | None, *, running: bool) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).clocks(at.tenant(box.settings, tenant).tenant, running=running, entity_id=None)


async def _start(at: Invocation, tenant: str | None, kind: str, entity: tuple[str, str], subject: str) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring
    from domain.promise_clock import StartClock  # noqa: PLC0415  # see the package's docstring

    asked = StartClock(kind=kind, entity_type=entity[0], entity_id=entity[1], subject=subject)
    async with at.opened() as box:
        return await Desk(box).start_clock(at.tenant(box.settings, tenant).tenant, asked)


async def _end(at: Invocation, tenant: str | None, clock_id: str, person: str, *, withdrawn: bool) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant).tenant
        return await Desk(box).end_clock(owner, clock_id, actor=f"user:{person}", machine=False, withdrawn=withdrawn)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _print(found: "Json", *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    say(
        f"{found['kind']} of {found['entity_id']}: {found['state']}, due {clock(found['due_at'])} UTC  ({found['clock_id']})"
    )
