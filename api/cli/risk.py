"""``signalbox risk``: exceptions for single customers: a rule that is silent for a while, the trusted list."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Why
from api.cli.terminal import AsJson, clock, print_json, remark, table
from domain.errors import InputError

if TYPE_CHECKING:
    from domain.risk import CustomerException

app = typer.Typer(help="Exceptions for single customers: snooze a rule, keep a trusted list.", no_args_is_help=True)

Customer = Annotated[str, typer.Argument(help="The customer's id at the channel.")]
Days = Annotated[int, typer.Option(min=1, max=365, help="How long it holds.")]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="Whose customer; needed when there are several.")]


@app.command("list")
def listed(context: typer.Context, customer: Customer, tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """List a customer's exceptions, ended ones included."""
    _show(run(_list(invocation_of(context), customer, tenant)), as_json=as_json)


@app.command()
def snooze(
    context: typer.Context,
    customer: Customer,
    rule: Annotated[str, typer.Argument(help="Reason code of the rule, for example IP_VELOCITY.")],
    person: Person,
    reason: Why,
    days: Days = 30,
    tenant: OneTenant = None,
    as_json: AsJson = False,
) -> None:
    """Silence one fraud rule for one customer; decisions say so while it holds."""
    _show([run(_make(invocation_of(context), customer, tenant, rule, days, person, reason))], as_json=as_json)


@app.command()
def trust(
    context: typer.Context,
    customer: Customer,
    person: Person,
    reason: Why,
    days: Days = 30,
    tenant: OneTenant = None,
    as_json: AsJson = False,
) -> None:
    """Put a customer on the trusted list; confirmed fraud and takeover still stop the order."""
    _show([run(_make(invocation_of(context), customer, tenant, "", days, person, reason))], as_json=as_json)


@app.command()
def end(
    context: typer.Context,
    customer: Customer,
    exception: Annotated[str, typer.Argument(help="The exception's id, from the list.")],
    person: Person,
    reason: Why,
    tenant: OneTenant = None,
) -> None:
    """End an exception now."""
    run(_end(invocation_of(context), customer, exception, tenant, person, reason))
    remark(f"{exception} has ended")


async def _list(at: Invocation, customer: str, tenant: str | None) -> list["CustomerException"]:
    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        return list(await box.risk_book.exceptions(tenant=owner.tenant, customer_id=customer))


async def _make(
    at: Invocation, customer: str, tenant: str | None, rule: str, days: int, person: str, reason: str
) -> "CustomerException":
    from agents.fraud_table import shipped_table  # noqa: PLC0415  # see the package's docstring
    from domain.risk import CustomerException, ExceptionKind  # noqa: PLC0415  # see the package's docstring

    table_in_force = shipped_table()
    if rule and rule not in table_in_force.rules:
        raise InputError(f"there is no rule {rule}; known are {', '.join(sorted(table_in_force.rules))}")
    if rule in table_in_force.unforgivable:
        raise InputError(f"{rule} cannot be snoozed: it stands for fraud that was confirmed or an account taken over")
    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        now = box.clock.now()
        made = CustomerException(
            exception_id=f"x-{box.clock.new_id()[-12:]}",
            tenant=owner.tenant,
            customer_id=customer,
            kind=ExceptionKind.SNOOZE if rule else ExceptionKind.TRUST,
            rule=rule,
            starts_at=now,
            ends_at=now + timedelta(days=days),
            reason=reason,
            made_by=f"user:{person}",
        )
        await box.risk_book.write(made)
        reference = await box.privacy.book.reference(owner.tenant, customer)
        await box.store.journal.note_customer(made, "made", reference, by=person, reason=reason, at=now)
        return made


async def _end(at: Invocation, customer: str, exception: str, tenant: str | None, person: str, reason: str) -> None:
    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        now: datetime = box.clock.now()
        ended = await box.risk_book.end(tenant=owner.tenant, customer_id=customer, exception_id=exception, at=now)
        reference = await box.privacy.book.reference(owner.tenant, customer)
        await box.store.journal.note_customer(ended, "ended", reference, by=person, reason=reason, at=now)


def _show(found: list["CustomerException"], *, as_json: bool) -> None:
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    rows = [
        (one.exception_id, one.rule or "trusted", clock(one.starts_at.isoformat()), clock(one.ends_at.isoformat()),
         one.made_by, one.reason)
        for one in found
    ]  # fmt: skip
    table(("exception", "rule", "from (UTC)", "until (UTC)", "by", "reason"), rows)
