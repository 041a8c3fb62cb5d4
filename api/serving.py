"""A running Signalbox behind a port: system, API and, when wanted, a worker, started and stopped together.

Stopping is orderly: no new requests, then the worker finishes what is in hand, then the stores are let go.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.console.console import open_console
from api.desk import Desk
from api.idempotency import RedisIdempotencyStore
from api.slack.interactions import SlackServices
from api.support import SupportViews
from api.tenants import Tenants
from api.worker import Worker
from domain.errors import ConfigError
from graph.bootstrap.system import Signalbox

GRACE_S = 5
"""Requests under way get this long when the server stops."""
_POLL_S = 0.01


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What is up."""

    url: str
    ended: "asyncio.Future[None]"
    """Done when the server or the worker ended by itself; holds what went wrong."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one.

    Raises:
        ConfigError: the address cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        # with the protocol named, asyncio sends small answers at once instead of 40 ms later
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot listen on {host} port {port}: {said}; choose another with --port") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a listening socket is reached from this machine."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


def application(box: Signalbox, tenants: Tenants) -> FastAPI:
    """The API and the console in front of a running system."""
    box.review_channels.people = tenants.slack_user
    box.suppliers.scan.tenants = lambda: [each.tenant for each in tenants]
    desk, idempotency = Desk(box), RedisIdempotencyStore(box.store.batcher, box.keys)
    console = open_console(box, desk, tenants)
    return create_app(
        desk, tenants, idempotency,
        console=console, now=box.clock.now, slack=slack_services(box), contacts=box.contacts,
        support_desk=SupportViews(box),
    )  # fmt: skip


def slack_services(box: Signalbox) -> SlackServices | None:
    """What answers clicks from Slack; None when no workspace is connected."""
    channels = box.review_channels
    if channels.slack is None:
        return None
    return SlackServices(
        channel=channels.slack, cards=channels.cards, reviews=box.store.reviews, journal=box.store.journal
    )


@asynccontextmanager
async def served(app: FastAPI, listener: socket.socket) -> AsyncIterator["asyncio.Task[None]"]:
    """The application on a listening socket for the length of the block; gives the server's task.

    Raises:
        ConfigError: the server did not come up.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S, server_header=False
    )
    server = _Server(config)
    with listener:
        task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
        while not server.started and not task.done():  # noqa: ASYNC110  # the server offers no event to wait for
            await asyncio.sleep(_POLL_S)
        if task.done():
            task.result()
            raise ConfigError("the HTTP server stopped while it was starting; see the log")
        try:
            yield task
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def working(box: Signalbox) -> AsyncIterator["asyncio.Task[None]"]:
    """A worker in this process for the length of the block; gives its task."""
    stop, worker = asyncio.Event(), Worker(box)
    await worker.subscribe()
    task = asyncio.get_running_loop().create_task(worker.run(stop))
    try:
        yield task
    finally:
        stop.set()
        await task


@asynccontextmanager
async def serving(
    box: Signalbox, tenants: Tenants, listener: socket.socket, *, with_worker: bool
) -> AsyncIterator[Serving]:
    """The API, and a worker beside it, for the length of the block.

    Raises:
        ConfigError: the server did not come up.
        StoreUnavailable: the store was away when the worker started.
    """
    async with contextlib.AsyncExitStack() as stack:
        running = []
        if with_worker:
            running.append(await stack.enter_async_context(working(box)))
        running.append(await stack.enter_async_context(served(application(box, tenants), listener)))
        yield Serving(url=url_of(listener), ended=ending(running))


def ending(running: Sequence["asyncio.Task[None]"]) -> "asyncio.Future[None]":
    """Done as soon as one of the parts ends by itself, with what it ended with."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for task in running:
        task.add_done_callback(lambda done: _tell(done, ended))
    return ended


async def until_told(ended: "asyncio.Future[None] | None" = None) -> None:
    """Wait for SIGTERM, SIGINT, or a part that ended by itself.

    Raises:
        Exception: what the part ended with.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    try:
        waiting = loop.create_task(told.wait())
        either: list[asyncio.Future[Any]] = [waiting, *([ended] if ended else [])]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if ended is not None and ended.done():
            ended.result()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _tell(done: "asyncio.Task[None]", ended: "asyncio.Future[None]") -> None:
    if ended.done() or done.cancelled():
        return
    error = done.exception()
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(error)
        ended.exception()  # read here, so that nobody is warned when the block is already being left
