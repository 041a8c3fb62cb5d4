"""``signalbox suppliers``: look at what will run out, and at the purchase orders that came of it."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Wait
from api.cli.terminal import AsJson, OfTenant, money, print_json, say, table

if TYPE_CHECKING:
    from api.services import Json
    from graph.bootstrap.system import Signalbox

app = typer.Typer(help="Suppliers: what will run out, and the purchase orders against it.", no_args_is_help=True)
_POLL_S = 0.2


@app.command("run")
def start(
    context: typer.Context,
    skus: Annotated[list[str], typer.Argument(metavar="SKU...", help="What to look at.")],
    person: Person,
    key: Annotated[str, typer.Option("--key", help="Names the request: the same key leads to the same orders.")] = "",
    wait: Wait = 60.0,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Look at SKUs now: forecast, choose supplier and quantity, draft the order, and ask procurement."""
    told = run(_start(invocation_of(context), skus, f"user:{person}", key, wait, tenant))
    _print(told, as_json=as_json)


@app.command()
def scan(
    context: typer.Context,
    person: Person,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many SKUs, most urgent first.")] = 200,
    wait: Wait = 60.0,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything sold, most urgent first."""
    told = run(_scan(invocation_of(context), f"user:{person}", limit, wait, tenant))
    _print(told, as_json=as_json)


@app.command("list")
def list_orders(
    context: typer.Context,
    state: Annotated[list[str] | None, typer.Option("--state", help="draft, in_review, sent, confirmed ...")] = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """List purchase orders and how long they take by supplier, work apart from waiting."""
    found = run(_listed(invocation_of(context), state or [], tenant))
    if as_json:
        print_json(found)
        return
    rows = [
        (o["number"], o["state"], o["vendor"], o["lines"], money(o["total"]), o["deliver_until"])
        for o in found["purchase_orders"]
    ]
    table(("order", "state", "supplier", "lines", "total", "deliver until"), rows)
    for vendor, cycle in found["cycle_minutes"].items():
        waits = f"{cycle['work']} work, {cycle['waiting_for_approval']} waiting for approval"
        say(f"{vendor}: {cycle['trigger_to_sent']} min from trigger to sent (median of {cycle['orders']}): {waits}")


@app.command()
def show(context: typer.Context, number: str, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Show one purchase order: terms, letter with its English rendering, comparison of suppliers, open question."""
    found = run(_shown(invocation_of(context), number, tenant))
    if as_json:
        print_json(found)
        return
    say(f"{found['number']}  {found['state']}  {found.get('vendor', '')}", style="bold")
    for line in (found.get("order") or {}).get("lines", []):
        say(
            f"  {line['sku']}  {line['quantity']} x {line['unit_price']} = {money(line['amount'])}  {line['description']}"
        )
    if found.get("total"):
        say(f"  total {money(found['total'])}, deliver until {found['deliver_until']}")
    review = found.get("review")
    if review:
        say(f"asked of procurement ({review['review_id']}):", style="bold")
        for reason in review["reasons"]:
            say(f"  - {reason}")
        _print_facts(review["facts"])


@app.command()
def answer(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The mail as a file (.eml).")],
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Take a supplier's mail: confirmed within the limits, else put before procurement with the difference."""
    taken = run(_answered(invocation_of(context), file.read_bytes(), tenant))
    if as_json:
        print_json(taken)
        return
    say(f"{taken['number']}  {taken['action']}  {', '.join(taken['classes'])}", style="bold")
    for reason in taken["reasons"]:
        say(f"  - {reason}")
    for one in taken["differences"]:
        say(f"  line {one['line_id'] or '?'}: {one['field']} {one['ordered']} -> {one['answered']}")
    if taken["review_id"]:
        say(f"asked of procurement: {taken['review_id']}")


async def _answered(at: Invocation, raw: bytes, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).purchasing.answered(at.tenant(box.settings, tenant).tenant, raw)


def _print_facts(facts: "Json") -> None:
    for sku, rows in (facts.get("comparison") or {}).items():
        say(f"comparison for {sku}", style="bold")
        table(
            ("supplier", "quantity", "unit price", "unit total USD", "P(stock-out)", "days", "why not"),
            [
                (r["supplier_id"], r["quantity"], f"{r['unit_price']} {r['currency']}", r["unit_total_usd"],
                 r["stockout_probability"], r["lead_days"], r["why_not"] or "chosen")
                for r in rows
            ],
        )  # fmt: skip
    if facts.get("letter"):
        say("letter", style="bold")
        say(facts["letter"]["body"])
        say("in English", style="bold")
        say(facts["gloss"]["body"])


def _print(told: "Json", *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    for one in told["started"]:
        known = " (known)" if one["known"] else ""
        say(f"{one['number']}  {one['vendor_id']}  {', '.join(one['skus'])}{known}  {one.get('state', '')}")
    for sku, why in told["covered"].items():
        say(f"{sku}: nothing to order, {why}")
    for sku, why in told["refused"].items():
        say(f"{sku}: {why}")


async def _start(at: Invocation, skus: list[str], by: str, key: str, wait_s: float, tenant: str | None) -> "Json":
    from api.cli.working import some_worker  # noqa: PLC0415  # see the package's docstring
    from api.desk import Desk  # noqa: PLC0415

    async with at.opened() as box, some_worker(box):
        known = at.tenant(box.settings, tenant).tenant
        named = key or box.clock.new_id()
        told = await Desk(box).purchasing.start(known, skus, key=named, by=by, alert=False)
        return await _settled(box, known, told, wait_s)


async def _scan(at: Invocation, by: str, limit: int, wait_s: float, tenant: str | None) -> "Json":
    from api.cli.working import some_worker  # noqa: PLC0415  # see the package's docstring
    from api.desk import Desk  # noqa: PLC0415

    async with at.opened() as box, some_worker(box):
        known = at.tenant(box.settings, tenant).tenant
        told = await Desk(box).purchasing.scan(known, by=by, limit=limit)
        return await _settled(box, known, told, wait_s)


async def _settled(box: "Signalbox", tenant: str, told: "Json", wait_s: float) -> "Json":
    """Wait until each chain stands before a person or has ended; tell where each stands."""
    from domain.supply_case import SupplyProgress  # noqa: PLC0415  # see the package's docstring

    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    started: list[dict[str, Any]] = told["started"]
    for one in started:
        while True:
            record = await box.suppliers.cases.find(tenant, one["number"])
            one["state"] = record.progress.value if record else "unknown"
            if record is None or record.progress is not SupplyProgress.RUNNING or loop.time() > deadline:
                break
            await asyncio.sleep(_POLL_S)
    return told


async def _listed(at: Invocation, states: list[str], tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).purchasing.listed(at.tenant(box.settings, tenant).tenant, states)


async def _shown(at: Invocation, number: str, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).purchasing.shown(at.tenant(box.settings, tenant).tenant, number)
