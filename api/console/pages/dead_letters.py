"""Dead letters: what nobody could handle, with its reason; administrators put it back or give it up."""

from starlette.requests import Request
from starlette.responses import Response

from api.console.routing import new_pages
from api.console.visits import Visit, visit_of
from api.tenants import Role
from domain.errors import InputError, NotFound
from domain.ports import DeadLetter
from graph.runtime.dead_letters import DeadLetters, order_of

router = new_pages()


@router.get("/console/dead-letters")
async def dead_letters(request: Request) -> Response:
    """Every letter of the tenant, oldest first."""
    visit = visit_of(request)
    letters = [_row(letter) for letter in await _letters(visit)]
    return await visit.page("dead_letters.html", rows=letters, admin=visit.is_one_of(Role.ADMIN))


def _desk(visit: Visit) -> DeadLetters:
    return DeadLetters(visit.console.box.store.batcher, visit.console.box.keys)


async def _letters(visit: Visit) -> list[DeadLetter]:
    return [letter for letter in await _desk(visit).all() if order_of(letter)[0] == visit.tenant]


def _row(letter: DeadLetter) -> dict[str, object]:
    headers = letter.message.headers
    return {
        "letter_id": letter.letter_id,
        "order_id": order_of(letter)[1],
        "work": headers.get("work") or headers.get("t", ""),
        "channel": headers.get("channel", ""),
        "topic": letter.topic,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "at": letter.at,
    }


async def _chosen(visit: Visit) -> list[DeadLetter]:
    wanted = visit.form.many("letter")
    if not wanted:
        raise InputError("Choose at least one letter")
    found = [letter for letter in await _letters(visit) if letter.letter_id in wanted]
    if len(found) < len(set(wanted)):
        raise NotFound("One of these letters is gone: it was replayed or dropped meanwhile")
    return found


@router.post("/console/dead-letters/replay")
async def replay(request: Request) -> Response:
    """Put the chosen letters' work back into its queue."""
    visit = visit_of(request)
    chosen = await _chosen(visit)
    for letter in chosen:
        await visit.console.box.bus.replay(letter.letter_id)
    return await visit.go("/console/dead-letters", f"{_letters_said(len(chosen))} put back into the queue")


@router.post("/console/dead-letters/drop")
async def drop(request: Request) -> Response:
    """Give the chosen letters up for good; the audit keeps who did and why."""
    visit = visit_of(request)
    reason, chosen = visit.form.one("reason"), await _chosen(visit)
    if not reason:
        raise InputError("Say why; the audit keeps it")
    for letter in chosen:
        await _desk(visit).drop(letter, by=visit.caller.actor, reason=reason[:500], at=visit.console.now())
    return await visit.go("/console/dead-letters", f"{_letters_said(len(chosen))} dropped")


def _letters_said(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"
