"""``signalbox registry`` and ``signalbox agents unregistered``: everything that acts, and who acts without being listed."""

from typing import TYPE_CHECKING

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, clock, print_json, say, table

if TYPE_CHECKING:
    from api.services import Json


def registry(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """List every agent and automation: trigger, reads, actions, tier, versions, mode, budget, owner."""
    found = run(_registry(invocation_of(context), tenant))
    if as_json:
        print_json(found)
        return
    columns = ("kind", "agent", "version", "place", "mode", "owner", "trigger", "reads", "actions", "budget/day")
    table(columns, (_row(one) for one in found["entries"]), right=("budget/day",))
    agents = sum(one["kind"] == "agent" for one in found["entries"])
    say(
        f"{agents} agents, {len(found['entries']) - agents} automations, {len(found['unregistered'])} unregistered senders"
    )
    _strangers(found["unregistered"])


def unregistered(context: typer.Context, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """List who sent events in the last seven days and is neither an agent nor in the automations file; exit 1 if anybody."""
    found = run(_registry(invocation_of(context), tenant))["unregistered"]
    if as_json:
        print_json(found)
    elif found:
        _strangers(found)
        say("Add them to SIGNALBOX_AUTOMATIONS_FILE (docs/automations.md) or stop them.")
    else:
        say("Everybody who sends events is registered.")
    if found:
        raise typer.Exit(1)


def _row(one: "Json") -> tuple[object, ...]:
    place = (
        f"{one['workflow']}, tier {one['tier']}" if one["tier"] else "" if one["kind"] == "automation" else "not used"
    )
    budget = one["budget"]
    return (
        one["kind"],
        one["name"],
        one["version"],
        place,
        one["mode"],
        one["owner"],
        one["trigger"],
        ", ".join(one["reads"]),
        ", ".join(one["actions"]),
        f"{budget['usd_micro_per_day'] // 10_000 / 100:.2f} USD" if budget else "",
    )


def _strangers(found: "list[Json]") -> None:
    if found:
        rows = ((x["name"], x["tenant"], x["events"], x["event_type"], clock(str(x["last_seen"]))) for x in found)
        table(("unregistered", "tenant", "events", "newest event", "last seen (UTC)"), rows, right=("events",))


async def _registry(at: Invocation, named: str | None) -> "Json":
    from api.registry import inventory  # noqa: PLC0415  # see the package's docstring

    tenant = at.tenant(at.settings(), named).tenant
    async with at.opened() as box:
        return await inventory(box, tenant)
