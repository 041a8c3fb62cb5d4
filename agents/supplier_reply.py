"""Reads a supplier's answer by rules: what it amounts to, and the figures it names line by line.

The supplier's words are data: they choose nothing. What cannot be read for certain is for a person.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import yaml

from agents.letter_locale import canonical
from agents.supplier_reply_figures import dates_in, prices_in, quantities_in
from domain.errors import ConfigError
from domain.purchasing import PurchaseOrder, PurchaseOrderLine
from domain.supplier_reply import LineReply, ReplyClass, SupplierReply

CUES_FILE = Path(__file__).with_name("supplier_reply_cues.yaml")
LONGEST = 20_000
"""Characters of an answer that are read; a longer one is for a person."""
SURE, UNSURE = 0.9, 0.5
_QUOTE = re.compile(
    r"(?im)^\s*(>|-{2,}\s*(original|forwarded) message|on .{5,120} wrote:|from: |sent: |寄件者[:：]|發件人[:：]|发件人[:：]|"
    r"vào .{5,120} đã viết|từ: |_{5,})"
)
_SENTENCE = re.compile(r"(?<=[。！？!?；;])|\n|(?<=[.])\s+(?=[A-ZĐÂÊÔƠƯ])|(?<=,)\s+(?=line \d)")


@cache
def cues(file: Path = CUES_FILE) -> Mapping[str, tuple[re.Pattern[str], ...]]:
    """The expressions of every class.

    Raises:
        ConfigError: the file cannot be read or an expression is wrong.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        return {
            name: tuple(re.compile(expression) for expression in expressions)
            for name, expressions in content.items()
            if name != "version"
        }
    except (OSError, yaml.YAMLError, re.error, AttributeError, TypeError) as bad:
        raise ConfigError(f"{file} cannot be used: {bad}") from None


def own_words(text: str) -> str:
    """An answer without what it quotes of our letter, in one form of every character."""
    text = canonical(text[: LONGEST + 1])
    quote = _QUOTE.search(text)
    return (text if quote is None or not text[: quote.start()].strip() else text[: quote.start()]).strip()


def read_reply(text: str, order: PurchaseOrder, *, received: date) -> SupplierReply:
    """What an answer to an order says; ``received`` dates days without a year."""
    words = own_words(text)
    lines = _lines(words, order, received)
    found = _classes(words, lines, order)
    return SupplierReply(
        classes=tuple(found),
        lines=tuple(lines),
        language=_language(words),
        names_order=order.number in canonical(text),
        bank_details=_has("bank_details", words),
        confidence=_confidence(text, words, found, lines),
    )


def _has(name: str, text: str) -> bool:
    return any(expression.search(text) for expression in cues()[name])


def _classes(words: str, lines: Sequence[LineReply], order: PurchaseOrder) -> list[ReplyClass]:
    if _has("out_of_office", words):
        return [ReplyClass.OUT_OF_OFFICE]
    changed = _changes(words, lines, order)
    if _has("reject", words) and not changed:
        return [ReplyClass.REJECT]
    if changed:
        return changed
    if _has("substitute", words) or (_has("change", words) and _has("accept", words)):
        return [ReplyClass.ACCEPT_WITH_CHANGE]
    asked = _has("question", words)
    accepted = _has("accept", words)
    if asked and not (accepted and not re.search(r"[?？]|嗎|吗", words)):
        return [ReplyClass.QUESTION]
    return [ReplyClass.ACCEPT] if accepted else [ReplyClass.OTHER]


def _changes(words: str, lines: Sequence[LineReply], order: PurchaseOrder) -> list[ReplyClass]:
    """Counters and partial deliveries: by a figure that differs, or by words where no figure contradicts them."""
    by_id = {line.line_id: line for line in order.lines}
    price = quantity = when = False
    same_price = same_date = False
    for said in lines:
        ours = by_id.get(said.line_id)
        if said.unit_price is not None:
            equal = ours is not None and said.unit_price == ours.unit_price
            price, same_price = price or not equal, same_price or equal
        if said.quantity is not None and ours is not None:
            quantity = quantity or said.quantity < ours.quantity
        if said.promised is not None:
            late = said.promised > order.deliver_until
            when, same_date = when or late, same_date or not late
    found = []
    if price or (_has("counter_price", words) and not same_price and not _unchanged(words, "price")):
        found.append(ReplyClass.COUNTER_PRICE)
    if when or (_has("counter_date", words) and not same_date and not _unchanged(words, "date")):
        found.append(ReplyClass.COUNTER_DATE)
    if quantity or _has("partial", words):
        found.append(ReplyClass.PARTIAL)
    return found


