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


def contact_reason(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """The first reason whose words occur."""
    text = blocks(conversation).get("message", "").casefold()
    found = next((name for name, pattern in _REASONS.items() if re.search(pattern, text)), "unclear")
    return {"reason": found}


def support_summary(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """What the facts have, in the language asked for."""
    return {"summary": _with_facts("support_summary", conversation)}


def support_reply(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """A polite line, and what the facts have."""
    return {"reply": _with_facts("support_reply", conversation)}


def _with_facts(prompt: str, conversation: str) -> str:
    facts = after(conversation, "Facts by slot:") or {}
    texts = prose()[prompt][language_of(conversation)]
    told = [text for slot, text in texts["facts"].items() if slot in facts]
    return " ".join((texts["opening"], *told, texts["closing"]))


def next_best_action(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """What the rules suggest, unless the message threatens."""
    said, situation = blocks(conversation).get("message", "").casefold(), after(conversation, "Situation:") or {}
    if re.search(r"lawyer|police|court|律師|律师|報警|报警|luật sư|công an", said):
        return {"action": "escalate"}
    return {"action": str(situation.get("suggested_action", "escalate"))}


def supplier_letter(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """Our own letter with another opening sentence."""
    language = language_of(conversation)
    example = conversation.split("A letter of ours, to keep to in tone and order:\n", 1)[-1].split("\n\n<<<data", 1)[0]
    texts = prose()["supplier_letter"][language]
    salutation, _, rest = example.partition("\n\n")
    return {"subject": texts["subject"], "body": f"{salutation}\n\n{texts['opening']}\n\n{rest}".strip()}


def supplier_reply(conversation: str, _schema: Mapping[str, Any]) -> dict[str, Any]:
    """A class by plain words; a figure only where one stands behind the word for it."""
    mail = blocks(conversation).get("mail", "")
    text = mail.casefold()
    price = re.search(r"(?:price|單價|单价|đơn giá)\D{0,24}(\d[\d.,]*\d|\d)", text)
    day = re.search(r"20\d\d-\d\d-\d\d|20\d\d年\d{1,2}月\d{1,2}日|\d{1,2}/\d{1,2}/20\d\d|\d{1,2} [a-z]+ 20\d\d", text)
    classes = [name for name, pattern in _REPLIES.items() if re.search(pattern, text)][:1] or ["other"]
    if classes == ["accept"] and price:
        classes = ["counter_price"]
    line: dict[str, Any] = dict.fromkeys(("quantity", "unit_price", "currency", "date", "substitute")) | {"line_id": ""}
    line["unit_price"] = price[1] if price and classes == ["counter_price"] else None
    line["date"] = day[0] if day and classes == ["counter_date"] else None
    lines = [line] if line["unit_price"] or line["date"] else []
    return {
        "classes": classes,
        "lines": lines,
        "bank_details": bool(re.search(r"bank|iban|帳戶|账户|帳號|账号|tài khoản", text)),
    }


_REASONS = {
    "wismo/delivered_not_received": r"(says|marked|shows) delivered|顯示已(送達|簽收)|显示已(送达|签收)|báo đã giao",
    "change/cancel": r"cancel|取消|hủy",
    "change/address": r"address|地址|địa chỉ",
    "refund_status": r"refund|退款|hoàn tiền",
    "return/damaged": r"broken|damage|壞|坏|破|vỡ|hỏng",
    "return/wrong": r"wrong|寄錯|发错|nhầm|giao sai",
    "payment/invoice": r"invoice|發票|发票|hóa đơn",
    "complaint/complaint": r"complain|unacceptable|投訴|投诉|khiếu nại",
    "presales": r"in stock|現貨|现货|còn hàng",
    "wismo/late": r"where|arriv|late|still waiting|還沒|还没|什麼時候|什么时候|到哪|chưa (nhận|đến)|ở đâu|bao giờ",
}
_REPLIES = {
    "out_of_office": r"out of (the )?office|自動回覆|自动回复|休假|vắng mặt",
    "reject": r"(cannot|can't|unable to) (accept|supply|deliver)|無法(接單|供貨)|无法(接单|供货)|không thể (nhận|cung cấp)",
    "counter_price": r"price (has|is|will)|raise|(單價|单价|價格|价格).{0,6}(調整|调整)|điều chỉnh giá|漲價|调价|調價|涨价|tăng giá",
    "counter_date": r"delay|later|postpone|延後|延遲|延迟|推迟|trễ|chậm",
    "partial": r"only \d|partial|部分|một phần|chỉ còn",
    "accept": r"confirm|accept|agree|確認|确认|同意|xác nhận|đồng ý",
    "question": r"\?|？|請問|请问|xin hỏi",
}


SCRIPTS: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "fraud_second_opinion": second_opinion,
    "customer_message": customer_message,
    "contact_reason": contact_reason,
    "support_summary": support_summary,
    "support_reply": support_reply,
    "next_best_action": next_best_action,
    "supplier_letter": supplier_letter,
    "supplier_reply": supplier_reply,
}
"""By prompt id."""
