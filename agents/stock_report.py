"""The verdicts of inventory_reservation: what it says, with which reasons, evidence and facts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from agents.stock_allocation import Allocation, needed
from agents.stock_policy import Promise, StockPolicy
from domain.decision import Outcome, Proposal, Reason, Verdict
from domain.effect import EffectKind
from domain.ids import Sku, WarehouseId
from domain.intent import HoldStock
from domain.inventory import FeedState, HoldLine
from domain.ports import AgentCase
from domain.values import Plain


def reserve(policy: StockPolicy, case: AgentCase, allocation: Allocation, promises: Sequence[Promise]) -> Verdict:
    """All units were found: one hold over all of them."""
    order = case.order
    by_place = {(p.level.warehouse, p.level.sku): p for p in promises}
    chosen = [by_place[line.warehouse, line.sku] for line in allocation.lines]
    lines = tuple(_leaving(line, p.floor) for line, p in zip(allocation.lines, chosen, strict=True))
    hold = HoldStock(order_id=order.order_id, lines=lines, expires_at=case.now + policy.hold_time(order))
    sites = sorted({line.warehouse for line in lines})
    behind = [p for p in chosen if p.state is not FeedState.NORMAL]
    units = sum(line.quantity for line in lines)
    available = Reason(
        code="STOCK_AVAILABLE",
        text=f"{units} units available in {', '.join(sites)}",
        value=str(units),
        evidence=f"wms.stock:{','.join(sites)}",
    )
    return Verdict(
        decision="reserve",
        outcome=Outcome.PROCEED,
        confidence=policy.buffered if behind else policy.sure,
        flags=(*(("split",) if len(sites) > 1 else ()), *(("buffered",) if behind else ())),
        reasons=(available, *(_buffered(p) for p in behind)),
        proposals=(Proposal(kind=EffectKind.HOLD_STOCK, args=hold.model_dump(mode="json")),),
        facts={
            "allocation": [line.model_dump(mode="json") for line in lines],
            "warehouses": [str(site) for site in sites],
            **_basis(policy),
        },
        inputs={"stock": _seen(promises)},
    )


def feed_behind(
    policy: StockPolicy, case: AgentCase, promises: Sequence[Promise], short: Mapping[Sku, int]
) -> Verdict:  # fmt: skip
    """The goods may well be there, but the feed that says so is behind: the order waits for the feed, not for goods."""
    behind = [p for p in promises if p.behind]
    sites: list[Plain] = [str(site) for site in sorted({p.level.warehouse for p in behind})]
    return Verdict(
        decision="park",
        outcome=Outcome.LIMIT,
        confidence=policy.sure,
        flags=("feed_stale",),
        reasons=tuple(_stale(p, policy) for p in behind),
        counterfactual=tuple(dict.fromkeys(_stale(p, policy).code for p in behind)),
        facts={
            "short": dict(sorted(short.items())),
            "waits_for": sites,
            "waits_until": policy.waits_until(case.order, case.now).isoformat(),
            **_basis(policy),
        },
        inputs={"stock": _seen(promises)},
    )


def backorder(
    policy: StockPolicy,
    case: AgentCase,
    promises: Sequence[Promise],
    short: Mapping[Sku, int],
    *,
    protected: bool,
) -> Verdict:
    """The goods are not there, or only where they are kept for other channels."""
    code = "CHANNEL_FLOOR" if protected else "STOCK_SHORT"
    need = needed(case.order.open_lines)
    until = policy.waits_until(case.order, case.now)
    return Verdict(
        decision="backorder",
        outcome=Outcome.LIMIT,
        confidence=policy.sure,
        flags=("backorder",),
        reasons=tuple(_short(sku, units, need[sku], promises, code) for sku, units in sorted(short.items())),
        counterfactual=(code,),
        facts={
            "short": dict(sorted(short.items())),
            "expected_at": _expected(short, promises, until),
            "waits_until": until.isoformat(),
            **_basis(policy),
        },
        inputs={"stock": _seen(promises)},
    )


def stock_unknown(policy: StockPolicy, case: AgentCase, fallback: str, why: str) -> Verdict:
    """Stock could not be read: nothing is held and everything counts as short."""
    need: dict[str, Plain] = {sku: units for sku, units in needed(case.order.open_lines).items()}  # noqa: C416
    return Verdict(
        decision="backorder",
        outcome=Outcome.LIMIT,
        confidence=policy.fallback,
        flags=("fallback", "backorder"),
        reasons=(Reason(code="STOCK_UNKNOWN", text=f"stock could not be read ({why}); flagged as backorder"),),
        facts={
            "short": need,
            "fallback": fallback,
            "why": why,
            "waits_until": policy.waits_until(case.order, case.now).isoformat(),
            **_basis(policy),
        },
    )


def unknown_skus(policy: StockPolicy, skus: Iterable[Sku]) -> Verdict:
    """No warehouse knows these: a person looks at the order."""
    return Verdict(
        decision="review",
        outcome=Outcome.REVIEW,
        confidence=policy.unknown,
        flags=("unknown_sku",),
        reasons=tuple(
            Reason(code="UNKNOWN_SKU", text=f"no warehouse knows {sku!r}", value=sku, evidence=f"wms.stock:*:{sku}")
            for sku in skus
        ),
        counterfactual=("UNKNOWN_SKU",),
        facts=_basis(policy),
    )


def nothing_to_ship(policy: StockPolicy) -> Verdict:
    """Digital, shipped or removed lines only."""
    return Verdict(
        decision="not_needed",
        outcome=Outcome.PROCEED,
        confidence=policy.sure,
        reasons=(Reason(code="NOTHING_TO_SHIP", text="no open line needs shipping", evidence="order.lines"),),
        facts=_basis(policy),
    )


def _leaving(line: HoldLine, floor: int) -> HoldLine:
    return line.model_copy(update={"leave": floor}) if floor else line


def _buffered(promise: Promise) -> Reason:
    level = promise.level
    return Reason(
        code="COUNT_BUFFERED",
        text=(
            f"the count of {level.sku} in {level.warehouse} is {promise.age_s:.1f} s behind; "
            f"{promise.buffer} units are kept back for what may have been sold since"
        ),
        value=f"{promise.age_s:.1f} s",
        threshold=str(promise.buffer),
        evidence=_evidence(promise),
    )


def _stale(promise: Promise, policy: StockPolicy) -> Reason:
    level, limit = promise.level, policy.open.total_seconds()
    place = f"the count of {level.sku} in {level.warehouse}"
    if promise.age_s < -policy.ahead.total_seconds():
        code, text = "FEED_AHEAD", f"{place} is of {-promise.age_s:.1f} s in the future: the feed's clock is wrong"
        limit = policy.ahead.total_seconds()
    elif promise.state is FeedState.OPEN:
        code, text = "STALE_STOCK", f"{place} is {promise.age_s:.1f} s behind, or its feed has been until just now"
    else:
        code = "STALE_STOCK"
        text = f"{place} is {promise.age_s:.1f} s behind and leaves {promise.units} units after a buffer of {promise.buffer}"
        limit = policy.normal.total_seconds()
    return Reason(
        code=code, text=text, value=f"{promise.age_s:.1f} s", threshold=f"{limit:.0f} s", evidence=_evidence(promise)
    )


def _short(sku: Sku, units: int, need: int, promises: Sequence[Promise], code: str) -> Reason:
    held = sum(p.level.on_hand for p in promises if p.level.sku == sku)
    if code == "CHANNEL_FLOOR":
        text = f"{units} more units of {sku} are needed than other channels' reserves leave"
    elif need > held:
        code = "QUANTITY_ABOVE_STOCK"
        text = f"{need} units of {sku} are wanted and all warehouses together hold {held}"
    else:
        text = f"{units} more units of {sku} are needed than can be promised together"
    return Reason(code=code, text=text, value=str(units), threshold="0", evidence=f"wms.stock:*:{sku}")


def _expected(short: Mapping[Sku, int], promises: Sequence[Promise], until: datetime) -> Plain:
    """When what is on its way covers the whole shortage, or None when it does not before the order is closed."""
    latest: datetime | None = None
    for sku, units in short.items():
        coming = sorted((i.due, i.quantity) for p in promises if p.level.sku == sku for i in p.level.inbound)
        left = units
        for due, quantity in coming:
            left -= quantity
            if left <= 0:
                latest = due if latest is None else max(latest, due)
                break
        if left > 0:
            return None
    return latest.isoformat() if latest is not None and latest <= until else None


def _evidence(promise: Promise) -> str:
    level = promise.level
    return f"wms.stock:{level.warehouse}:{level.sku}@{level.as_of.isoformat()}"


def _seen(promises: Sequence[Promise]) -> dict[str, Plain]:
    return {f"{p.level.warehouse}:{p.level.sku}@{p.level.as_of.isoformat()}": p.units for p in promises}


def _basis(policy: StockPolicy) -> dict[str, Plain]:
    return {"thresholds_version": policy.version, "confidence_basis": "declared"}


def waits_for(facts: Mapping[str, Plain]) -> tuple[WarehouseId, ...]:
    """The warehouses whose feeds a parked order waits for; empty when it waits for goods."""
    sites = facts.get("waits_for")
    return tuple(WarehouseId(str(site)) for site in sites) if isinstance(sites, list) else ()
