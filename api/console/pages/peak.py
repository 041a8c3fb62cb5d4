"""Peak mode: whether the simple rules of busy days are in force, why, and the switch for one's own tenant."""

from starlette.requests import Request
from starlette.responses import Response

from api.console.routing import new_pages
from api.console.visits import visit_of
from domain.degraded import Override
from domain.errors import InputError

router = new_pages()
_LISTED = 50
_SAID = {
    Override.ON: "Peak mode is switched on until somebody says otherwise",
    Override.OFF: "Peak mode is switched off; what was decided in it is looked at again",
    Override.AUTO: "The signs decide again",
}


@router.get("/console/peak")
async def peak(request: Request) -> Response:
    """The mode, the signs, and the orders decided in it."""
    visit = visit_of(request)
    box = visit.console.box
    standing, orders = await box.switch.standing(), box.rescoring.orders
    waiting = [(name, since) for owner, name, since in await orders.waiting(limit=1000) if owner == visit.tenant]
    looked = [one for one in await orders.found(limit=1000) if one["tenant"] == visit.tenant]
    return await visit.page(
        "peak.html",
        on=standing.on(visit.tenant),
        setting=standing.setting(visit.tenant),
        standing=standing,
        why=standing.why(visit.tenant),
        waiting=waiting[:_LISTED],
        waiting_total=len(waiting),
        looked=looked[:_LISTED],
        policy=box.switch.policy.version,
    )


@router.post("/console/peak")
async def switch(request: Request) -> Response:
    """Set the mode for the tenant."""
    visit = visit_of(request)
    wanted, reason = visit.form.one("mode"), visit.form.one("reason")
    if wanted not in set(Override):
        raise InputError("Choose on, off or automatic")
    if not reason:
        raise InputError("Say why; the audit keeps it")
    mode = Override(wanted)
    await visit.console.box.switch.override(mode, tenant=visit.tenant, by=visit.caller.actor, reason=reason[:500])
    return await visit.go("/console/peak", _SAID[mode])
