"""LangSmith: off by default, and when it is on it changes nothing and learns nothing about people."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from api.serving import listen, url_of
from evals.labelled import CASES, read_cases
from evals.langsmith_run import evaluate_set, examples
from graph.bootstrap.langsmith_traces import harmless, private_client
from graph.order.threads import graph_version
from graph.topology.loader import load
from tools.sandbox.models import ModelStandIn, create_model_app

CANARIES = ("Canary Personname", "canary@person.example", "91234567", "77 Canary Street")
ORDER: dict[str, Any] = {
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


@contextmanager
def model_server(stand_in: ModelStandIn) -> Iterator[str]:
    """The stand-in models, served from a thread of their own."""
    socket = listen("127.0.0.1", 0)
    config = uvicorn.Config(create_model_app(stand_in, "stand-in-key"), log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield url_of(socket)
    finally:
        server.should_exit = True
        thread.join(10)


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
            LANGSMITH_DISABLE_RUN_COMPRESSION="true",
        )
    assert essence(traced) == essence(plain)
    assert plain["state"] == "fulfilled"
    everything = b"\n".join(taken)
    assert taken, "tracing was switched on and sent nothing: the test proves nothing"
    assert b"storefront-traced-1" in everything, "the bodies cannot be read: the test proves nothing"
    assert not [canary for canary in CANARIES if canary.encode() in everything]


def test_our_own_key_turns_traces_on_with_agent_order_and_version(tmp_path: Path) -> None:
    """F65: traces name agent, order and version; inputs and outputs stay here, also of a model's calls."""
    order = tmp_path / "order.json"
    order.write_text(json.dumps(ORDER | {"note": f"call {CANARIES[0]}", "ship_to": ORDER["ship_to"] | {"phone": "12"}}))
    topology = tmp_path / "order.yaml"
    shipped = Path(__file__).parents[2] / "graph" / "order" / "order.yaml"
    topology.write_text(shipped.read_text().replace("version: fd-1.0", "version: fd-2.0"))
    stand_in = ModelStandIn()
    with trace_server() as (url, taken), model_server(stand_in) as model:
        submit(
            tmp_path / "traced",
            order,
            SIGNALBOX_LANGSMITH_API_KEY="placeholder-not-a-key",
            SIGNALBOX_LANGSMITH_ENDPOINT=url,
            SIGNALBOX_TOPOLOGY_FILE=str(topology),
            SIGNALBOX_LLM_BASE_URL=f"{model}/v1",
            SIGNALBOX_LLM_API_KEY="stand-in-key",
            SIGNALBOX_LLM_MODEL="standin-small",
            LANGSMITH_DISABLE_RUN_COMPRESSION="true",
        )
    everything = b"\n".join(taken)
    assert stand_in.hits
    for named in (
        b"order storefront-traced-1 " + graph_version(load(topology).workflow("order_workflow")).encode(),
        b"fraud_detection",
        b"fraud_second_opinion",
        b"1.0@",
    ):
        assert named in everything, named
    private = (*CANARIES, "The buyer's note", "placeholder-not-a-key", "stand-in-key")
    assert not [word for word in private if word.encode() in everything]


def test_errors_and_metadata_are_reduced_to_what_is_harmless() -> None:
    """F65, reliability/S05: of an error its type, of metadata what is on the list and short."""
    error = harmless({"error": "ConnectorRejected('no address for Canary Personname')\nTraceback ..."})
    assert error == {"error": "ConnectorRejected"}
    assert harmless({"error": "Canary Personname has no address"}) == {"error": "an error"}
    kept = harmless({"agent": "fraud_detection", "buyer": CANARIES[0], "model": "x" * 900, "langgraph_step": 3})
    assert kept == {"agent": "fraud_detection", "model": "x" * 200, "langgraph_step": 3}


@pytest.mark.filterwarnings("ignore:.*upload_results")
async def test_labelled_cases_are_evaluated_offline_and_examples_hold_no_order() -> None:
    """F65: LangSmith's evaluate on our cases, without a key or a network; a dataset would hold ids and labels."""
    whole = read_cases(CASES / "tax.jsonl.gz")
    found = replace(whole, cases=whole.cases[:12])
    with trace_server() as (url, taken):
        client = private_client(api_key="offline", api_url=url, auto_batch_tracing=False, tracing_sampling_rate=0.0)
        told = await evaluate_set(found, client=client, upload=False)
    assert (told["n"], told["right"]) == (12, 12)
    assert not taken
    for example in examples(found):
        assert set(example.inputs or {}) == {"case", "segment", "label"}
        assert set(example.outputs or {}) == {"right"}
