"""Money for model calls: the ledger against the provider's bill, budgets, alerts once, caps, lost calls, local days."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from domain.cost import EVERY_AGENT, Alert, Budget
from domain.event import Event
from domain.ids import TenantId
from domain.language import Answered, Silence, Unanswered
from graph.bootstrap.tenant_calendar import TenantCalendar
from graph.runtime.connection import Batcher
from graph.runtime.cost_ledger import CostFilter
from graph.runtime.journal import TOPIC
from graph.runtime.keys import Keyspace
from tests.support.language import GOOD, TENANT, Bench, gateway_bench, question
from tools.sandbox.models import Scenario, Turn

pytestmark = pytest.mark.usefixtures("redis")
FINE = Turn(scenario=Scenario.SAY, content=orjson.dumps(GOOD).decode())


@pytest.fixture
async def bench(batcher: Batcher, tmp_path: Path) -> AsyncIterator[Bench]:
    async with gateway_bench(batcher, tmp_path) as made:
        yield made


async def limit(bench: Bench, usd_micro: int, *, agent: str = "note_reader", calls: int = 10_000) -> None:
    budget = Budget(tenant=TenantId(TENANT), agent=agent, usd_micro_per_day=usd_micro, calls_per_entity=calls)
    await bench.budgets.set(budget, by="user:mei", at=datetime.now(UTC))


async def told(batcher: Batcher) -> list[dict[str, Any]]:
    """The budget events in the journal, oldest first."""
    entries = await batcher.execute("XRANGE", Keyspace().stream(TOPIC), "-", "+")
    events = [Event.from_json(dict(zip(kept[::2], kept[1::2], strict=True))[b"b"]) for _, kept in entries]
    return [event.result for event in events if event.event_type == "budget.threshold.reached"]


async def test_the_ledger_equals_the_providers_own_bill(bench: Bench) -> None:
    """F57: 1,000 recorded calls, good, useless and refused, over three models: to the cent, and here to a thousandth of it."""
    scenarios = [FINE, FINE, Turn(scenario=Scenario.PROSE), FINE, Turn(scenario=Scenario.REFUSAL), Turn(scenario=Scenario.TRUNCATED)]  # fmt: skip
    made = 0
    while made < 1_000:
        bench.script(*(scenarios[(made + step) % len(scenarios)] for step in range(40)))
        asked = (bench.gateway.ask(question(entity_id=f"order-{made}-{step}")) for step in range(20))
        await asyncio.gather(*asked)
        made = bench.stand_in.bill.calls
        bench.stand_in.queue.clear()
    await bench.settled()
    (together,) = await bench.ledger.grouped("tenant", CostFilter(tenant=TENANT))
    assert together["calls"] == bench.stand_in.bill.calls >= 1_000
    assert abs(Decimal(together["usd_micro"]) / 1_000_000 - bench.stand_in.bill.usd) < Decimal("0.001")
    assert together["estimated"] == 0
    by_model = {row["model"]: row["calls"] for row in await bench.ledger.grouped("model", CostFilter())}
    assert by_model == dict(bench.stand_in.bill.by_model)


async def test_alerts_at_50_80_100_once_each_and_a_stop(bench: Bench, batcher: Batcher) -> None:
    """F57, reliability/C02: alerts once each, that agent stops at 100 %, others run, the last fifth goes to a cheaper model."""
    bench.stand_in.always = FINE
    await bench.gateway.ask(question())
    await bench.settled()
    spent = (await bench.ledger.grouped("agent", CostFilter()))[0]["usd_micro"]
    await limit(bench, spent * 12)
    answers = []
    for number in range(200):
        answers.append(await bench.gateway.ask(question(entity_id=f"o-{number}")))
        await bench.gateway.settled()
        if isinstance(answers[-1], Unanswered):
            break
    refused = answers[-1]
    assert isinstance(refused, Unanswered)
    assert (refused.silence, refused.calls) == (Silence.BUDGET, 0)
    assert any("cheaper_model" in answer.flags for answer in answers)
    await bench.costs.step()
    await bench.costs.step()
    alerts = await told(batcher)
    assert [alert["percent"] for alert in alerts] == [50, 80, 100]
    assert [alert["stopped"] for alert in alerts] == [False, False, True]
    assert alerts[-1]["spent_usd_micro"] < spent * 13
    other = await bench.gateway.ask(question(agent="another_agent"))
    assert isinstance(other, Answered)


async def test_an_alert_is_told_once_by_any_number_of_workers(bench: Bench, batcher: Batcher) -> None:
    """reliability/C02: told again after a crash between telling and forgetting, it is still one event."""
    mark = b"acme|2026-11-11|a:note_reader:80:100"
    alert = Alert(tenant=TenantId(TENANT), agent="note_reader", day="2026-11-11", percent=80, spent_usd_micro=81, limit_usd_micro=100)  # fmt: skip
    key = Keyspace().holds().alerts
    for _ in range(3):
        await batcher.execute("HSET", key, mark, alert.to_json())
        await asyncio.gather(*(bench.costs.tell() for _ in range(4)))
    assert [each["percent"] for each in await told(batcher)] == [80]


async def test_spend_stays_within_one_call_of_the_budget(bench: Bench) -> None:
    """reliability/C01 C02: forty at once against a small budget go past it by one call at most."""
    bench.stand_in.always = Turn(scenario=Scenario.SERVER_ERROR)
    await bench.gateway.ask(question(entity_id="first", time_budget_s=1))
    await bench.settled()
    dearest = max(row["estimate_usd_micro"] for row in await bench.rows())
    bench.stand_in.always = Turn(scenario=Scenario.SAY, content=orjson.dumps(GOOD).decode(), delay_s=0.05)
    await limit(bench, dearest * 10)
    await asyncio.gather(*(bench.gateway.ask(question(entity_id=f"o-{n}", time_budget_s=10)) for n in range(40)))
    await bench.settled()
    (row,) = await bench.ledger.grouped("agent", CostFilter())
    assert row["usd_micro"] <= dearest * 11
    spent = await bench.purse.spent(TENANT, await bench.purse.day(TENANT))
    assert spent["note_reader"] == (row["usd_micro"], 0)


async def test_a_runaway_loop_is_stopped_though_no_call_returns(bench: Bench) -> None:
    """F58: every call of a loop hangs and is abandoned; the order's cap ends it, and every call is charged."""
    await limit(bench, 10**9, calls=7)
    bench.stand_in.always = Turn(scenario=Scenario.HANG)
    silences = []
    for _ in range(12):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.15):
                answer = await bench.gateway.ask(question(time_budget_s=60))
                assert isinstance(answer, Unanswered)
                silences.append(answer.silence)
    assert (hits := bench.stand_in.hits) <= 7
    assert silences
    assert set(silences) == {Silence.CALL_CAP}
    await bench.settled()
    calls, spent = await bench.purse.of_entity(TENANT, "order", "shopify-1")
    assert calls == 7
    assert spent == sum(row["usd_micro"] for row in await bench.rows()) > 0
    assert isinstance(await bench.gateway.ask(question(entity_id="shopify-2", time_budget_s=0.2)), Unanswered)
    assert bench.stand_in.hits > hits


