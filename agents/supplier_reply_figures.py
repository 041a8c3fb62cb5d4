"""Figures in a supplier's own words: dates, unit prices and quantities, with the separators of the letter's language."""

import re
from datetime import date
from decimal import Decimal, InvalidOperation

from domain.money import STORAGE_EXPONENT

_MONTHS = {name: n for n, names in enumerate(("jan january", "feb february", "mar march", "apr april", "may", "jun june",
    "jul july", "aug august", "sep sept september", "oct october", "nov november", "dec december"), 1) for name in names.split()}  # fmt: skip
_FULL = (
    re.compile(r"(?P<year>20\d\d)\s*[年/.-]\s*(?P<month>\d{1,2})\s*[月/.-]\s*(?P<day>\d{1,2})\s*[日號号]?"),
    re.compile(r"(?i)(?P<day>\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>[a-z]{3,9})\.?,?\s+(?P<year>20\d\d)"),
    re.compile(r"(?i)(?P<name>[a-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>20\d\d)"),
    re.compile(r"(?i)(?:ngày\s+)?(?P<day>\d{1,2})\s+tháng\s+(?P<month>\d{1,2})\s+năm\s+(?P<year>20\d\d)"),
)
_DAY_FIRST = re.compile(r"(?<![\d.,])(?P<day>\d{1,2})[/.-](?P<month>\d{1,2})[/.-](?P<year>20\d\d)(?!\d)")
_SHORT = (
    re.compile(r"(?<!\d)(?P<month>\d{1,2})\s*月\s*(?P<day>\d{1,2})\s*[日號号]?"),
    re.compile(
        r"(?i)\b(?P<day>\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\b\.?"
    ),
    re.compile(
        r"(?i)\b(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?\b(?![.,]?\d)"
    ),
    re.compile(r"(?i)(?:ngày\s+)?(?P<day>\d{1,2})\s+tháng\s+(?P<month>\d{1,2})\b"),
)
_SLASH = re.compile(r"(?<![\d/.,])(?P<one>\d{1,2})/(?P<two>\d{1,2})(?![\d/])")
_DATE_WORD = re.compile(r"(?i)交|出|到|發|发|ngày|giao|deliver|ship|date|ready|ETA|ETD|arriv")
_CODES = "|".join(sorted(STORAGE_EXPONENT))
_SIGNS = {"NT$": "TWD", "HK$": "HKD", "US$": "USD", "A$": "AUD", "S$": "SGD", "₫": "VND", "đồng": "VND", "RMB": "CNY", "元": "",
          "NTD": "TWD", "đ": "VND", "¥": "", "￥": "", "$": ""}  # fmt: skip
_SIGN = "|".join(re.escape(sign) for sign in sorted(_SIGNS, key=len, reverse=True))
_FIGURE = r"\d(?:[\d.,]*\d)?"
_BEFORE = re.compile(rf"(?<![A-Za-z])(?P<unit>{_CODES}|{_SIGN})\s?(?P<figure>{_FIGURE})")
_AFTER = re.compile(rf"(?P<figure>{_FIGURE})\s?(?P<unit>{_CODES}|{_SIGN})(?![A-Za-z])")
_PRICED = re.compile(
    rf"(?i)(?:unit price|price|quote|單價|单价|價格|价格|報價|报价|đơn giá|giá)\D{{0,40}}?(?P<figure>{_FIGURE})(?!\s*(?:%|％|pcs|件|個|个|chiếc|cái|units?|pieces?|days?|weeks?|天|週|周|ngày|tuần))"
)
_CHANGED_TO = re.compile(
    rf"(?i)(?:from|由|từ)\s*\S*?\s*{_FIGURE}.{{0,20}}?(?:to|至|到|為|为|lên|thành|xuống)\s*\D{{0,8}}?(?P<figure>{_FIGURE})"
)
_COUNTED = re.compile(
    r"(?i)(?P<figure>\d[\d.,]*)\s*(?:pcs?\b|pieces?\b|units?\b|sets?\b|件|個|个|台|套|支|chiếc|cái|bộ|sản phẩm)"
)
_PACKED = re.compile(
    r"(?i)每\s*[箱盒包袋]\s*\d+\s*[件個个支]?|\d+\s*(?:chiếc|cái)?\s*(?:mỗi|một|/)\s*(?:thùng|hộp)|"
    r"\d+\s*(?:pcs?|pieces?|units?)?\s*(?:per|/|a|each)\s*(?:carton|box|case|pack)|(?:cartons?|boxes|cases|packs?) of \d+"
)
"""How many go into a carton says nothing of how many are delivered."""
_QUANTITY_WORD = re.compile(
    rf"(?i)(?:quantity|qty|only (?:have|supply|ship|deliver)?|數量|数量|只有|僅能\S{{0,4}}|仅能\S{{0,4}}|只能\S{{0,4}}|先出|先交|số lượng|chỉ (?:còn|có|giao|cung cấp|có thể giao|có thể cung cấp))\D{{0,12}}?(?P<figure>{_FIGURE})"
)


