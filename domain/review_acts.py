"""What people do on a case, as values, and what each act makes of the case: pure, so that it can be tried again.

An act is refused with a sentence that says who holds, asked or decided what, and when.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.errors import Conflict, Forbidden, InputError
from domain.review import Review, ReviewAction, ReviewAnswer
from domain.review_case import Actor, Approval, Case, Comment, Question
from domain.values import Document, Plain

LONGEST_SNOOZE = timedelta(days=30)
MOST_COMMENTS = 200
_PARTY = r"^(user|key|role):[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"


class Claim(Document):
    """Take the case in hand, for as long as the lease lasts; claiming again renews it."""

    act: Literal["claim"] = "claim"


class Release(Document):
    """Put the case back."""

    act: Literal["release"] = "release"


class Assign(Document):
    """Make it somebody's."""

    act: Literal["assign"] = "assign"
    to: str = Field(pattern=_PARTY, examples=["user:mei", "role:manager"])
    reason: str = Field(default="", max_length=2000)


class Snooze(Document):
    """Put it out of sight until a time; the clock of its deadline goes on."""

    act: Literal["snooze"] = "snooze"
    until: AwareDatetime
    reason: str = Field(default="", max_length=2000)


class Remark(Document):
    """Say something on the case. While the case waits, what anybody but the asker says answers the question."""

    act: Literal["comment"] = "comment"
    text: str = Field(min_length=1, max_length=2000)


class Ask(Document):
    """Ask back; the case waits for an answer and can still be decided."""

    act: Literal["ask"] = "ask"
    text: str = Field(min_length=1, max_length=2000)
    to: str = Field(default="proposer", pattern=r"^(proposer|customer_service|(user|role):[A-Za-z0-9._@+-]{1,64})$")


Act = Annotated[Claim | Release | Assign | Snooze | Remark | Ask, Field(discriminator="act")]

HAPPENINGS = {
    "claim": "claimed",
    "release": "released",
    "assign": "assigned",
    "snooze": "snoozed",
    "comment": "commented",
    "ask": "asked",
}
"""The last word of the event an act leaves (``order.review.claimed``)."""


def perform(review: Review, case: Case, act: Act, by: Actor, *, now: datetime, lease: timedelta) -> Case:
    """The case after the act.

    Raises:
        Forbidden: the actor's roles do not work on such cases.
        Conflict: somebody else holds the case, or it is not in the state the act assumes.
        InputError: the act asks for what cannot be (a snooze into the past).
    """
    if not isinstance(act, Remark):
        _may_work_on(review, by)
    match act:
        case Claim():
            _free(case, by, now)
            since = case.claimed_at if case.holder(now) == by.name else now
            held = {"claimed_by": by.name, "claimed_at": since, "claim_until": now + lease, "snoozed_until": None}
            return case.model_copy(update=held)
        case Release():
            return _released(case, by, now)
        case Assign():
            return _assigned(review, case, act, by, now)
        case Snooze():
            return _snoozed(case, act, by, now)
        case Remark():
            return _commented(case, act, by, now)
        case Ask():
            return _asked(case, act, by, now)


def _assigned(review: Review, case: Case, act: Assign, by: Actor, now: datetime) -> Case:
    if act.to in review.proposed_by:
        raise Conflict(f"{act.to} proposed this and cannot decide it; assign it to somebody else")
    if not by.supervises:
        _free(case, by, now)
    return case.unclaimed().model_copy(update={"assignee": act.to, "snoozed_until": None})


def _snoozed(case: Case, act: Snooze, by: Actor, now: datetime) -> Case:
    _free(case, by, now)
    if not now < act.until <= now + LONGEST_SNOOZE:
        raise InputError("snooze until a time in the next 30 days", pointer="/until")
    return case.unclaimed().model_copy(update={"snoozed_until": act.until})


def _asked(case: Case, act: Ask, by: Actor, now: datetime) -> Case:
    _free(case, by, now)
    if case.question is not None:
        raise Conflict(f"{case.question.by} already asked at {_when(case.question.at)}; the case waits for that")
    return case.unclaimed().model_copy(update={"question": Question(by=by.name, at=now, to=act.to, text=act.text)})


def _may_work_on(review: Review, by: Actor) -> None:
    if not by.roles & {*review.allowed_roles, *review.second_roles, "admin"}:
        raise Forbidden(
            f"this review is for {' or '.join(review.allowed_roles)}; your role is {', '.join(sorted(by.roles))}"
        )


def _free(case: Case, by: Actor, now: datetime) -> None:
    holder = case.holder(now)
    if holder and holder != by.name and case.claim_until is not None:
        raise Conflict(
            f"{holder} has claimed this case since {_when(case.claimed_at or now)}, until {_when(case.claim_until)}"
        )


