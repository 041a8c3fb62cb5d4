"""The process that keeps one embedded server running for as long as anybody uses its folder.

Run as a script by ``graph.runtime.server`` with the standard library only. It inherits the folder's keeper lock, starts
the server, restarts it on the same port when it crashes, and stops it when the kernel grants it the users lock
exclusively: that happens only when every user has let go, by leaving or by dying.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

CRASHES = 5
CRASH_WINDOW_S = 10.0
"""So many crashes in so short a time and the keeper gives up: the cause will not go away by itself."""

_PR_SET_PDEATHSIG = 1


def _free_port(preferred: int) -> int:
    """The preferred port when nobody listens on it, so that connected clients find a restarted server again."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free loopback port")


def _last_port(address: Path) -> int:
    try:
        return int(json.loads(address.read_text())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _publish(address: Path, **facts: int) -> None:
    draft = address.with_suffix(".new")
    draft.write_text(json.dumps(facts))
    draft.replace(address)


def _follow_parent() -> None:
    """Ask Linux to stop the server should this process be killed; elsewhere the next user finds and reuses it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _start(folder: Path, binary: str, keeper_fd: int) -> "subprocess.Popen[bytes]":
    address = folder / "address.json"
    port = _free_port(_last_port(address))
    child = subprocess.Popen(  # noqa: S603 - the binary is chosen by the application, never by a request
        [binary, str(folder / "server.conf"), "--port", str(port)],
        cwd=folder,
        pass_fds=[keeper_fd],
        preexec_fn=_follow_parent,
    )
    _publish(address, port=port, pid=child.pid, keeper=os.getpid())
    return child


class _Keeper:
    """The server process of the moment, and whether it should still be running."""

    def __init__(self, folder: Path, binary: str, keeper_fd: int) -> None:
        self._folder = folder
        self._binary = binary
        self._keeper_fd = keeper_fd
        self._stopping = threading.Event()
        self._child = _start(folder, binary, keeper_fd)

    def stop(self) -> None:
        """End the server for good, letting it write its data first."""
        self._stopping.set()
        if self._child.poll() is None:
            self._child.terminate()

    def run(self) -> int:
        """Keep the server up until it is stopped; returns the exit code."""
        crashes: list[float] = []
        while True:
            code = self._child.wait()
            if self._stopping.is_set() or code == 0:
                return 0
            crashes = [at for at in [*crashes, time.monotonic()] if at > time.monotonic() - CRASH_WINDOW_S]
            if len(crashes) >= CRASHES:
                return 1
            self._child = _start(self._folder, self._binary, self._keeper_fd)


def _stop_without_users(keeper: _Keeper, users: Path) -> None:
    with users.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        keeper.stop()
        threading.Event().wait()  # the lock goes with the process: nobody attaches to a server that is stopping


def main(folder: Path, binary: str, keeper_fd: int) -> int:
    """Detach from the caller, then keep the server."""
    if os.fork():
        return 0
    os.setsid()
    keeper = _Keeper(folder, binary, keeper_fd)
    signal.signal(signal.SIGTERM, lambda *_: keeper.stop())
    threading.Thread(target=_stop_without_users, args=(keeper, folder / "users.lock"), daemon=True).start()
    return keeper.run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