_UNCHANGED = {
    "price": re.compile(
        r"(?i)price[s]? (is|are|remains?|stays?)? ?(unchanged|the same|as (ordered|agreed|per))|(價格|单价|單價|价格)(不變|不变|維持|维持|照舊)|giá (không (đổi|thay đổi)|giữ nguyên)"
    ),
    "date": re.compile(
        r"(?i)(on time|as scheduled|without delay|no delay|not be delayed)|(不延|如期|準時|准时|按時|按时|不会延|不會延)|(đúng hạn|không (trễ|chậm))"
    ),
}


def _unchanged(words: str, what: str) -> bool:
    return _UNCHANGED[what].search(words) is not None


def _lines(words: str, order: PurchaseOrder, received: date) -> list[LineReply]:
    """The figures of every sentence, given to the line it names, or to the only line, or to the whole order."""
    found: dict[str, LineReply] = {}
    language, current = _language(words), ""
    for sentence in (part.strip() for part in _SENTENCE.split(words)):
        if not sentence:
            continue
        named = [line for line in order.lines if _names(sentence, line)]
        current = named[0].line_id if len(named) == 1 else order.lines[0].line_id if len(order.lines) == 1 else ""
        bare = sentence.replace(order.number, " ")
        for line in named:
            for name in (line.sku, line.supplier_sku):
                bare = bare.replace(name, " ") if name else bare
        said = _figures(bare, current, order, language, received)
        if said is not None:
            found[said.line_id] = _merged(found.get(said.line_id), said)
    return list(found.values())


def _figures(sentence: str, line_id: str, order: PurchaseOrder, language: str, received: date) -> LineReply | None:
    days, rest = dates_in(sentence, language, received)
    prices, rest = prices_in(rest, language)
    quantities = quantities_in(rest, language)
    promised = max((day for day in days if day >= order.issued), default=None)
    price = prices[-1] if prices else None
    quantity = quantities[0] if quantities else None
    if promised is None and price is None and quantity is None:
        return None
    return LineReply(
        line_id=line_id,
        quantity=quantity,
        unit_price=price[0] if price else None,
        currency=price[1] if price else "",
        promised=promised,
    )


def _merged(before: LineReply | None, now: LineReply) -> LineReply:
    if before is None:
        return now
    return before.model_copy(
        update={
            "quantity": before.quantity if before.quantity is not None else now.quantity,
            "unit_price": before.unit_price if before.unit_price is not None else now.unit_price,
            "currency": before.currency or now.currency,
            "promised": max((d for d in (before.promised, now.promised) if d is not None), default=None),
        }
    )


def _names(sentence: str, line: PurchaseOrderLine) -> bool:
    for name in (line.sku, line.supplier_sku):
        if name and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", sentence):
            return True
    number = re.escape(line.line_id)
    return bool(
        re.search(
            rf"(?i)\b(line|item|dòng|mục)\s*(no\.?\s*)?#?{number}\b|第\s*{number}\s*(項|项|行)|(項次|序号)\s*{number}\b",
            sentence,
        )
    )


def _language(words: str) -> str:
    if re.search(r"[\u4e00-\u9fff]", words):
        traditional = len(re.findall(r"[單價數訂貨這個會請們採購還發後與為]", words))
        simplified = len(re.findall(r"[单价数订货这个会请们采购还发后与为]", words))
        return "zh-Hans" if simplified > traditional else "zh-Hant"
    return "vi" if re.search(r"[ăâđêôơưĂÂĐÊÔƠƯ\u1ea0-\u1ef9]", words) else "en"


def _confidence(text: str, words: str, found: Sequence[ReplyClass], lines: Sequence[LineReply]) -> float:
    if len(text) > LONGEST or not words or ReplyClass.OTHER in found:
        return 0.0
    if ReplyClass.ACCEPT in found and (_has("question", words) or lines):
        return UNSURE if _has("question", words) else SURE
    counted = {ReplyClass.COUNTER_PRICE, ReplyClass.COUNTER_DATE, ReplyClass.PARTIAL} & set(found)
    return UNSURE if counted and not lines else SURE
