"""The demo itself: a fresh home, everything started in one process, orders sent over HTTP, the summary, and staying up.

One order is worked on at a time, so that orders of one card or for the last unit always meet in the same sequence: a seed
has one result.
"""

import asyncio
import fcntl
import secrets
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from api.cli.demo_screen import ProgressBars, print_invitation, print_summary
from api.cli.demo_summary import summarise
from api.cli.invocation import Invocation
from api.cli.logs import logging_to_file
from api.cli.terminal import print_json
from api.cli.working import left_to_do
from api.console.links import one_time_link
from api.reconcile.check import reconcile
from api.serving import listen, served, serving, until_told, url_of
from api.tenant_file import generate, open_tenants, operator_keys
from api.tenants import Role, ShopAccess
from domain.errors import ConfigError, SignalboxError
from domain.ids import TenantId
from evals.replay import Target, deliveries, replay
from evals.world import Catalogue, RawOrder, shops
from evals.world import generate as generate_orders
from graph.bootstrap.settings import Settings
from graph.bootstrap.system import Signalbox, open_signalbox
from tools.sandbox.models import STAND_IN_MODELS, ModelStandIn, create_model_app

TENANT = TenantId("default")
RATE_PER_S = 12.0
"""Deliveries a second: three times the flash-sale hour of 15,000 orders, and slow enough to be watched."""
PER_HOUR = 3_600
"""How closely the orders were placed, says their own time stamps; the last one was placed just now."""
STALLED_S = 90.0
MARKER = "demo.json"
_POLL_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for."""

    orders: int
    seed: int
    serve: bool
    port: int | None
    as_json: bool


async def run_demo(at: Invocation, plan: Plan) -> None:
    """Run the demo.

    Raises:
        ConfigError: a demo of this seed is running, or its port is taken.
        SignalboxError: the system did not do what it should.
    """
    settings = _settings(at, plan)
    make_fresh(settings.home)
    generate(settings.home, shops=_world_shops())
    with logging_to_file(settings.home / "demo.log", "info"), _listen(settings, plan) as listener:
        reconciled = await _run(settings, listener, plan)
    if not reconciled:
        raise SignalboxError(f"the books do not add up; look with 'signalbox --home {settings.home} reconcile'")


async def _run(settings: Settings, listener: socket.socket, plan: Plan) -> bool:
    """Everything while it is up, on stand-in models; says whether the books add up."""
    key, door = secrets.token_urlsafe(24), listen("127.0.0.1", 0)
    named = {"llm_base_url": f"{url_of(door)}/v1", "llm_api_key": SecretStr(key), "llm_model": STAND_IN_MODELS}
    async with served(create_model_app(ModelStandIn(), key), door):
        return await _run_on(settings.model_copy(update=named), listener, plan)


async def _run_on(settings: Settings, listener: socket.socket, plan: Plan) -> bool:
    tenants = open_tenants(None, settings.home)
    async with open_signalbox(settings) as box, serving(box, tenants, listener, with_worker=True) as up:
        work = asyncio.get_running_loop().create_task(_replay_and_sum(box, up.url, plan))
        either: list[asyncio.Future[Any]] = [work, up.ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            up.ended.result()
            raise ConfigError(f"the system ended by itself; see {settings.home / 'demo.log'}")
        reconciled = bool(work.result()["reconciled"])
        if plan.serve:
            reviews = await box.store.reviews.listed(TENANT)
            link = await one_time_link(box, next(iter(tenants)), up.url, person="you")
            print_invitation(settings.home, up.url, reviews, link=link, quiet=plan.as_json)
            await until_told(up.ended)
        return reconciled


def _settings(at: Invocation, plan: Plan) -> Settings:
    """A home of its own with everything embedded, whatever the environment names; the workflow file may be yours."""
    return at.settings(
        home=at.settings().home / f"demo-{plan.seed}",
        redis_url=None,
        database_url=None,
        bus="redis",
        backends_url=None,
        tenants_file=None,
        llm_base_url=None,
        llm_model="",
        llm_fallback_base_url=None,
        llm_fallback_models="",
        sandbox_seed=plan.seed,
        worker_concurrency=1,
    )


def make_fresh(home: Path) -> None:
    """An empty folder for a demo; what an earlier demo left there goes.

    Raises:
        ConfigError: a demo is running there, or the folder is not a demo's.
    """
    if home.exists() and any(home.iterdir()):
        if not (home / MARKER).exists():
            raise ConfigError(f"{home} holds something that is not a demo's; name another --home or --seed")
        if _in_use(home / "redis" / "users.lock"):
            raise ConfigError(f"a demo is still running in {home}; stop it, or take another --seed")
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    (home / MARKER).write_text("{}\n")


def _in_use(lock: Path) -> bool:
    """Whether any process holds the lock every user of an embedded server shares."""
    with suppress(FileNotFoundError), lock.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _listen(settings: Settings, plan: Plan) -> socket.socket:
    """The named port; else the usual one when the demo stays up and it is free; else any."""
    if plan.port is not None:
        return listen(settings.host, plan.port)
    if plan.serve:
        with suppress(ConfigError):
            return listen(settings.host, settings.port)
    return listen(settings.host, 0)


def _world_shops() -> list[ShopAccess]:
    return [
        ShopAccess(
            channel=channel,
            shop=secret.shop,
            secrets=(secret.secret,),
            callback_url=secret.callback_url,
            partner_id=secret.partner_id,
            access_token=secret.access_token,
        )
        for channel, secrets in shops(TENANT).items()
        for secret in secrets
    ]


async def _replay_and_sum(box: Signalbox, url: str, plan: Plan) -> dict[str, Any]:
    sandbox = box.sandbox
    if sandbox is None:
        raise ConfigError("the demo needs the in-process stand-ins; unset SIGNALBOX_BACKENDS_URL")

    async def put(order: RawOrder) -> None:
        await sandbox.channels.put_platform_order(
            order.channel.value, order.external_id, order.body.decode(), shop=order.shop
        )

    api_key = operator_keys(box.settings.home)[Role.STOREFRONT]
    start = box.clock.now() - timedelta(hours=plan.orders / PER_HOUR)
    series = generate_orders(
        plan.orders, plan.seed, start=start, catalogue=Catalogue.of_sandbox(sandbox.world), per_hour=PER_HOUR
    )
    with ProgressBars(box, plan.orders) as bars:
        tally = await replay(
            deliveries(series),
            Target(url=url, api_key=api_key, put_platform_order=put),
            rate_per_s=RATE_PER_S,
            on_progress=bars.sent,
        )
        await _drained(box, bars)
    report = await reconcile(box)
    summary = await summarise(box, TENANT, report, seed=plan.seed, accept_ms=tally.accept_ms)
    if plan.as_json:
        print_json(summary)
    else:
        print_summary(summary, tally, report)
    if tally.unexpected:
        wrong = len(tally.unexpected)
        raise SignalboxError(
            f"{wrong} deliveries were not answered as they should be; the first: {tally.unexpected[0]}"
        )
    return summary


async def _drained(box: Signalbox, bars: ProgressBars) -> None:
    """Wait until every order rests, tier 3 has followed, and the audit has it all.

    Raises:
        SignalboxError: nothing moves any more.
    """
    loop = asyncio.get_running_loop()
    least, moved_at = -1, loop.time()
    while True:
        left = await left_to_do(box)
        bars.look()
        if not left:
            return
        if left < least or least < 0:
            least, moved_at = left, loop.time()
        if loop.time() - moved_at > STALLED_S:
            raise SignalboxError(
                f"{left} messages have not moved for {STALLED_S:.0f} s; see demo.log in {box.settings.home}"
            )
        await asyncio.sleep(_POLL_S)
