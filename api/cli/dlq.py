"""``signalbox dlq``: work nobody could do, kept with its reason until it is replayed or dropped."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Wait, Why
from api.cli.terminal import AsJson, clock, print_json, remark, say, table

if TYPE_CHECKING:
    from api.services import Json
    from domain.ports import DeadLetter

app = typer.Typer(help="Dead letters: list, look, replay, drop.", no_args_is_help=True)

OnlyTenant = Annotated[str | None, typer.Option("--tenant", help="Only letters of this tenant.")]


@app.command("list")
def list_letters(context: typer.Context, tenant: OnlyTenant = None, as_json: AsJson = False) -> None:
    """List dead letters, oldest first, each with its reason."""
    letters = run(_list(invocation_of(context), tenant))
    if as_json:
        print_json(letters)
        return
    rows = ((x["letter_id"], x["order_id"], x["work"], x["attempts"], clock(x["at"]), x["reason"]) for x in letters)
    table(("letter", "order", "work", "attempts", "since (UTC)", "reason"), rows, right=("attempts",))


@app.command()
def show(context: typer.Context, letter_id: str, as_json: AsJson = False) -> None:
    """Show one dead letter with the payload it is about. The payload may name people."""
    letter = run(_show(invocation_of(context), letter_id))
    if as_json:
        print_json(letter)
        return
    say(f"{letter['letter_id']}  {letter['topic']} for {letter['group']}, {letter['attempts']} attempts", style="bold")
    say(letter["reason"])
    for name, value in letter["headers"].items():
        say(f"  {name}: {value}")
    say(letter["payload"] if letter["payload"] is not None else "(the payload is no longer kept)")


@app.command()
def replay(
    context: typer.Context,
    letter_id: Annotated[str | None, typer.Argument(help="The letter; not with --all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every letter there is.")] = False,
    wait: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Put a letter's work back into its queue, as new; do so after mending what was wrong."""
    if (letter_id is None) != every:
        raise typer.BadParameter("name one letter, or give --all")
    replayed = run(_replay(invocation_of(context), letter_id, wait_s=wait))
    if as_json:
        print_json({"replayed": replayed})
        return
    for one in replayed:
        say(f"{one['letter_id']}: order {one['order_id'] or 'unknown'} {one['state'] or 'is queued'}")
    say(f"{len(replayed)} replayed")


@app.command()
def drop(context: typer.Context, letter_id: str, person: Person, reason: Why, as_json: AsJson = False) -> None:
    """Give a letter up for good; the audit keeps who did so and why."""
    dropped = run(_drop(invocation_of(context), letter_id, person, reason))
    if as_json:
        print_json(dropped)
    else:
        say(f"{letter_id} dropped")


async def _list(at: Invocation, tenant: str | None) -> "list[Json]":
    from graph.runtime.dead_letters import DeadLetters  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        letters = [_brief(letter) for letter in await DeadLetters(box.store.batcher, box.keys).all()]
        return [letter for letter in letters if tenant in (None, letter["tenant"])]


async def _show(at: Invocation, letter_id: str) -> "Json":
    from graph.runtime.dead_letters import DeadLetters  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        letter = await DeadLetters(box.store.batcher, box.keys).find(letter_id)
        headers, payload = letter.message.headers, letter.message.body or None
        if payload is None and headers.get("raw"):
            payload = await box.store.intake.raw(headers["raw"], int(headers.get("shard", "0")))
        return _brief(letter) | {"headers": headers, "payload": payload}


async def _replay(at: Invocation, letter_id: str | None, *, wait_s: float) -> "list[Json]":
    from api.cli.working import some_worker, until  # noqa: PLC0415  # see the package's docstring
    from graph.runtime.dead_letters import DeadLetters  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        desk = DeadLetters(box.store.batcher, box.keys)
        letters = [await desk.find(letter_id)] if letter_id else await desk.all()
        replayed = []
        for letter in letters:
            await box.bus.replay(letter.letter_id)
            replayed.append(_brief(letter) | {"state": None})
        orders: dict[str, list[str]] = {}
        for one in replayed:
            if one["order_id"] and await box.store.orders.find(one["tenant"], one["order_id"]):
                orders.setdefault(one["tenant"], []).append(one["order_id"])
        if wait_s and orders:
            async with some_worker(box):
                done = [await until(box, tenant, names, wait_s=wait_s) for tenant, names in orders.items()]
            if not all(done):
                remark(f"replayed, but not all finished within {wait_s:g} s; look again with 'orders list'")
        for one in replayed:
            record = await box.store.orders.find(one["tenant"], one["order_id"]) if one["order_id"] else None
            one["state"] = record.progress.value if record else None
        return replayed


async def _drop(at: Invocation, letter_id: str, person: str, reason: str) -> "Json":
    from graph.runtime.dead_letters import DeadLetters  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        desk = DeadLetters(box.store.batcher, box.keys)
        letter = await desk.find(letter_id)
        await desk.drop(letter, by=f"user:{person}", reason=reason, at=box.clock.now())
        return _brief(letter) | {"dropped_by": f"user:{person}"}


def _brief(letter: "DeadLetter") -> "Json":
    from graph.runtime.dead_letters import order_of  # noqa: PLC0415  # see the package's docstring

    tenant, order_id = order_of(letter)
    return {
        "letter_id": letter.letter_id,
        "topic": letter.topic,
        "group": letter.group,
        "tenant": tenant,
        "order_id": order_id,
        "work": letter.message.headers.get("work") or letter.message.headers.get("t", ""),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "at": letter.at.isoformat(),
    }
