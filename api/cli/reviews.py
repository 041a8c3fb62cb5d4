"""``signalbox reviews``: what waits for a person, and that person's answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import review_acts
from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Wait, Why
from api.cli.terminal import AsJson, OfTenant, clock, money, print_json, remark, say, table

if TYPE_CHECKING:
    from api.services import Json
    from api.tenants import Tenant
    from domain.review_case import Actor

app = typer.Typer(help="The review desk: what waits for a person.", no_args_is_help=True)


for _act in (
    review_acts.claim, review_acts.release, review_acts.assign, review_acts.snooze, review_acts.comment,
    review_acts.ask, review_acts.bulk, review_acts.measures,
):  # fmt: skip
    app.command()(_act)


@app.command("list")
def list_reviews(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="open, decided or void.")] = "open",
    decided: Annotated[bool, typer.Option("--decided", help="The answered ones; the same as --state decided.")] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Answered ones where a reason somebody gave holds this text.")
    ] = "",
    queue: Annotated[str, typer.Option("--queue", help="Of one queue.")] = "",
    assignee: Annotated[str, typer.Option("--assignee", help="user:<id> or role:<role>.")] = "",
    status: Annotated[str, typer.Option("--status", help="open, claimed, waiting or snoozed.")] = "",
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """List reviews; open ones by what an hour of delay costs. Snoozed ones only with --status snoozed."""
    wanted = {"queue": queue, "assignee": assignee, "status": status or None}
    closed = (decided or bool(reason)) and state == "open"
    found = run(_list(invocation_of(context), "decided" if closed else state, wanted, reason, tenant))
    if as_json:
        print_json(found)
        return
    rows = (
        (r["review_id"], r["entity_id"], r.get("queue") or r["stage"], r.get("status") or r.get("action") or r["state"],
         _delay(r), r["recommendation"], _until(r), _because(r))
        for r in found
    )  # fmt: skip
    table(("review", "order", "queue", "status", "delay USD/h", "recommended", "answer by (UTC)", "because"), rows)


@app.command()
def show(context: typer.Context, review_id: str, tenant: OfTenant = None, as_json: AsJson = False) -> None:
    """Show one review: the question, its grounds, and what an answer would rest on."""
    review = run(_show(invocation_of(context), review_id, tenant))
    if as_json:
        print_json(review)
    elif review.get("archived"):
        _print_archived(review)
    else:
        _print_review(review)


@app.command()
def decide(
    context: typer.Context,
    review_id: str,
    person: Person,
    reason: Why,
    approve: Annotated[bool, typer.Option("--approve", help="Go on as proposed.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Cancel and undo.")] = False,
    edit: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON object of changed fields; go on with them.")
    ] = None,
    seen: Annotated[
        str, typer.Option("--seen", help="The content_digest you were shown; refused when it is another by now.")
    ] = "",
    wait: Wait = 30.0,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Answer a review, once. Who comes second is told who was first, and when."""
    if sum((approve, reject, edit is not None)) != 1:
        raise typer.BadParameter("give exactly one of --approve, --reject and --edit FILE")
    action = "approve" if approve else "reject" if reject else "edit"
    edits = _edits(edit) if edit else {}
    decided = run(
        _decide(
            invocation_of(context), review_id, (action, edits, person, reason), seen=seen, tenant=tenant, wait_s=wait
        )
    )
    if as_json:
        print_json(decided)
        return
    say(f"{review_id}: {action} by user:{person}", style="bold")
    if decided["waits_for_second"]:
        say(f"a second person must approve as well: {' or '.join(decided['second_roles'])}")
    say(f"order {decided['order']['order_id']} is {decided['order']['state']}: {decided['order']['detail']}")


def _edits(file: Path) -> "Json":
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  # see the package's docstring

    from domain.errors import MalformedPayload  # noqa: PLC0415  # see the package's docstring
    from domain.values import Plain  # noqa: PLC0415  # see the package's docstring
    from tools.channels import load_object  # noqa: PLC0415  # see the package's docstring

    edits = load_object(file.read_bytes())
    try:
        TypeAdapter(dict[str, Plain]).validate_python(edits, strict=True)
    except ValidationError as error:
        where = "/".join(str(part) for part in error.errors()[0]["loc"][:1])
        allowed = "text, whole numbers, true, false, null, lists and objects"
        raise MalformedPayload(f"{file}: {where} holds something else than {allowed}") from None
    if not edits:
        raise MalformedPayload(f"{file} changes nothing; name at least one field, or approve")
    return edits


async def _list(at: Invocation, state: str, wanted: dict[str, Any], reason: str, tenant: str | None) -> "list[Json]":
    from pydantic import ValidationError  # noqa: PLC0415  # see the package's docstring

    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring
    from domain.review import ReviewState  # noqa: PLC0415  # see the package's docstring
    from graph.runtime.cases import CaseQuery  # noqa: PLC0415  # see the package's docstring

    if state not in list(ReviewState):
        raise InputError(f"there is no review state {state!r}; there are {', '.join(ReviewState)}")
    try:
        query = CaseQuery.model_validate(wanted)
    except ValidationError as error:
        raise InputError(f"--{error.errors()[0]['loc'][0]} does not fit: {error.errors()[0]['msg']}") from None
    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant)
        return await Desk(box).reviews(owner.tenant, state=ReviewState(state), wanted=query, reason=reason)


async def _show(at: Invocation, review_id: str, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).review(at.tenant(box.settings, tenant).tenant, review_id)


