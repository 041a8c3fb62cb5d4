"""OpenTelemetry: off it records nothing; on, one order is one connected trace, and nobody's data is in it."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.serving import application
from domain.order import OrderProgress
from graph.runtime import tracing
from tests.support.api_desk import key_of, two_tenants
from tests.support.system import TENANT, fast_settings, native_order, opened, running
from tests.support.waiting import wait_until

CANARIES = ("Canary Personname", "canary@person.example", "+85291234567", "77 Canary Street", "4111111111111111")


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.switch_on(SimpleSpanProcessor(exporter))
    yield exporter
    tracing.switch_off()


def canary_order() -> dict[str, object]:
    order = native_order()
    order["ship_to"] |= {"name": CANARIES[0], "line1": CANARIES[3], "phone": CANARIES[2]}
    order["customer"] |= {"name": CANARIES[0], "email": CANARIES[1]}
    return order | {"note": f"my card is {CANARIES[4]}"}


def everything(found: tuple[ReadableSpan, ...]) -> str:
    return "\n".join(str(span.to_json()) for span in found)


async def test_one_order_is_one_connected_trace(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    """Issue 6.3, reliability/S05: HTTP, bus, graph, agents, tools and tier 3 in one trace without anybody's data."""
    order = canary_order()
    async with running(fast_settings(tmp_path / "home")) as rig:
        app = application(rig.box, two_tenants(first=TENANT))
        transport = httpx2.ASGITransport(app=app, client=("203.0.113.9", 40000))
        headers = {"Authorization": f"Bearer {key_of(TENANT, 'storefront')}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://signalbox.example") as http:
            taken = await http.post("/v1/orders", json={k: v for k, v in order.items() if k != "note"}, headers=headers)
        assert taken.status_code == 202, taken.text
        await rig.settled(taken.json()["order_id"], at=[OrderProgress.FULFILLED])

        async def followed() -> bool:
            return any(span.name == "invoke_agent loyalty" for span in spans.get_finished_spans())

        await wait_until(followed, "tier 3 is in the trace")
        await rig.idle()
    found = spans.get_finished_spans()
    (root,) = [span for span in found if span.name == "POST /v1/orders"]
    mine = {span.context.span_id: span for span in found if span.context.trace_id == root.context.trace_id}
    names = [span.name for span in mine.values()]
    for agent in (
        "fraud_detection",
        "compliance",
        "inventory_reservation",
        "order_routing",
        "tax",
        "shipping_method",
        "loyalty",
    ):
        assert f"invoke_agent {agent}" in names
    assert "invoke_workflow order_workflow" in names
    assert any(name.startswith("execute_tool wms.") for name in names)
    assert any(name.startswith(("execute_tool payment.", "execute_tool oms.")) for name in names)
    for span in mine.values():
        assert span is root or (span.parent is not None and span.parent.span_id in mine), span.name
    by_name = {span.name: span for span in mine.values()}
    workflow, fraud = by_name["invoke_workflow order_workflow"], by_name["invoke_agent fraud_detection"]
    assert fraud.parent is not None
    assert fraud.parent.span_id == workflow.context.span_id
    told = dict(fraud.attributes or {})
    assert told["gen_ai.operation.name"] == "invoke_agent"
    assert (told["gen_ai.agent.name"], told["gen_ai.agent.version"]) == ("fraud_detection", "fd-1.0")
    assert told["gen_ai.conversation.id"] == dict(workflow.attributes or {})["gen_ai.conversation.id"]
    assert told["signalbox.decision"] == "approve"
    assert not [canary for canary in CANARIES if canary in everything(found)]


async def test_a_failure_in_a_trace_says_its_type_and_nothing_else(spans: InMemorySpanExporter) -> None:
    """reliability/S05: what an exception says may hold what a customer wrote; the trace has its type alone."""
    with pytest.raises(ValueError, match="Canary"), tracing.agent_span("tax", "tx-1.0", "thread"):
        raise ValueError(CANARIES[0])
    (span,) = spans.get_finished_spans()
    assert dict(span.attributes or {})["error.type"] == "ValueError"
    assert not span.status.is_ok
    assert CANARIES[0] not in everything((span,))
    assert span.events == ()


async def test_off_it_leaves_no_mark(tmp_path: Path) -> None:
    """Issue 6.3: without the setting no span is made, nothing is wrapped, and messages carry no trace."""
    assert not tracing.is_on()
    headers: dict[str, str] = {}
    tracing.carry(headers)
    assert headers == {}
    assert tracing.span("a") is tracing.span("b", {"c": 1}, parent={"traceparent": "x"})
    async with opened(fast_settings(tmp_path / "home")) as rig:
        assert rig.box.sandbox is not None
        assert rig.box.systems.payment is rig.box.sandbox.payment


@pytest.mark.parametrize(
    "given", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-" + "z" * 32 + "-" + "a" * 16 + "-01"]
)
async def test_a_callers_nonsense_begins_a_new_trace(given: str, spans: InMemorySpanExporter) -> None:
    """Issue 6.3: a header that names no trace is no trace; a good one is gone on with."""
    with tracing.span("inner", parent={tracing.PARENT: given}):
        carried = tracing.current()
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f]", carried)
    with tracing.span("next", parent={tracing.PARENT: carried}):
        assert tracing.current().split("-")[1] == carried.split("-")[1]
