"""Which language an answer should be in, and whether it is: told from scripts and marks, without a model."""

from collections.abc import Sequence

NAMES = {
    "en": "English",
    "zh-Hant": "Traditional Chinese",
    "zh-Hans": "Simplified Chinese",
    "vi": "Vietnamese",
    "ja": "Japanese",
    "ko": "Korean",
    "th": "Thai",
    "ms": "Malay",
    "id": "Indonesian",
}
_HANT_REGIONS = frozenset({"tw", "hk", "mo", "hant"})
_VIETNAMESE = frozenset("ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ")
_TRADITIONAL = frozenset("訂單們個這說請時後會對發貨價錢買賣國際運費聯繫謝繳稅復誤與為將內還開關點樓號該從現實際經過應")
_SIMPLIFIED = frozenset("订单们个这说请时后会对发货价钱买卖国际运费联系谢缴税复误与为将内还开关点楼号该从现实际经过应")
_ONLY_TRADITIONAL, _ONLY_SIMPLIFIED = _TRADITIONAL - _SIMPLIFIED, _SIMPLIFIED - _TRADITIONAL
_SHORTEST_JUDGED = 12
"""Fewer letters than this are not judged."""
_VIETNAMESE_SHARE = 0.04
_OWN_SHARE = 0.3
_LATIN_SHARE = 0.8


def chosen(locale: str, languages: Sequence[str]) -> str:
    """The prompt's language for a locale; the first one when none fits."""
    wanted = canonical(locale)
    if wanted in languages:
        return wanted
    base = wanted.split("-")[0]
    return next((each for each in languages if base != "zh" and each.split("-")[0] == base), languages[0])


def canonical(locale: str) -> str:
    """A locale reduced to what distinguishes written languages: Chinese by script, others by language."""
    parts = locale.replace("_", "-").split("-")
    base = parts[0].lower()
    if base != "zh":
        return base
    return "zh-Hant" if _HANT_REGIONS & {part.lower() for part in parts[1:]} else "zh-Hans"


def name_of(language: str) -> str:
    """The language's English name."""
    return NAMES.get(language, language)


def reads_as(text: str, language: str) -> bool:
    """Whether a text can be in the language; short texts and languages without a test always can."""
    letters = [sign for sign in text.lower() if sign.isalpha()]
    if len(letters) < _SHORTEST_JUDGED:
        return True
    share = {script: sum(_script(sign) == script for sign in letters) / len(letters) for script in ("latin", "han", "kana", "hangul", "thai")}  # fmt: skip
    marks = sum(sign in _VIETNAMESE for sign in letters) / len(letters)
    if language in {"zh-Hant", "zh-Hans"}:
        foreign = _ONLY_SIMPLIFIED if language == "zh-Hant" else _ONLY_TRADITIONAL
        own = _ONLY_TRADITIONAL if language == "zh-Hant" else _ONLY_SIMPLIFIED
        wrong, right = sum(sign in foreign for sign in letters), sum(sign in own for sign in letters)
        return share["han"] >= _OWN_SHARE and share["kana"] == 0 and wrong <= right
    if language == "vi":
        return share["latin"] >= _LATIN_SHARE and marks >= _VIETNAMESE_SHARE
    if language in {"en", "ms", "id"}:
        return share["latin"] >= _LATIN_SHARE and marks < _VIETNAMESE_SHARE
    scripts = {"ja": ("kana",), "ko": ("hangul",), "th": ("thai",)}.get(language)
    return scripts is None or sum(share[script] for script in scripts) >= _OWN_SHARE / 2


def _script(sign: str) -> str:
    point = ord(sign)
    if 0x4E00 <= point <= 0x9FFF or 0x3400 <= point <= 0x4DBF or 0x20000 <= point <= 0x3134F:
        return "han"
    if 0x3040 <= point <= 0x30FF:
        return "kana"
    if 0xAC00 <= point <= 0xD7AF:
        return "hangul"
    if 0x0E00 <= point <= 0x0E7F:
        return "thai"
    return "latin" if point < 0x0250 or 0x1E00 <= point <= 0x1EFF else "other"
