"""Cards as pure data: what they show and never show, whatever text comes from outside; limits; the modal; Teams."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import SignatureVerifier

from domain.errors import BadSignature
from domain.ids import ReviewId, TenantId
from domain.review import Review, ReviewAction, ReviewAnswer, ReviewState
from domain.review_case import Approval, Case, Question
from domain.review_channel import Nudge, NudgeKind, standing_of
from tools.review_summary import clean, summary_of
from tools.sandbox.slack_blocks import links, mentions, problems
from tools.slack.card import card, nudge_message
from tools.slack.modal import answer_modal, block_for, read
from tools.slack.signing import SigningSecret, signature, verify
from tools.slack.text import escaped, inert
from tools.teams import _body, _inert

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TRICKS = [
    "<!channel>", "<!here|x>", "<@U0MEI>", "<!subteam^S1>", "<http://evil.example|your bank>", "<mailto:a@b.example|x>",
    "```code```", "*bold* _it_ ~st~", "> quote", ":tada:", "a\nb\r\nc\u2028d\u2029e\x0bf", "\u202egnp.exe", "\u2066x\u2069",
    "zero\u200b\u200d\ufeffwidth", "x" * 10_000, "&" * 10_000, "<" * 10_000, "\n" * 5_000, "Z" + "\u0301" * 4_000,
    "&lt;!channel&gt;", "<script>alert(1)</script>", "|", "", " ", "\x00\x01", "<!date^0^{date}|x>", "👩‍👩‍👧‍👦" * 500,
]  # fmt: skip


def review(trick: str = "", **changes: Any) -> Review:
    """An open review in which every text from outside is the same trick."""
    facts: dict[str, Any] = {
        "channel": trick or "shopify", "number": trick or "1001", "total": {"amount_minor": 123450, "currency": "SGD"},
        "usd_equivalent": "912.30", "payment": trick or "cash_on_delivery", "ship_to": f"{trick or 'Central'}, HK",
        "lines": [{"line_id": trick or "l1", "sku": trick or "SB-1", "title": trick or "Mug", "quantity": 2}] * 40,
        "issues": [trick or "test_order"] * 3, "ship_by": (NOW + timedelta(hours=9)).isoformat(),
        "decisions": {trick or "fraud_detection": {"decision": trick or "hold", "confidence": "0.55", "mode": "normal"}},
        "grounds": ["fraud_detection:VELOCITY"],
    }  # fmt: skip
    given: dict[str, Any] = {
        "review_id": ReviewId("rv0-abc"), "tenant": TenantId("default"), "entity_type": "order", "entity_id": "shopify-1",
        "stage": "gate_1", "recommendation": trick or "reject", "confidence": 0.554, "reasons": (trick or "3 cards",) * 20,
        "facts": facts, "editable": ("ship_to", "lines", "deliver_by", "shipping_option"), "content_digest": "d1",
        "allowed_roles": ("ops",), "proposed_by": ("agent:fraud_detection",), "created_at": NOW,
        "deadline": NOW + timedelta(hours=4), "thread_id": "t" * 40,
    }  # fmt: skip
    return Review(**given | changes)


def decided(trick: str, action: ReviewAction = ReviewAction.APPROVE) -> Review:
    answer = ReviewAnswer(
        action=action, decided_by=f"user:{trick or 'mei'}", decided_at=NOW, via="http", reason=trick or "ok"
    )
    return review(trick, state=ReviewState.DECIDED, answer=answer)


@pytest.mark.parametrize("trick", TRICKS, ids=range(len(TRICKS)))
def test_text_from_outside_neither_acts_nor_pushes_the_buttons_away(trick: str) -> None:
    """reliability/S11, S10: no mention, no link, no markup, no line break, no invisible sign; limits and buttons hold."""
    for shown in (
        card(review(trick), (f"In the hands of {trick}",), console_url="https://s.example"),
        card(decided(trick)),
    ):
        assert not problems(shown["blocks"])
        assert not mentions(shown)
        assert not links(shown)
        assert len(str(shown)) < 24_000
        marked = [t["text"] for b in shown["blocks"] for t in _texts(b) if t["type"] == "mrkdwn"]
        assert not any(len(trick) > 3 and trick in text for text in marked)
        everything = orjson.dumps(shown).decode()
        assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", everything)
    buttons = card(review(trick))["blocks"][-1]
    assert [e["text"]["text"] for e in buttons["elements"]] == ["Approve", "Reject", "Edit or give a reason"]
    assert all(e["value"].startswith("rv0-abc|") for e in buttons["elements"])
    assert not problems(answer_modal(review(trick))["blocks"], "modal")


def _texts(block: dict[str, Any]) -> list[dict[str, Any]]:
    return [*block.get("fields", []), *([block["text"]] if "text" in block else []), *(
        e for e in block.get("elements", []) if e.get("type") in {"mrkdwn", "plain_text"})]  # fmt: skip


@given(st.text(max_size=400), st.integers(min_value=2, max_value=200))
def test_any_text_is_inert_and_within_its_limit(text: str, limit: int) -> None:
    """reliability/S11: for every text there is."""
    made = inert(text, limit)
    assert len(made) <= limit
    assert not set(made) & set("<>\n\r\t")
    assert re.fullmatch(r"(?:[^&]|&amp;|&lt;|&gt;)*", made, re.S)
    assert clean(clean(text, limit), limit) == clean(text, limit)


def test_an_escape_is_never_cut_in_half() -> None:
    assert escaped("<<<<", 6) == "&lt;…"


def test_the_card_tells_what_is_needed_to_decide() -> None:
    """F29: recommendation, confidence in two places, reasons, money with ISO code and US dollars, items, deadline."""
    shown = orjson.dumps(card(review())).decode()
    for part in (
        "SGD 1,234.50",
        "USD 912.30",
        "0.55",
        "reject",
        "3 cards",
        "2 × Mug (SB-1)",
        "fraud detection: hold, 0.55",
    ):
        assert part in shown, part
    assert "<!date^" in shown
    assert "2026-11-22 21:00 UTC" in shown
    assert "Central" not in shown


def test_a_blind_card_tells_nothing_of_what_the_machine_thinks_until_it_is_answered() -> None:
    """Blind samples: neither recommendation nor confidence nor reasons nor the agents' words."""
    blind = (
        orjson.dumps(card(review(blind=True))).decode()
        + orjson.dumps(_body(summary_of(review(blind=True)), ())).decode()
    )
    for part in ("0.55", '"reject"', "3 cards", "fraud", "VELOCITY"):
        assert part not in blind, part
    answered = decided("").model_copy(update={"blind": True})
    assert "3 cards" in orjson.dumps(card(answered)).decode()


