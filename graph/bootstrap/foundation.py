"""What everything else stands on: store, bus, database and the outside systems, connected."""

import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from graph.bootstrap import safety
from graph.bootstrap.letters import with_mail_server
from graph.bootstrap.settings import Settings
from graph.bootstrap.tracing import traced_systems, tracing_as_set
from graph.runtime.audit import AuditStore
from graph.runtime.bus_redis import RedisBus
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher, connect
from graph.runtime.database import open_database, upgrade
from graph.runtime.keys import Keyspace
from graph.runtime.server import EmbeddedServer
from graph.runtime.store import Store
from tools.connectors.directory import Systems
from tools.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """The connected parts every area of the system is built on."""

    settings: Settings
    clock: Clock
    owner: str
    """Names this process among all that share the store."""
    redis: Redis
    keys: Keyspace
    store: Store
    bus: RedisBus
    engine: AsyncEngine
    audit: AuditStore
    systems: Systems
    sandbox: Sandbox | None
    """The in-process stand-ins, when they are what runs."""


async def lay(settings: Settings, clock: Clock, stack: AsyncExitStack, outside: Systems | None = None) -> Foundation:
    """Connect everything outside; ``stack`` lets go of it. ``outside`` takes the place of the systems in the settings.

    Raises:
        ConfigError: a setting or the environment must be changed; the message says which and how.
        StoreUnavailable: Redis or the database does not answer.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    stack.enter_context(tracing_as_set(settings))
    redis = await _redis(settings, stack)
    keys = Keyspace(shards=settings.redis_shards)
    batcher = Batcher(redis)
    stack.push_async_callback(batcher.aclose)
    owner = f"{socket.gethostname()}:{os.getpid()}:{clock.new_id()[-6:]}"
    engine, audit = await _audit(settings, stack)
    systems, sandbox = (outside, None) if outside is not None else await _systems(settings, stack)
    return Foundation(
        settings=settings,
        clock=clock,
        owner=owner,
        redis=redis,
        keys=keys,
        store=Store.over(batcher, keys, clock, owner=owner, lease_ms=settings.lease_ms),
        bus=RedisBus(redis, batcher, keys),
        engine=engine,
        audit=audit,
        systems=traced_systems(with_mail_server(systems, settings, engine, clock)),
        sandbox=sandbox,
    )


async def _redis(settings: Settings, stack: AsyncExitStack) -> Redis:
    if settings.redis_url is None:
        server = await stack.enter_async_context(EmbeddedServer(settings.redis_folder))
        url = server.url
    else:
        url = settings.redis_url.get_secret_value()
        safety.check_redis_url(url)
    client = connect(url, concurrency=settings.worker_concurrency * 2 + 16)
    stack.push_async_callback(client.aclose)
    await safety.check_redis(client)
    return client


async def _audit(settings: Settings, stack: AsyncExitStack) -> tuple[AsyncEngine, AuditStore]:
    engine = open_database(settings.sql_url)
    stack.push_async_callback(engine.dispose)
    await upgrade(engine)
    return engine, AuditStore(engine)


async def _systems(settings: Settings, stack: AsyncExitStack) -> tuple[Systems, Sandbox | None]:
    if settings.backends_url is None:
        sandbox = await stack.enter_async_context(
            Sandbox(settings.home / "sandbox.sqlite3", seed=settings.sandbox_seed)
        )
        return Systems.in_process(sandbox), sandbox
    token = settings.backends_token.get_secret_value() if settings.backends_token else ""
    systems = Systems.over_http(settings.backends_url, token)
    stack.push_async_callback(systems.aclose)
    return systems, None
