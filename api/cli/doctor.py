"""``signalbox doctor``: the go-live checklist, each line ok, a warning, or missing, with how to mend it."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, print_json, say, table

if TYPE_CHECKING:
    from api.services import Json


def doctor(
    context: typer.Context,
    production: Annotated[
        bool, typer.Option("--production", help="Strict: stand-ins, generated keys and defaults count as missing.")
    ] = False,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Check what going live needs: every API, bus, store and log target, agents, reviewers, budgets. Exit 1 on a missing one."""
    found = run(_examined(invocation_of(context), tenant, strict=production))
    if as_json:
        print_json(found)
    else:
        rows = ((x["area"], x["name"], x["state"].upper(), x["detail"], x["mend"]) for x in found["findings"])
        table(("area", "what", "state", "finding", "how to mend it"), rows)
        say(f"{found['ok']} ok, {found['warning']} warnings, {found['missing']} missing", style="bold")
    if not found["ready"]:
        raise typer.Exit(1)


async def _examined(at: Invocation, named: str | None, *, strict: bool) -> "Json":
    from api.doctor.checklist import examined, report  # noqa: PLC0415  # see the package's docstring
    from api.doctor.findings import missing  # noqa: PLC0415  # see the package's docstring
    from domain.errors import ConfigError, StoreUnavailable  # noqa: PLC0415  # see the package's docstring

    try:
        tenant = at.tenant(at.settings(), named)
        async with at.opened() as box:
            found = await examined(box, tenant)
    except (ConfigError, StoreUnavailable) as refusal:  # it does not even start: the one line that matters
        found = [missing("start", "configuration", str(refusal), mend="mend what the sentence names, then ask again")]
    return report(found, strict=strict)
