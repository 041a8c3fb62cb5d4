"""Working on cases: claim, assign, snooze, comment, ask; and one act or answer for many cases at once."""

from datetime import timedelta

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from api.console.pages.reviews import ReviewName, case_page, found, open_rows
from api.console.routing import new_pages
from api.console.visits import Visit, visit_of
from domain.errors import InputError, Refused
from domain.review import ReviewAction
from domain.review_acts import Act, Ask, Assign, Claim, Release, Remark, Snooze
from graph.runtime.cases import ItemResult, Verdict

router = new_pages()
_SAID = {
    "claim": "claimed", "release": "put back", "assign": "assigned", "snooze": "snoozed", "comment": "comment kept",
    "ask": "asked; the case waits for the answer", "approve": "approved", "reject": "rejected",
}  # fmt: skip
_ANSWERS = frozenset({"approve", "reject"})
MOST_AT_ONCE = 200


@router.post("/console/reviews/{review_id}/act")
async def act(request: Request, review_id: ReviewName) -> Response:
    """One act on one case."""
    visit = visit_of(request)
    wanted = visit.form.one("act")
    await found(visit, review_id)
    try:
        file = await visit.console.box.reviews.cases.act(
            visit.tenant, review_id, _act(visit, wanted), visit.caller.acting(via="console"),
            seen_digest=visit.form.one("digest"),
        )  # fmt: skip
    except (Refused, InputError) as refused:
        return await case_page(visit, await found(visit, review_id), status=refused.status, said=str(refused))
    back = f"/console/reviews/{review_id}" if file.visible_to(visit.caller.roles) else "/console/reviews"
    return await visit.go(back, _SAID[wanted].capitalize())


def _act(visit: Visit, wanted: str) -> Act:
    """The act a form asks for.

    Raises:
        InputError: there is no such act, or a field of it does not fit.
    """
    form = visit.form
    try:
        match wanted:
            case "claim":
                return Claim()
            case "release":
                return Release()
            case "assign":
                to = form.one("to")
                return Assign(to=to if ":" in to else f"user:{to}", reason=form.one("reason")[:2000])
            case "snooze":
                return Snooze(until=visit.console.now() + timedelta(minutes=_minutes(form.one("minutes"))))
            case "comment":
                return Remark(text=form.one("text")[:2000])
            case "ask":
                return Ask(text=form.one("text")[:2000], to=form.one("to") or "proposer")
            case _:
                raise InputError("Choose what to do with the case")
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(f"{where or 'the form'}: {error.errors()[0]['msg']}") from None


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise InputError("Choose for how long")
    return int(text)


@router.post("/console/reviews/bulk")
async def bulk(request: Request) -> Response:
    """The same for every chosen case; each is checked and written by itself, and refusals are listed."""
    visit = visit_of(request)
    chosen, wanted = list(dict.fromkeys(visit.form.many("review"))), visit.form.one("act")
    if not chosen:
        raise InputError("Choose at least one case")
    if len(chosen) > MOST_AT_ONCE:
        raise InputError(f"Choose at most {MOST_AT_ONCE} cases at once")
    if wanted in _ANSWERS and not visit.form.one("reason"):
        raise InputError("Say why in a few words; the reason is kept in the audit of every case")
    results = await _answered(visit, chosen, wanted) if wanted in _ANSWERS else await _acted(visit, chosen, wanted)
    failed = [result for result in results if not result.done]
    done = f"{len(results) - len(failed)} of {len(results)} {_SAID.get(wanted, 'done')}"
    if not failed:
        return await visit.go("/console/reviews", done)
    rows = await open_rows(visit)
    return await visit.page(
        "reviews.html", rows=rows, total=len(rows), state="open", text="", queue="", mine=False, urgent=False,
        queues=sorted({row["queue"] for row in rows}), failed=failed, done=done,
    )  # fmt: skip


async def _acted(visit: Visit, chosen: list[str], wanted: str) -> list[ItemResult]:
    doing = _act(visit, wanted)
    return await visit.console.box.reviews.cases.bulk(visit.tenant, chosen, doing, visit.caller.acting(via="console"))


async def _answered(visit: Visit, chosen: list[str], wanted: str) -> list[ItemResult]:
    """Each answer is sealed with the digest its own row showed; a blind sample is answered on its own page only."""
    desk, by, results = visit.console.box.reviews.cases, visit.caller.acting(via="console"), list[ItemResult]()
    for review_id in chosen:
        digest = visit.form.one(f"digest.{review_id}")
        if not digest:
            said = "open it and decide it by itself: the row did not show what it is about"
            results.append(ItemResult(review_id=review_id, done=False, detail=said))
            continue
        verdict = Verdict(
            action=ReviewAction(wanted), reason=visit.form.one("reason")[:2000], edits=None, seen_digest=digest
        )
        results += await desk.bulk(visit.tenant, [review_id], verdict, by)
    return results