def test_contacts_are_not_on_cards() -> None:
    """reliability/S05: phone, e-mail, card-like numbers in reasons, titles and answers; city and street never."""
    canary = "call +65 9123-4567-8 or (02) 9876 54321, ann@mail.example.com, 4111 1111 1111 1111, S1234567D at 2026-11-22 10:00"
    leaky = review(
        reasons=(canary,),
        facts=review().facts
        | {"ship_to": "12 Canary Street, Singapore 049483, SG", "lines": [{"title": canary, "quantity": 1}]},
    )
    answer = ReviewAnswer(action=ReviewAction.REJECT, decided_by="user:mei", decided_at=NOW, via="http", reason=canary)
    closed = leaky.model_copy(update={"state": ReviewState.DECIDED, "answer": answer})
    for shown in (card(leaky), card(closed), _body(summary_of(closed), ()), _body(summary_of(leaky), ())):
        text = orjson.dumps(shown).decode()
        for secret in ("9123", "9876", "ann@", "mail.example", "4111", "Canary Street", "049483"):
            assert secret not in text, secret
    assert "2026-11-22 10:00" in orjson.dumps(card(leaky)).decode()
    assert "order of 125,000,000 VND" in str(summary_of(review(reasons=("order of 125,000,000 VND",))).reasons)


