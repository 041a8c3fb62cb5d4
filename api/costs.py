"""What model calls cost and may cost, as the API and the command line show it. Amounts are USD with six decimals as text."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from domain.cost import EVERY_AGENT
from domain.errors import InputError
from domain.values import Plain
from graph.bootstrap.system import Signalbox
from graph.runtime.cost_ledger import GROUPS, CostFilter

Json = dict[str, Any]


def usd(micro: int) -> str:
    """Millionths of a dollar as dollars, exactly."""
    sign, (whole, rest) = "-" if micro < 0 else "", divmod(abs(micro), 1_000_000)
    return f"{sign}{whole}.{rest:06d}"


async def costs(box: Signalbox, wanted: CostFilter, by: str) -> Json:
    """Calls, tokens and cost of a tenant per agent, order, day, model or prompt.

    Raises:
        InputError: nothing can be grouped by that.
        StoreUnavailable: the ledger does not answer.
    """
    if by not in GROUPS:
        raise InputError(f"costs cannot be shown by {by!r}; there are {', '.join(GROUPS)}")
    await box.models.costs.step()
    rows = await box.models.ledger.grouped(by, wanted)
    return {
        "tenant": wanted.tenant or None,
        "by": by,
        "since": wanted.since or None,
        "until": wanted.until or None,
        "configured": box.models.configured,
        "rows": [_shown(row) for row in rows],
        "total": _shown(_total(rows)),
    }


async def order_cost(box: Signalbox, tenant: str, order_id: str) -> Json:
    """How many model calls one order has caused and what they cost.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    calls, spent = await box.models.purse.of_entity(tenant, "order", order_id)
    return {"calls": calls, "usd": usd(spent)}


async def budgets(box: Signalbox, tenant: str) -> Json:
    """Every budget of a tenant with what is spent of it today.

    Raises:
        StoreUnavailable: a store does not answer.
    """
    day = box.models.day(tenant)
    spent = await box.models.purse.spent(tenant, day)
    own = {each.agent for each in await box.models.budgets.listed(tenant)}
    await box.models.budgets.allowance(tenant, EVERY_AGENT)
    rows = []
    for agent in sorted({EVERY_AGENT, *own, *spent}):
        budget, (used, held) = box.models.budgets.of(tenant, agent), spent.get(agent, (0, 0))
        limit = budget.usd_micro_per_day
        rows.append(
            {
                "agent": agent,
                "limit_usd": usd(limit),
                "calls_per_entity": budget.calls_per_entity,
                "own": agent in own,
                "spent_usd": usd(used),
                "held_usd": usd(held),
                "percent": 100 if limit == 0 else used * 100 // limit,
                "stopped": used >= limit,
            }
        )
    return {"tenant": tenant, "day": day, "budgets": rows}


def narrowed(tenant: str, given: Mapping[str, str | None]) -> CostFilter:
    """A filter from what a caller named; days are ``YYYY-MM-DD``.

    Raises:
        InputError: a day is none.
    """
    for name in ("since", "until"):
        day = given.get(name)
        if day and (len(day) != 10 or day[4] + day[7] != "--" or not (day[:4] + day[5:7] + day[8:]).isdigit()):
            raise InputError(f"{name} is not a day; write it as 2026-11-11")
    return replace(CostFilter(tenant=tenant), **{name: value for name, value in given.items() if value})


def _total(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    names = ("calls", "unanswered", "estimated", "usd_micro", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")  # fmt: skip
    listed = list(rows)
    return {name: sum(row[name] for row in listed) for name in names}


def _shown(row: Mapping[str, Any]) -> dict[str, Plain]:
    return {**row, "usd": usd(row["usd_micro"])}
