"""``signalbox reviews claim|release|assign|snooze|comment|ask|bulk|measures``: working on cases, and what that costs."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.orders import Person, Wait
from api.cli.terminal import AsJson, OfTenant, clock, print_json, say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.services import Json
    from api.tenants import Tenant
    from domain.review_acts import Act
    from domain.review_case import Actor
    from graph.runtime.cases import Verdict

Text = Annotated[str, typer.Argument(help="What you want to say; kept in the audit.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit.")]
To = Annotated[str, typer.Option("--to", help="user:<id> or role:<role>.")]
Until = Annotated[
    datetime | None,
    typer.Option("--until", formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"], help="UTC, like 2026-11-23T09:00Z."),
]
Minutes = Annotated[int | None, typer.Option("--minutes", min=1, help="From now on, instead of --until.")]


def claim(
    context: typer.Context, review_id: str, person: Person, tenant: OfTenant = None, as_json: AsJson = False
) -> None:
    """Take a case in hand for as long as the lease lasts; again renews it."""
    from domain.review_acts import Claim  # noqa: PLC0415  # see the package's docstring

    _act(context, review_id, Claim(), person, tenant=tenant, as_json=as_json)


def release(
    context: typer.Context, review_id: str, person: Person, tenant: OfTenant = None, as_json: AsJson = False
) -> None:
    """Put a case back."""
    from domain.review_acts import Release  # noqa: PLC0415  # see the package's docstring

    _act(context, review_id, Release(), person, tenant=tenant, as_json=as_json)


def assign(
    context: typer.Context, review_id: str, person: Person, to: To, reason: Reason = "", tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give a case to a person or a role."""
    _act(context, review_id, _made("assign", to=to, reason=reason), person, tenant=tenant, as_json=as_json)


