"""The graph as ``langgraph dev`` opens it: a dry run of one order, answered like a review, nothing applied."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graph.bootstrap.studio import make_graph

ROOT = Path(__file__).resolve().parents[2]


def order(sku: str, country: str = "HK") -> dict[str, Any]:
    price = {"amount_minor": 12900, "currency": "HKD"}
    return {
        "external_id": "studio-1",
        "currency": "HKD",
        "lines": [{"sku": sku, "quantity": 1, "unit_price": price}],
        "ship_to": {"name": "A", "line1": "1 Nathan Road", "city": "Kowloon", "country": country},
        "payment": {"method": "card", "state": "authorised"},
    }


async def test_langgraph_json_names_a_graph_that_runs_dry() -> None:
    """F61: the development server opens what langgraph.json names."""
    named = json.loads((ROOT / "langgraph.json").read_text())["graphs"]["order"]["path"]
    path, _, function = named.partition(":")
    assert (ROOT / path).is_file()
    assert function == make_graph.__name__


async def test_an_unknown_product_waits_for_a_person_and_a_rejection_cancels() -> None:
    async with make_graph() as graph:
        graph.checkpointer = InMemorySaver()
        config = {"configurable": {"thread_id": "t"}, "recursion_limit": 60}
        asked = await graph.ainvoke({"order": order("NO-SUCH-SKU"), "decisions": {}}, config, version="v2")
        assert len(asked.interrupts) == 1
        assert "UNKNOWN_SKU" in {ground["code"] for ground in asked.interrupts[0].value["grounds"]}
        answer = {asked.interrupts[0].id: {"action": "reject", "detail": "no such thing"}}
        done = await graph.ainvoke(Command(resume=answer), config, version="v2")
        assert done.value["outcome"] == "cancelled"


class LoopWatch:
    """Notes every file operation on the thread that started it: the development server refuses those on its loop."""

    WATCHED = (
        "open",
        "os.mkdir",
        "os.listdir",
        "os.scandir",
        "os.remove",
        "os.rmdir",
        "shutil.rmtree",
        "tempfile.mkdtemp",
    )

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.thread: int | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, args: tuple[Any, ...]) -> None:
        if threading.get_ident() != self.thread or event not in self.WATCHED:
            return
        path = str(args[0])
        # The server lets imports and the system's own time zones pass.
        if not path.endswith((".py", ".pyc", "__pycache__")) and "/zoneinfo/" not in path:
            self.seen.append(f"{event} {path}")


async def test_no_file_is_touched_on_the_servers_loop() -> None:
    """F61: building the graph and running an order do their file work on other threads, as ``langgraph dev`` demands."""
    watch = LoopWatch()
    watch.thread = threading.get_ident()
    try:
        async with make_graph() as graph:
            done = await graph.ainvoke({"order": order("SB-00023"), "decisions": {}}, {"recursion_limit": 60})
    finally:
        watch.thread = None
    assert done["outcome"] == "fulfilled"
    assert watch.seen == []