def test_what_happened_on_the_desk_is_on_the_card() -> None:
    case = Case(
        approval=Approval(by="user:mei", at=NOW, via="slack", reason="<!channel>"), claimed_by="user:raj",
        claim_until=NOW, question=Question(by="user:raj", at=NOW, to="customer_service", text="<!channel>"),
        escalated_to="role:manager", defaulted_at=NOW, snoozed_until=NOW,
    )  # fmt: skip
    said = standing_of(review(second_roles=("manager",)), case)
    assert len(said) == 6
    shown = card(review(), said)
    assert "First approval by mei; a second one is needed, from manager" in str(shown)
    assert not mentions(shown)
    assert "On the desk" not in str(card(decided("")))


def test_a_nudge_mentions_the_one_person_of_our_own_file() -> None:
    known = Nudge(kind=NudgeKind.ESCALATION, person="user:mei", chat_user="U0MEI")
    assert mentions(nudge_message(review(), known)) == ["@U0MEI", "@U0MEI"]
    for chat_user in ("!channel", "U1><!here", ""):
        forged = Nudge(kind=NudgeKind.REMINDER, person="user:<!channel>", chat_user=chat_user)
        assert not mentions(nudge_message(review(), forged))


def test_the_modal_is_read_strictly() -> None:
    asked = review()
    assert read(asked, {}).errors.keys() == {"choice", "reason"}
    junk: dict[str, Any] = {
        "choice": {"value": {"selected_option": {"value": "launch"}}},
        "reason": [],
        "lines/0/sku": 7,
    }
    assert read(asked, junk).errors.keys() == {"choice", "reason"}
    good: dict[str, Any] = {
        "choice": {"value": {"selected_option": {"value": "edit"}}}, "reason": {"value": {"value": " moved "}},
        "ship_to/line1": {"value": {"value": "1 New Road"}}, "lines/0/quantity_open": {"value": {"value": "2"}},
    }  # fmt: skip
    filled = read(asked, good)
    assert (filled.errors, filled.reason, filled.edits) == ({}, "moved", {"ship_to": {"line1": "1 New Road"}})
    assert block_for(asked, "/edits/ship_to/country") == "ship_to/country"
    assert block_for(asked, "/edits/lines/l1/quantity_open") == "lines/0/quantity_open"
    assert block_for(asked, None) == "choice"


def test_our_signature_is_slacks() -> None:
    """reliability/S07: the same bytes give what Slack's own library gives; the window is 300 s, both ways."""
    secret, raw, stamp = "8f742231b10e8888abcd99yyyzzz85a5", b"payload=%7B%7D", str(int(NOW.timestamp()))
    signed = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=raw)
    assert signature(raw, stamp, secret) == signed
    ours = SigningSecret.model_validate({"secret": secret})
    for seconds, good in ((-301, False), (-300, True), (0, True), (300, True), (301, False)):
        at = NOW + timedelta(seconds=seconds)
        if good:
            assert verify(raw, timestamp=stamp, signed=signed, secrets=[ours], now=at) is ours
        else:
            with pytest.raises(BadSignature):
                verify(raw, timestamp=stamp, signed=signed, secrets=[ours], now=at)
    ended = SigningSecret.model_validate({"secret": secret, "until": NOW})
    with pytest.raises(BadSignature):
        verify(raw, timestamp=stamp, signed=signed, secrets=[ended], now=NOW)


@pytest.mark.parametrize("trick", TRICKS, ids=range(len(TRICKS)))
def test_teams_text_is_inert(trick: str) -> None:
    """reliability/S11: no Markdown, no link, no line break in an adaptive card."""
    made = _inert(trick)
    assert "\n" not in made
    assert not re.search(r"(?<!\\)[\[\]`*_<>#]", made)
    assert "://" not in made
    assert len(orjson.dumps(_body(summary_of(review(trick)), ()))) < 28_000
