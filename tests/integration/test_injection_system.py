"""The whole running system with model versions in force and a model that obeys strangers: nothing it would not do without them."""

import asyncio
from pathlib import Path
from typing import Any

import yaml

from domain.decision import Outcome, Verdict
from domain.effect import EffectKind
from domain.order import OrderProgress
from domain.ports import Agent, AgentCase
from tests.support.language import TOKEN, provider
from tests.support.staff import staffed
from tests.support.system import TENANT, Rig, fast_settings, native_order, running
from tools.sandbox.models import ModelStandIn, Scenario, Turn

SHIPPED = Path(__file__).parents[2] / "graph" / "order" / "order.yaml"
CORPUS: dict[str, list[str]] = yaml.safe_load(
    Path(__file__).parents[1].joinpath("support/injections.yaml").read_text("utf-8")
)
SAMPLE = [texts[0] for texts in CORPUS.values()]


def with_models(folder: Path) -> Path:
    """The shipped topology with the model versions in force: two lines of YAML."""
    text = (
        SHIPPED.read_text(encoding="utf-8")
        .replace("version: fd-1.0", "version: fd-2.0")
        .replace("version: cn-1.0", "version: cn-2.0")
    )
    path = folder / "order.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def grey(**changes: Any) -> dict[str, Any]:
    """An order whose phone cannot be one: the rules release it with a score in the grey zone."""
    payload = native_order(**changes)
    owed = {"payment": {"method": "card", "state": "authorised"}}
    return payload | owed | {"ship_to": payload["ship_to"] | {"phone": "12"}}


async def recipients(rig: Rig, order_id: str) -> set[str]:
    """Whom messages about the order really went to."""
    assert rig.box.sandbox is not None
    return {one.message.recipient for one in await rig.box.sandbox.messages.outbox(order_id, tenant=TENANT)}


async def test_an_obeying_model_changes_no_effect(tmp_path: Path) -> None:
    """reliability/S01: one string of each kind as note; effects are those of the plain order or fewer, and each is audited."""
    stand_in = ModelStandIn()
    stand_in.always = Turn(scenario=Scenario.OBEY)
    async with provider(stand_in) as url:
        settings = fast_settings(
            tmp_path,
            topology_file=with_models(tmp_path),
            llm_base_url=f"{url}/v1",
            llm_api_key=TOKEN,
            llm_model="standin-small",
        )
        async with running(settings) as rig:
            plain_id = await rig.submit(grey())
            ids = {text: await rig.submit(grey(note=text)) for text in SAMPLE}
            for order_id in (plain_id, *ids.values()):
                await rig.settled(order_id)
            await rig.idle()
            plain = await rig.kinds(plain_id)
            for text, order_id in ids.items():
                kinds, record = await rig.kinds(order_id), await rig.record(order_id)
                assert not kinds - plain, (text, kinds - plain)
                assert not {EffectKind.REFUND_PAYMENT, EffectKind.CANCEL_OMS} & set(kinds)
                assert record.order is not None
                assert rig.box.sandbox is not None
                money = await rig.box.sandbox.payment.balance(order_id, tenant=TENANT)
                if money is not None:
                    assert (money.captured, money.refunded.amount_minor) == (record.order.total, 0)
                assert await recipients(rig, order_id) <= {record.order.customer.email}
                history = await rig.history(order_id)
                fraud = next(row for row in history if row.agent == "fraud_detection")
                assert fraud.agent_version == "fd-2.0"
                assert "fraud_second_opinion/1.0@" in fraud.payload
                assert "tool_refused" in fraud.payload
    assert stand_in.hits >= len(SAMPLE)


async def test_the_demo_model_reviews_a_friends_card_and_writes_japanese(tmp_path: Path) -> None:
    """P25, P29: with the stand-in model the switch in the topology is all it takes."""
    stand_in = ModelStandIn()
    async with provider(stand_in) as url:
        settings = fast_settings(
            tmp_path,
            topology_file=with_models(tmp_path),
            llm_base_url=f"{url}/v1",
            llm_api_key=TOKEN,
            llm_model="standin-small",
        )
        async with running(settings) as rig:
            held, sent = await asyncio.gather(
                rig.submit(grey(note="please hurry, it is my friend's card")), rig.submit(grey(locale="ja-JP"))
            )
            assert (await rig.settled(held)).progress is OrderProgress.IN_REVIEW
            assert (await rig.settled(sent)).progress is OrderProgress.FULFILLED
            await rig.has_applied(sent, EffectKind.SEND_MESSAGE)
            assert rig.box.sandbox is not None
            messages = await rig.box.sandbox.messages.outbox(sent, tenant=TENANT)
            assert "ご注文" in messages[-1].message.body


async def test_what_an_agent_may_not_propose_is_dropped_and_audited(tmp_path: Path) -> None:
    """reliability/S02: an agent that wants every effect gets its own kind; the others are named in its decision."""

    async def greedy(real: Agent, case: AgentCase) -> Verdict:
        verdict = await real.decide(case)
        wanted = [verdict.proposals[0].model_copy(update={"kind": kind}) for kind in EffectKind]
        return verdict.model_copy(update={"proposals": tuple(wanted), "outcome": Outcome.PROCEED})

    async with running(fast_settings(tmp_path), staff=staffed({"analytics_tagging": greedy})) as rig:
        record = await rig.run(native_order(), at=OrderProgress.FULFILLED)
        await rig.idle()
        kinds = await rig.kinds(record.order_id)
        assert kinds[EffectKind.TAG_ORDER] == 1
        assert kinds[EffectKind.REFUND_PAYMENT] == 0
        tagging = next(row for row in await rig.history(record.order_id) if row.agent == "analytics_tagging")
        assert "refused:refund_payment" in tagging.payload
