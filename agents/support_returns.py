"""May a line be sent back? A dated table of rules: law, then platform, then shop; the first that allows it holds."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, ValidationError

from domain.errors import ConfigError
from domain.order import Channel, OrderState
from domain.support import ReturnView
from domain.support_sources import HistoryLine, HistoryOrder
from domain.values import Document

SHIPPED_FILE = Path(__file__).with_name("support_returns.yaml")
BASES = ("law", "platform", "shop")
CHANGE_OF_MIND = "change_of_mind"
_ARRIVED = frozenset({OrderState.DELIVERED, OrderState.COMPLETED})
_BACK = frozenset({OrderState.RETURN_REQUESTED, OrderState.RETURNING, OrderState.RETURNED})

_ZONES = {
    "TW": "Asia/Taipei", "SG": "Asia/Singapore", "MY": "Asia/Kuala_Lumpur", "PH": "Asia/Manila", "HK": "Asia/Hong_Kong",
    "VN": "Asia/Ho_Chi_Minh", "TH": "Asia/Bangkok", "JP": "Asia/Tokyo", "KR": "Asia/Seoul", "CN": "Asia/Shanghai",
    "ID": "Asia/Jakarta", "AU": "Australia/Perth", "NZ": "Pacific/Auckland", "US": "America/Los_Angeles",
}  # fmt: skip
"""Where a country has several, the one whose day ends last: in doubt for the customer."""


class ReturnRule(Document):
    """One row of the table."""

    rule_id: str
    basis: str
    channels: tuple[Channel, ...] = ()
    """Any when empty, as with the other lists."""
    countries: tuple[str, ...] = ()
    mall: bool | None = None
    categories: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    days: int = Field(ge=0)
    excepted: str = Field(default="", alias="except")
    """The named list of categories it does not cover."""
    who_pays: str
    condition: str
    valid_from: date
    valid_to: date | None = None
    """The last day included; the rule in force on the day of delivery counts."""
    state: str


class ReturnTable(Document):
    """All rows, and what evidence each reason takes."""

    version: str
    withdrawal_exceptions: tuple[str, ...]
    evidence: dict[str, tuple[str, ...]]
    rules: tuple[ReturnRule, ...]


def read_table(file: Path = SHIPPED_FILE) -> ReturnTable:
    """The table in a file.

    Raises:
        ConfigError: it cannot be read or a row is wrong; the message names the file and the first fault.
    """
    try:
        table = ReturnTable.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"the return rules in {file} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"the return rules in {file} are wrong at {place}: {first['msg']}") from None
    for rule in table.rules:
        if rule.basis not in BASES or rule.excepted not in ("", "withdrawal_exceptions"):
            raise ConfigError(f"the return rule {rule.rule_id} in {file} has an unknown basis or exception; correct it")
    return table


@cache
def shipped_table() -> ReturnTable:
    """The table that comes with the product."""
    return read_table()


def eligible_lines(
    order: HistoryOrder, *, reason: str, now: datetime, table: ReturnTable | None = None
) -> tuple[ReturnView, ...]:
    """Whether each line of an order may be sent back for a reason (``change_of_mind`` when none was named)."""
    table = table or shipped_table()
    return tuple(_line(order, line, reason or CHANGE_OF_MIND, now, table) for line in order.lines)


def _line(order: HistoryOrder, line: HistoryLine, reason: str, now: datetime, table: ReturnTable) -> ReturnView:
    if order.state in _BACK:
        return ReturnView(
            line_id=line.line_id, eligible=False, why=f"a return is under way: the order is {order.state}"
        )
    if order.state not in _ARRIVED:
        return ReturnView(
            line_id=line.line_id, eligible=False, why=f"it has not been delivered; the order is {order.state}"
        )
    if order.delivered_at is None:
        return ReturnView(line_id=line.line_id, eligible=None, why="nobody knows the day of delivery; ask the carrier")
    zone = _zone(order.ship_to.country)
    delivered, today = order.delivered_at.astimezone(zone).date(), now.astimezone(zone).date()
    candidates = [rule for rule in table.rules if _fits(rule, order, line, reason, delivered, table)]
    candidates.sort(key=lambda rule: BASES.index(rule.basis))
    for rule in candidates:
        if today <= delivered + timedelta(days=rule.days):
            return _allowed(rule, line, reason, delivered, table.evidence)
    return _refused(line, candidates, delivered)


def _allowed(
    rule: ReturnRule, line: HistoryLine, reason: str, delivered: date, evidence: Mapping[str, tuple[str, ...]]
) -> ReturnView:
    needed = () if rule.basis == "law" else evidence.get(reason, ())
    return ReturnView(
        line_id=line.line_id,
        eligible=True,
        until=delivered + timedelta(days=rule.days),
        rule_id=rule.rule_id,
        basis=rule.basis,
        who_pays=rule.who_pays,
        evidence=needed,
        why=f"{rule.days} days after delivery; {rule.condition}",
    )


def _refused(line: HistoryLine, over: Sequence[ReturnRule], delivered: date) -> ReturnView:
    if not over:
        return ReturnView(
            line_id=line.line_id, eligible=False, why="no rule allows it for this channel, country and reason"
        )
    longest = max(over, key=lambda rule: rule.days)
    until = delivered + timedelta(days=longest.days)
    return ReturnView(
        line_id=line.line_id, eligible=False, until=until, rule_id=longest.rule_id, basis=longest.basis,
        why=f"the {longest.days} days ended on {until.isoformat()}",
    )  # fmt: skip


def _fits(
    rule: ReturnRule, order: HistoryOrder, line: HistoryLine, reason: str, delivered: date, table: ReturnTable
) -> bool:
    wanted = (
        (rule.channels, order.channel),
        (rule.countries, order.ship_to.country),
        (rule.categories, line.category),
        (rule.reasons, reason),
    )
    if any(allowed and value not in allowed for allowed, value in wanted):
        return False
    if rule.mall is not None and rule.mall != order.mall:
        return False
    if rule.excepted and line.category in table.withdrawal_exceptions:
        return False
    return rule.valid_from <= delivered and (rule.valid_to is None or delivered <= rule.valid_to)


def _zone(country: str) -> ZoneInfo:
    return ZoneInfo(_ZONES.get(country, "UTC"))
