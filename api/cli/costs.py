"""``signalbox costs`` and ``signalbox budgets``: what language models cost, and what they may."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, print_json, remark, say, table

if TYPE_CHECKING:
    from domain.cost import Budget

budgets = typer.Typer(help="What agents may spend on model calls a day.", no_args_is_help=True)

OneTenant = Annotated[str | None, typer.Option(help="Whose; needed only where there are several.")]
Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="A day of the tenant's calendar, included.")]


class By(StrEnum):
    """What costs are grouped by."""

    AGENT = "agent"
    ORDER = "order"
    DAY = "day"
    MODEL = "model"
    TENANT = "tenant"
    PROMPT = "prompt"


def costs(
    context: typer.Context,
    by: Annotated[By, typer.Option(help="What to add up by.")] = By.AGENT,
    agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
    order: Annotated[str | None, typer.Option(help="Only this order or case.")] = None,
    since: Day = None,
    until: Day = None,
    tenant: OneTenant = None,
    as_json: AsJson = False,
) -> None:
    """Show calls, tokens and US dollars of language models. By tenant, all tenants are shown."""
    given = {"agent": agent, "entity_id": order, "since": since, "until": until}
    found = run(_costs(invocation_of(context), by.value, tenant, given))
    if as_json:
        print_json(found)
        return
    if not found["configured"]:
        remark("no language model is configured: agents work by their rules, for nothing")
    rows = [*found["rows"], {"": "together", **found["total"]}]
    figures = ("calls", "unanswered", "estimated", "input_tokens", "cached_tokens", "output_tokens", "usd")
    table(
        (by.value, *(name.replace("_", " ") for name in figures)),
        ((_name(row, figures), *(row[name] for name in figures)) for row in rows),
        right=tuple(name.replace("_", " ") for name in figures),
    )


@budgets.command("show")
def show(context: typer.Context, tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """Show each budget and what is spent of it today; ``*`` is all agents together."""
    found = run(_budgets(invocation_of(context), tenant))
    if as_json:
        print_json(found)
        return
    say(f"tenant {found['tenant']}, {found['day']}", style="bold")
    rows = (
        (
            row["agent"],
            row["limit_usd"],
            row["spent_usd"],
            row["held_usd"],
            f"{row['percent']} %",
            row["calls_per_entity"],
            "stopped: rules decide" if row["stopped"] else "",
        )
        for row in found["budgets"]
    )
    columns = ("USD a day", "spent", "set aside", "used", "calls per order")
    table(("agent", *columns, ""), rows, right=columns)


@budgets.command("set")
def put(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help="An agent's name, or * for all together.")],
    usd_per_day: Annotated[str, typer.Argument(help="US dollars a day (0 stops it).")],
    person: Annotated[str, typer.Option("--as", help="Who sets it.")],
    calls_per_order: Annotated[int, typer.Option(min=0, max=10_000, help="Model calls one order may cause.")] = 12,
    tenant: OneTenant = None,
) -> None:
    """Set what an agent may spend a day; in force in every worker within seconds."""
    budget = run(_set(invocation_of(context), tenant, agent, usd_per_day, calls_per_order, person))
    remark(f"{budget.agent} of {budget.tenant} may spend {budget.usd_micro_per_day / 1e6:.6f} USD a day")


def _name(row: dict[str, Any], figures: tuple[str, ...]) -> str:
    known = {*figures, "usd_micro", "reasoning_tokens"}
    return " ".join(str(value) for name, value in row.items() if name not in known)


async def _costs(at: Invocation, by: str, tenant: str | None, given: dict[str, str | None]) -> dict[str, Any]:
    from api.costs import costs as shown  # noqa: PLC0415  # see the package's docstring
    from api.costs import narrowed  # noqa: PLC0415  # see the package's docstring

    settings = at.settings()
    owner = "" if by == "tenant" and tenant is None else at.tenant(settings, tenant).tenant
    async with at.opened() as box:
        return await shown(box, narrowed(owner, given), by)


async def _budgets(at: Invocation, tenant: str | None) -> dict[str, Any]:
    from api.costs import budgets as shown  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await shown(box, at.tenant(box.settings, tenant).tenant)


async def _set(at: Invocation, tenant: str | None, agent: str, usd: str, calls: int, person: str) -> "Budget":
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415  # see the package's docstring

    from agents import SPECS  # noqa: PLC0415  # see the package's docstring
    from domain.cost import EVERY_AGENT, Budget  # noqa: PLC0415  # see the package's docstring
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring
    from prompts.library import shipped_prompts  # noqa: PLC0415  # see the package's docstring

    try:
        micro = int(Decimal(usd).scaleb(6).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        micro = -1
    if not 0 <= micro <= 10**12:
        raise InputError(f"{usd!r} is no amount of US dollars a day; write it as 2.50")
    known = {EVERY_AGENT, *(name for name, _ in SPECS), *(prompt.agent for prompt in shipped_prompts())}
    if agent not in known:
        raise InputError(f"there is no agent {agent}; there are {', '.join(sorted(known))}")
    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant).tenant
        budget = Budget(tenant=owner, agent=agent, usd_micro_per_day=micro, calls_per_entity=calls)
        await box.models.budgets.set(budget, by=f"user:{person}", at=box.clock.now())
        return budget
