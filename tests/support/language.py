"""A gateway over a real stand-in provider, a real store and a real database, with everything that can be looked at."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import SecretStr

from api.serving import listen, served, url_of
from domain.cost import CallRecord
from domain.ids import uuid7
from domain.language import Answer, LanguageRequest, Personal, PersonalKind
from domain.prompt import Tier
from graph.runtime.budgets import BudgetBook
from graph.runtime.connection import Batcher
from graph.runtime.cost_ledger import CostFilter, CostLedger
from graph.runtime.cost_watch import CostWatch
from graph.runtime.database import open_database, upgrade
from graph.runtime.keys import Keyspace
from graph.runtime.purse import RedisPurse
from prompts.library import PromptLibrary
from tools.llm.gateway import Gateway, Tools
from tools.llm.plan import Model, ModelPlan, Provider
from tools.llm.prices import read_prices
from tools.sandbox.models import ModelStandIn, Scenario, Turn, create_model_app

TOKEN = "stand-in-key-0123456789"
PROMPTS = Path(__file__).with_name("prompts")
TENANT = "acme"
GOOD = {"verdict": "approve", "confidence": 0.8, "sku": "SKU-1", "text": "The buyer asks for a later delivery."}


class WatchClock:
    """The machine's time, moved by ``ahead_s`` when a test says so, or standing at ``at``."""

    at: datetime | None = None

    def now(self) -> datetime:
        return self.at or datetime.now(UTC)

    def new_id(self) -> str:
        return uuid7(datetime.now(UTC), os.urandom(10))


@dataclass
class Seen:
    """An observer that keeps what it is told."""

    calls: list[CallRecord] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def called(self, record: CallRecord) -> None:
        self.calls.append(record)

    def asked(self, request: LanguageRequest, answer: Answer, *, seconds: float) -> None:
        self.answers.append(answer)
        self.seconds.append(seconds)


@dataclass
class Bench:
    """A gateway with everything around it."""

    gateway: Gateway
    stand_in: ModelStandIn
    url: str
    purse: RedisPurse
    ledger: CostLedger
    budgets: BudgetBook
    costs: CostWatch
    clock: WatchClock
    seen: Seen
    tools: Tools
    batcher: Batcher

    async def purse_holds(self) -> list[bytes]:
        """Calls that are set aside and not booked."""
        held: list[bytes] = await self.batcher.execute("HKEYS", Keyspace().holds().held)
        return held

    def script(self, *turns: Turn) -> None:
        """Queue what happens to the next calls."""
        self.stand_in.queue.extend(turns)

    def say(self, *contents: str | None, finish: str = "stop") -> None:
        """Let the next calls be answered with exactly these texts."""
        self.script(*(Turn(scenario=Scenario.SAY, content=content, finish=finish) for content in contents))

    def say_good(self, **changes: Any) -> None:
        """Let the next call be answered well."""
        self.say(orjson.dumps(GOOD | changes).decode())

    async def settled(self) -> None:
        """Everything asked so far is in the ledger."""
        await self.gateway.settled()
        await self.costs.step()

    async def rows(self) -> list[dict[str, Any]]:
        """The ledger, oldest first."""
        await self.settled()
        return (await self.ledger.calls(CostFilter(), limit=10_000))[::-1]

    def sent(self) -> str:
        """Everything the provider was sent."""
        return "\n".join(orjson.dumps(body).decode() for body in self.stand_in.seen)


def question(**changes: Any) -> LanguageRequest:
    """A question that uses everything a manifest offers."""
    given: dict[str, Any] = {
        "agent": "note_reader",
        "prompt": "note_reader",
        "tenant": TENANT,
        "entity_type": "order",
        "entity_id": "shopify-1",
        "locale": "en-SG",
        "trusted": {"number": "1001", "lines": [{"sku": "SKU-1", "quantity": 2}]},
        "untrusted": {"note": "please call before delivery", "mail": ""},
        "personal": (Personal(kind=PersonalKind.NAME, value="Chan Tai Man"),),
    }
    return LanguageRequest(**given | changes)


def plan(url: str, *, fallbacks: Sequence[Model] = (), one: str = "") -> ModelPlan:
    """The stand-in's models by tier, or one model for everything."""
    provider = Provider(base_url=f"{url}/v1", api_key=SecretStr(TOKEN))
    tiers = {tier: Model(name=one or f"standin-{tier.value}", provider=provider) for tier in Tier}
    return ModelPlan(tiers=tiers, fallbacks=tuple(fallbacks))


@asynccontextmanager
async def provider(stand_in: ModelStandIn) -> AsyncIterator[str]:
    """A stand-in served on a free port."""
    listener = listen("127.0.0.1", 0)
    url = url_of(listener)
    async with served(create_model_app(stand_in, TOKEN), listener):
        yield url


@asynccontextmanager
async def gateway_bench(
    batcher: Batcher,
    folder: Path,
    *,
    usd_micro: int = 5_000_000,
    calls: int = 1_000,
    calls_per_s: float = 1_000,
    prompts: PromptLibrary | None = None,
    **planned: Any,
) -> AsyncIterator[Bench]:
    """A gateway on a served stand-in, with its own database."""
    async with AsyncExitStack() as stack:
        engine = open_database(f"sqlite+aiosqlite:///{folder / 'costs.sqlite3'}")
        stack.push_async_callback(engine.dispose)
        await upgrade(engine)
        stand_in, keys, clock, seen = ModelStandIn(), Keyspace(), WatchClock(), Seen()
        url = await stack.enter_async_context(provider(stand_in))
        budgets = BudgetBook(engine, default_usd_micro=usd_micro, default_calls=calls)
        purse = RedisPurse(batcher, keys, budgets.allowance, lambda _: clock.now().date().isoformat())
        ledger = CostLedger(batcher, keys, engine)
        tools = Tools(
            prompts=prompts or PromptLibrary(PROMPTS),
            prices=read_prices(),
            purse=purse,
            observer=seen,
            now=clock.now,
            new_id=clock.new_id,
        )
        models = planned.pop("plan", None) or plan(url, **planned)
        gateway = Gateway(tools, models, calls_per_s=calls_per_s)
        stack.push_async_callback(gateway.aclose)
        yield Bench(
            gateway=gateway,
            stand_in=stand_in,
            url=url,
            purse=purse,
            ledger=ledger,
            budgets=budgets,
            costs=CostWatch(purse, ledger, batcher, keys, clock=clock),
            clock=clock,
            seen=seen,
            tools=tools,
            batcher=batcher,
        )
