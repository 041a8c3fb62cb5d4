"""The template environment: everything is escaped, nothing is undefined, and money, times and names look the same everywhere."""

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from api.console import charts
from domain.money import Money, exponent

_ASSETS = files("api.console") / "static"


def environment() -> Environment:
    """A fresh environment over the package's templates."""
    made = Environment(
        loader=PackageLoader("api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "money": money, "words": words, "percent": percent, "person": person, "when": when, "ago": ago, "due": due,
        "short": short, "age": age, "duration": duration, "tone": tone, "stamp": stamp, "dollars": dollars,
    }  # fmt: skip
    made.globals |= {"asset": asset_url, "charts": charts}
    return made


def asset(name: str) -> bytes | None:
    """A file of ``static``, None when there is none of that name."""
    return _loaded().get(name)


def asset_url(name: str) -> str:
    """Where an asset is served; the address changes with its content, so browsers may keep it."""
    content = _loaded()[name]
    return f"/console/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


@cache
def _loaded() -> dict[str, bytes]:
    found = {entry.name: entry.read_bytes() for entry in _ASSETS.iterdir() if entry.is_file()}
    return found | {"diagram.css": charts.DIAGRAM_STYLE.encode()}


def money(value: Any) -> str:
    """An amount with its ISO code (``HKD 1,234.50``); a dash for none."""
    if not value:
        return "–"
    amount = value if isinstance(value, Money) else Money.model_validate(value)
    digits = exponent(amount.currency)
    sign, minor = ("-" if amount.amount_minor < 0 else ""), abs(amount.amount_minor)
    whole, rest = divmod(minor, 10**digits)
    shown = f"{whole:,}" + (f".{rest:0{digits}d}" if digits else "")
    return f"{amount.currency} {sign}{shown}"


def dollars(value: Any) -> str:
    """A decimal text of US dollars with its ISO code and thousands (``USD 18,623.38``)."""
    return f"USD {Decimal(str(value)):,.2f}"


def words(value: Any) -> str:
    """An identifier as words (``in_review`` as ``in review``)."""
    return str(value).replace("_", " ").replace(".", " ")


def person(value: Any) -> str:
    """Who acted, without the kind before the name (``user:mei`` as ``mei``)."""
    kind, _, name = str(value).partition(":")
    return f"key {name}" if kind == "key" else (words(name) if kind == "agent" else name) or str(value)


def percent(value: Any) -> str:
    """A share of one as a percentage; a dash for none."""
    return "–" if value is None or value == "" else f"{float(value) * 100:.0f} %"


def short(value: Any, length: int = 12) -> str:
    """The beginning of a digest or long text."""
    text = str(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def _instant(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def _zoned(context: Context, at: datetime) -> datetime:
    return at.astimezone(ZoneInfo(context["zone"]))


def _time(context: Context, at: datetime, shown: str, **data: str) -> Markup:
    stated = f"{_zoned(context, at):%a %d %b %Y %H:%M:%S} {context['zone']}"
    extra = Markup("").join(Markup(' data-{}="{}"').format(name, value) for name, value in data.items())
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(at.isoformat(), stated, extra, shown)


@pass_context
def when(context: Context, value: Any) -> Markup | str:
    """A clock time in the tenant's zone, with the day when it is not today."""
    at = _instant(value)
    if at is None:
        return "–"
    local = _zoned(context, at)
    today = local.date() == _zoned(context, context["now"]).date()
    return _time(context, at, f"{local:%H:%M:%S}" if today else f"{local:%d %b %H:%M}")


@pass_context
def stamp(context: Context, value: Any, shown: str) -> Markup | str:
    """An instant under another wording (``+35 ms``)."""
    at = _instant(value)
    return shown if at is None else _time(context, at, shown)


@pass_context
def ago(context: Context, value: Any) -> Markup | str:
    """How long ago; the page's script keeps it up to date."""
    at = _instant(value)
    return "–" if at is None else _time(context, at, f"{duration(context['now'] - at)} ago", ago="1")


@pass_context
def age(context: Context, value: Any) -> Markup | str:
    """How old, without "ago"."""
    at = _instant(value)
    return "–" if at is None else _time(context, at, duration(context["now"] - at), age="1")


@pass_context
def due(context: Context, value: Any) -> Markup | str:
    """How long until a deadline, or by how much it was missed."""
    at = _instant(value)
    if at is None:
        return "–"
    left = at - context["now"]
    shown = f"{duration(left)} left" if left > timedelta(0) else f"{duration(-left)} over"
    return _time(context, at, shown, due="1")


def duration(value: timedelta | float) -> str:
    """A length of time in its two largest units."""
    seconds = int(value.total_seconds() if isinstance(value, timedelta) else value)
    seconds = max(0, seconds)
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


_TONES: dict[str, tuple[str, ...]] = {
    "go": (
        "fulfilled", "approve", "approved", "proceed", "applied", "done", "clear", "normal", "ok", "decided", "reserve",
        "route", "edit", "on_time", "open_for_orders", "autonomous",
    ),
    "ask": ("in_review", "review", "look", "open", "hold", "backordered", "degraded", "fallback", "late", "limit", "suggestion"),
    "stop": ("cancelled", "reject", "rejected", "dead_letter", "refused", "failed", "void", "closed"),
}  # fmt: skip
_TONE_OF = {word: name for name, listed in _TONES.items() for word in listed}


def tone(value: Any) -> str:
    """The colour family of a state: go, ask, stop, or nothing in particular."""
    return _TONE_OF.get(str(value), "")
