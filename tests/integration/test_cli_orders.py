"""The command line on a home of its own, alone and beside a running server: orders, reviews, dead letters, why."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from domain.order import OrderProgress
from graph.bootstrap.settings import ORDER_TOPOLOGY
from tests.support.command_line import CommandLine
from tests.support.payloads import payload, shopee_answer, shopee_order, shopify_order
from tests.support.system import fast_settings, for_review, native_order, running, submission, to_capture

ORDER_KEYS = {"order_id", "state", "total", "lines", "decisions"}
AS = ("--as", "mei", "--reason", "known customer")


@pytest.fixture
def signalbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "order.json"


def put(file: Path, document: Any) -> str:
    file.write_bytes(orjson.dumps(document))
    return str(file)


@contextmanager
def process(home: Path, *arguments: str, until: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A long-running command in a process of its own, ended by SIGTERM; gives the line that holds ``until``."""
    command = [sys.executable, "-m", "api.cli", "--home", str(home), *arguments]
    environment = os.environ | {"SIGNALBOX_LOG_LEVEL": "warning"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    ) as started:
        assert started.stderr is not None
        try:
            told = next(line for line in started.stderr if until in line)
            yield started, told
        finally:
            started.send_signal(signal.SIGTERM)
            assert started.wait(20) == 0


def test_a_real_payload_is_driven_to_where_only_a_person_moves_it(signalbox: CommandLine, tmp_path: Path) -> None:
    """P29: a real Shopify and a real Shopee payload reach a held and a final state with nothing but files; twice is once."""
    shopify = tmp_path / "shopify.json"
    shopify.write_text(payload("orders/shopify/order.json"), encoding="utf-8")
    first = signalbox.good("orders", "submit", str(shopify), "--channel", "shopify")
    assert set(first) == ORDER_KEYS
    assert first["total"] == {"amount_minor": 40994, "currency": "USD"}
    assert (first["order_id"], first["state"], len(first["lines"])) == ("shopify-450789469", "in_review", 3)
    assert {d["agent"] for d in first["decisions"]} == {"fraud_detection", "compliance", "inventory_reservation"}
    again = signalbox("orders", "submit", str(shopify), "--channel", "shopify", "--json")
    assert again.json == first
    assert "submitted before" in again.err
    shopee = tmp_path / "shopee.json"
    sample = "orders/shopee/samples/v2.order.get_order_detail.response.repaired.json"
    shopee.write_text(payload(sample), encoding="utf-8")
    seen = signalbox.good("orders", "submit", str(shopee), "--channel", "shopee")
    assert (seen["state"], seen["total"]["currency"]) == ("closed_externally", "VND")
    report = signalbox.good("reconcile")
    assert (report["ok"], report["accepted"], report["in_review"]) == (True, 2, 1)


def test_one_file_may_hold_many_orders(signalbox: CommandLine, file: Path) -> None:
    """P29: the answer of an order list gives one JSON entry an order, all of them worked on."""
    many = shopee_answer(shopee_order(), shopee_order(order_sn="260601ABCDEFGI"))
    found = signalbox.good("orders", "submit", put(file, many), "--channel", "shopee")
    assert [order["order_id"] for order in found] == ["shopee-260601ABCDEFGH", "shopee-260601ABCDEFGI"]
    assert all(set(order) == ORDER_KEYS and order["decisions"] for order in found)
    assert {order["order_id"] for order in signalbox.good("orders", "list")} == {order["order_id"] for order in found}


def test_a_review_is_decided_once_and_why_tells_who_overrode(signalbox: CommandLine, file: Path) -> None:
    """P29, F5: an order is held, shown, approved by a person, fulfilled; the second answer is told who was first."""
    order_id = signalbox.good("orders", "submit", put(file, for_review()), "--channel", "storefront")["order_id"]
    (review,) = signalbox.good("reviews", "list")
    assert signalbox.good("reviews", "show", review["review_id"])["entity_id"] == order_id
    decided = signalbox.good("reviews", "decide", review["review_id"], "--approve", *AS)
    assert decided["order"]["state"] == "fulfilled", decided["order"]
    late = signalbox.refused("reviews", "decide", review["review_id"], "--reject", "--as", "tom", "--reason", "no")
    assert "user:mei already answered approve at 20" in late
    told = signalbox("why", order_id)
    assert "user:mei" in told.out
    assert "fraud_detection" in told.out
    explained = signalbox.good("why", order_id)
    assert explained["outcome"] == "fulfilled"
    assert [(step["decided_by"], step["action"]) for step in explained["reviews"]] == [("user:mei", "approve")]