async def test_calls_of_a_dead_process_are_booked_at_the_estimate(bench: Bench, batcher: Batcher) -> None:
    """reliability/C01 W01: what a killed worker had set aside is neither free nor lost for ever."""
    bench.stand_in.always = FINE
    await bench.gateway.ask(question())
    (row,) = await bench.rows()
    bench.stand_in.always = Turn(scenario=Scenario.HANG)
    abandoned = asyncio.create_task(bench.gateway.ask(question(time_budget_s=60)))
    keys = Keyspace().holds()
    while not await batcher.execute("ZCARD", keys.ends):  # noqa: ASYNC110  # the hold is in the store before the call is made
        await asyncio.sleep(0.01)
    assert await bench.purse.book_lost() == 0
    await batcher.execute("ZADD", keys.ends, 1, (await batcher.execute("ZRANGE", keys.ends, 0, 0))[0])
    assert await bench.purse.book_lost() == 1
    await bench.costs.step()
    lost = (await bench.rows())[-1]
    assert (lost["outcome"], lost["usd_micro"], lost["estimated"]) == ("lost", lost["estimate_usd_micro"], True)
    abandoned.cancel()
    with suppress(asyncio.CancelledError):
        await abandoned
    assert len(await bench.rows()) == 2
    spent = await bench.purse.spent(TENANT, row["day"])
    assert spent["note_reader"] == (row["usd_micro"] + lost["usd_micro"], 0)


