"""A process that dies at each node of the order graph in turn; run as a script with a Redis URL.

For every node it forks a child that kills itself there, then resumes the child's thread in this process and prints the
result as one line of JSON.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Annotated, Any, TypedDict

os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"

from langgraph.graph import END, START, StateGraph

from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.connection import Batcher, connect
from graph.runtime.keys import Keyspace

NODES = ("fraud", "compliance", "inventory", "gate", "routing", "effects", "completion")


def _merge(old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    return {**old, **new}


class Steps(TypedDict, total=False):
    """Which node ran, and what it saw done before it."""

    seen: Annotated[dict[str, int], _merge]


def build(saver: RedisCheckpointer, crash_at: str | None = None) -> Any:
    """Seven nodes, three of them side by side; ``crash_at`` kills the process inside that node."""

    def step(name: str) -> Any:
        async def run(state: Steps) -> Steps:
            if name == crash_at:
                await asyncio.sleep(0.05)  # its neighbours' writes are on their way meanwhile
                os.kill(os.getpid(), signal.SIGKILL)
            return {"seen": {name: len(state.get("seen", {}))}}

        return run

    builder = StateGraph(Steps)
    for name in NODES:
        builder.add_node(name, step(name), defer=name == "gate")
    for name in NODES[:3]:
        builder.add_edge(START, name)
        builder.add_edge(name, "gate")
    for before, after in (("gate", "routing"), ("routing", "effects"), ("effects", "completion"), ("completion", END)):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


async def run(url: str, thread: str, given: Steps | None, crash_at: str | None = None) -> dict[str, int]:
    """Run or resume one thread."""
    client = connect(url)
    batcher = Batcher(client)
    try:
        app = build(RedisCheckpointer(batcher, Keyspace()), crash_at)
        config = {"configurable": {"thread_id": thread}}
        result = await app.ainvoke(given, config, durability="sync", version="v2")
        seen: dict[str, int] = result.value["seen"]
        return seen
    finally:
        await batcher.aclose()
        await client.aclose()


def main(url: str) -> None:
    """Crash at each node, then resume."""
    for node in NODES:
        child = os.fork()
        if child == 0:
            asyncio.run(run(url, f"crash-{node}", {"seen": {}}, crash_at=node))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        seen = asyncio.run(run(url, f"crash-{node}", None))
        sys.stdout.write(json.dumps({"node": node, "killed": os.WIFSIGNALED(status), "seen": seen}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