def test_a_case_is_worked_on_at_the_terminal(signalbox: CommandLine, file: Path) -> None:
    """P6, P8, P30: every act of the desk from the command line; refusals are one sentence; figures and reasons after."""
    signalbox.good("orders", "submit", put(file, for_review()), "--channel", "storefront")
    (review,) = signalbox.good("reviews", "list")
    name, tom = review["review_id"], ("--as", "tom")
    assert review["priority"]["why"].startswith("USD ")
    assert signalbox.good("reviews", "claim", name, *tom)["claimed_by"] == "user:tom"
    assert "user:tom has claimed this case" in signalbox.refused("reviews", "claim", name, "--as", "mei")
    assert (
        signalbox.good("reviews", "ask", name, "which floor?", "--to", "customer_service", *tom)["status"] == "waiting"
    )
    assert signalbox.good("reviews", "comment", name, "the ninth", "--as", "lin")["status"] == "open"
    assert signalbox.good("reviews", "assign", name, "--to", "user:mei", *tom)["assignee"] == "user:mei"
    assert "--to does not fit" in signalbox.refused("reviews", "assign", name, "--to", "nobody", *tom)
    assert signalbox.good("reviews", "snooze", name, "--minutes", "5", *tom)["status"] == "snoozed"
    assert signalbox.good("reviews", "list") == []
    assert len(signalbox.good("reviews", "list", "--status", "snoozed")) == 1
    shown = signalbox("reviews", "show", name)
    assert "the ninth" in shown.out
    assert "if nobody answers: reminded" in shown.out
    stale = signalbox.refused("reviews", "decide", name, "--approve", "--seen", "0" * 64, *AS)
    assert "not what stands now" in stale
    done = signalbox("reviews", "bulk", "reject", name, "rv0-x", "--reason", "a trial order", *tom, "--json")
    assert done.code == 1
    assert [one["done"] for one in orjson.loads(done.out)] == [True, False]
    found = signalbox.good("reviews", "list", "--reason", "TRIAL")
    assert [(one["review_id"], one["action"]) for one in found] == [(name, "reject")]
    assert signalbox.good("reviews", "measures")["decided"] == 1
    assert "reject" in signalbox("reviews", "measures").out


def test_edits_are_read_strictly(signalbox: CommandLine, file: Path, tmp_path: Path) -> None:
    """Bad edits are one sentence and change nothing; good ones run."""
    signalbox.good("orders", "submit", put(file, for_review()), "--channel", "storefront")
    (review,) = signalbox.good("reviews", "list")
    decide = ("reviews", "decide", review["review_id"], *AS)
    edits = tmp_path / "edits.json"
    for wrong, said in (
        ("[]", "object"),
        ("{}", "changes nothing"),
        ('{"total": 1}', "total"),
        ('{"lines": 1.5}', "lines"),
    ):
        edits.write_text(wrong)
        assert said in signalbox.refused(*decide, "--edit", str(edits))
    assert signalbox(*decide).code == 2
    assert signalbox(*decide, "--approve", "--reject").code == 2
    edits.write_text('{"ship_to": {"line1": "2 Queen\'s Road"}}')
    assert signalbox.good(*decide, "--edit", str(edits))["order"]["state"] in {"in_review", "fulfilled"}


def test_a_cancelled_order_is_undone(signalbox: CommandLine, file: Path) -> None:
    """F27 by command line: hold, label and money are given back; the books still add up."""
    order_id = signalbox.good("orders", "submit", put(file, to_capture()), "--channel", "storefront")["order_id"]
    cancelled = signalbox.good("orders", "cancel", order_id, "--as", "mei", "--reason", "customer called")
    assert cancelled["state"] == "cancelled"
    assert {"refund_payment", "void_label", "cancel_fulfilment"} <= {e["kind"] for e in cancelled["effects"]}
    report = signalbox.good("reconcile")
    assert report["terminal"] == {"cancelled": 1}
    assert report["money"]["USD"]["captured_minor"] == report["money"]["USD"]["refunded_minor"] > 0


BAD_INPUT = (
    (b"{", "shopify", "JSON"),
    (b"\xff\xfe{}", "shopify", "UTF-8"),
    (b'{"id": 1}', "nowhere", "has no adapter; known are"),
    (orjson.dumps(shopify_order(currency="XXQ")), "shopify", "XXQ"),
    (orjson.dumps({**native_order(), "lines": []}), "storefront", "lines"),
    (orjson.dumps({"orders": []}), "shopify", "order"),
    (b" " * 6_000_000, "shopify", "bytes"),
)


def test_bad_input_is_one_sentence(signalbox: CommandLine, file: Path) -> None:
    """S06: what cannot be an order is refused with a reason and exit code 1; nothing is accepted."""
    for document, channel, said in BAD_INPUT:
        file.write_bytes(document)
        assert said in signalbox.refused("orders", "submit", str(file), "--channel", channel)
    assert signalbox.good("orders", "list") == []


