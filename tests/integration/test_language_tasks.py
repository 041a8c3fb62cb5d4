"""Language tasks of supplier and support work, over HTTP to the stand-in: proposals with sources, never a figure of a model's own."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.contact_reason import BY_MODEL, by_rules, classify
from agents.letter_checks import check_letter
from agents.letter_draft import own_prose
from agents.letter_locale import letter_locale
from agents.supplier_letter import draft_letter
from agents.supplier_reading import read_reply
from agents.support_drafts import draft_reply, next_action, summarise
from domain.language import NoModel
from domain.support import SupportAction
from graph.runtime.connection import Batcher
from prompts.library import shipped_prompts
from tests.support.language import Bench, gateway_bench
from tests.support.purchasing import generated_order, line, purchase_order
from tests.support.support_context import late_parcel
from tools.sandbox.models import Scenario, Turn

pytestmark = pytest.mark.usefixtures("redis")
ASKED = "Where is my order? It still has not arrived."


@pytest.fixture
async def bench(batcher: Batcher, tmp_path: Path) -> AsyncIterator[Bench]:
    async with gateway_bench(batcher, tmp_path, prompts=shipped_prompts()) as made:
        yield made


def always(bench: Bench, data: Any) -> None:
    bench.stand_in.always = Turn(scenario=Scenario.SAY, content=orjson.dumps(data).decode())


@pytest.mark.parametrize("language", ["zh-Hant", "zh-Hans", "vi", "en"])
async def test_a_letter_is_worded_by_a_model_and_filled_from_the_order(bench: Bench, language: str) -> None:
    """F36, domain/P2: the model writes no figure; the finished letter passes every check of its language."""
    order = generated_order(language, "model-1")
    proposal = await draft_letter(bench.gateway, order)
    locale = letter_locale(order.vendor.language, order.vendor.country)
    assert proposal.source == "model", proposal.flags
    assert proposal.value is not None
    assert check_letter(proposal.value, order, locale) == ()
    assert proposal.value.to == order.vendor.email
    assert proposal.needs_person


LETTER_FAULTS = {
    "a price": ("{{table}}", "{{table}}\nThe unit price is 9.50."),
    "a discount": ("{{table}}", "{{table}}\nWe expect a discount."),
    "another term": ("{{payment_terms}}", "net thirty days, {{payment_terms}}"),
    "an unknown slot": ("{{table}}", "{{table}} {{bank_account}}"),
    "no table": ("{{table}}", ""),
    "two tables": ("{{table}}", "{{table}}\n{{table}}"),
    "an address": ("{{table}}", "{{table}}\nReply to me@evil.example please."),
}


@pytest.mark.parametrize("fault", LETTER_FAULTS)
async def test_a_bad_letter_is_mended_once_and_then_written_by_a_person(bench: Bench, fault: str) -> None:
    """reliability/S03: one regeneration at most, then a person; nothing of it can be sent."""
    order = generated_order("en", "model-2")
    own = own_prose(order, letter_locale("en", order.vendor.country))
    always(bench, {"subject": own.subject, "body": own.body.replace(*LETTER_FAULTS[fault])})
    proposal = await draft_letter(bench.gateway, order)
    assert proposal.value is None
    assert proposal.needs_person
    assert "person_writes" in proposal.flags
    assert bench.stand_in.hits == 2


async def test_without_a_model_our_own_letter_goes_to_the_reviewer() -> None:
    """P25: keyless procurement works, tagged."""
    order = generated_order("vi", "model-3")
    proposal = await draft_letter(NoModel(), order)
    assert proposal.source == "rules"
    assert proposal.value is not None
    assert check_letter(proposal.value, order, letter_locale("vi", order.vendor.country)) == ()


async def test_a_reply_is_read_as_a_proposal_with_figures_of_the_letter(bench: Bench) -> None:
    """P26: the price is the letter's own words, converted by the program."""
    order = purchase_order([line(1, 100, "320")])
    read = await read_reply(
        bench.gateway,
        order,
        subject=f"Re: {order.number}",
        mail="您好，單價需調整為 335.5 元，謝謝。",
        by_rules=("counter_price",),
    )
    assert read.value is not None
    assert read.value.classes == ("counter_price",)
    assert read.value.lines[0].unit_price == Decimal("335.5")
    assert not read.value.bank_details
    assert read.confidence < 0.7


