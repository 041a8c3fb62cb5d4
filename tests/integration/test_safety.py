"""Unsafe settings refuse to start, each with one sentence that names the setting."""

from pathlib import Path

import pytest

from domain.errors import ConfigError
from graph.bootstrap import safety
from graph.bootstrap.settings import read_settings
from graph.bootstrap.system import open_signalbox
from graph.runtime.connection import connect
from graph.runtime.server import EmbeddedServer


def test_a_loose_serializer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """reliability/S14: strict msgpack unset."""
    safety.check_process()
    for value in ("", "false", "0"):
        monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", value)
        with pytest.raises(ConfigError, match="LANGGRAPH_STRICT_MSGPACK"):
            safety.check_process()


@pytest.mark.parametrize(
    "url",
    [
        "redis://10.1.2.3:6379/0",
        "redis://cache.example.com:6379",
        "rediss://cache.example.com",
        "redis://[2001:db8::1]:6379",
    ],
)
def test_a_server_others_reach_needs_a_password(url: str) -> None:
    """reliability/S14: Redis without password on a non-loopback address."""
    with pytest.raises(ConfigError, match=r"SIGNALBOX_REDIS_URL names .* without a password"):
        safety.check_redis_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379",
        "redis://localhost:6379/3",
        "redis://[::1]:6379",
        "unix:///run/redis.sock",
        "rediss://user:secret@cache.example.com:6380/1",
    ],
)
def test_a_loopback_server_or_one_with_a_password_is_fine(url: str) -> None:
    safety.check_redis_url(url)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"appendonly": "no"}, "appendonly"),
        ({"maxmemory": "64mb", "maxmemory-policy": "allkeys-lru"}, "maxmemory-policy allkeys-lru"),
    ],
)
async def test_a_forgetful_server_is_refused(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    """reliability/S14: AOF off, eviction policy other than noeviction; nothing is started on such a server."""
    async with EmbeddedServer(tmp_path / "redis", settings=settings) as server:
        client = connect(server.url)
        try:
            with pytest.raises(ConfigError, match=named):
                await safety.check_redis(client)
            with pytest.raises(ConfigError, match=named):
                async with open_signalbox(read_settings(home=tmp_path / "home", redis_url=server.url)):
                    pytest.fail("it started")
        finally:
            await client.aclose()


def test_secrets_others_can_read_are_refused(tmp_path: Path) -> None:
    tenants = tmp_path / "tenants.yaml"
    tenants.touch(mode=0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        safety.check_tenants_file(tenants)
    tenants.chmod(0o600)
    safety.check_tenants_file(tenants)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"port": 99999}, "SIGNALBOX_PORT"),
        ({"bus": "carrier-pigeon"}, "SIGNALBOX_BUS"),
        ({"redis_shards": 0}, "SHARDS"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(overrides: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_settings(**overrides)
