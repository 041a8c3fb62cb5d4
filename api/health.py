"""Whether orders can be taken now: each check green or red with one sentence, without secrets, because anybody may ask."""

from sqlalchemy import text as sql
from sqlalchemy.exc import SQLAlchemyError

from api.services import Check, Health
from domain.errors import SignalboxError
from domain.inventory import FeedState
from graph.bootstrap.system import Signalbox


async def health(box: Signalbox) -> Health:
    """Look at store, SQL, audit, stock feeds and workflow.

    Without store, SQL or an audit that keeps up nothing should be sent here. With every stock feed too late, or the
    workflow switched off, orders are still taken in and wait: that is told, and sends nobody away.
    """
    checks = {"redis": await _redis(box), "sql": await _sql(box), "audit": await _audit(box)}
    ready = all(check.ok for check in checks.values())
    checks["feeds"] = await _feeds(box)
    on = box.workflow.enabled
    checks["workflow"] = Check(ok=on, detail=f"the order workflow is {'on' if on else 'switched off'}")
    return Health(ready=ready, checks=checks)


async def _redis(box: Signalbox) -> Check:
    try:
        await box.store.batcher.execute("PING")
    except SignalboxError as away:
        return Check(ok=False, detail=str(away))
    return Check(ok=True, detail="answers")


async def _sql(box: Signalbox) -> Check:
    try:
        async with box.engine.connect() as connection:
            await connection.execute(sql("SELECT 1"))
    except (SQLAlchemyError, OSError) as away:
        return Check(ok=False, detail=f"the audit database does not answer ({type(away).__name__})")
    return Check(ok=True, detail="answers")


async def _audit(box: Signalbox) -> Check:
    try:
        status = await box.relay.status()
    except SignalboxError as away:
        return Check(ok=False, detail=f"nobody can say how far the audit is behind: {away}")
    behind_s, limit_s = status.oldest_ms / 1000, box.settings.audit_max_lag_s
    told = f"{status.behind} events behind, the oldest {behind_s:.0f} s old"
    late = behind_s > limit_s
    return Check(ok=not late, detail=f"{told}; past {limit_s:.0f} s nothing is shipped" if late else told)


async def _feeds(box: Signalbox) -> Check:
    """Red when no warehouse that pushes its counts may be accepted from: every new order would wait."""
    try:
        await box.feed.refresh()
    except SignalboxError as away:
        return Check(ok=False, detail=f"the stock feeds cannot be read: {away}")
    states = box.feed.states(box.clock.now())
    closed = sorted(str(name) for name, state in states.items() if state is FeedState.OPEN)
    if not closed:
        return Check(ok=True, detail=f"{len(states)} stock feeds are watched, none is too late")
    told = f"the stock counts of {', '.join(closed)} are too old to accept from"
    return Check(ok=len(closed) < len(states), detail=told)
