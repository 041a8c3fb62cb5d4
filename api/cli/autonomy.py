"""``signalbox agents autonomy | promote | demote | outcome | calibration``: what agents have earned, and by whose word."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Why
from api.cli.terminal import AsJson, OfTenant, print_json, remark, say, table

if TYPE_CHECKING:
    pass

Named = Annotated[str, typer.Argument(help="The agent's name.")]
OneAgent = Annotated[str | None, typer.Option("--agent", help="Only this agent.")]
Action = Annotated[str, typer.Option(help="The agent's own word for what it does (approve, route).")]
Market = Annotated[str, typer.Option(help="Where the goods go, ISO 3166-1 alpha-2.")]
Version = Annotated[str | None, typer.Option("--version", help="Of the agent; the one in force unless named.")]


class ValueBand(StrEnum):
    """Value bands in US dollars."""

    LOW = "under_50"
    MIDDLE = "50_to_500"
    HIGH = "from_500"


class OutcomeKind(StrEnum):
    """What came of a decision."""

    CHARGEBACK = "chargeback"
    RETURN = "return"
    CANCEL = "cancel"
    CONFIRMED = "confirmed"


Band = Annotated[ValueBand, typer.Option(help="How much money hangs on it, in US dollars.")]


def autonomy(context: typer.Context, agent: OneAgent = None, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Show how often people agree with each agent, where each segment stands and what it still needs."""
    found = run(_standings(invocation_of(context), agent, tenant))
    if as_json:
        print_json(found)
        return
    if not found["segments"]:
        say("nobody has answered a recommendation yet")
        return
    rows = [(a["agent"], a["version"], a["mode"], *_figures(a)) for a in found["agents"]]
    table(("agent", "version", "mode", "answers", "agreement", "95 % bounds", "blind", "visible"), rows)
    segments = [
        (s["agent"], s["version"], s["action"], s["market"], s["band"], s["level"], *_figures(s)[:3],
         "; ".join(s["needs"]) or "nothing")
        for s in found["segments"]
    ]  # fmt: skip
    columns = ("agent", "version", "action", "market", "band", "level", "answers", "agreement", "95 % bounds", "needs")
    table(columns, segments)


def promote(
    context: typer.Context, agent: Named, action: Action, market: Market, band: Band, person: Person, reason: Why,
    version: Version = None, tenant: OfTenant = None,
) -> None:  # fmt: skip
    """Promote a segment one step ahead of time; refused with the reason where its record does not allow it."""
    place = {"action": action, "market": market, "band": band.value, "version": version}
    remark(run(_promote(invocation_of(context), agent, place, tenant, person, reason)))


def demote(
    context: typer.Context, agent: Named, action: Action, market: Market, band: Band, person: Person, reason: Why,
    version: Version = None, tenant: OfTenant = None,
) -> None:  # fmt: skip
    """Take a segment back to suggestion, at once; its record begins anew."""
    place = {"action": action, "market": market, "band": band.value, "version": version}
    remark(run(_demote(invocation_of(context), agent, place, tenant, person, reason)))


def outcome(
    context: typer.Context,
    order: Annotated[str, typer.Argument(help="The order's id.")],
    agent: Annotated[str, typer.Option("--agent", help="Whose decision the outcome is about.")],
    kind: Annotated[OutcomeKind, typer.Option(help="What came of it; confirmed: it was right.")],
    person: Person,
    reason: Why,
    tenant: OfTenant = None,
) -> None:
    """Record what came of an agent's decision; a severe one takes its autonomy away at once."""
    run(_outcome(invocation_of(context), order, agent, kind, tenant, person, reason))
    remark(f"{kind.value} recorded for {agent} on {order}")


def calibration(
    context: typer.Context,
    agent: OneAgent = None,
    adopt: Annotated[str | None, typer.Option(help="Put this draft in force; needs --as and --reason.")] = None,
    person: Annotated[str, typer.Option("--as", help="Who adopts it; kept in the audit.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")] = "",
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Measure agents' confidence on people's answers and propose drafts; nothing is in force before it is adopted."""
    if adopt is not None:
        run(_adopt(invocation_of(context), adopt, tenant, person.strip(), reason.strip()))
        remark(f"{adopt} is in force")
        return
    found = run(_drafts(invocation_of(context), agent, tenant))
    if as_json:
        print_json(found)
        return
    for one in found:
        say(f"{one['agent']} {one['version']}: draft {one['draft']}, in force {one['in_force'] or 'none'}")
        rows = [
            (c["action"], c["market_group"], c["labels"], _share(c["agreement"]), _bounds(c["interval"]), c["method"],
             f"{c['calibration_error']:.3f}", f"{c['noise_floor']:.3f}", _threshold(c["suggested_threshold"]),
             _threshold(c["threshold_in_force"]))
            for c in one["curves"]
        ]  # fmt: skip
        columns = ("action", "markets", "labels", "agreement", "95 % bounds", "method", "error", "noise floor",
                   "suggested from", "in force from")  # fmt: skip
        table(columns, rows, right=("labels", "error", "noise floor"))


async def _standings(at: Invocation, agent: str | None, tenant: str | None) -> dict[str, Any]:
    from api.autonomy import standings  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        return await standings(box, owner.tenant, agent)


async def _drafts(at: Invocation, agent: str | None, tenant: str | None) -> list[dict[str, Any]]:
    from api.autonomy import drafts  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        return await drafts(box, owner.tenant, agent)


async def _adopt(at: Invocation, draft: str, tenant: str | None, person: str, reason: str) -> None:
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring

    if not person or not reason:
        raise InputError("a calibration is adopted by somebody for a reason: add --as and --reason")
    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        found = await box.autonomy.calibrations.find(owner.tenant, draft)
        await box.autonomy.calibrations.adopt(found, by=f"person:{person}", reason=reason)


async def _promote(
    at: Invocation, agent: str, place: dict[str, Any], tenant: str | None, person: str, reason: str
) -> str:
    from api.autonomy import find_segment  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        segment = await find_segment(box, owner.tenant, agent, **place)
        change = await box.autonomy.judge.promote(segment, reason, by=f"person:{person}")
        return f"{segment} is at {change.standing.level.value}"


async def _demote(
    at: Invocation, agent: str, place: dict[str, Any], tenant: str | None, person: str, reason: str
) -> str:
    from api.autonomy import find_segment  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        segment = await find_segment(box, owner.tenant, agent, **place)
        await box.autonomy.judge.demote(segment, reason, by=f"person:{person}")
        return f"{segment} only suggests; its record begins now"


async def _outcome(
    at: Invocation, order: str, agent: str, kind: OutcomeKind, tenant: str | None, person: str, reason: str
) -> None:
    from api.outcomes import record_outcome  # noqa: PLC0415  # see the package's docstring
    from domain import outcome as domain_outcome  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    said = domain_outcome.TurnedOut.model_construct(
        order_id=order, agent=agent, kind=domain_outcome.OutcomeKind(kind.value), reason=reason
    )
    async with at.opened() as box:
        await record_outcome(box, owner.tenant, said, by=person)


def _figures(one: dict[str, Any]) -> tuple[object, ...]:
    return (
        one["answers"],
        _share(one["agreement"]),
        _bounds(one["interval"]),
        f"{_share(one['blind']['agreement'])} of {one['blind']['answers']}",
        f"{_share(one['visible']['agreement'])} of {one['visible']['answers']}",
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _bounds(interval: list[float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def _threshold(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