async def _decide(
    at: Invocation,
    review_id: str,
    said: tuple[str, dict[str, Any], str, str],
    *,
    seen: str,
    tenant: str | None,
    wait_s: float,
) -> "Json":
    from api.cli.working import at_rest, some_worker, until  # noqa: PLC0415  # see the package's docstring
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring
    from domain.ids import ReviewId  # noqa: PLC0415  # see the package's docstring
    from domain.review import ReviewAction, ReviewAnswer  # noqa: PLC0415  # see the package's docstring

    action, edits, person, reason = said
    async with at.opened() as box:
        owner, desk = at.tenant(box.settings, tenant), Desk(box)
        answer = ReviewAnswer(
            action=ReviewAction(action),
            decided_by=f"user:{person}",
            decided_at=box.clock.now(),
            via="cli",
            reason=reason,
            edits=edits,
            seen_digest=seen,
        )
        by = actor_at_terminal(owner, person)
        decided = await desk.decide(
            owner.tenant, ReviewId(review_id), answer, by.roles, limit_usd_minor=by.limit_usd_minor
        )
        order_id = decided["entity_id"]
        if wait_s and not decided["waits_for_second"]:
            async with some_worker(box):
                done = await until(
                    box, owner.tenant, [order_id], wait_s=wait_s,
                    rests=lambda record: at_rest(record) and record.review_id != review_id,
                )  # fmt: skip
            if not done:
                remark(f"decided, but the order had not gone on within {wait_s:g} s; look again with 'orders show'")
        order = await desk.order(owner.tenant, order_id)
        return decided | {"order": {"order_id": order_id, "state": order["state"], "detail": order.get("detail", "")}}


def actor_at_terminal(tenant: "Tenant", user: str) -> "Actor":
    """Whoever sits at this terminal acts as ops and manager, unless the tenant lists its people: then only they."""
    from domain.errors import Forbidden  # noqa: PLC0415  # see the package's docstring
    from domain.review_case import Actor  # noqa: PLC0415  # see the package's docstring

    listed = tenant.person(user)
    if listed is not None:
        return tenant.actor(listed, via="cli")
    if tenant.staff:
        raise Forbidden(f"{user!r} is not among the people of tenant {tenant.tenant} in the tenants file")
    roles = frozenset({"ops", "manager"})
    return Actor(name=f"user:{user}", roles=roles, limit_usd_minor=tenant.limit_usd_minor(roles), via="cli")


def _delay(review: "Json") -> str:
    cost = (review.get("priority") or {}).get("usd_minor_per_hour")
    return "" if cost is None else f"{cost // 100:,}.{cost % 100:02d}"


def _until(review: "Json") -> str:
    return clock(str(review.get("deadline") or ""))


def _because(review: "Json") -> str:
    reasons = review.get("reasons") or [review.get("reason") or ""]
    return "; ".join(reasons)[:90]


def _print_case(review: "Json") -> None:
    case = review["case"]
    say(f"queue {review['queue']}, {review['status']}; {review['priority']['why']}")
    if review["claimed_by"] or review["assignee"]:
        say(f"held by {review['claimed_by'] or 'nobody'}, assigned to {review['assignee'] or 'nobody'}")
    if review["next_step"]:
        step = review["next_step"]
        say(f"if nobody answers: {step['kind']} {step['to']} at {clock(step['due_at'])} UTC")
    if case["approval"]:
        first = case["approval"]
        say(f"first approval by {first['by']} at {clock(first['at'])} UTC: {first['reason']}")
    if case["question"]:
        say(f"{case['question']['by']} asks {case['question']['to']}: {case['question']['text']}")
    for said in case["comments"]:
        say(f"  {clock(said['at'])}  {said['by']}: {said['text']}")


def _print_archived(review: "Json") -> None:
    say(f"{review['review_id']}  {review['state']}  {review['entity_type']} {review['entity_id']}", style="bold")
    say(f"asked by {review['stage']} at {clock(str(review['requested_at'] or ''))} UTC; kept in the audit only")
    if review["decided_at"]:
        when = clock(str(review["decided_at"]))
        say(f"{review['action'] or review['state']} by {review['decided_by']} at {when} UTC: {review['reason'] or ''}")


def _print_review(review: "Json") -> None:
    facts = review["facts"]
    say(f"{review['review_id']}  {review['state']}  order {review['entity_id']}  {money(facts['total'])}", style="bold")
    say(f"asked by {review['stage']}, answer by {_until(review)} UTC; recommended: {review['recommendation']}")
    for sentence in review["reasons"]:
        say(f"  - {sentence}")
    _print_case(review)
    say(
        f"channel {facts['channel']}, {facts['number']}, paid by {facts['payment']}, to {facts['ship_to'] or 'nowhere'}"
    )
    table(
        ("line", "sku", "units", "title"), ((x["line_id"], x["sku"], x["quantity"], x["title"]) for x in facts["lines"])
    )
    told = ((name, d["decision"], d["confidence"], d["mode"]) for name, d in facts.get("decisions", {}).items())
    table(("agent", "decision", "confidence", "mode"), told)
    if review["answer"]:
        answer = review["answer"]
        say(f"{answer['action']} by {answer['decided_by']} at {clock(answer['decided_at'])} UTC: {answer['reason']}")
        return
    say(f"who may answer: {', '.join(review['allowed_roles'])}; editable: {', '.join(review['editable'])}")
    say(f"signalbox reviews decide {review['review_id']} --approve --as YOU --reason WHY")