INVENTED: dict[str, dict[str, Any]] = {
    "a price": {"unit_price": "299"},
    "a quantity": {"quantity": "77"},
    "a date": {"date": "2027-01-31"},
    "a currency": {"unit_price": "335.5", "currency": "USD"},
    "a line": {"line_id": "99", "unit_price": "335.5"},
    "a substitute": {"substitute": "SKU-EVIL"},
}


@pytest.mark.parametrize("what", INVENTED)
async def test_what_no_letter_says_is_refused(bench: Bench, what: str) -> None:
    """reliability/S03, OWASP LLM09: a figure, line or currency in no record is no reading; one regeneration a sample."""
    order = purchase_order([line(1, 100, "320")])
    empty = dict.fromkeys(("quantity", "unit_price", "currency", "date", "substitute"))
    always(
        bench,
        {"classes": ["counter_price"], "lines": [{**empty, "line_id": "1", **INVENTED[what]}], "bank_details": False},
    )
    read = await read_reply(
        bench.gateway, order, subject="Re", mail="單價需調整為 335.5 元", by_rules=("counter_price",), usd_cents=100
    )
    assert read.value is None
    assert "model_silent:invalid" in read.flags
    assert bench.stand_in.hits == 2


async def test_a_summary_states_the_facts_of_the_records(bench: Bench) -> None:
    """domain/S1, P9: what stands in the summary was filled in from the context."""
    told = await summarise(bench.gateway, late_parcel(), message=ASKED, locale="en")
    assert told.source == "model"
    assert told.value is not None
    assert "#1001" in told.value
    assert "Singapore" in told.value
    assert "{{" not in told.value


@pytest.mark.parametrize("locale", ["en", "zh-TW", "zh-CN", "vi", "ja", "ko", "th", "ms", "id"])
async def test_a_reply_is_drafted_in_the_customers_language(bench: Bench, locale: str) -> None:
    """F39: nine languages; a person reads it before it is sent."""
    told = await draft_reply(bench.gateway, late_parcel(), message=ASKED, locale=locale)
    assert told.value is not None, told.flags
    assert "#1001" in told.value
    assert told.needs_person


BAD_REPLIES = {
    "an amount": "Your refund of 99 dollars is on its way for {{order_number}}.",
    "a date": "It arrives on 5 December, order {{order_number}} is on its way.",
    "a weekday": "Order {{order_number}} arrives on monday at your door.",
    "a promise": "We guarantee delivery of {{order_number}} and give you a voucher.",
    "compensation": "We will compensate you for order {{order_number}} as we should.",
    "a fact there is not": "Order {{order_number}} was signed for by {{customer_name}} at the door.",
    "a link": "Track {{order_number}} at https://evil.example please and thank you.",
}


@pytest.mark.parametrize("fault", BAD_REPLIES)
async def test_a_reply_without_a_source_is_no_reply(bench: Bench, fault: str) -> None:
    """OWASP LLM09: no number, date or promise without a source; mended once, then a person writes."""
    always(bench, {"reply": BAD_REPLIES[fault]})
    told = await draft_reply(bench.gateway, late_parcel(), message=ASKED, locale="en")
    assert told.value is None
    assert bench.stand_in.hits == 2


async def test_stale_and_missing_facts_cannot_be_stated(bench: Bench) -> None:
    """domain/S2: a source that did not answer leaves no slot to state anything with."""
    whole = late_parcel()
    gone = whole.model_copy(
        update={"shipments": whole.shipments.model_copy(update={"stale": True}), "missing": ("carrier",)}
    )
    told = await draft_reply(bench.gateway, gone, message=ASKED, locale="en")
    assert told.value is not None
    assert "SF1234567890" not in told.value
    assert "Singapore" not in told.value


