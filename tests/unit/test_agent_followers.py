"""The tier 3 agents: messages, points and tags for finished orders."""

from typing import Any

import pytest

from agents import build
from agents.message_templates import parse_messages, shipped_messages
from domain.decision import Decision, Verdict
from domain.effect import EffectKind
from domain.errors import ConfigError
from domain.intent import PostLoyalty, ReverseLoyalty, SendMessage, TagOrder
from domain.order import Channel, OrderProgress
from tests.support.agent_world import Customer, case, decided, order, world

PORTS = world().ports
TOLD = ("fulfilled", "cancelled", "backordered")


async def follow(name: str, version: str, progress: str, *, usd_minor: int | None = 4_250, **changes: Any) -> Verdict:
    decisions = changes.pop("decisions", {})
    hints = {"progress": progress, "usd_minor": usd_minor}
    return await build(name, version, PORTS).decide(case(order(**changes), hints=hints, decisions=decisions))


async def message(progress: str, **changes: Any) -> SendMessage:
    verdict = await follow("customer_notification", "cn-1.0", progress, **changes)
    (proposal,) = verdict.proposals
    assert proposal.part == progress
    assert proposal.kind is EffectKind.SEND_MESSAGE
    return SendMessage.model_validate(proposal.args)


@pytest.mark.parametrize(
    ("tag", "language", "word"),
    [
        ("zh-Hant-TW", "zh-Hant", "訂單"),
        ("zh-TW", "zh-Hant", "訂單"),
        ("zh_HK", "zh-Hant", "訂單"),
        ("zh-Hans-HK", "zh-Hans", "订单"),
        ("zh-CN", "zh-Hans", "订单"),
        ("zh", "zh-Hans", "订单"),
        ("vi-VN", "vi", "Đơn hàng"),
        ("en-SG", "en", "order"),
        ("ja-JP", "en", "order"),
        ("ms", "en", "order"),
        ("", "en", "order"),
    ],
)
async def test_messages_are_in_the_customers_language(tag: str, language: str, word: str) -> None:
    """F16: every occasion has a text in the customer's language, English where there is none."""
    for progress in TOLD:
        sent = await message(progress, locale=tag)
        assert sent.locale == language
        assert word in sent.subject + sent.body
        assert "1001" in sent.subject
        assert "{" not in sent.subject + sent.body


async def test_locale_changes_the_message_only() -> None:
    """F50: another locale changes language and text, nothing else of the decision."""
    english = await follow("customer_notification", "cn-1.0", "fulfilled", locale="en")
    vietnamese = await follow("customer_notification", "cn-1.0", "fulfilled", locale="vi")
    kept = ("order_id", "recipient", "template")
    assert [english.proposals[0].args[name] for name in kept] == [vietnamese.proposals[0].args[name] for name in kept]
    assert english.proposals[0].args["body"] != vietnamese.proposals[0].args["body"]
    tags = [await follow("analytics_tagging", "at-1.0", "fulfilled", locale=locale) for locale in ("en", "vi")]
    assert tags[0] == tags[1]


async def test_a_repeat_is_the_same_message() -> None:
    """F16: the same change gives the same key part and the same arguments, so a replay sends nothing."""
    first, second = [await follow("customer_notification", "cn-1.0", "cancelled") for _ in range(2)]
    assert first == second


async def test_only_changes_worth_telling_are_told() -> None:
    """F16: accepted, running and in review are our business."""
    for progress in set(OrderProgress) - {OrderProgress(told) for told in TOLD}:
        verdict = await follow("customer_notification", "cn-1.0", progress)
        assert verdict.proposals == ()


async def test_recipient_is_the_mailbox_or_the_marketplace_buyer() -> None:
    """F16: marketplace buyers are written to by their id there; masked or absent addresses are not written to."""
    buyer = Customer(customer_id="buyer-7")
    assert (await message("fulfilled", channel=Channel.SHOPEE, customer=buyer)).recipient == "buyer-7"
    for unreachable in (buyer, Customer(customer_id="x", email="t***@example.com")):
        verdict = await follow("customer_notification", "cn-1.0", "fulfilled", customer=unreachable)
        assert (verdict.decision, verdict.reasons[0].code) == ("nothing_to_send", "NO_RECIPIENT")


async def test_untrusted_text_does_not_reach_the_message() -> None:
    """F16: an order number made of markup or slots is reduced to what a number is made of."""
    sent = await message("fulfilled", external_number="#1{carriers}<a href=//x>\n", note="pay here", locale="en")
    assert sent.subject == "Your order #1carriersahref//x is on its way"
    assert "pay here" not in sent.body


def test_every_language_has_every_occasion() -> None:
    """F16: a language without an occasion, or an unknown slot, is refused at the start."""
    assert shipped_messages().locales == {"en", "zh-Hant", "zh-Hans", "vi"}
    text = {"subject": "s {number}", "body": "b"}
    with pytest.raises(ConfigError, match="vi must have"):
        parse_messages({"version": "x", "locales": {"en": {"fulfilled": text}, "vi": {}}})
    with pytest.raises(ConfigError, match="unknown slot"):
        parse_messages({"version": "x", "locales": {"en": {"fulfilled": {"subject": "{total}", "body": ""}}}})


@pytest.mark.parametrize(("usd_minor", "points"), [(4_250, 42), (4_299, 42), (100, 1)])
async def test_points_are_whole_dollars(usd_minor: int, points: int) -> None:
    """F18: one point per whole US-dollar equivalent, rounded down."""
    verdict = await follow("loyalty", "lo-1.0", "fulfilled", usd_minor=usd_minor)
    (proposal,) = verdict.proposals
    assert PostLoyalty.model_validate(proposal.args).points == points


async def test_points_are_reversed_once_posted_and_only_then() -> None:
    """F18: a cancelled order gives back what it was credited, by the credit's key; others give back nothing."""
    award = await follow("loyalty", "lo-1.0", "fulfilled")
    before: dict[str, Decision] = {"loyalty": decided("loyalty", award)}
    reversal = await follow("loyalty", "lo-1.0", "cancelled", decisions=before)
    (proposal,) = reversal.proposals
    assert proposal.kind is EffectKind.REVERSE_LOYALTY
    assert ReverseLoyalty.model_validate(proposal.args).loyalty_key == "demo/shopify-1001/post_loyalty/award/0"
    assert (await follow("loyalty", "lo-1.0", "cancelled")).proposals == ()


@pytest.mark.parametrize(
    "changes", [{"channel": Channel.LAZADA}, {"customer": Customer()}, {"usd_minor": None}, {"usd_minor": 99}]
)
async def test_no_points_without_member_or_value(changes: dict[str, Any]) -> None:
    """F18: marketplaces, guests, unknown and tiny values earn nothing."""
    assert (await follow("loyalty", "lo-1.0", "fulfilled", **changes)).proposals == ()


@pytest.mark.parametrize(
    ("usd_minor", "band"), [(0, "0-25"), (2_499, "0-25"), (2_500, "25-50"), (99_999, "500-1000"), (100_000, "1000+"), (None, "unknown")]
)  # fmt: skip
async def test_tags_name_channel_market_value_and_outcome(usd_minor: int | None, band: str) -> None:
    """F17: every finished order gets the same kinds of tags."""
    verdict = await follow("analytics_tagging", "at-1.0", "cancelled", usd_minor=usd_minor)
    tags = TagOrder.model_validate(verdict.proposals[0].args).tags
    assert {"channel:shopify", "market:HK", f"value_usd:{band}", "outcome:cancelled", "risk:unknown"} <= set(tags)
