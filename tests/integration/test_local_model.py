"""A real small model through the same gateway: real HTTP, real constrained JSON, real usage. ``make test-local-llm``.

Nothing is said about what it answers: it is far too small to be right.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from domain.json_schema import faults
from domain.language import Answered, Silence, Unanswered
from domain.prompt import Tier
from graph.runtime.connection import Batcher
from prompts.library import shipped_prompts
from tests.support.language import Bench, gateway_bench, question
from tests.support.prompt_samples import SAMPLES
from tools.llm.gateway import Gateway
from tools.llm.plan import Model, ModelPlan, Provider

PYTHON = os.environ.get("SIGNALBOX_TEST_LOCAL_LLM", "")
SERVER = Path(__file__).parents[1] / "support" / "local_model.py"
pytestmark = [
    pytest.mark.usefixtures("redis"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(not PYTHON, reason="SIGNALBOX_TEST_LOCAL_LLM names no Python with the small model"),
]


@pytest.fixture
async def model() -> AsyncIterator[ModelPlan]:
    server = await asyncio.create_subprocess_exec(
        PYTHON,
        str(SERVER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        async with asyncio.timeout(60):
            url = (await server.stdout.readline()).decode().strip()
        only = Model(name="smollm2-135m", provider=Provider(base_url=url, api_key=SecretStr("")))
        yield ModelPlan(tiers=dict.fromkeys(Tier, only))
    finally:
        server.stdin.close()
        await server.wait()


@pytest.fixture
async def bench(batcher: Batcher, tmp_path: Path, model: ModelPlan) -> AsyncIterator[Bench]:
    async with gateway_bench(batcher, tmp_path, plan=model) as made:
        yield made


async def test_a_real_model_is_asked_counted_and_priced(bench: Bench, model: ModelPlan) -> None:
    """F57: constrained JSON, usage and cost of a real model, through the same gateway as any other."""
    tools = bench.tools.__class__(**{**vars(bench.tools), "prompts": shipped_prompts()})
    gateway = Gateway(tools, model)
    answer = await gateway.ask(
        question(agent="gateway_check", prompt="gateway_check", time_budget_s=60, **SAMPLES["gateway_check"])
    )
    await gateway.aclose()
    assert isinstance(answer, Answered), answer
    assert not faults(shipped_prompts().find("gateway_check").schema, answer.data)
    (row,) = await bench.rows()
    assert row["input_tokens"] > 50 < 50 + row["output_tokens"]
    assert row["usd_micro"] == answer.cost.usd_micro > 0
    assert not row["estimated"]


async def test_what_a_real_model_gets_wrong_is_caught(bench: Bench) -> None:
    """reliability/L02: prose in a language it cannot write, a record it was not given: an answer that fits, or silence."""
    told = []
    for locale in ("en", "zh-TW", "vi"):
        answer = await bench.gateway.ask(
            question(locale=locale, entity_id=locale, time_budget_s=60),
            check=lambda data: [] if data["sku"] in {None, "SKU-1"} else ["$.sku is not in the order"],
        )
        if isinstance(answer, Unanswered):
            assert answer.silence in {Silence.INVALID, Silence.TIMEOUT}
        told.append(answer)
    rows = await bench.rows()
    assert len(rows) == sum(answer.calls for answer in told) >= 3
    assert all(row["usd_micro"] > 0 for row in rows)
    assert all(row["detail"] for row in rows if row["outcome"] != "answered")