async def test_the_next_action_is_one_that_is_open(bench: Bench) -> None:
    """OWASP LLM06: a refund nobody allowed cannot be proposed; what the rules suggest stands."""
    always(bench, {"action": "refund"})
    told = await next_action(bench.gateway, late_parcel(), message="refund me now")
    assert (told.value, told.source) == (SupportAction.TRACE, "rules")
    always(bench, {"action": "escalate"})
    told = await next_action(bench.gateway, late_parcel(), message="I will sue you")
    assert told.value is SupportAction.ESCALATE
    assert told.samples == 5
    assert told.needs_person


async def test_a_carriers_words_are_cut_and_carry_no_link(bench: Bench) -> None:
    """P19: a scan place that is a sentence with a link is not stated."""
    whole = late_parcel()
    parcels = whole.shipments.value or ()
    evil = parcels[0].model_copy(update={"last_scan_place": "pay at https://evil.example {{order_total}}"})
    context = whole.model_copy(update={"shipments": whole.shipments.model_copy(update={"value": (evil,)})})
    told = await draft_reply(bench.gateway, context, message=ASKED, locale="en")
    assert told.value is not None
    assert "evil" not in told.value


CONTACTS = [
    ("Where is my parcel? It has not arrived yet", "wismo"),
    ("Tracking says delivered but I got nothing", "wismo/delivered_not_received"),
    ("請問我的訂單什麼時候到？", "wismo/late"),
    ("我的包裹卡在海關", "wismo/customs"),
    ("Đơn hàng của tôi chưa nhận được", "wismo/late"),
    ("hải quan giữ hàng của tôi", "wismo/customs"),
    ("我想取消订单", "change/cancel"),
    ("Please cancel", "change/cancel"),
    ("Tôi muốn hủy đơn", "change/cancel"),
    ("Please change the delivery address", "change/address"),
    ("我要改地址", "change/address"),
    ("tôi muốn đổi địa chỉ", "change/address"),
    ("收到的杯子破了", "return/damaged"),
    ("The cup is broken", "return/damaged"),
    ("hàng bị vỡ", "return/damaged"),
    ("你們寄錯顏色了", "return/wrong"),
    ("退款什么时候到账", "refund_status"),
    ("bao giờ hoàn tiền", "refund_status"),
    ("統編打錯了，請重開發票", "payment/invoice"),
    ("cho tôi xin hóa đơn", "payment/invoice"),
    ("保固多久", "warranty"),
    ("bảo hành bao lâu", "warranty"),
    ("請刪除我的個人資料", "account/privacy"),
    ("I forgot my password", "account/profile"),
    ("我要投訴你們", "complaint/complaint"),
    ("還有現貨嗎", "presales"),
    ("còn hàng không shop", "presales"),
]


@pytest.mark.parametrize(("text", "reason"), CONTACTS)
def test_words_tell_the_reason_in_four_languages(text: str, reason: str) -> None:
    """domain/S: contact reasons of two levels by key words; the first level is right and no detail is wrong."""
    found = by_rules(text)
    assert found is not None
    assert found.topic.value == reason.split("/")[0]
    assert found.by == "rules-1"


async def test_a_model_reads_what_words_do_not_and_words_stand_in(bench: Bench) -> None:
    """P25: without an answer the words decide; the model's class is below acting until people have measured it."""
    asked = await classify(bench.gateway, ASKED, tenant="acme", contact_id="c-1", version=BY_MODEL)
    assert asked.value is not None
    assert (asked.value.topic.value, asked.value.by, asked.source) == ("wismo", BY_MODEL, "model")
    assert asked.confidence < 0.7
    silent = await classify(NoModel(), ASKED, tenant="acme", contact_id="c-1", version=BY_MODEL)
    assert silent.value is not None
    assert (silent.value.by, silent.source) == ("rules-1", "rules")
    assert "model_silent:not_configured" in silent.flags
    always(bench, {"reason": "give_me_everything"})
    invented = await classify(bench.gateway, ASKED, tenant="acme", contact_id="c-1", version=BY_MODEL)
    assert invented.source == "rules"
