"""What the readers of tracking answers share: times, places and reasons in carriers' own words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from domain.errors import MalformedPayload
from domain.tracking import SubReason

_ZONES = {
    "AU": "Australia/Sydney", "CN": "Asia/Shanghai", "HK": "Asia/Hong_Kong", "ID": "Asia/Jakarta", "IN": "Asia/Kolkata",
    "JP": "Asia/Tokyo", "KR": "Asia/Seoul", "MO": "Asia/Macau", "MY": "Asia/Kuala_Lumpur", "NZ": "Pacific/Auckland",
    "PH": "Asia/Manila", "SG": "Asia/Singapore", "TH": "Asia/Bangkok", "TW": "Asia/Taipei", "VN": "Asia/Ho_Chi_Minh",
    "GB": "Europe/London",
}  # fmt: skip
"""Countries whose parcels can be dated by their place; those with far-apart zones (US, AU outside the east) only roughly."""
_ALPHA3 = {
    "AUS": "AU", "CHN": "CN", "HKG": "HK", "IDN": "ID", "IND": "IN", "JPN": "JP", "KOR": "KR", "MAC": "MO", "MYS": "MY",
    "NZL": "NZ", "PHL": "PH", "SGP": "SG", "THA": "TH", "TWN": "TW", "VNM": "VN", "GBR": "GB", "USA": "US",
}  # fmt: skip
_REASONS = (
    (SubReason.RETURNED, r"\breturned to (the )?(sender|shipper)\b|已退回|退回寄件人|đã hoàn trả"),
    (SubReason.RETURNING, r"\breturn(ing)?\b.{0,30}\b(sender|shipper|origin)\b|\breturn to sender\b|退回中|hoàn trả"),
    (SubReason.DAMAGED, r"\bdamage[ds]?\b|破損|破损|hư hỏng"),
    (SubReason.LOST, r"\blost\b|\bmissing\b|遺失|遗失|丢失|thất lạc"),
    (SubReason.REFUSED, r"\brefus(ed|al)\b|\brejected by (the )?(recipient|customer|addressee)\b|拒收|từ chối"),
    (SubReason.HELD_FOR_PAYMENT, r"\b(payment|duty|duties|tax(es)?|cod)\b.{0,30}\b(due|required|pending|unpaid|outstanding)\b|待付款|chờ thanh toán"),
    (SubReason.CUSTOMS, r"\bcustoms?\b|\bclearance\b|海關|海关|清關|清关|hải quan"),
    (SubReason.ADDRESS, r"\b(incorrect|incomplete|insufficient|bad|wrong|invalid|unknown)\b.{0,20}\baddress\b|\baddress (correction|issue|query)\b|\bmoved\b|地址(錯|错|不)|sai địa chỉ"),
    (SubReason.NOT_COLLECTED, r"\b(not|un)[- ]?(collected|claimed)\b|\bpick ?up (missed|expired)\b|逾期未取|未取件|không đến nhận"),
    (SubReason.NOT_HOME, r"\b(not (available|home|in)|no one|nobody|closed|unable to (deliver|access))\b|無人|无人|không có người"),
    (SubReason.DELAYED, r"\b(delay(ed)?|weather|late flight|backlog)\b|延誤|延误|trễ"),
)  # fmt: skip
_COMPILED = tuple((reason, re.compile(pattern, re.IGNORECASE)) for reason, pattern in _REASONS)
_DONE = re.compile(
    r"\b(clear(ed|ance) (complete|through|released?)|released? (from|by) customs|customs released)\b|已清關|清关完成",
    re.I,
)


def in_words(message: str) -> SubReason:
    """The reason a carrier's own words give; none when they name none, or only that customs is behind the parcel."""
    for reason, pattern in _COMPILED:
        if pattern.search(message):
            return SubReason.NONE if reason is SubReason.CUSTOMS and _DONE.search(message) else reason
    return SubReason.NONE


def alpha2(country: object) -> str:
    """A country as two letters; empty when it is none we know."""
    text = str(country or "").strip().upper()
    return text if len(text) == 2 else _ALPHA3.get(text, "")


def instant(text: object, country: str) -> tuple[datetime, bool] | None:
    """A time and whether its zone is certain. Without an offset it is the clock on the wall of the country."""
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    zone = _ZONES.get(country)
    if found.tzinfo is None and zone is None:
        return found.replace(tzinfo=UTC), False
    placed = found if found.tzinfo is not None or zone is None else found.replace(tzinfo=ZoneInfo(zone))
    try:
        return placed.astimezone(UTC), True
    except OverflowError:  # the last hours of year 9999, or the first of year 1
        return None


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        MalformedPayload: it is something else.
    """
    if not isinstance(value, dict):
        raise MalformedPayload(f"the tracking answer has no {what}")
    return value


def items(value: object) -> list[Mapping[str, Any]]:
    """The objects of a JSON list; anything else in it is left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def words(value: object, longest: int = 300) -> str:
    """A short text on one line."""
    return " ".join(value.split())[:longest] if isinstance(value, str) else ""
