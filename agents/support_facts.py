"""The facts of a support context a draft may state, each in a slot with its value shown in the reader's language.

A fact that is stale, uncertain or missing has no slot, so no draft can state it.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from agents.letter_locale import LetterLocale, letter_locale, letter_locales
from domain.money import Money
from domain.support import Fact, OrderFacts, ShipmentView, SupportContext

SURE = 0.7
_MOST_PARCELS = 3
_LONGEST = 120
_LINK = re.compile(r"https?:|www\.|@\w+\.\w", re.IGNORECASE)
_MARKS = str.maketrans({"{": "(", "}": ")", "<": "(", ">": ")"})
_MOST_OPTIONS = 3


@dataclass(frozen=True, kw_only=True)
class StatedFact:
    """One fact a draft may state through its slot."""

    slot: str
    what: str
    """In English, for the model."""
    shown: str
    """Its value as the reader sees it; filled in by the program."""
    source: str


def stated_facts(context: SupportContext, language: str) -> tuple[StatedFact, ...]:
    """The facts of a context with a slot each, in reading order."""
    show = _Shown(language)
    found = (replace(fact, shown=_one_line(fact.shown)) for fact in _facts(context, show))
    return tuple(fact for fact in found if fact.shown)


def _one_line(text: str) -> str:
    """A value as it may stand in a sentence: other systems' words are cut, and dropped when they hold a link."""
    normal = unicodedata.normalize("NFKC", text)
    plain = "".join(
        sign for sign in normal if unicodedata.category(sign) not in {"Cf", "Cc", "Co", "Cs"} or sign in " \t\n"
    )
    plain = " ".join(plain.translate(_MARKS).split())
    return "" if _LINK.search(plain) else plain[:_LONGEST]


class _Shown:
    """Dates and amounts in a language; ISO dates where we have no language file."""

    def __init__(self, language: str) -> None:
        self._locale: LetterLocale | None = letter_locale(language) if language in letter_locales() else None

    def day(self, at: datetime | date | None) -> str:
        if at is None:
            return ""
        day = at.date() if isinstance(at, datetime) else at
        return self._locale.show_date(day) if self._locale else day.isoformat()

    def money(self, amount: Money) -> str:
        return self._locale.show_money(amount) if self._locale else f"{amount.currency} {amount.decimal:f}"


def _usable(fact: Fact[Any]) -> bool:
    return fact.value is not None and not fact.stale and fact.confidence >= SURE


def _facts(context: SupportContext, show: _Shown) -> Iterator[StatedFact]:
    if context.order is not None:
        yield from _order(context.order, show)
    if _usable(context.shipments):
        for number, parcel in enumerate((context.shipments.value or ())[:_MOST_PARCELS], start=1):
            yield from _parcel(parcel, number, context.shipments.source, show)
    if _usable(context.refunds):
        for number, option in enumerate((context.refunds.value or ())[:_MOST_OPTIONS], start=1):
            name, source = f"refund_{number}", context.refunds.source
            yield StatedFact(
                slot=f"{name}_amount",
                what=f"a possible refund ({option.condition})",
                shown=show.money(option.amount),
                source=source,
            )
            low, high = option.eta_days
            yield StatedFact(
                slot=f"{name}_days",
                what=f"days that refund takes ({option.condition})",
                shown=f"{low}-{high}",
                source=source,
            )
    if _usable(context.returns):
        for number, back in enumerate((context.returns.value or ())[:_MOST_OPTIONS], start=1):
            if back.eligible:
                yield StatedFact(
                    slot=f"return_{number}_until",
                    what=f"last day to send back line {back.line_id}",
                    shown=show.day(back.until),
                    source=context.returns.source,
                )


def _order(order: OrderFacts, show: _Shown) -> Iterator[StatedFact]:
    yield StatedFact(slot="order_number", what="the order's number", shown=order.number, source="oms")
    yield StatedFact(slot="order_placed", what="the day it was placed", shown=show.day(order.placed_at), source="oms")
    if _usable(order.total) and order.total.value is not None:
        yield StatedFact(
            slot="order_total", what="the order's total", shown=show.money(order.total.value), source=order.total.source
        )
    if _usable(order.lines):
        goods = ", ".join(f"{line.name} x {line.quantity}" for line in (order.lines.value or ())[:_MOST_OPTIONS])
        yield StatedFact(slot="order_goods", what="the goods", shown=goods, source=order.lines.source)


def _parcel(parcel: ShipmentView, number: int, source: str, show: _Shown) -> Iterator[StatedFact]:
    name = f"parcel_{number}"
    yield StatedFact(slot=f"{name}_tracking", what="tracking number", shown=parcel.tracking_number, source=source)
    yield StatedFact(slot=f"{name}_carrier", what="carrier", shown=parcel.carrier, source=source)
    yield StatedFact(
        slot=f"{name}_last_place", what="place of the last scan", shown=parcel.last_scan_place, source=source
    )
    yield StatedFact(
        slot=f"{name}_last_scan", what="day of the last scan", shown=show.day(parcel.last_scan_at), source=source
    )
    yield StatedFact(
        slot=f"{name}_delivered", what="day of delivery", shown=show.day(parcel.delivered_at), source=source
    )
    yield StatedFact(
        slot=f"{name}_promised", what="day it was promised for", shown=show.day(parcel.promised_at), source=source
    )
    if parcel.delivered_at is None:
        yield StatedFact(
            slot=f"{name}_expected",
            what="day it is expected by, with four chances in five",
            shown=show.day(parcel.predicted_p80_at),
            source=source,
        )
    if parcel.days_late:
        yield StatedFact(slot=f"{name}_days_late", what="days it is late", shown=str(parcel.days_late), source=source)


def situation(context: SupportContext) -> dict[str, object]:
    """What the model may know beside the slots: states and words of ours, no figure and nobody's name."""
    order = context.order
    holds = order.holds.value or () if order is not None and _usable(order.holds) else ()
    parcels = context.shipments.value or () if _usable(context.shipments) else ()
    return {
        "reason": context.reason.name if context.reason else "",
        "state": str(order.state.value) if order is not None and _usable(order.state) else "unknown",
        "holds": [hold.tell_customer for hold in holds if hold.tell_customer],
        "parcels": [
            {"slot": f"parcel_{n}", "status": p.status.value if p.status else "unknown", "sub_reason": p.sub_reason}
            for n, p in enumerate(parcels[:_MOST_PARCELS], start=1)
        ],
        "missing_sources": list(context.missing),
        "suggested_action": context.next_best_action.action.value,
    }
