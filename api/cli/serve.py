"""``signalbox serve``, ``worker``, ``sandbox serve`` and ``keys``: the long-running processes and how to get in."""

import os
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.sandbox_load import load
from api.cli.sandbox_slack import serve_slack
from api.cli.terminal import AsJson, print_json, remark, say, table

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from graph.bootstrap.settings import Settings

sandbox = typer.Typer(help="The stand-in back ends.", no_args_is_help=True)

Host = Annotated[str | None, typer.Option(help="Address to listen on; default SIGNALBOX_HOST or 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Default SIGNALBOX_PORT or 8700; 0 takes a free one.")]

SANDBOX_PORT = 8701
TOKEN_FILE = "sandbox.token"  # noqa: S105  # a file's name


def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run a worker in the same process.")] = True,
) -> None:
    """Serve the API, with a worker beside it. SIGTERM finishes what is in hand and stops."""
    at = invocation_of(context)
    settings = at.settings(**{k: v for k, v in {"host": host, "port": port}.items() if v is not None})
    run(_serve(at, settings, with_worker=worker))


def worker(context: typer.Context) -> None:
    """Run a worker: it carries orders until SIGTERM, then finishes what is in hand."""
    at = invocation_of(context)
    run(_work(at, at.settings()))


@sandbox.callback()
def _group() -> None:
    """Keeps ``serve`` a command of its own while it is the only one."""


@sandbox.command("serve")
def serve_sandbox(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = SANDBOX_PORT,
    token: Annotated[
        str | None, typer.Option(envvar="SIGNALBOX_BACKENDS_TOKEN", help="Default: one made and kept in the home.")
    ] = None,
) -> None:
    """Serve OMS, WMS, carriers, CRM, ERP, payment and channels over HTTP, so that the real connectors are exercised."""
    run(_serve_sandbox(invocation_of(context).settings(), host, port, token))


sandbox.command("slack")(serve_slack)
sandbox.command("load")(load)


def keys(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--show", help="Print the keys themselves.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say where API keys are: made on the first start unless SIGNALBOX_TENANTS_FILE names a file of your own."""
    from api.tenant_file import KEYS_FILE, TENANTS_FILE, operator_keys  # noqa: PLC0415  # see the package's docstring

    at = invocation_of(context)
    settings = at.settings()
    tenants = at.tenants(settings)
    own, home = settings.tenants_file, settings.home.absolute()
    plain = {} if own else {role.value: key for role, key in operator_keys(home).items()}
    known = [(t.tenant, k.key_id, sorted(k.roles)) for t in tenants for k in t.api_keys]
    if as_json:
        listed = [{"tenant": t, "key_id": k, "roles": roles} for t, k, roles in known]
        places = {
            "tenants_file": str(own or home / TENANTS_FILE),
            "keys_file": str(home / KEYS_FILE) if plain else None,
        }
        print_json(places | {"keys": listed} | ({"plaintext": plain} if show else {}))
        return
    say(f"tenants file  {own or home / TENANTS_FILE}  (SHA-256 of each key, signing secrets)")
    if plain:
        say(
            f"key file      {home / KEYS_FILE}  (plain keys, one per role; move them to where they are used, then delete it)"
        )
    table(("tenant", "key", "roles"), ((t, k, ", ".join(roles)) for t, k, roles in known))
    if show:  # each on a line of its own, which no narrow window breaks
        for _, key_id, _ in known:
            say(f"{key_id}  {plain.get(key_id, 'not kept')}")


async def _serve(at: Invocation, settings: "Settings", *, with_worker: bool) -> None:
    from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring
    from api.serving import listen, serving, until_told  # noqa: PLC0415  # see the package's docstring
    from graph.bootstrap.system import open_signalbox  # noqa: PLC0415  # see the package's docstring

    log_to_stderr(settings.log_level)
    tenants = at.tenants(settings)
    with listen(settings.host, settings.port) as listener:
        async with (
            open_signalbox(settings) as box,
            serving(box, tenants, listener, with_worker=with_worker) as up,
        ):
            remark(f"API on {up.url}, metrics on {up.url}/metrics, data in {settings.home.absolute()}")
            remark(f"Console on {up.url}/console; sign in with an API key (signalbox keys --show). Stop with Ctrl-C.")
            await until_told(up.ended)


async def _work(at: Invocation, settings: "Settings") -> None:
    from prometheus_client import start_http_server  # noqa: PLC0415  # see the package's docstring

    from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring
    from api.serving import ending, until_told, working  # noqa: PLC0415  # see the package's docstring
    from graph.bootstrap.system import open_signalbox  # noqa: PLC0415  # see the package's docstring

    log_to_stderr(settings.log_level)
    tenants = at.tenants(settings)
    async with open_signalbox(settings) as box, working(box) as task, AsyncExitStack() as stack:
        if settings.metrics_port is not None:
            server, _ = start_http_server(settings.metrics_port, settings.metrics_host, box.store.metrics.registry)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            remark(f"metrics on http://{settings.metrics_host}:{server.server_port}/metrics")
        box.review_channels.people = tenants.slack_user
        box.suppliers.scan.tenants = lambda: [each.tenant for each in tenants]
        remark(f"worker {box.owner} is at work, data in {settings.home.absolute()}. Stop with Ctrl-C.")
        await until_told(ending([task]))


async def _serve_sandbox(settings: "Settings", host: str, port: int, token: str | None) -> None:
    from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring
    from api.serving import ending, listen, served, until_told, url_of  # noqa: PLC0415  # see the package's docstring
    from tools.sandbox import Sandbox  # noqa: PLC0415  # see the package's docstring
    from tools.sandbox.http import create_app  # noqa: PLC0415  # see the package's docstring
    from tools.sandbox.models import STAND_IN_MODELS, ModelStandIn, create_model_app  # noqa: PLC0415  # see the package's docstring

    log_to_stderr(settings.log_level)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = token or _kept_token(settings.home / TOKEN_FILE)
    with listen(host, port) as listener:
        async with (
            Sandbox(settings.home / "sandbox.sqlite3", seed=settings.sandbox_seed) as world,
            served(_with_models(create_app(world, secret), create_model_app(ModelStandIn(), secret)), listener) as task,
        ):
            remark(f"stand-in back ends on {url_of(listener)} (routes: /docs), data in {settings.home.absolute()}")
            kept = "the token you gave" if token else f'"$(cat {(settings.home / TOKEN_FILE).absolute()})"'
            remark(f"to use them: SIGNALBOX_BACKENDS_URL={url_of(listener)} SIGNALBOX_BACKENDS_TOKEN={kept}")
            address = f"SIGNALBOX_LLM_BASE_URL={url_of(listener)}/llm/v1 SIGNALBOX_LLM_API_KEY={kept}"
            remark(f"and its models: {address} SIGNALBOX_LLM_MODEL={STAND_IN_MODELS}")
            await until_told(ending([task]))


def _with_models(app: "FastAPI", models: "FastAPI") -> "FastAPI":
    """The back ends with the stand-in models under ``/llm``."""
    app.mount("/llm", models)
    return app


def _kept_token(path: "Path") -> str:
    """The token of this home; made on the first start, readable by its owner only."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text().strip()