def dates_in(text: str, language: str, received: date) -> tuple[list[date], str]:
    """Every date a text names, and the text without them. One without a year is the next such day."""
    found: list[date] = []

    def take(match: re.Match[str]) -> str:
        day = _day(match.groupdict(), received)
        if day is None:
            return match.group()
        found.append(day)
        return " "

    for pattern in (*_FULL, _DAY_FIRST, *_SHORT):
        text = pattern.sub(take, text)
    if _DATE_WORD.search(text):
        text = _SLASH.sub(lambda match: _slash(match, language, received, found), text)
    return found, text


def prices_in(text: str, language: str) -> tuple[list[tuple[Decimal, str]], str]:
    """Unit prices a text names, with their currency where it says one, and the text without them."""
    found: list[tuple[Decimal, str]] = []

    def take(match: re.Match[str]) -> str:
        value = figure(match["figure"], language)
        if value is None or value <= 0:
            return match.group()
        unit = match.groupdict().get("unit") or ""
        found.append((value, _SIGNS.get(unit, unit)))
        return " "

    moved = _CHANGED_TO.search(text)
    if moved is not None and _price_like(text):
        value = figure(moved["figure"], language)
        unit = next(iter(_units(text)), "")
        if value is not None:
            return [(value, unit)], text[: moved.start()] + " " + text[moved.end() :]
    for pattern in (_BEFORE, _AFTER):
        text = pattern.sub(take, text)
    if not found:
        text = _PRICED.sub(take, text)
    return found, text


def quantities_in(text: str, language: str) -> list[int]:
    """Whole quantities a text names, by a unit after them or a word before."""
    found = []
    text = _PACKED.sub(" ", text)
    for pattern in (_COUNTED, _QUANTITY_WORD):
        for match in pattern.finditer(text):
            value = figure(match["figure"].rstrip(".,"), language)
            if value is not None and value == value.to_integral_value() and value > 0:
                found.append(int(value))
    return found


def figure(text: str, language: str) -> Decimal | None:
    """A number as a language writes it; None when it does not say which of two numbers it is.

    Suppliers mix conventions, so a separator is read by its place: three digits after it group, one or two point.
    """
    text = text.strip(".,")
    marks = re.findall(r"[.,]", text)
    point = ""
    if len(set(marks)) == 2:
        point = marks[-1]
    elif marks:
        digits_after = len(text) - text.rfind(marks[0]) - 1
        usual = "," if language == "vi" else "."
        if len(marks) == 1 and (digits_after != 3 or marks[0] == usual):
            point = marks[0]
    grouping = {",": ".", ".": ","}.get(point, marks[0] if marks else ",")
    whole, _, part = text.partition(point) if point else (text, "", "")
    groups = whole.split(grouping)
    if any(len(group) != 3 for group in groups[1:]) or (len(groups[0]) > 3 and len(groups) > 1):
        return None
    try:
        return Decimal("".join(groups) + (f".{part}" if part else ""))
    except InvalidOperation:
        return None


def _price_like(text: str) -> bool:
    return bool(re.search(r"(?i)price|價|价|giá|quote|cost", text) or _units(text))


def _units(text: str) -> list[str]:
    return [
        _SIGNS.get(u, u) for u in re.findall(rf"(?<![A-Za-z])({_CODES}|{_SIGN})(?![A-Za-z])", text) if _SIGNS.get(u, u)
    ]


def _day(parts: dict[str, str | None], received: date) -> date | None:
    name = parts.get("name")
    month = _MONTHS.get(name.casefold()[:3]) if name else int(parts.get("month") or 0)
    if month is None or not parts.get("day"):
        return None
    stated = parts.get("year")
    year = int(stated) if stated else None
    return _made(year, month, int(parts["day"] or 0), received)


def _made(year: int | None, month: int, day: int, received: date) -> date | None:
    try:
        if year is not None:
            return date(year, month, day)
        this = date(received.year, month, day)
        return this if (received - this).days <= 60 else this.replace(year=received.year + 1)
    except ValueError:
        return None


def _slash(match: re.Match[str], language: str, received: date, found: list[date]) -> str:
    """Two numbers and a slash: day first in Vietnamese, month first in Chinese, unclear in English unless one is above 12."""
    one, two = int(match["one"]), int(match["two"])
    day_first = language == "vi" or (language == "en" and one > 12)
    if language == "en" and one <= 12 and two <= 12 and one != two:
        return match.group()
    day, month = (one, two) if day_first else (two, one)
    made = _made(None, month, day, received)
    if made is None:
        return match.group()
    found.append(made)
    return " "