def _released(case: Case, by: Actor, now: datetime) -> Case:
    holder = case.holder(now)
    if not holder:
        raise Conflict("nobody has claimed this case")
    if holder != by.name and not by.supervises:
        raise Conflict(f"{holder} has claimed this case; only they or a manager release it")
    return case.unclaimed()


def _commented(case: Case, act: Remark, by: Actor, now: datetime) -> Case:
    if len(case.comments) >= MOST_COMMENTS:
        raise Conflict(f"this case has {MOST_COMMENTS} comments; decide it")
    answers = case.question is not None and case.question.by != by.name
    said = Comment(by=by.name, at=now, via=by.via, text=act.text, answers=answers)
    update: dict[str, object] = {"comments": (*case.comments, said)}
    return case.model_copy(update=update | ({"question": None} if answers else {}))


def weigh(
    review: Review, case: Case, answer: ReviewAnswer, by: Actor, *, now: datetime
) -> tuple[Case, ReviewAnswer | None]:
    """What an answer makes of an open case: the answer that runs, or None when a second person has to approve as well.

    Raises:
        Forbidden: roles, amount limit, or the same person proposed it or gave the first approval.
        Conflict: the answer was given to something else than what stands, or somebody else holds the case.
    """
    if answer.seen_digest and answer.seen_digest != review.content_digest:
        raise Conflict("what you were shown is not what stands now; look at the case again")
    if not by.supervises:
        _free(case, by, now)
    _check_edits(review, answer)
    if answer.action is ReviewAction.REJECT:
        _may_work_on(review, by)
        return case, answer
    if _same(answer.decided_by, review.proposed_by):
        raise Forbidden("whoever proposed this may not approve it; ask a colleague")
    first = case.approval
    if review.second_roles and (first is None or answer.action is ReviewAction.EDIT):
        _may_work_on(review, by)
        given = Approval(by=by.name, at=now, via=by.via, reason=answer.reason, edits=answer.edits)
        return case.unclaimed().model_copy(update={"approval": given}), None
    if first is not None:
        _check_second(review, first, by)
    else:
        _check_roles(review.allowed_roles, by)
    _check_limit(review, by)
    if first is not None and first.edits:
        answer = answer.model_copy(update={"action": ReviewAction.EDIT, "edits": first.edits})
    return case, answer


def _check_roles(allowed: tuple[str, ...], by: Actor) -> None:
    if not by.roles & set(allowed):
        raise Forbidden(f"this review is for {' or '.join(allowed)}; your role is {', '.join(sorted(by.roles))}")


def _check_second(review: Review, first: Approval, by: Actor) -> None:
    if _same(by.name, (first.by,)):
        raise Forbidden(
            f"you gave the first approval at {_when(first.at)}; a second person, {' or '.join(review.second_roles)}, must"
        )
    if not by.roles & set(review.second_roles):
        raise Forbidden(
            f"{first.by} approved at {_when(first.at)}; the second approval is for {' or '.join(review.second_roles)}"
        )


def _check_limit(review: Review, by: Actor) -> None:
    if by.limit_usd_minor is None:
        return
    limit = f"USD {by.limit_usd_minor // 100:,}.{by.limit_usd_minor % 100:02d}"
    if review.exposure_usd_minor is None:
        raise Forbidden(f"the value in US dollars is unknown and your limit is {limit}; ask somebody without a limit")
    if review.exposure_usd_minor > by.limit_usd_minor:
        at_stake = f"USD {review.exposure_usd_minor // 100:,}.{review.exposure_usd_minor % 100:02d}"
        raise Forbidden(f"{at_stake} is over your limit of {limit}; ask somebody with a higher one")


def _check_edits(review: Review, answer: ReviewAnswer) -> None:
    if answer.action is ReviewAction.EDIT and not answer.edits:
        raise Conflict("an edit must name at least one changed field")
    if answer.action is not ReviewAction.EDIT and answer.edits:
        raise Conflict("changed fields come with the action 'edit'")
    unknown = sorted(set(answer.edits) - set(review.editable))
    if unknown:
        allowed = ", ".join(review.editable) or "nothing"
        raise Conflict(f"{', '.join(unknown)} cannot be edited here; editable: {allowed}")


def _same(name: str, others: tuple[str, ...]) -> bool:
    return name.casefold() in {other.casefold() for other in others}


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def told(act: Act) -> dict[str, Plain]:
    """What the act's event says of it."""
    return {name: value for name, value in act.model_dump(mode="json").items() if name != "act" and value != ""}
