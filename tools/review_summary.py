"""What a card says about a review, for every chat product: bounded, without contacts, without tricks in the text.

Texts here are clean but not escaped: each product escapes for its own markup. A blind review tells nothing of what the
machine thinks.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from pydantic import ValidationError

from domain.money import Money
from domain.review import Review, ReviewAction, ReviewState
from domain.values import Plain

SHOWN_LINES = 6
SHOWN_AGENTS = 12
SHOWN_REASONS = 6
NAME_CHARS = 80
REASON_CHARS = 280
MARKS_IN_A_ROW = 3
"""Combining marks on one letter: Vietnamese needs two; towers of them draw over the neighbours."""

_MAIL = re.compile(r"[^\s@<>()\[\],;:]+@[^\s@<>()\[\],;:]+\.\w+")
_NUMBER = re.compile(r"(?<![\w.])(?!\d{4}-\d\d-\d\d)\+?\(?\d(?:[ ().-]{0,2}\d){8,}(?!\w)(?!\s?[A-Z]{3}\b)")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The parts of a card, ready to be escaped."""

    title: str
    subtitle: str
    deadline: datetime
    opinion: tuple[tuple[str, str], ...]
    """Recommendation and confidence; empty when the review is blind."""
    facts: tuple[tuple[str, str], ...]
    items: tuple[str, ...]
    agents: tuple[str, ...]
    reasons: tuple[str, ...]
    blind: bool
    outcome: str
    """Who, when, what; empty while the review is open."""
    outcome_reason: str


def clean(text: str, limit: int) -> str:
    """One line of visible characters, at most ``limit``: no controls, no invisible or direction signs, no line breaks."""
    kept: list[str] = []
    marks = 0
    for sign in text[: limit * 8 + 64]:
        kind = unicodedata.category(sign)
        marks = marks + 1 if kind in {"Mn", "Me"} else 0
        if kind in {"Cc", "Zl", "Zp"}:
            kept.append(" ")
        elif kind not in {"Cf", "Cs", "Co", "Cn"} and marks <= MARKS_IN_A_ROW:
            kept.append(sign)
    line = _SPACES.sub(" ", "".join(kept)).strip()
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def discreet(text: str, limit: int) -> str:
    """A clean line in which e-mail addresses and long numbers (phones, cards) are not readable."""
    hidden = _MAIL.sub("[e-mail hidden]", clean(text, limit * 2))
    return clean(_NUMBER.sub("[number hidden]", hidden), limit)


def shown_money(value: Plain) -> str:
    """An amount with its ISO code: ``SGD 1,234.50``; empty when it is none."""
    try:
        money = Money.model_validate(value)
    except ValidationError:
        return ""
    return f"{money.currency} {money.decimal:,f}"


def instant(at: datetime) -> str:
    """A time as people read it, with its zone."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def summary_of(review: Review) -> Summary:
    """What a card says about the review as it is now."""
    facts = review.facts
    number = clean(_word(facts.get("number")) or review.entity_id, 60)
    hidden = review.blind and review.state is ReviewState.OPEN
    return Summary(
        title=f"{review.entity_type.replace('_', ' ').capitalize()} {number}: {_standing(review)}",
        subtitle=" · ".join(filter(None, (clean(_word(facts.get("channel")), 40), review.stage.replace("_", " ")))),
        deadline=review.deadline,
        opinion=() if hidden else _opinion(review),
        facts=_facts(review),
        items=_items(facts.get("lines")),
        agents=() if hidden else _agents(facts.get("decisions")),
        reasons=() if hidden else _bounded([discreet(r, REASON_CHARS) for r in review.reasons], SHOWN_REASONS),
        blind=hidden,
        outcome=_outcome(review),
        outcome_reason=discreet(review.answer.reason, REASON_CHARS) if review.answer else "",
    )


def _standing(review: Review) -> str:
    match review.state:
        case ReviewState.OPEN:
            return "waits for a person"
        case ReviewState.DECIDED:
            return "decided"
        case ReviewState.VOID:
            return "no longer asked"


def _opinion(review: Review) -> tuple[tuple[str, str], ...]:
    confidence = "not stated" if review.confidence is None else f"{review.confidence:.2f}"
    return ("Recommendation", discreet(review.recommendation, NAME_CHARS)), ("Confidence", confidence)


def _facts(review: Review) -> tuple[tuple[str, str], ...]:
    facts = review.facts
    ship_by = _word(facts.get("ship_by"))
    pairs = (
        ("Total", shown_money(facts.get("total"))),
        ("US dollar equivalent", _dollars(facts.get("usd_equivalent"))),
        ("Payment", clean(_word(facts.get("payment")).replace("_", " "), 40)),
        ("Market", _market(_word(facts.get("ship_to")))),
        ("Ship by", _time(ship_by)),
        ("Issues", discreet(", ".join(_words(facts.get("issues"))).replace("_", " "), 200)),
    )
    return tuple((label, value) for label, value in pairs if value)


def _dollars(value: Plain) -> str:
    if value is None:
        return "no usable exchange rate"
    try:
        return f"USD {Decimal(str(value)):,.2f}"
    except InvalidOperation:
        return ""


def _market(place: str) -> str:
    """The country alone: people write whole addresses into the field for the city."""
    country = place.rpartition(",")[2].strip()
    return country if len(country) == 2 and country.isalpha() and country.isascii() else ""


def _time(text: str) -> str:
    try:
        return instant(datetime.fromisoformat(text)) if text else ""
    except ValueError:
        return ""


def _items(lines: Plain) -> tuple[str, ...]:
    found = lines if isinstance(lines, list) else []
    return _bounded([_item(line) for line in found if isinstance(line, dict)], SHOWN_LINES)


def _item(line: Mapping[str, Plain]) -> str:
    title = discreet(_word(line.get("title")), NAME_CHARS)
    sku = clean(_word(line.get("sku")), 40)
    return " ".join(filter(None, (f"{line.get('quantity', '?')} ×", title, f"({sku})" if sku else "")))


def _agents(decisions: Plain) -> tuple[str, ...]:
    found = decisions if isinstance(decisions, dict) else {}
    told = [(name, one) for name, one in found.items() if isinstance(one, dict)]
    return _bounded([_agent(name, one) for name, one in told], SHOWN_AGENTS)


def _agent(name: str, told: Mapping[str, Plain]) -> str:
    word = clean(f"{name}: {_word(told.get('decision'))}".replace("_", " "), NAME_CHARS)
    confidence, mode = _word(told.get("confidence")), _word(told.get("mode"))
    return ", ".join(filter(None, (word, confidence[:8], "" if mode == "normal" else clean(mode, 20))))


def _bounded(texts: list[str], most: int) -> tuple[str, ...]:
    left = len(texts) - most
    return (*texts[:most], *([f"and {left} more"] if left > 0 else []))


def _outcome(review: Review) -> str:
    if review.state is ReviewState.VOID:
        return "No longer needed: the order changed or was cancelled."
    if review.answer is None:
        return ""
    done = {
        ReviewAction.APPROVE: "Approved",
        ReviewAction.EDIT: "Approved with changes",
        ReviewAction.REJECT: "Rejected",
    }
    answer = review.answer
    changed = f" ({', '.join(sorted(answer.edits))})" if answer.edits else ""
    who = "the time-out rule" if answer.via == "timeout" else clean(answer.decided_by.removeprefix("user:"), NAME_CHARS)
    return f"{done[answer.action]}{changed} by {who} at {instant(answer.decided_at)} via {clean(answer.via, 20)}"


def _word(value: Plain) -> str:
    return value if isinstance(value, str) else ""


def _words(value: Plain) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
