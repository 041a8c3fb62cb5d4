"""``signalbox orders``: submit a raw payload, look at orders, cancel one."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import figures
from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, clock, money, print_json, remark, say, table

if TYPE_CHECKING:
    from api.services import Json

app = typer.Typer(help="Submit, show, list and cancel orders; who is stuck; the funnel.", no_args_is_help=True)
app.command("stuck")(figures.stuck)
app.command("funnel")(figures.funnel)

Wait = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for the outcome; 0 returns as soon as it is durable.")
]


def _person(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", name):
        raise typer.BadParameter("a user id has letters, digits and ._@+-, 64 at most")
    return name


def _sentence(reason: str) -> str:
    if not reason.strip() or len(reason) > 2000:
        raise typer.BadParameter("give a reason in 1 to 2000 characters")
    return reason


Person = Annotated[str, typer.Option("--as", callback=_person, help="Who you are; kept in the audit.")]
Why = Annotated[str, typer.Option("--reason", callback=_sentence, help="Why; kept in the audit.")]


@app.command()
def submit(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, allow_dash=True, help="The channel's JSON; - reads stdin.")
    ],
    channel: Annotated[str, typer.Option(help="shopify, shopee, storefront or b2b.")],
    shop: Annotated[
        str | None, typer.Option(help="The shop it came from; default: the tenant's first one there.")
    ] = None,
    wait: Wait = 30.0,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Submit a raw channel payload and follow it until it is finished or waits for a person.

    A webhook body, the channel's answer to an order fetch (one or many orders) or a native order. The same file again is
    a duplicate and shows the same order.
    """
    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    views = run(_submit(invocation_of(context), raw, channel, shop, tenant=tenant, wait_s=wait))
    if as_json:
        brief = [{name: view[name] for name in ("order_id", "state", "total", "lines", "decisions")} for view in views]
        print_json(brief[0] if len(brief) == 1 else brief)
        return
    for view in views:
        _print_order(view)


