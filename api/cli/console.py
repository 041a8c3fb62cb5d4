"""``signalbox console``: how to get into the web console from this machine."""

from typing import Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, print_json, say


def console(
    context: typer.Context,
    person: Annotated[str, typer.Option("--as", help="Who you are; the audit names you so.")] = "operator",
    tenant: Annotated[str | None, typer.Option(help="Which tenant, when there are several.")] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Where the API is reached from this machine; default: host and port of the settings."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a link that signs you in to the console of a running 'serve' or 'demo', once, within 15 minutes."""
    link = run(_link(invocation_of(context), person, tenant, url))
    if as_json:
        print_json({"link": link, "person": person, "valid_for_s": 900})
    else:
        say(link)


async def _link(at: Invocation, person: str, tenant: str | None, url: str | None) -> str:
    from api.console.links import one_time_link  # noqa: PLC0415  # see the package's docstring

    settings = at.settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    owner = at.tenant(settings, tenant)
    async with at.opened() as box:
        return await one_time_link(box, owner, url or f"http://{host}:{settings.port}", person=person)