def snooze(
    context: typer.Context, review_id: str, person: Person, until: Until = None, minutes: Minutes = None,
    reason: Reason = "", tenant: OfTenant = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Put a case out of sight until a time; its deadline does not move."""
    _act(
        context, review_id, _made("snooze", until=_time(until, minutes), reason=reason), person,
        tenant=tenant, as_json=as_json,
    )  # fmt: skip


def comment(
    context: typer.Context, review_id: str, text: Text, person: Person, tenant: OfTenant = None, as_json: AsJson = False
) -> None:
    """Say something on a case; while it waits for an answer, this is the answer unless the asker says it."""
    _act(context, review_id, _made("comment", text=text), person, tenant=tenant, as_json=as_json)


def ask(
    context: typer.Context, review_id: str, text: Text, person: Person,
    to: Annotated[str, typer.Option("--to", help="proposer or customer_service.")] = "proposer",
    tenant: OfTenant = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Ask back: the case waits for an answer, and can still be decided."""
    _act(context, review_id, _made("ask", text=text, to=to), person, tenant=tenant, as_json=as_json)


def bulk(
    context: typer.Context,
    action: Annotated[str, typer.Argument(help="approve, reject, assign, snooze, claim or release.")],
    review_ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    person: Person,
    reason: Reason = "",
    to: To = "",
    until: Until = None,
    minutes: Minutes = None,
    wait: Wait = 30.0,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Do the same with many cases; each is checked by itself. Exit code 1 when one was refused."""
    work = _work(action, reason=reason, to=to, until=until, minutes=minutes)
    results = run(_bulk(invocation_of(context), review_ids, work, person, tenant=tenant, wait_s=wait))
    if as_json:
        print_json(results)
    else:
        rows = ((r["review_id"], "done" if r["done"] else "refused", r["detail"]) for r in results)
        table(("review", "", "detail"), rows)
    if not all(r["done"] for r in results):
        raise typer.Exit(1)


def measures(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Questions asked in the last so many days.")] = 30,
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Time to decide, expiry, load, cost, overrides per agent and day, and how often people follow the machine."""
    found = run(_measures(invocation_of(context), days, tenant))
    if as_json:
        print_json(found)
        return
    say(
        f"{found['decided']} of {found['asked']} decided; half of them within {_span(found['median_seconds_to_decide'])}"
    )
    table(
        ("queue", "asked", "decided", "open", "expired", "median", "minutes", "cost USD", "by"),
        (
            (q["queue"], q["asked"], q["decided"], q["open"], _percent(q["expiry_share"]),
             _span(q["median_seconds_to_decide"]), q["minutes"], f"{q['cost_usd_minor'] / 100:.2f}",
             ", ".join(f"{who} {n}" for who, n in q["reviewers"].items()))
            for q in found["queues"]
        ),
    )  # fmt: skip
    table(
        ("agent", "day", "decided", "reviewed", "against", "reject", "edit", "share"),
        (
            (a["agent"], a["day"], a["decisions"], a["reviewed"], a["approved_against"], a["rejects"], a["edits"],
             _percent(a["override_rate"]))
            for a in found["agents"]
        ),
    )  # fmt: skip
    for name in ("blind", "visible"):
        say(f"{name}: {found[name]['agreed']} of {found[name]['answers']} answers followed the recommendation")


def _act(context: typer.Context, review_id: str, act: "Act", person: str, *, tenant: str | None, as_json: bool) -> None:
    found = run(_acted(invocation_of(context), review_id, act, person, tenant))
    if as_json:
        print_json(found)
        return
    held = (
        f", held by {found['claimed_by']} until {clock(found['case']['claim_until'])} UTC"
        if found["claimed_by"]
        else ""
    )
    whose = f", assigned to {found['assignee']}" if found["assignee"] else ""
    say(f"{review_id} is {found['status']}{held}{whose}; answer by {clock(found['deadline'])} UTC")


def _made(kind: str, **fields: Any) -> "Act":
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  # see the package's docstring

    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring
    from domain.review_acts import Act  # noqa: PLC0415  # see the package's docstring

    try:
        made: Act = TypeAdapter(Act).validate_python({"act": kind, **fields})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--{first['loc'][-1]} does not fit: {first['msg']}") from None
    return made


def _time(until: datetime | None, minutes: int | None) -> datetime:
    if (until is None) == (minutes is None):
        raise typer.BadParameter("give exactly one of --until and --minutes")
    return until.replace(tzinfo=UTC) if until else datetime.now(UTC) + timedelta(minutes=minutes or 0)


def _work(action: str, *, reason: str, to: str, until: datetime | None, minutes: int | None) -> "Act | Verdict":
    from domain.review import ReviewAction  # noqa: PLC0415  # see the package's docstring
    from graph.runtime.cases import Verdict  # noqa: PLC0415  # see the package's docstring

    match action:
        case "approve" | "reject":
            if not reason.strip():
                raise typer.BadParameter(f"{action} needs --reason")
            return Verdict(action=ReviewAction(action), reason=reason)
        case "assign":
            return _made("assign", to=to, reason=reason)
        case "snooze":
            return _made("snooze", until=_time(until, minutes), reason=reason)
        case "claim" | "release":
            return _made(action)
        case _:
            raise typer.BadParameter("the action is approve, reject, assign, snooze, claim or release")


def _by(tenant: "Tenant", person: str, to: str = "") -> "Actor":
    from api.cli.reviews import actor_at_terminal  # noqa: PLC0415  # see the package's docstring
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring

    kind, _, user = to.partition(":")
    if kind == "user" and tenant.staff and tenant.person(user) is None:
        raise InputError(f"{user!r} is not among the people of tenant {tenant.tenant} in the tenants file")
    return actor_at_terminal(tenant, person)


async def _acted(at: Invocation, review_id: str, act: "Act", person: str, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant)
        by = _by(owner, person, getattr(act, "to", ""))
        return await Desk(box).act(owner.tenant, review_id, act, by)


async def _bulk(
    at: Invocation,
    review_ids: "Sequence[str]",
    work: "Act | Verdict",
    person: str,
    *,
    tenant: str | None,
    wait_s: float,
) -> "list[Json]":
    from api.cli.working import at_rest, some_worker, until  # noqa: PLC0415  # see the package's docstring
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring
    from domain.review import ReviewState  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        owner = at.tenant(box.settings, tenant)
        results = await Desk(box).bulk(owner.tenant, review_ids, work, _by(owner, person, getattr(work, "to", "")))
        done = [await box.store.reviews.find(owner.tenant, one["review_id"]) for one in results if one["done"]]
        resumed = {review.entity_id: review.review_id for review in done if review.state is ReviewState.DECIDED}
        if resumed and wait_s:
            async with some_worker(box):
                await until(
                    box, owner.tenant, list(resumed), wait_s=wait_s,
                    rests=lambda record: at_rest(record) and record.review_id != resumed[record.order_id],
                )  # fmt: skip
        return results


async def _measures(at: Invocation, days: int, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        until = box.clock.now()
        owner = at.tenant(box.settings, tenant)
        return await Desk(box).measures(owner.tenant, since=until - timedelta(days=days), until=until)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _span(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
