"""Orders: the list, one order's story on one page, and asking for its cancellation."""

from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.console.journey import picture
from api.console.routing import new_pages
from api.console.story import for_customer, told, without_opinions
from api.console.visits import visit_of
from api.services import Json
from api.tenants import Role
from domain.errors import InputError
from domain.order import OrderProgress
from domain.review import ReviewState
from graph.runtime.orders import OrderRecord

router = new_pages()

Order = Annotated[str, Path(max_length=200)]
_LISTED = 2000
_SHOWN = 100


@router.get("/console/orders")
async def orders(request: Request) -> Response:
    """The newest orders, by state and by what is typed; an exact id opens the order."""
    visit, asked = visit_of(request), request.query_params
    text, state = asked.get("q", "").strip(), asked.get("state", "")
    if text and await visit.console.box.store.orders.find(visit.tenant, text):
        return RedirectResponse(f"/console/orders/{text}", 303)
    records = await visit.console.desk.orders(visit.tenant, limit=_LISTED)
    counts = {progress.value: 0 for progress in OrderProgress}
    for record in records:
        counts[record.progress.value] += 1
    kept = [one for one in records if state in ("", one.progress.value) and _matches(one, text)]
    return await visit.page(
        "orders.html", rows=kept[:_SHOWN], found=len(kept), total=len(records), text=text, state=state,
        counts={name: count for name, count in counts.items() if count},
    )  # fmt: skip


def _matches(record: OrderRecord, text: str) -> bool:
    if not text:
        return True
    order = record.order
    words = [record.order_id, record.detail]
    if order is not None:
        words += [
            order.external_id,
            order.external_number or "",
            order.channel.value,
            *(line.sku for line in order.lines),
        ]
    return text.lower() in " ".join(words).lower()


@router.get("/console/orders/{order_id}")
async def order(request: Request, order_id: Order) -> Response:
    """Everything that happened to one order, in time order."""
    visit = visit_of(request)
    desk, box = visit.console.desk, visit.console.box
    view = await desk.order(visit.tenant, order_id)
    explanation = await desk.audit(visit.tenant, order_id)
    blind = _blind(view)
    story = told(without_opinions(explanation) if blind else explanation)
    record = await box.store.orders.find(visit.tenant, order_id)
    return await visit.page(
        "order.html",
        view=view,
        story=story,
        order=record.order if record else None,
        blind=blind,
        customer=for_customer(view["state"]),
        picture=picture(box.workflow, story, state=view["state"]),
        may_cancel=visit.is_one_of(Role.SUPPORT, Role.OPS, Role.ADMIN) and _may_still_cancel(view["state"]),
        reviewer=visit.may("GET", "/console/reviews/{review_id}"),
    )


def _blind(view: Json) -> bool:
    """Whether somebody is still to answer a blind sample about the order."""
    review = view.get("review")
    return bool(review and review["blind"] and review["state"] == ReviewState.OPEN)


def _may_still_cancel(state: str) -> bool:
    return state in set(OrderProgress) and not OrderProgress(state).terminal


@router.post("/console/orders/{order_id}/cancel")
async def cancel(request: Request, order_id: Order) -> Response:
    """Ask for the cancellation."""
    visit = visit_of(request)
    reason = visit.form.one("reason")
    if not reason:
        raise InputError("Say why the order should be cancelled; the reason is kept in the audit")
    await visit.console.desk.cancel(visit.tenant, order_id, actor=visit.caller.actor, reason=reason[:500])
    return await visit.go(f"/console/orders/{order_id}", "Cancellation asked for; what was done is being undone")
