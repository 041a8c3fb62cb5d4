"""Names made comparable: scripts and spellings folded, legal forms dropped, and an index that finds listed names in others.

Two levels. The normalised name forgets case, accents, punctuation, word order and legal form: equal means the same name.
The skeleton also forgets how a name was transliterated (Muhammad, Mohamed) and one slip of the pen: equal means look.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

_LETTERS = str.maketrans(
    {
        "đ": "d", "ð": "d", "ø": "o", "ł": "l", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i", "ħ": "h",
        "а": "a", "б": "b", "в": "v", "г": "g", "ґ": "g", "д": "d", "е": "e", "ё": "e", "є": "ye", "ж": "zh",
        "з": "z", "и": "i", "і": "i", "ї": "i", "й": "i", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p",
        "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch",
        "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya",
    }
)  # fmt: skip
"""Letters that Unicode does not decompose, and Cyrillic as passports transliterate it."""

_TRADITIONAL = "國東華長張陳劉楊趙黃吳孫馬葉鄭許貿際業實電機廠車運輸銀進發開聯盧蘇鄧謝韓馮蕭龍蔣賈鄒閻龐軍團礦產財會維術資產險鐵鋼紡織藥製龔鍾關韋萬"
_SIMPLIFIED = "国东华长张陈刘杨赵黄吴孙马叶郑许贸际业实电机厂车运输银进发开联卢苏邓谢韩冯萧龙蒋贾邹阎庞军团矿产财会维术资产险铁钢纺织药制龚钟关韦万"
_VARIANTS = str.maketrans(_TRADITIONAL, _SIMPLIFIED)
"""Frequent characters of surnames and company names in one form; aliases in the list cover the rest."""

LEGAL_FORMS = frozenset(
    [
        "co",
        "company",
        "corp",
        "corporation",
        "inc",
        "incorporated",
        "ltd",
        "limited",
        "llc",
        "llp",
        "lp",
        "plc",
        "pte",
        "pty",
        "pvt",
        "sdn",
        "bhd",
        "gmbh",
        "ag",
        "sa",
        "sarl",
        "srl",
        "bv",
        "nv",
        "kk",
        "jsc",
        "ojsc",
        "cjsc",
        "ooo",
        "oao",
        "zao",
        "tnhh",
        "cp",
        "ptd",
        "the",
        "and",
        "of",
    ]
)
PARTICLES = frozenset(["al", "el", "bin", "ibn", "bint", "von", "dos"])
"""Words that one register writes and another leaves out; a similar name need not have them."""

_CHINESE_FORMS = re.compile("(股份)?有限(责任)?公司$|公司$|株式会社|주식회사")
_LATIN = re.compile("[a-z]+")
_SOUNDS = (
    ("shch", "s"), ("sch", "s"), ("tch", "j"), ("dzh", "j"), ("ph", "f"), ("kh", "h"), ("gh", "g"), ("zh", "j"),
    ("ch", "j"), ("sh", "s"), ("hs", "s"), ("th", "t"), ("dj", "j"), ("ts", "s"), ("ck", "k"), ("q", "k"), ("c", "k"),
    ("x", "s"), ("w", "v"), ("z", "s"), ("y", "i"),
)  # fmt: skip
"""Spellings of one sound in common transliterations (Wade-Giles and pinyin, Korean ch/j, Arabic kh/q)."""
_VOWELS = re.compile("(?<!^)[aeiouh]")
_DOUBLED = re.compile(r"(.)\1+")
_SHORT = 5
"""Names shorter than this keep their vowels: Kim is not Kum."""
_SLIP_FROM = 4
"""Skeletons from this length may differ by one letter."""
_ENOUGH = 8
"""A listed name with fewer letters is found only as it is written."""


@lru_cache(maxsize=8192)
def name_words(name: str) -> tuple[str, ...]:
    """The words of a name in Latin letters or single script, without accents, case, punctuation and legal form."""
    text = unicodedata.normalize("NFKC", name).casefold().translate(_LETTERS).translate(_VARIANTS)
    text = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    text = unicodedata.normalize("NFC", text).replace("'", "").replace("’", "")
    words = "".join(sign if sign.isalnum() else " " for sign in text).split()
    kept = [_CHINESE_FORMS.sub("", word) for word in words if word not in LEGAL_FORMS]
    return tuple(word for word in kept if word)


def normalised_name(name: str) -> str:
    """A name for comparison, the order of its words put aside."""
    return " ".join(sorted(name_words(name)))


@lru_cache(maxsize=8192)
def skeleton(word: str) -> str:
    """What is left of a Latin word when spellings of one sound, doubled letters and inner vowels are put aside."""
    if not _LATIN.fullmatch(word):
        return word
    for spelling, sound in _SOUNDS:
        word = word.replace(spelling, sound)
    word = _DOUBLED.sub(r"\1", word)
    return word if len(word) < _SHORT else _VOWELS.sub("", word)


def _variants(key: str) -> frozenset[str]:
    """The key and, when it is long enough, the key with any one letter left out."""
    if len(key) < _SLIP_FROM:
        return frozenset({key})
    return frozenset({key, *(key[:i] + key[i + 1 :] for i in range(len(key)))})


class NameIndex:
    """Finds listed names: exactly, or similar enough that somebody should look."""

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """``names`` are the spellings of each listed party, by its id."""
        self._exact: dict[str, set[str]] = {}
        self._needed: list[tuple[str, int]] = []
        self._by_key: dict[str, set[tuple[int, int]]] = {}
        for entry, spellings in names.items():
            for spelling in spellings:
                self._add(entry, name_words(spelling))

    def _add(self, entry: str, words: tuple[str, ...]) -> None:
        if not words:
            return
        self._exact.setdefault(" ".join(sorted(words)), set()).add(entry)
        names = [word for word in words if word not in PARTICLES]
        keys = [skeleton(word) for word in (names if len(names) > 1 else words)]
        if sum(map(len, words)) < _ENOUGH:
            return
        number = len(self._needed)
        self._needed.append((entry, len(keys)))
        for position, key in enumerate(keys):
            for variant in _variants(key):
                self._by_key.setdefault(variant, set()).add((number, position))

    def exact(self, name: str) -> frozenset[str]:
        """The parties listed under this very name."""
        return frozenset(self._exact.get(normalised_name(name), ()))

    def similar(self, name: str) -> frozenset[str]:
        """The parties a spelling of whose name this one contains, word by word, up to transliteration and a slip."""
        found: dict[int, set[int]] = {}
        for word in name_words(name):
            for variant in _variants(skeleton(word)):
                for number, position in self._by_key.get(variant, ()):
                    found.setdefault(number, set()).add(position)
        return frozenset(
            self._needed[number][0] for number, positions in found.items() if len(positions) == self._needed[number][1]
        )
