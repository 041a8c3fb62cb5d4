"""The embedded server as processes: shared, restarted, left behind, misconfigured."""

import asyncio
import json
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from domain.errors import ConfigError
from graph.runtime.connection import connect
from graph.runtime.server import EmbeddedServer

_USER = """
import asyncio, sys
from pathlib import Path
from graph.runtime.server import EmbeddedServer

async def main():
    async with EmbeddedServer(Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


async def _until(condition: Callable[[], bool], what: str, *, deadline_s: float = 10.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s for: {what}"
        await asyncio.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class _User:
    """Another process that uses the folder until its input is closed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def join(cls, folder: Path) -> "_User":
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(sys.executable, "-c", _USER, folder, stdin=pipe, stdout=pipe))

    async def server_pid(self) -> int:
        assert self.process.stdout is not None
        return int(await self.process.stdout.readline())

    async def leave(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.process.wait()

    async def die(self) -> None:
        self.process.kill()
        await self.process.wait()


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[list[_User]]:
    joined = await asyncio.gather(*(_User.join(tmp_path) for _ in range(4)))
    yield joined
    for user in joined:
        if user.process.returncode is None:
            await user.die()
        user.process._transport.close()  # type: ignore[attr-defined]


async def test_processes_that_start_together_share_one_server(tmp_path: Path, users: list[_User]) -> None:
    """Several processes race to start; the server lives until the last of them has left, however it leaves."""
    pids = {await user.server_pid() for user in users}
    assert len(pids) == 1
    (pid,) = pids
    assert await users[0].leave() == 0
    await users[1].die()
    assert _alive(pid)
    async with EmbeddedServer(tmp_path) as server:
        assert server.pid == pid
        assert await users[2].leave() == 0
        await users[3].die()
        client = connect(server.url)
        assert await client.ping()
        await client.aclose()
    assert not _alive(pid)


async def test_a_killed_last_user_takes_the_server_along(tmp_path: Path) -> None:
    user = await _User.join(tmp_path)
    pid = await user.server_pid()
    await user.die()
    user.process._transport.close()  # type: ignore[attr-defined]
    await _until(lambda: not _alive(pid), "the server to stop")


async def test_a_restart_keeps_the_data_and_the_port(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        url, pid = server.url, server.pid
        client = connect(url)
        await client.set("kept", "1")
        await client.aclose()
    async with EmbeddedServer(tmp_path) as server:
        assert (server.url, server.pid != pid) == (url, True)
        client = connect(server.url)
        assert await client.get("kept") == b"1"
        await client.aclose()


async def test_a_killed_server_comes_back_with_its_data(tmp_path: Path) -> None:
    """reliability/R02: kill -9 of the server; users find it again under the same address, with all that reached the disk."""
    async with EmbeddedServer(tmp_path) as server:
        client = connect(server.url)
        for number in range(500):
            await client.rpush("log", number)
        await client.waitaof(1, 0, 10_000)
        killed = server.pid
        os.kill(killed, signal.SIGKILL)
        await _until(lambda: server.pid != killed, "another server process")
        async with EmbeddedServer(tmp_path) as again:
            assert again.url == server.url
            assert await client.llen("log") == 500
        await client.aclose()


async def test_a_killed_keeper_leaves_no_server_behind(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        keeper, pid = json.loads((tmp_path / "address.json").read_text())["keeper"], server.pid
        os.kill(keeper, signal.SIGKILL)
        if sys.platform == "linux":
            await _until(lambda: not _alive(pid), "the server to stop")
        async with EmbeddedServer(tmp_path) as again:
            client = connect(again.url)
            assert await client.ping()
            await client.aclose()


async def test_stale_files_are_ignored(tmp_path: Path) -> None:
    """What a crashed machine leaves: an address where nobody listens, locks nobody holds, half a draft."""
    (tmp_path / "address.json").write_text('{"port": 1, "pid": 1, "keeper": 1}')
    (tmp_path / "users.lock").touch()
    (tmp_path / "keeper.lock").touch()
    (tmp_path / "address.new").write_text("{")
    async with EmbeddedServer(tmp_path) as server:
        client = connect(server.url)
        assert await client.ping()
        await client.aclose()


async def test_two_folders_are_two_systems(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "a") as one, EmbeddedServer(tmp_path / "b") as other:
        assert one.pid != other.pid
        first, second = connect(one.url), connect(other.url)
        await first.set("who", "one")
        assert await second.get("who") is None
        await first.aclose()
        await second.aclose()


async def test_it_is_durable_private_and_never_evicts(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server:
        client = connect(server.url)
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "bind": "127.0.0.1"}
        for name, value in wanted.items():
            assert await client.config_get(name) == {name: value}
        await client.aclose()
        for name in ("password", "server.conf", "server.log"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        stranger = connect(f"redis://127.0.0.1:{server.url.rsplit(':', 1)[1]}")
        with pytest.raises(Exception, match="Authentication required"):
            await stranger.ping()
        await stranger.aclose()


async def test_a_server_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing or not executable"):
        await EmbeddedServer(tmp_path / "a", binary=tmp_path / "nothing").start()
    with pytest.raises(ConfigError, match="FATAL CONFIG FILE ERROR"):
        await EmbeddedServer(tmp_path / "b", settings={"no-such-setting": "1"}).start()


async def test_a_folder_with_spaces_and_quotes_works(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / 'a "home" with spaces — ở đây') as server:
        client = connect(server.url)
        assert await client.ping()
        await client.aclose()


async def test_leaving_twice_is_harmless_and_the_address_needs_a_start(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    with pytest.raises(ConfigError, match="not started"):
        _ = server.url
    await server.start()
    await server.close()
    await server.close()
