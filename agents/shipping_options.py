"""What the buyer chose at the checkout, in the channel's words, mapped to a class of service with a promise."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class OptionClass(StrEnum):
    """How fast the buyer asked for it."""

    EXPRESS = "express"
    STANDARD = "standard"
    PICKUP = "pickup"


@dataclass(frozen=True, kw_only=True)
class OptionTable:
    """The words channels use, and what each class promises."""

    version: str
    express_terms: tuple[str, ...]
    pickup_terms: tuple[str, ...]
    standard_terms: tuple[str, ...]
    express_promise_working_days: int
    """Working days in the destination from release to the door; used when the order names no delivery date."""


OPTIONS = OptionTable(
    version="options-2026-11-01",
    express_terms=(
        "express", "next day", "next-day", "overnight", "same day", "priority", "expedited", "instant", "2nd day",
        "快遞", "快递", "特快", "速達", "速达", "次日", "當日", "当日", "hỏa tốc", "nhanh", "kilat", "速達便",
    ),
    pickup_terms=("7-11", "7-eleven", "familymart", "pickup", "pick up", "collect", "超商", "門市", "自取", "locker"),
    standard_terms=(
        "standard", "regular", "economy", "home delivery", "normal", "ground", "標準", "标准", "宅配", "普通", "通常",
        "tiêu chuẩn", "thường", "reguler",
    ),
    express_promise_working_days=3,
)  # fmt: skip


@lru_cache(maxsize=1024)
def option_class(chosen: str) -> OptionClass:
    """The class of the buyer's choice; anything not recognised is standard."""
    words = chosen.casefold()
    if any(term in words for term in OPTIONS.express_terms):
        return OptionClass.EXPRESS
    if any(term in words for term in OPTIONS.pickup_terms):
        return OptionClass.PICKUP
    return OptionClass.STANDARD


def recognised(chosen: str) -> bool:
    """Whether the table knows the words; others are standard for want of anything better."""
    words = chosen.casefold()
    known = (*OPTIONS.express_terms, *OPTIONS.pickup_terms, *OPTIONS.standard_terms)
    return any(term in words for term in known)