def test_refusals_name_what_is_missing(signalbox: CommandLine) -> None:
    """Unknown orders, reviews, letters, tenants and states are exit code 1 with a sentence, missing options are 2."""
    assert "no-such" in signalbox.refused("orders", "cancel", "no-such", *AS)
    assert "nothing is recorded" in signalbox.refused("why", "no-such")
    assert "rv0-x" in signalbox.refused("reviews", "decide", "rv0-x", "--approve", *AS)
    assert "0:1-1" in signalbox.refused("dlq", "show", "0:1-1")
    assert "elsewhere" in signalbox.refused("orders", "list", "--tenant", "elsewhere")
    assert "there are accepted" in signalbox.refused("orders", "list", "--state", "lost")
    assert signalbox("orders", "cancel", "x").code == 2
    assert signalbox("orders", "cancel", "x", "--as", "no spaces", "--reason", "r").code == 2
    assert signalbox("dlq", "replay").code == 2


def test_a_switched_off_workflow_keeps_orders(
    signalbox: CommandLine, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F3: with the order workflow off an order is stored and starts no graph; once it is on, the order is worked on."""
    off = tmp_path / "off.yaml"
    off.write_text(
        ORDER_TOPOLOGY.read_text(encoding="utf-8").replace("enabled: true", "enabled: false", 1), encoding="utf-8"
    )
    monkeypatch.setenv("SIGNALBOX_TOPOLOGY_FILE", str(off))
    kept = signalbox.good("orders", "submit", put(file, native_order()), "--channel", "storefront")
    assert (kept["state"], kept["decisions"]) == ("accepted", [])
    assert signalbox.good("reconcile")["in_flight"] == 1
    monkeypatch.delenv("SIGNALBOX_TOPOLOGY_FILE")
    done = signalbox.good("orders", "submit", str(file), "--channel", "storefront")
    assert (done["order_id"], done["state"]) == (kept["order_id"], "fulfilled")


def test_commands_work_beside_a_running_server(signalbox: CommandLine, file: Path) -> None:
    """W02: commands share a home with ``serve``, whose worker carries their orders; SIGTERM ends it with exit code 0."""
    with process(signalbox.home, "serve", "--port", "0", until="API on") as (_, told):
        url = told.split()[2].rstrip(",")
        assert httpx2.get(f"{url}/readyz").json()["ready"] is True
        order = signalbox.good("orders", "submit", put(file, native_order()), "--channel", "storefront")
        assert order["state"] == "fulfilled"
        plain = signalbox.good("keys", "--show")["plaintext"]
        answer = httpx2.get(f"{url}/v1/orders/{order['order_id']}", headers={"X-API-Key": plain["ops"]})
        assert answer.json()["state"] == "fulfilled"
        page = httpx2.get(f"{url}/metrics").text
        assert 'signalbox_orders_total{progress="fulfilled"} 1.0' in page, "the server's own worker did it"
    assert signalbox.good("audit", "verify")["intact"] is True


def test_dead_letters_are_listed_replayed_and_dropped(signalbox: CommandLine) -> None:
    """B04 by command line: a letter keeps its reason and payload, comes back when replayed unmended, and may be given up."""
    asyncio.run(bury_one(signalbox.home))
    (letter,) = signalbox.good("dlq", "list")
    assert letter["order_id"] == "storefront-BAD-1"
    assert "external_id" in letter["reason"]
    assert signalbox.good("dlq", "show", letter["letter_id"])["payload"] == '{"not": "an order"}'
    (replayed,) = signalbox.good("dlq", "replay", "--all")["replayed"]
    assert (replayed["letter_id"], replayed["state"]) == (letter["letter_id"], "dead_letter")
    (again,) = signalbox.good("dlq", "list")
    assert again["letter_id"] != letter["letter_id"]
    assert signalbox.good("reconcile")["dead_letter"] == 1
    signalbox.good("dlq", "drop", again["letter_id"], *AS)
    assert signalbox.good("dlq", "list") == []
    report = signalbox.good("reconcile")
    assert (report["ok"], report["given_up"], report["dead_letter"]) == (True, 1, 0)
    assert "mei" in signalbox("why", "storefront-BAD-1").out


async def bury_one(home: Path) -> None:
    """Leave a delivery among the dead letters that announced an order and holds none."""
    async with running(fast_settings(home)) as rig:
        await rig.desk.submit(submission(b'{"not": "an order"}', order_hint="BAD-1"))
        await rig.settled("storefront-BAD-1", at=[OrderProgress.DEAD_LETTER])


def test_released_orders_are_routed_anew_on_request(signalbox: CommandLine, file: Path) -> None:
    """domain/R8: ``orders rewave`` shows what a look before the wave would change, and asks the workers for one."""
    released = signalbox.good("orders", "submit", put(file, native_order()), "--channel", "storefront")
    assert released["state"] == "fulfilled"
    shown = signalbox.good("orders", "rewave", "--dry-run")
    assert (shown["looked_at"], shown["changes"], shown["queued"]) == (1, [], False)
    assert signalbox.good("orders", "rewave")["queued"]
    assert "released orders" in signalbox("orders", "rewave", "--dry-run").out