@app.command()
def show(
    context: typer.Context,
    order_id: Annotated[str, typer.Argument(help="An order id, or the handle a submission was answered with.")],
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Show one order: where it stands, what was decided, what was done."""
    view = run(_show(invocation_of(context), order_id, tenant))
    if as_json:
        print_json(view)
    else:
        _print_order(view)


@app.command("list")
def list_orders(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    state: Annotated[str | None, typer.Option(help="Only orders in this state (fulfilled, in_review, ...).")] = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """List orders, the last changed first."""
    rows = run(_list(invocation_of(context), limit, state, tenant))
    if as_json:
        print_json(rows)
        return
    columns = ("order", "state", "total", "changed (UTC)", "detail")
    table(
        columns,
        ((r["order_id"], r["state"], money(r["total"]), clock(r["changed_at"]), r["detail"][:80]) for r in rows),
        right=("total",),
    )


@app.command()
def rewave(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Route released orders that are not picked yet anew, together, as is done before every pick wave.

    Workers carry the changes out, each whole or not at all. Without a worker running they wait for one.
    """
    found = run(_rewave(invocation_of(context), tenant, dry_run=dry_run))
    if as_json:
        print_json(found)
        return
    rows = [
        (one["order_id"], ", ".join(one["before"]), ", ".join(one["after"]), one["saved_minor"])
        for one in found["changes"]
    ]
    table(
        ("order", "now", "better", f"saved ({found['currency']} minor)"),
        rows,
        right=(f"saved ({found['currency']} minor)",),
    )
    asked = "nothing was changed" if dry_run else "workers look again and carry it out"
    say(f"{found['looked_at']} released orders, {len(rows)} with a better plan; {asked}")


@app.command()
def cancel(
    context: typer.Context,
    order_id: str,
    person: Person,
    reason: Why,
    wait: Wait = 30.0,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Cancel an order and undo what was done, in reverse. Once a parcel has left it is too late, and says so."""
    view = run(_cancel(invocation_of(context), order_id, reason, person, tenant=tenant, wait_s=wait))
    if as_json:
        print_json(view)
    else:
        _print_order(view)
    if view["state"] != "cancelled" and not view["cancel_requested"]:
        remark(f"not cancelled: {view['detail']}")
        raise typer.Exit(1)


async def _submit(
    at: Invocation, raw: bytes, channel: str, shop: str | None, *, tenant: str | None, wait_s: float
) -> "list[Json]":
    from api.cli.submission import read_payload  # noqa: PLC0415  # see the package's docstring
    from api.cli.working import some_worker, until  # noqa: PLC0415  # see the package's docstring
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    read = read_payload(raw, owner, channel, shop, now=datetime.now(UTC))
    async with at.opened() as box:
        desk = Desk(box)
        accepted = await desk.submit(read.submission)
        if accepted.duplicate:
            remark("this file was submitted before; nothing new was started")
        if not box.workflow.enabled:
            remark("the order workflow is switched off: the order is kept, and worked on once it is switched on")
        elif wait_s:
            async with some_worker(box):
                done = await until(box, owner.tenant, read.order_ids, wait_s=wait_s, handle=accepted.handle)
            if not done:
                remark(f"accepted and durable, but not finished within {wait_s:g} s; look again with 'orders show'")
        return [await _view(desk, owner.tenant, order_id) for order_id in read.order_ids]


async def _view(desk: Any, tenant: str, order_id: str) -> "Json":
    """The order, or the little that is known of one whose delivery no worker has read yet."""
    from domain.errors import NotFound  # noqa: PLC0415  # see the package's docstring

    try:
        found: Json = await desk.order(tenant, order_id)
    except NotFound:
        found = {"order_id": order_id, "state": "accepted"}
    unknown: dict[str, Any] = {"total": None, "lines": [], "decisions": [], "detail": "", "effects": [], "review": None}
    return unknown | found


async def _show(at: Invocation, order_id: str, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).order(at.tenant(box.settings, tenant).tenant, order_id)


async def _list(at: Invocation, limit: int, state: str | None, tenant: str | None) -> "list[Json]":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring
    from domain.order import OrderProgress  # noqa: PLC0415  # see the package's docstring

    known = [progress.value for progress in OrderProgress]
    if state is not None and state not in known:
        raise InputError(f"there is no state {state!r}; there are {', '.join(known)}")
    async with at.opened() as box:
        records = await Desk(box).orders(at.tenant(box.settings, tenant).tenant, limit=10_000 if state else limit)
        return [
            {
                "order_id": r.order_id,
                "state": r.progress.value,
                "channel": r.order.channel.value if r.order else None,
                "number": r.order.external_number if r.order else None,
                "total": r.order.total.model_dump() if r.order else None,
                "accepted_at": r.accepted_at,
                "changed_at": r.changed_at,
                "review_id": r.review_id or None,
                "detail": r.detail,
            }
            for r in records
            if state is None or r.progress.value == state
        ][:limit]


async def _cancel(
    at: Invocation, order_id: str, reason: str, person: str, *, tenant: str | None, wait_s: float
) -> "Json":
    from api.cli.working import some_worker, until  # noqa: PLC0415  # see the package's docstring
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner, desk = at.tenant(box.settings, tenant).tenant, Desk(box)
        await desk.cancel(owner, order_id, actor=f"user:{person}", reason=reason)
        if wait_s:
            async with some_worker(box):
                done = await until(box, owner, [order_id], wait_s=wait_s, rests=lambda record: not record.cancel)
            if not done:
                remark(f"asked for, but not carried out within {wait_s:g} s; look again with 'orders show'")
        return await desk.order(owner, order_id)


def _print_order(view: "Json") -> None:
    """One order for people."""
    say(f"{view['order_id']}  {view['state']}  {money(view['total'])}", style="bold")
    if view.get("archived"):
        say(f"its working state has expired; 'signalbox why {view['order_id']}' tells what happened")
        return
    if view["detail"]:
        say(view["detail"])
    if view["lines"]:
        lines = ((x["line_id"], x["sku"], x["quantity_open"], x["title"][:50]) for x in view["lines"])
        table(("line", "sku", "open", "title"), lines, right=("open",))
    if view["decisions"]:
        table(("agent", "decision", "confidence", "mode", "because"), map(_decision_row, view["decisions"]))
    if view["effects"]:
        rows = ((e["kind"], e["state"], (e["receipt"] or {}).get("reference"), e["refusal"]) for e in view["effects"])
        table(("effect", "state", "reference", "refusal"), rows)
    if view["model_cost"]["calls"]:
        say(f"language models: {view['model_cost']['calls']} calls, {view['model_cost']['usd']} USD")
    if view["review"] and view["review"]["state"] == "open":
        review = view["review"]["review_id"]
        say(f"waits for a person: signalbox reviews show {review}", style="bold")
    say("")


def _decision_row(decision: "Json") -> tuple[object, ...]:
    sure = decision["confidence"]
    because = "; ".join(reason["text"] for reason in decision["reasons"][:2])
    return decision["agent"], decision["decision"], "none" if sure is None else f"{sure:.2f}", decision["mode"], because


async def _rewave(at: Invocation, tenant: str | None, *, dry_run: bool) -> "Json":
    settings = at.settings()
    owner = at.tenant(settings, tenant).tenant
    async with at.opened() as box:
        now = datetime.now(UTC)
        waiting = (await box.waves.waiting(now, await box.systems.wms.warehouses())).get(owner, [])
        look = await box.waves.look(owner, waiting, now)
        if not dry_run:
            await box.waves.index.ask([owner])
        changes = [] if look is None else [change for turn in look.wave.turns for change in map(look.figures, turn)]
        return {
            "tenant": owner,
            "looked_at": len(waiting),
            "peak_mode": await box.switch.hints(owner) != {},
            "currency": changes[0]["currency"] if changes else "USD",
            "changes": changes,
            "queued": not dry_run,
        }
