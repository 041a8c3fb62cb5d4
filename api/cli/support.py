"""``signalbox support``: the context of one contact, contacts' outcomes, flagged facts as evaluation cases."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, print_json, remark, say, table

if TYPE_CHECKING:
    from domain.support import SupportContext
    from domain.support_identity import Subject

app = typer.Typer(help="Contexts for whoever answers customers, and what became of contacts.", no_args_is_help=True)
_ROLES = frozenset({"support"})


@app.command()
def context(
    context: typer.Context,
    order: Annotated[str, typer.Argument(help="An order number in any platform's form, or an order id.")] = "",
    customer: Annotated[str, typer.Option(help="The CRM's customer id.")] = "",
    tracking: Annotated[str, typer.Option(help="A tracking number.")] = "",
    email: Annotated[str, typer.Option(help="The customer's e-mail address.")] = "",
    phone: Annotated[str, typer.Option(help="The customer's phone number.")] = "",
    name: Annotated[str, typer.Option(help="The customer's name, with --postcode.")] = "",
    postcode: Annotated[str, typer.Option(help="The customer's postcode, with --name.")] = "",
    reason: Annotated[str, typer.Option(help="Why the customer writes: wismo, change/cancel, return/damaged ...")] = "",
    words: Annotated[str, typer.Option(help="What the customer wrote; the reason is read from it.")] = "",
    compact: Annotated[bool, typer.Option("--compact", help="At most 8,000 characters.")] = False,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Show everything about one contact: order, parcels, customer, decisions, what may be offered."""
    from api.support import view  # noqa: PLC0415  # see the package's docstring
    from domain.support_identity import Subject  # noqa: PLC0415  # see the package's docstring
    from graph.support.compact import compact as shortened  # noqa: PLC0415  # see the package's docstring

    subject = Subject(
        order=order, customer=customer, tracking=tracking, email=email, phone=phone, name=name, postcode=postcode
    )
    found = run(_context(invocation_of(context), subject, reason, words, tenant))
    if as_json:
        print_json(view(found, short=compact))
        return
    say(str(shortened(found, limit=8_000 if compact else 40_000)["text"]))
    for gap in found.gaps:
        remark(f"missing: {gap.why}")
    remark(f"context {found.context_id}")


@app.command()
def outcomes(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=8, max=730, help="How far back.")] = 90,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Count first-contact resolution per reason, with and without a context, with its 95 % interval."""
    rows = run(_outcomes(invocation_of(context), days, tenant))
    if as_json:
        print_json(rows)
        return
    shown = (
        (r["reason"], "with" if r["with_context"] else "without", r["contacts"], r["resolved"], _share(r)) for r in rows
    )
    table(("reason", "context", "contacts", "resolved", "rate (95 %)"), shown, right=("contacts", "resolved"))


@app.command()
def cases(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """List flagged facts as evaluation cases."""
    rows = run(_cases(invocation_of(context), tenant))
    if as_json:
        print_json(rows)
        return
    table(
        ("case", "field", "problem", "shown", "expected"),
        ((r["case_id"], r["field"], r["problem"], r["shown"], r["expected"]) for r in rows),
    )


def _share(row: dict[str, Any]) -> str:
    return f"{row['rate']:.0%} ({row['low']:.0%} to {row['high']:.0%})"


async def _context(at: Invocation, subject: "Subject", reason: str, words: str, tenant: str | None) -> "SupportContext":
    from api.support import SupportViews, reason_of  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant).tenant
        why = reason_of(reason, words)
        return await SupportViews(box).context(owner, subject, reason=why, roles=_ROLES, actor="user:operator")


async def _outcomes(at: Invocation, days: int, tenant: str | None) -> list[dict[str, Any]]:
    from api.support import SupportViews  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await SupportViews(box).outcomes(at.tenant(box.settings, tenant).tenant, days=days)


async def _cases(at: Invocation, tenant: str | None) -> list[dict[str, Any]]:
    from api.support import SupportViews  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await SupportViews(box).cases(at.tenant(box.settings, tenant).tenant)
