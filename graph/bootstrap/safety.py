"""What must be right before anything starts: each refusal names the setting and the way to mend it."""

import importlib
import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio import Redis

from domain.errors import ConfigError
from graph.runtime.connection import store_errors

ROOTS = ("domain", "tools", "prompts", "agents", "graph", "api", "evals")
_HERE = Path(__file__).resolve().parents[2]


def check_process() -> None:
    """The process itself: the serializer's strict mode, and that our package names resolve to us.

    Raises:
        ConfigError: naming what to change.
    """
    if os.environ.get("LANGGRAPH_STRICT_MSGPACK", "").lower() not in {"1", "true", "yes"}:
        raise ConfigError(
            "LANGGRAPH_STRICT_MSGPACK is not set: stored threads could name any Python object; start through "
            "'signalbox', or export LANGGRAPH_STRICT_MSGPACK=true"
        )
    for root in ROOTS:
        found = importlib.import_module(root).__file__ or ""
        if not Path(found).resolve().is_relative_to(_HERE):
            raise ConfigError(f"package {root} resolves to {found}, not to Signalbox; use an environment of its own")


def check_redis_url(url: str) -> None:
    """A server other machines can reach must ask for a password.

    Raises:
        ConfigError: it does not.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" or parts.password:
        return
    host = parts.hostname or "localhost"
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise ConfigError(
            f"SIGNALBOX_REDIS_URL names {host} without a password: anybody who reaches it could change orders; "
            "use redis://user:password@host or rediss://"
        )


async def check_redis(client: Redis) -> None:
    """The server must keep what it has acknowledged and never drop a key by itself.

    Raises:
        ConfigError: append-only file off, or an eviction policy is set.
        StoreUnavailable: it does not answer.
    """
    with store_errors():
        persistence = await client.info("persistence")
        memory = await client.info("memory")
    if not persistence.get("aof_enabled"):
        raise ConfigError("Redis runs with appendonly no: a crash would lose accepted orders; set 'appendonly yes'")
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise ConfigError(
            f"Redis runs with maxmemory-policy {policy}: it would drop orders when full; set 'maxmemory-policy noeviction'"
        )


def check_tenants_file(path: Path) -> None:
    """The file with keys and secrets must not be readable by others.

    Raises:
        ConfigError: it is.
    """
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} is readable by others and holds secrets; run 'chmod 600 {path}'")
