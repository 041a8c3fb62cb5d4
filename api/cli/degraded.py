"""``signalbox degraded``: peak mode, its switch, and the orders that were decided in it."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Why
from api.cli.terminal import AsJson, clock, print_json, say, table
from domain.degraded import Override

if TYPE_CHECKING:
    from api.services import Json
    from graph.bootstrap.system import Signalbox
    from graph.runtime.degraded import Setting

app = typer.Typer(help="Peak mode: show it, switch it, list the orders decided in it.", no_args_is_help=True)

OneTenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant; default: everybody.")]
_SIGNS = "automatic"


@app.command()
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Show whether peak mode is on, since when and why."""
    _print(run(_show(invocation_of(context))), as_json=as_json)


@app.command()
def on(
    context: typer.Context,
    person: Person = "operator",
    reason: Why = "switched on by hand",
    tenant: OneTenant = None,
    as_json: AsJson = False,
) -> None:
    """Switch it on until somebody says otherwise; workers follow within a second."""
    _print(run(_set(invocation_of(context), Override.ON, person, reason, tenant)), as_json=as_json)


@app.command()
def off(
    context: typer.Context,
    person: Person = "operator",
    reason: Why = "switched off by hand",
    tenant: OneTenant = None,
    as_json: AsJson = False,
) -> None:
    """Switch it off, whatever the signs say; what was decided in it is looked at again."""
    _print(run(_set(invocation_of(context), Override.OFF, person, reason, tenant)), as_json=as_json)


@app.command()
def auto(
    context: typer.Context,
    person: Person = "operator",
    reason: Why = "handed back to the signs",
    tenant: OneTenant = None,
    as_json: AsJson = False,
) -> None:
    """Let latency, backlog and the review desk decide again."""
    _print(run(_set(invocation_of(context), Override.AUTO, person, reason, tenant)), as_json=as_json)


@app.command("list")
def list_orders(
    context: typer.Context,
    tenant: OneTenant = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many of each kind.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """List the orders decided in peak mode: those still to be looked at again, and what the second looks found."""
    listed = run(_list(invocation_of(context), tenant, limit))
    if as_json:
        print_json(listed)
        return
    rows = [(x["order_id"], x["tenant"], clock(x["decided_at"]), "waits for a second look") for x in listed["waiting"]]
    rows += [(x["order_id"], x["tenant"], clock(x["decided_at"]), _finding(x)) for x in listed["rescored"]]
    table(("order", "tenant", "decided (UTC)", "second look"), rows)
    alarms = sum(1 for x in listed["rescored"] if x["alarm"])
    say(
        f"{listed['waiting_total']} waiting, {len(listed['rescored'])} looked at again, {alarms} for a person to look at"
    )


async def _show(at: Invocation) -> "Json":
    async with at.opened() as box:
        return await _status(box)


async def _status(box: "Signalbox") -> "Json":
    standing = await box.switch.standing()
    return {
        "degraded": standing.on(),
        "override": standing.overall.mode.value if standing.overall else Override.AUTO.value,
        "reason": standing.why(),
        "by": standing.overall.by if standing.overall else _SIGNS,
        "automatic": {"degraded": standing.automatic, "since": standing.since or None, "reason": standing.reason},
        "tenants": {name: _setting(setting) for name, setting in sorted(standing.tenants.items())},
        "workers": standing.workers,
        "reviews_per_h": box.switch.policy.reviews_per_h,
        "waiting": await box.rescoring.orders.count(),
        "policy": box.switch.policy.version,
    }


async def _set(at: Invocation, mode: Override, person: str, reason: str, tenant: str | None) -> "Json":
    if tenant is not None:
        at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        await box.switch.override(mode, tenant=tenant or "", by=person, reason=reason)
        return await _status(box)


async def _list(at: Invocation, tenant: str | None, limit: int) -> "Json":
    async with at.opened() as box:
        orders = box.rescoring.orders
        waiting = [
            {"tenant": owner, "order_id": order_id, "decided_at": since.isoformat()}
            for owner, order_id, since in await orders.waiting(limit=limit)
            if tenant in (None, owner)
        ]
        rescored = [one for one in await orders.found(limit=limit) if tenant in (None, one["tenant"])]
        return {"waiting": waiting, "waiting_total": await orders.count(), "rescored": rescored}


def _setting(setting: "Setting") -> "Json":
    return {"mode": setting.mode.value, "by": setting.by, "reason": setting.reason, "since": setting.at}


def _finding(one: "Json") -> str:
    said = f"{one['was']}, now {one['now']}"
    return f"{said}: LOOK AT IT" if one["alarm"] else said


def _print(status: "Json", *, as_json: bool) -> None:
    if as_json:
        print_json(status)
        return
    say(f"peak mode is {'ON' if status['degraded'] else 'off'} ({status['by']}): {status['reason'] or 'no sign'}")
    if status["override"] != Override.AUTO.value:
        say(f"the signs say {'on' if status['automatic']['degraded'] else 'off'}")
    for name, setting in status["tenants"].items():
        say(f"tenant {name}: {setting['mode']}, set by {setting['by']}: {setting['reason']}")
    say(f"{status['waiting']} orders wait for a second look; {status['workers']} workers; {status['policy']}")
