"""``signalbox sandbox slack``: a stand-in Slack workspace to try cards, clicks and modals on."""

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import invocation_of, run
from api.cli.terminal import remark

if TYPE_CHECKING:
    from graph.bootstrap.settings import Settings

SLACK_PORT = 8702


def serve_slack(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = SLACK_PORT,
    app_url: Annotated[str, typer.Option(help="Where Signalbox is served; clicks are sent there.")] = "",
) -> None:
    """Serve a stand-in Slack: its page shows the review channel, its buttons press. Forgets everything when it stops."""
    run(_serve(invocation_of(context).settings(), host, port, app_url))


async def _serve(settings: "Settings", host: str, port: int, app_url: str) -> None:
    from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring
    from api.serving import ending, listen, served, until_told, url_of  # noqa: PLC0415  # see the package's docstring
    from tools.sandbox.slack import SlackStandIn  # noqa: PLC0415  # see the package's docstring
    from tools.sandbox.slack_http import create_slack  # noqa: PLC0415  # see the package's docstring

    log_to_stderr(settings.log_level)
    app = app_url or f"http://{settings.host}:{settings.port}"
    world = SlackStandIn(token=f"xoxb-{secrets.token_hex(12)}", signing_secret=secrets.token_hex(16))
    world.interactions_url = f"{app.rstrip('/')}/slack/interactions"
    with listen(host, port) as listener:
        world.base_url = url_of(listener)
        async with served(create_slack(world), listener) as task:
            remark(f"stand-in Slack on {world.base_url}; clicks go to {world.interactions_url}")
            remark(
                f"to connect it: SIGNALBOX_SLACK_API_URL={world.base_url}/api SIGNALBOX_SLACK_BOT_TOKEN={world.token} "
                f"SIGNALBOX_SLACK_SIGNING_SECRET={world.signing_secret} SIGNALBOX_SLACK_TEAM={world.team} "
                f"SIGNALBOX_SLACK_CHANNEL={next(iter(world.channels))} SIGNALBOX_PUBLIC_URL={app}"
            )
            people = ", ".join(
                f"{{id: {name}, roles: [ops], slack_user: {user}}}"
                for user, name in world.users.items()
                if name != "stranger"
            )
            remark(f"and in the tenants file: people: [{people}]")
            await until_told(ending([task]))
