"""``signalbox what-if`` and ``signalbox replay``: an order again, dry: as it was, or with something otherwise."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, print_json, remark, say, table
from domain.errors import InputError

if TYPE_CHECKING:
    from domain.what_if import DryRun, WhatIf
    from graph.order.replaying import Replayed

Changes = Annotated[
    list[str] | None, typer.Option("--set", help="path=value in the order, for example ship_to.country=SG.")
]
Lines = Annotated[
    list[str] | None,
    typer.Option("--threshold", help="<table>.<path>=value, for example fraud_thresholds.thresholds.review=30."),
]


def what_if(
    context: typer.Context,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="An order id.")],
    changes: Changes = None,
    thresholds: Lines = None,
    topology: Annotated[
        Path | None, typer.Option("--topology", exists=True, dir_okay=False, help="Another workflow file.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="The agent --version is about.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="The version that shall decide.")] = None,
    since: Annotated[
        str, typer.Option("--from", help="Agent or decision id: what came before stands as recorded.")
    ] = "",
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Run one real order dry through the production path, with something otherwise; nothing anywhere is changed."""
    from domain.what_if import WhatIf  # noqa: PLC0415  # see the package's docstring

    if (agent is None) != (version is None):
        raise InputError("--agent and --version go together")
    wanted = WhatIf(
        order_id=order,
        set=_pairs(changes, "--set"),
        thresholds=_pairs(thresholds, "--threshold"),
        topology=topology.read_text(encoding="utf-8") if topology else "",
        versions={agent: version} if agent and version else {},
        since=since,
    )
    found = run(_dry(invocation_of(context), wanted, tenant))
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_dry_run(found)


def replay(
    context: typer.Context,
    about: Annotated[
        str, typer.Argument(metavar="DECISION|ORDER", help="A decision id, or an order id for all of its decisions.")
    ],
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Make past decisions again from their records; exit 1 when one comes out otherwise, with what differs."""
    found = run(_replayed(invocation_of(context), about, tenant))
    if as_json:
        print_json([asdict(one) | {"same": one.same} for one in found])
    else:
        _print_replay(found)
    if not all(one.same for one in found):
        raise typer.Exit(1)


async def _dry(at: Invocation, wanted: "WhatIf", tenant: str | None) -> "DryRun":
    from graph.bootstrap.what_if import what_if as ask  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        return await ask(box, owner.tenant, wanted)


async def _replayed(at: Invocation, about: str, tenant: str | None) -> "list[Replayed]":
    from domain.errors import NotFound  # noqa: PLC0415  # see the package's docstring
    from graph.order.replaying import Replays  # noqa: PLC0415  # see the package's docstring

    owner = at.tenant(at.settings(), tenant)
    async with at.opened() as box:
        replays = Replays(box.governance.tapes)
        try:
            return [await replays.decision(owner.tenant, about)]
        except NotFound:
            return await replays.order(owner.tenant, about)


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    found = {}
    for one in given or ():
        path, equals, value = one.partition("=")
        if not equals or not path:
            raise InputError(f"{option} is path=value, not {one!r}")
        found[path] = value
    return found


def print_dry_run(found: "DryRun") -> None:
    """The dry run for people."""
    says = f" (it is {found.was})" if found.was else ""
    say(f"{found.order_id} would be {found.progress}{says}", style="bold")
    if found.changed:
        say(f"with {', '.join(found.changed)}")
    if found.detail:
        say(found.detail)
    if found.question:
        say(f"a person would be asked: {found.question}")
        for ground in found.grounds:
            say(f"  - {ground}")
    rows = [
        (one.agent, one.version, one.was or "-", one.decision, "" if one.confidence is None else f"{one.confidence:.2f}",
         "stands" if one.stands else "as then" if one.same else "otherwise", ", ".join(one.read_live))
        for one in found.decisions
    ]  # fmt: skip
    table(("agent", "version", "then", "now", "confidence", "", "read live"), rows)
    for one in found.decisions:
        if not one.same and not one.stands:
            say(f"{one.agent}: {'; '.join(one.reasons[:4])}")
    kinds: dict[str, int] = {}
    for effect in found.effects:
        kinds[effect.kind] = kinds.get(effect.kind, 0) + 1
    done = ", ".join(f"{kind} x{times}" if times > 1 else kind for kind, times in kinds.items())
    say(f"would be done outside: {done or 'nothing'}")
    remark(f"dry: nothing was changed; {found.took_ms} ms")


def _print_replay(found: "list[Replayed]") -> None:
    rows: list[tuple[Any, ...]] = [
        (
            one.agent,
            one.version,
            one.recorded,
            one.repeated or "-",
            "the same" if one.same else "OTHERWISE",
            one.decision_id,
        )
        for one in found
    ]
    table(("agent", "version", "recorded", "again", "", "decision"), rows)
    for one in found:
        if one.failure:
            say(f"{one.agent}: {one.failure}")
        for difference in one.differences:
            say(f"{one.agent} {difference.part}: was {difference.was}")
            say(f"{' ' * len(one.agent)} {' ' * len(difference.part)}  now {difference.now}")
    same = sum(one.same for one in found)
    say(f"{same} of {len(found)} decisions come out the same", style="bold")
