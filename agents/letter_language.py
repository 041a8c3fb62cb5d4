"""Which language and script a text is in, and which numbers it writes out in words: enough to catch a wrong letter."""

import re
from functools import lru_cache

from agents.letter_locale import LetterLocale

_CJK = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]")
_KANA_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_]+")
_VIETNAMESE = re.compile(r"[ăâđêôơưĂÂĐÊÔƠƯ\u1ea0-\u1ef9]")
_ENGLISH = frozenset(
    [
        "the",
        "we",
        "you",
        "to",
        "and",
        "of",
        "is",
        "are",
        "please",
        "for",
        "with",
        "your",
        "our",
        "by",
        "under",
        "below",
        "would",
        "like",
        "if",
        "this",
        "a",
        "an",
        "in",
        "be",
        "has",
        "have",
        "on",
        "kindly",
        "confirm",
        "regards",
        "dear",
    ]
)
_NUMERAL = "零〇一二兩两三四五六七八九十百千萬万億亿壹貳贰參叁肆伍陸陆柒捌玖拾佰仟"
_CHINESE_NUMBER = re.compile(
    f"[{_NUMERAL}]*[十百千萬万億亿拾佰仟][{_NUMERAL}]*|[{_NUMERAL}]{{2,}}|[{_NUMERAL}]+(?=[件個个箱台套元塊块天日折成年月%％])"
)
_NOT_NUMBERS = frozenset({"十分", "千萬", "千万", "萬一", "万一", "百般", "一一"})
_ENGLISH_NUMBER = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|"
    r"hundred|thousand|million|dozen|percent|per cent)\b", re.IGNORECASE,
)  # fmt: skip
_VIETNAMESE_NUMBER = re.compile(
    r"\b(?:một|hai|ba|bốn|năm|sáu|bảy|tám|chín|mười)\s+(?:mươi|trăm|nghìn|ngàn|triệu|tỷ|ngày|tháng|tuần|chiếc|cái|thùng|đồng|"
    r"phần trăm)\b|\b(?:trăm|nghìn|ngàn|triệu|phần trăm)\b", re.IGNORECASE,
)  # fmt: skip
LEAST_SHARE = {"zh-Hant": 0.5, "zh-Hans": 0.5, "vi": 0.25, "en": 0.15}
"""Of letters that are Chinese, of words with Vietnamese letters (letters have about half), of common English words."""
LONG_LINE = 20
"""Letters a line must have to be judged alone."""


def number_words(text: str, locale: LetterLocale) -> list[str]:
    """Numbers written out in words of the letter's language."""
    if locale.script != "latin":
        return [found for found in _CHINESE_NUMBER.findall(text) if found not in _NOT_NUMBERS]
    pattern = _VIETNAMESE_NUMBER if locale.language == "vi" else _ENGLISH_NUMBER
    return [found.group() for found in pattern.finditer(text)]


def wrong_language(text: str, locale: LetterLocale) -> str:
    """Why a text is not in the letter's language; empty when it is. Names and addresses must be taken out before.

    Judged as a whole and line by line, so that one foreign sentence in a good letter is found.
    """
    if not _WORD.search(text):
        return "there is no text"
    if _KANA_HANGUL.search(text):
        return "it holds Japanese or Korean letters"
    if locale.script != "latin":
        strange = sorted({c for c in _CJK.findall(text) if script_of(c) not in {"both", locale.script}})
        if strange:
            return f"characters of the other script: {''.join(strange[:12])}"
    elif _CJK.search(text):
        return "it holds Chinese characters"
    elif locale.language == "en" and _VIETNAMESE.search(text):
        return "it holds Vietnamese letters"
    least = LEAST_SHARE.get(locale.language, 0.0)
    for part in (text, *text.splitlines()):
        words = _WORD.findall(part)
        length = sum(len(word) for word in words)
        if (part is text or length >= LONG_LINE) and _share(words, length, part, locale) < least:
            return f"not in the letter's language: {' '.join(part.split())[:60]}"
    return ""


def _share(words: list[str], length: int, part: str, locale: LetterLocale) -> float:
    """How much of a text shows the language: Chinese characters, words with Vietnamese letters, or common words."""
    if locale.script != "latin":
        return len(_CJK.findall(part)) / length
    if locale.language == "vi":
        return sum(1 for word in words if _VIETNAMESE.search(word)) / len(words)
    return sum(1 for word in words if word.casefold() in _ENGLISH) / len(words)


@lru_cache(maxsize=4096)
def script_of(character: str) -> str:
    """``hant``, ``hans`` or ``both``: a character the other script's national character set does not have.

    Big5 holds the traditional characters of everyday use, GB 2312 the simplified ones.
    """
    traditional, simplified = _in(character, "big5hkscs"), _in(character, "gb2312")
    if traditional == simplified:
        return "both"
    return "hant" if traditional else "hans"


def _in(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
