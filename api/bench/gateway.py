"""What the language gateway adds to a call: everything but the time inside the provider's client, one call after another.

Everything is on: prompt, masking, fences, budget and hold in an embedded Redis, strict reading, booking. The provider is the
stand-in, over HTTP on this machine.
"""

import secrets
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import SecretStr

from api.cli.demo_summary import percentile
from api.serving import listen, served, url_of
from domain.language import Answered, LanguageRequest
from domain.prompt import Prompt, Turn
from graph.bootstrap.foundation import lay
from graph.bootstrap.models import open_models
from graph.bootstrap.settings import read_settings
from graph.runtime.clock import SystemClock
from tools.llm.client import Client, Reply
from tools.llm.plan import Model
from tools.sandbox.models import STAND_IN_MODELS, ModelStandIn, create_model_app

WARM_UP = 20
GATE_MS = 5.0


class TimedClient(Client):
    """A client that notes how long its last call took."""

    took_s = 0.0

    async def complete(self, model: Model, prompt: Prompt, turns: Sequence[Turn], *, limit_s: float) -> Reply:
        """Ask once and note the time.

        Raises:
            ProviderFailure: no completion came.
        """
        started_s = time.perf_counter()
        try:
            return await super().complete(model, prompt, turns, limit_s=limit_s)
        finally:
            self.took_s = time.perf_counter() - started_s


async def measure(calls: int) -> list[str]:
    """Ask ``calls`` questions and say what the gateway added to them.

    Raises:
        ConfigError: a setting does not fit.
    """
    added, client, key = [], TimedClient(), secrets.token_urlsafe(16)
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        door = listen("127.0.0.1", 0)
        await stack.enter_async_context(served(create_model_app(ModelStandIn(), key), door))
        named = {"llm_base_url": f"{url_of(door)}/v1", "llm_api_key": SecretStr(key), "llm_model": STAND_IN_MODELS}
        settings = read_settings(home=home, redis_url=None, database_url=None, llm_calls_per_s=10_000, **named)
        base = await lay(settings, SystemClock(), stack)
        models = open_models(base, stack, client=client)
        for number in range(calls + WARM_UP):
            started_s = time.perf_counter()
            answer = await models.gateway.ask(_question(number))
            if not isinstance(answer, Answered):
                return [f"the stand-in did not answer: {answer.why}"]
            added.append((time.perf_counter() - started_s - client.took_s) * 1000)
    kept = added[WARM_UP:]
    p50, p95 = percentile(kept, 50), percentile(kept, 95)
    return [
        f"gateway overhead over {calls} calls: p50 {p50} ms, p95 {p95} ms a call (gate: p95 under {GATE_MS:.0f} ms)"
    ]


def _question(number: int) -> LanguageRequest:
    return LanguageRequest(
        agent="gateway_check",
        prompt="gateway_check",
        tenant="default",
        entity_type="check",
        entity_id=f"bench-{number}",
        locale="en",
        trusted={"question": f"What is {number % 90} + 7?"},
        untrusted={"sample": "My parcel has not been delivered yet. Call me on +852 6123 4567."},
    )
