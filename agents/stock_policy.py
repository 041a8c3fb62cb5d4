"""The stock policy as a table, and what it makes of one count: its age class, and the units that may be promised.

``ATP = on hand - active holds - safety stock - quarantine - units kept for other channels``, less what may have been
sold since the count when the count is behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.stock_math import fast_mover_safety, lumpy_safety, poisson_quantile
from domain.errors import ConfigError
from domain.inventory import Demand, FeedState, StockLevel
from domain.order import Channel, Order, PaymentMethod, PaymentState

POLICY_FILE = Path(__file__).with_name("stock_policy.yaml")
_UNPAID = frozenset({PaymentState.PENDING, PaymentState.VOIDED})


@dataclass(kw_only=True, slots=True)
class Promise:
    """What one count allows."""

    level: StockLevel
    state: FeedState
    """The feed's, or what the count's own age makes of it, whichever is worse."""
    age_s: float
    """By the feed's own event time; negative when its clock is ahead."""
    safety: int
    floor: int
    """Units kept for other channels."""
    buffer: int
    """Units that may have been sold since the count."""

    free: int = field(init=False)
    """Units nobody holds and nothing but other channels' floors and the count's age keep back."""
    believed: int = field(init=False)
    """Units that could be promised if the count were of this moment."""
    units: int = field(init=False)
    """Units that may be promised to this order now."""

    def __post_init__(self) -> None:
        self.free = max(0, self.level.on_hand - self.level.held - self.level.quarantine - self.safety)
        self.believed = max(0, self.free - self.floor)
        self.units = 0 if self.state is FeedState.OPEN else max(0, self.believed - self.buffer)

    @property
    def behind(self) -> bool:
        """Whether the feed's state keeps units back."""
        return self.units < self.believed


@dataclass(frozen=True, kw_only=True)
class StockPolicy:
    """How old a count may be, what is kept back, how long holds last and orders wait, and how sure the answers are."""

    version: str
    normal: timedelta
    open: timedelta
    ahead: timedelta
    recovery_samples: int
    recovery_within: timedelta
    quantile: float
    degraded_quantile: float
    unmeasured_per_hour: float
    fast_per_hour: float
    service_level: float
    hold_unpaid: timedelta
    hold_settled: timedelta
    floors: Mapping[tuple[str, str], int]
    """Units by channel and SKU class."""
    waits: Mapping[str, timedelta]
    sure: float
    buffered: float
    unknown: float
    fallback: float

    def usable(self, level: StockLevel, now: datetime) -> bool:
        """Whether a count may be taken as it is."""
        return self.state(level, now) is FeedState.NORMAL

    def state(self, level: StockLevel, now: datetime) -> FeedState:
        """What a count's own age makes of it."""
        age = now - level.as_of
        if age > self.open or age < -self.ahead:
            return FeedState.OPEN
        return FeedState.BUFFERED if age > self.normal else FeedState.NORMAL

    def promise(
        self,
        level: StockLevel,
        now: datetime,
        *,
        feed: FeedState = FeedState.NORMAL,
        channel: str = "",
        demand: Demand | None = None,
        degraded: bool = False,
    ) -> Promise:
        """What a count allows an order of a channel, given what is known of its warehouse's feed."""
        age = now - level.as_of
        state = self.state(level, now)
        if feed is not FeedState.NORMAL:
            state = _worse(state, feed)
        buffer = 0
        if state in {FeedState.BUFFERED, FeedState.HALF_OPEN}:
            rate = self.unmeasured_per_hour if demand is None else demand.per_hour
            hours = max(age, self.normal) / timedelta(hours=1)
            buffer = poisson_quantile(rate * hours, self.degraded_quantile if degraded else self.quantile)
        return Promise(
            level=level,
            state=state,
            age_s=age.total_seconds(),
            safety=self.safety(level, demand),
            floor=self.floor(level, channel, demand),
            buffer=buffer,
        )

    def safety(self, level: StockLevel, demand: Demand | None) -> int:
        """Safety stock: the warehouse's own, else from measured demand, else none. Never negative."""
        if level.safety > 0 or demand is None:
            return max(0, level.safety)
        if demand.lead_time_demands:
            return lumpy_safety(demand.lead_time_demands, service_level=self.service_level)
        if demand.daily_mean is None or demand.daily_sd is None or demand.lead_days is None:
            return 0
        return fast_mover_safety(
            service_level=self.service_level,
            daily_mean=demand.daily_mean,
            daily_sd=demand.daily_sd,
            lead_days=demand.lead_days,
            lead_sd_days=demand.lead_sd_days,
        )

    def floor(self, level: StockLevel, channel: str, demand: Demand | None) -> int:
        """Units of a place that an order of ``channel`` leaves for other channels."""
        if demand is None and not level.reserved:
            return 0
        kept = {name: max(0, units) for name, units in level.reserved.items()}
        if demand is not None:
            sku_class = "fast" if demand.per_hour >= self.fast_per_hour else "slow"
            for (name, of), units in self.floors.items():
                if of == sku_class:
                    kept.setdefault(name, units)
        return sum(units for name, units in kept.items() if name != channel)

    def hold_time(self, order: Order) -> timedelta:
        """How long the order's hold lasts unless it is confirmed. Cash on delivery is not an unpaid order."""
        unpaid = order.payment.state in _UNPAID and order.payment.method is not PaymentMethod.COD
        return self.hold_unpaid if unpaid else self.hold_settled

    def waits_until(self, order: Order, now: datetime) -> datetime:
        """Until when an order that is put aside now waits: its day limit, or the marketplace's deadline before it."""
        limit = now + self.waits.get(order.channel, self.waits["default"])
        return limit if order.ship_by is None or order.ship_by <= now else min(limit, order.ship_by)


