"""A worker process that asks a model ten times a second until it is killed: ``python -m tests.support.model_spender``."""

import asyncio
import itertools
import os
import sys
from contextlib import AsyncExitStack

from graph.runtime.budgets import BudgetBook
from graph.runtime.connection import Batcher, connect
from graph.runtime.cost_ledger import CostLedger
from graph.runtime.cost_watch import CostWatch
from graph.runtime.database import open_database
from graph.runtime.keys import Keyspace
from graph.runtime.purse import RedisPurse
from prompts.library import PromptLibrary
from tests.support.language import PROMPTS, Seen, WatchClock, plan, question
from tools.llm.gateway import Gateway, Tools
from tools.llm.prices import read_prices

EVERY_S = 0.1


async def spend(redis_url: str, sql_url: str, provider_url: str) -> None:
    """Ask for ever; every answer's kind is a line on stdout."""
    async with AsyncExitStack() as stack:
        client = connect(redis_url)
        stack.push_async_callback(client.aclose)
        batcher, keys, clock = Batcher(client), Keyspace(), WatchClock()
        stack.push_async_callback(batcher.aclose)
        engine = open_database(sql_url)
        stack.push_async_callback(engine.dispose)
        budgets = BudgetBook(engine, default_usd_micro=10**12, default_calls=10_000)
        purse = RedisPurse(batcher, keys, budgets.allowance, lambda _: clock.now().date().isoformat())
        watch = CostWatch(purse, CostLedger(batcher, keys, engine), batcher, keys, clock=clock)
        tools = Tools(
            prompts=PromptLibrary(PROMPTS),
            prices=read_prices(),
            purse=purse,
            observer=Seen(),
            now=clock.now,
            new_id=clock.new_id,
        )
        gateway = Gateway(tools, plan(provider_url, one="standin-large"))
        stack.push_async_callback(gateway.aclose)
        books = asyncio.create_task(watch.watch(asyncio.Event()))
        asked: set[asyncio.Task[None]] = set()
        for number in itertools.count():
            task = asyncio.create_task(_ask(gateway, f"{os.getpid()}-{number}"))
            asked.add(task)
            task.add_done_callback(asked.discard)
            await asyncio.wait({books}, timeout=EVERY_S)


async def _ask(gateway: Gateway, entity_id: str) -> None:
    answer = await gateway.ask(question(entity_id=entity_id, time_budget_s=1.0))
    sys.stdout.write(f"said:{answer.flags[-1] if answer.flags else 'answered'}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(spend(*sys.argv[1:4]))