async def test_a_budget_of_nothing_and_one_for_all_together(bench: Bench) -> None:
    bench.stand_in.always = FINE
    await limit(bench, 0)
    answer = await bench.gateway.ask(question())
    assert isinstance(answer, Unanswered)
    assert answer.silence is Silence.BUDGET
    await limit(bench, 10**9)
    await limit(bench, 0, agent=EVERY_AGENT)
    answer = await bench.gateway.ask(question(agent="another_agent"))
    assert isinstance(answer, Unanswered)
    await limit(bench, 10**9, agent=EVERY_AGENT)
    assert isinstance(await bench.gateway.ask(question()), Answered)
    answer = await bench.gateway.ask(question(max_usd_micro=1))
    assert isinstance(answer, Unanswered)
    assert (answer.silence, answer.calls) == (Silence.BUDGET, 0)


def test_days_are_the_tenants_own_across_summer_time(tmp_path: Path) -> None:
    """reliability/K01: a tenant's day has 23 or 25 hours where its clocks change; others' days do not move."""
    path = tmp_path / "tenants.yaml"
    at = [datetime(2026, 10, 3, 13, 59, 59, tzinfo=UTC)]
    calendar = TenantCalendar(path, lambda: at[0])
    assert calendar.day("acme") == "2026-10-03"
    path.write_text("tenants: [{tenant: acme, timezone: Australia/Sydney}, {tenant: hk, timezone: Asia/Hong_Kong}]")
    days = []
    for hour in range(13, 13 + 26):
        at[0] = datetime(2026, 10, 3 + hour // 24, hour % 24, 30, tzinfo=UTC)
        days.append(calendar.day("acme"))
    assert days.count("2026-10-04") == 23
    at[0] = datetime(2026, 10, 3, 15, 59, 59, tzinfo=UTC)
    assert (calendar.day("hk"), calendar.day("nobody")) == ("2026-10-03", "2026-10-03")
    path.write_text("tenants: {")
    assert calendar.day("acme") == "2026-10-03"


async def storm(bench: Bench, redis_url: str, folder: Path, *, calls: int, lives: int, life_s: float) -> None:
    """Two workers ask a provider that fails every call and charges it; both are killed and started again and again."""
    bench.stand_in.always = Turn(scenario=Scenario.SERVER_ERROR)
    await bench.gateway.ask(question(time_budget_s=1))
    await bench.settled()
    dearest = 5 * max(row["estimate_usd_micro"] for row in await bench.rows())  # the workers ask the large model
    await limit(bench, dearest * calls)
    before = bench.stand_in.bill.usd
    said: list[str] = []
    for _ in range(lives):
        alive = [await spender(redis_url, bench.url, folder) for _ in range(2)]
        for process in alive:
            said += [await next_word(process) for _ in range(12)]
        await asyncio.sleep(life_s)
        for process in alive:
            process.kill()
            said += words((await process.communicate())[0].decode())
    keys = Keyspace().holds()
    for call in await bench.purse_holds():
        await bench.batcher.execute("ZADD", keys.ends, 1, call)
    await bench.settled()
    together = await bench.ledger.grouped("agent", CostFilter())
    assert together[0]["usd_micro"] <= dearest * (calls + 2)
    assert (bench.stand_in.bill.usd - before) * 1_000_000 <= dearest * (calls + 2)
    assert together[0]["calls"] >= calls / 2, said
    assert {"budget", "unavailable"} & set(said)
    assert set(said) <= {"budget", "unavailable", "timeout", "usage_estimated", "fallback_model"}
    spent = await bench.purse.spent(TENANT, await bench.purse.day(TENANT))
    assert spent["note_reader"] == (together[0]["usd_micro"], 0)


async def next_word(process: asyncio.subprocess.Process) -> str:
    """What the worker's next question came to; log lines are passed over."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while True:
            found = words((await process.stdout.readline()).decode())
            if found:
                return found[0]


def words(text: str) -> list[str]:
    return [line.removeprefix("said:") for line in text.splitlines() if line.startswith("said:")]


async def spender(redis_url: str, url: str, folder: Path) -> asyncio.subprocess.Process:
    sql = f"sqlite+aiosqlite:///{folder / 'costs.sqlite3'}"
    command = [sys.executable, "-m", "tests.support.model_spender", redis_url, sql, url]
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2])


async def test_a_retry_storm_stays_within_the_budget(bench: Bench, redis_server: str, tmp_path: Path) -> None:
    """reliability/C01: spend is within the budget and one call per worker, though both are killed again and again."""
    await storm(bench, redis_server, tmp_path, calls=12, lives=2, life_s=0)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_a_long_retry_storm_stays_within_the_budget(bench: Bench, redis_server: str, tmp_path: Path) -> None:
    """reliability/C01: ten minutes at ten a second, both workers killed every twenty seconds."""
    await storm(bench, redis_server, tmp_path, calls=150, lives=30, life_s=20)