def _worse(one: FeedState, other: FeedState) -> FeedState:
    order = (FeedState.NORMAL, FeedState.BUFFERED, FeedState.HALF_OPEN, FeedState.OPEN)
    return max(one, other, key=order.index)


def parse_policy(raw: Mapping[str, Any]) -> StockPolicy:
    """The policy from its YAML form.

    Raises:
        ConfigError: a part is missing, unknown or out of range.
    """
    try:
        ages, recovery, buffer = raw["ages"], raw["recovery"], raw["buffer"]
        confidence, holds = raw["confidence"], raw["holds"]
        policy = StockPolicy(
            version=str(raw["version"]),
            normal=timedelta(seconds=ages["normal_s"]),
            open=timedelta(seconds=ages["open_s"]),
            ahead=timedelta(seconds=ages["ahead_s"]),
            recovery_samples=int(recovery["samples"]),
            recovery_within=timedelta(seconds=recovery["within_s"]),
            quantile=float(buffer["quantile"]),
            degraded_quantile=float(buffer["degraded_quantile"]),
            unmeasured_per_hour=float(raw["unmeasured_per_hour"]),
            fast_per_hour=float(raw["fast_per_hour"]),
            service_level=float(raw["safety_service_level"]),
            hold_unpaid=timedelta(minutes=holds["unpaid_min"]),
            hold_settled=timedelta(minutes=holds["settled_min"]),
            floors=_floors(raw["floors"]),
            waits={_waiting(name): timedelta(days=days) for name, days in raw["waits_days"].items()},
            sure=float(confidence["sure"]),
            buffered=float(confidence["buffered"]),
            unknown=float(confidence["unknown"]),
            fallback=float(confidence["fallback"]),
        )
    except (KeyError, TypeError, ValueError) as wrong:
        raise ConfigError(f"stock policy: {wrong} is missing or does not fit; mend the policy file") from None
    if not timedelta() < policy.normal < policy.open or "default" not in policy.waits:
        raise ConfigError("stock policy: normal_s must lie below open_s, and waits_days needs a default; mend the file")
    return policy


def _floors(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    floors = {}
    for row in rows:
        if row["sku_class"] not in {"fast", "slow"} or int(row["units"]) < 0:
            raise ValueError(f"floor {dict(row)}")
        floors[Channel(row["channel"]).value, str(row["sku_class"])] = int(row["units"])
    return floors


def _waiting(name: str) -> str:
    return name if name == "default" else Channel(name).value


@cache
def shipped_policy() -> StockPolicy:
    """The policy that ships with this version of the agent."""
    return parse_policy(yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8")))


POLICY = shipped_policy()
