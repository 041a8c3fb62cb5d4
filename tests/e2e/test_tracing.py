"""LangSmith: off by default, and when it is on it changes nothing and learns nothing about people."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CANARIES = ("Canary Personname", "canary@person.example", "91234567", "77 Canary Street")
ORDER = {
    "external_id": "traced-1",
    "placed_at": "2026-11-22T03:00:00Z",
    "currency": "HKD",
    "lines": [{"sku": "SB-00042", "quantity": 1, "unit_price": {"amount_minor": 12900, "currency": "HKD"}}],
    "ship_to": {"name": CANARIES[0], "line1": CANARIES[3], "city": "Kowloon", "country": "HK", "phone": CANARIES[2]},
    "customer": {"customer_id": "c-1", "email": CANARIES[1]},
    "payment": {"method": "card", "state": "authorised"},
}


@contextmanager
def trace_server() -> Iterator[tuple[str, list[bytes]]]:
    """A stand-in for the tracing service: takes everything and keeps it."""
    taken: list[bytes] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            self._answer()

        do_PATCH = do_POST

        def do_GET(self) -> None:
            taken.append(self.path.encode())
            self._answer()

        def _answer(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        server.server_close()


def submit(home: Path, order: Path, **extra: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH", "LANGCHAIN"))}
    command = [sys.executable, "-m", "api.cli", "--home", str(home), "orders", "submit", str(order)]
    done = subprocess.run(
        [*command, "--channel", "storefront", "--json"],
        env=kept | extra,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def essence(answer: dict[str, Any]) -> dict[str, Any]:
    told = {d["agent"]: (d["decision"], d["confidence"]) for d in answer["decisions"]}
    return {"state": answer["state"], "total": answer["total"], "decisions": told}


def test_tracing_adds_no_behaviour_and_carries_nobody_out(tmp_path: Path) -> None:
    """F65: no key and no network needed; with tracing on, the same outcome, and no personal data in the traces."""
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER))
    plain = submit(tmp_path / "plain", order)
    with trace_server() as (url, taken):
        traced = submit(
            tmp_path / "traced",
            order,
            LANGSMITH_TRACING="true",
            LANGSMITH_API_KEY="placeholder-not-a-key",
            LANGSMITH_ENDPOINT=url,
        )
    assert essence(traced) == essence(plain)
    assert plain["state"] == "fulfilled"
    everything = b"\n".join(taken)
    assert taken, "tracing was switched on and sent nothing: the test proves nothing"
    assert not [canary for canary in CANARIES if canary.encode() in everything]
