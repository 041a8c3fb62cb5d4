"""The stand-in model's answers to the shipped prompts: plain rules on plain words, so that a keyless demo looks sensible."""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PROSE_FILE = Path(__file__).with_name("model_prose.yaml")
_BLOCK = re.compile(r"<<<data (\w+) \w+\n(.*?)\nend \1 \w+>>>", re.DOTALL)
_LANGUAGES = {
    "Traditional Chinese": "zh-Hant", "Simplified Chinese": "zh-Hans", "Vietnamese": "vi", "Japanese": "ja",
    "Korean": "ko", "Thai": "th", "Malay": "ms", "Indonesian": "id", "English": "en",
}  # fmt: skip
_SIGNS = {
    "instructions": r"ignore .*(instruction|rule)|system ?:|you are now|忽略.*(指示|規則|规则)|bỏ qua.*(hướng dẫn|chỉ dẫn)",
    "card_not_own": r"(friend'?s|someone else'?s|not my) card|別人的卡|别人的卡|thẻ của (bạn|người khác)",
    "third_party_receiver": r"(friend|driver|agent|cousin) will (collect|pick|receive)|代收|代領|代领|nhờ .*nhận",
    "no_call": r"(do not|don't|no) (call|verif)|不要打電話|不要打电话|đừng gọi",
    "off_platform": r"whatsapp|telegram|微信|zalo",
    "urgency": r"urgent|asap|as soon as|緊急|紧急|gấp",
    "resale": r"resell|wholesale|轉售|转售|bán lại",
    "reshipping": r"forward|reship|轉運|转运|chuyển tiếp",
}
_SERIOUS = frozenset(_SIGNS) - {"urgency", "reshipping"}


def blocks(conversation: str) -> dict[str, str]:
    """Strangers' texts by variable, unquoted."""
    return {
        name: "\n".join(line.removeprefix("| ").removeprefix("|") for line in text.split("\n"))
        for name, text in _BLOCK.findall(conversation)
    }


def language_of(conversation: str) -> str:
    """The language the prompt asks for."""
    asked = re.search(r"\bin (" + "|".join(_LANGUAGES) + r")\b", conversation)
    return _LANGUAGES[asked[1]] if asked else "en"


@cache
def prose() -> Mapping[str, Any]:
    """Prose by prompt, language and occasion."""
    found: Mapping[str, Any] = yaml.safe_load(PROSE_FILE.read_text(encoding="utf-8"))
    return found


def after(conversation: str, label: str) -> Any:
    """The JSON value that stands behind a label on its line; None when there is none."""
    found = re.search(rf"^{re.escape(label)}\s*(.+)$", conversation, re.MULTILINE)
    try:
        return json.loads(found[1]) if found else None
    except json.JSONDecodeError:
        return None


def second_opinion(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """A concern where the note or address says something serious, or two lesser things."""
    texts = blocks(conversation)
    seen = {
        where: [sign for sign, pattern in _SIGNS.items() if re.search(pattern, texts.get(where, "").casefold())]
        for where in ("note", "address", "goods")
    }
    signs = list(dict.fromkeys(sign for found in seen.values() for sign in found))
    if not signs or (len(signs) == 1 and signs[0] not in _SERIOUS):
        return {"opinion": "no_concern", "signs": [], "where": "none"}
    where = next(name for name, found in seen.items() if found)
    return {"opinion": "concern", "signs": signs[:5], "where": where}


def customer_message(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """The wording for the occasion in the language asked for."""
    occasion = re.search(r"^Occasion: (\w+)", conversation, re.MULTILINE)
    texts: dict[str, Any] = prose()["customer_message"][language_of(conversation)][
        occasion[1] if occasion else "cancelled"
    ]
    return dict(texts)


SCRIPTS: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "fraud_second_opinion": second_opinion,
    "customer_message": customer_message,
}
"""By prompt id."""
