"""Clicks and modals from Slack: proved, bound to a tenant and a person, checked against our own records, answered once.

The answer is one script of the review desk, so it is durable before Slack is answered; the card follows from the journal.
A word to the clicker, or a modal, is sent behind the answer.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from api import idempotency
from api.context import ApiContext
from api.idempotency import Keyed, Reply
from api.problems import RequestInProgress
from api.slack.payload import Act, Click, OtherAct, SubmittedModal, read_act
from api.tenants import Person
from domain.errors import (
    AlreadyDecided,
    BadSignature,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    SignalboxError,
    StoreUnavailable,
    UnprocessableOrder,
)
from domain.event import Event
from domain.ids import EventId, ReviewId, ThreadId, stable_id, thread_id
from domain.review import Review, ReviewAction, ReviewAnswer
from domain.review_channel import seal
from graph.runtime.journal import Journal
from graph.runtime.review_cards import Place, ReviewCards
from graph.runtime.reviews import ReviewDesk
from tools.review_summary import clean
from tools.slack.card import APPROVE, DETAILS, OPEN, REJECT, read_value
from tools.slack.channel import SlackChannel
from tools.slack.modal import CALLBACK, answer_modal, block_for, error_text, read, told_modal
from tools.slack.signing import verify
from tools.slack.text import inert
from tools.slack.workspace import SlackWorkspace

log = structlog.get_logger("api.slack")

ANSWER_S = 2.2
"""Slack wants an answer within three seconds."""
PATH = "/slack/interactions"
VIA = "slack"
_ONE_CLICK = {APPROVE: ReviewAction.APPROVE, REJECT: ReviewAction.REJECT}
Later = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class SlackServices:
    """What the route works with."""

    channel: SlackChannel
    cards: ReviewCards
    reviews: ReviewDesk
    journal: Journal


@dataclass(frozen=True, kw_only=True)
class Clicked:
    """An act whose workspace and tenant are known."""

    act: Click | SubmittedModal
    workspace: SlackWorkspace
    digest: str
    """Of the body: the same click has the same."""


@dataclass
class Outcome:
    """What Slack is answered, and what is done behind the answer."""

    reply: Reply
    later: list[Later] = field(default_factory=list)


class SlackInteractions:
    """Handles one act after another; keeps nothing between them."""

    def __init__(self, services: SlackServices, context: ApiContext) -> None:
        """``context`` is the application's."""
        self._slack = services
        self._context = context

    async def handle(self, raw: bytes, headers: Mapping[str, str]) -> Outcome:
        """Answer a request.

        Raises:
            BadSignature: it is not from a workspace of ours.
            MalformedPayload: it is authentic and not an interaction.
            StoreUnavailable: nothing was decided in time; Slack shows that, and the person clicks again.
        """
        act, workspace = self._read(raw, headers)
        if isinstance(act, OtherAct):
            return Outcome(_nothing())
        clicked = Clicked(act=act, workspace=workspace, digest=hashlib.sha256(raw).hexdigest())
        outcome = Outcome(_nothing())

        async def run() -> Reply:
            return await self._answer(clicked, outcome.later)

        try:
            async with asyncio.timeout(ANSWER_S):
                outcome.reply = await self._once(clicked, run)
        except TimeoutError:
            raise StoreUnavailable("the desk did not answer in time; look at the card and click again") from None
        return outcome

    def _read(self, raw: bytes, headers: Mapping[str, str]) -> tuple[Act, SlackWorkspace]:
        """The act and its workspace: the one it names must be one whose secret signed it."""
        now, workspaces = self._context.now(), self._slack.channel.workspaces
        signer = verify(
            raw,
            timestamp=headers.get("x-slack-request-timestamp"),
            signed=headers.get("x-slack-signature"),
            secrets=(secret for each in workspaces for secret in each.signing_secrets),
            now=now,
        )
        act = read_act(raw)
        proof = signer.secret.get_secret_value()
        for each in workspaces:
            secrets = {s.secret.get_secret_value() for s in each.signing_secrets if s.until is None or now < s.until}
            if each.team == act.team.id and proof in secrets:
                self._context.guard.take(each.tenant)
                return act, each
        raise BadSignature("The request is signed, and its workspace is not one that is connected here")

    async def _once(self, clicked: Clicked, run: Callable[[], Awaitable[Reply]]) -> Reply:
        """The same click gets the same answer, and its effect once."""
        keyed = Keyed(clicked.workspace.tenant, f"slack:{clicked.digest}", clicked.digest, PATH)
        while True:
            try:
                return await idempotency.once(self._context.idempotency, keyed, run)
            except RequestInProgress:
                await asyncio.sleep(0.05)

    async def _answer(self, clicked: Clicked, later: list[Later]) -> Reply:
        try:
            person = await self._person(clicked)
            review = await self._review(clicked)
            if isinstance(clicked.act, SubmittedModal):
                return await self._submitted(clicked, clicked.act, review, person)
            await self._clicked(clicked, clicked.act, review, person, later)
        except (Refused, UnprocessableOrder) as refusal:
            if isinstance(clicked.act, SubmittedModal):
                return _json({"response_action": "update", "view": told_modal("Not done", _sentence(refusal))})
            later.append(self._word(clicked, _sentence(refusal)))
        return _nothing()

    async def _person(self, clicked: Clicked) -> Person:
        """The person of our own file behind the click.

        Raises:
            Forbidden: there is none, they are a guest from another workspace, or not in the reviewer group.
        """
        act, workspace = clicked.act, clicked.workspace
        tenant = self._context.tenants.get(workspace.tenant)
        person = tenant.slack_person(act.user.id)
        if act.user.team_id not in {"", workspace.team}:
            await self._note(clicked, "the user belongs to another workspace")
            raise Forbidden("You are a guest from another workspace; reviews are answered by this team only")
        if person is None:
            await self._note(clicked, "the user is not listed as a reviewer")
            raise Forbidden(
                "You are not listed as a reviewer; ask an administrator to add your Slack id to the tenants file"
            )
        if not await self._slack.channel.in_reviewer_group(workspace, act.user.id, now=self._context.now()):
            await self._note(clicked, "the user is not in the reviewer group")
            raise Forbidden("You are not in the reviewer group of this workspace")
        return person

    async def _review(self, clicked: Clicked) -> Review:
        """The review a button or modal stands for, checked against what we know of it.

        Raises:
            Conflict: the value is not the one we put there, or the message is not the review's card.
        """
        act, tenant = clicked.act, clicked.workspace.tenant
        review_id, sealed = read_value(_value(act))
        try:
            review = await self._slack.reviews.find(tenant, review_id)
        except NotFound:
            await self._note(clicked, "the button names a review that does not exist here")
            raise Conflict("This card does not belong to a review that is known here") from None
        card = Place(tenant=tenant, review_id=review_id, channel=self._slack.channel.name)
        place = f"{act.container.channel_id}/{act.container.message_ts}" if isinstance(act, Click) else ""
        known = (await self._slack.cards.find(card)).receipt
        if sealed != seal(review) or (place and known and place != known):
            await self._note(clicked, "the button is not as it was posted")
            raise Conflict("This button is not as it was posted; use the newest card or the console")
        return review

    async def _clicked(self, clicked: Clicked, act: Click, review: Review, person: Person, later: list[Later]) -> None:
        action = act.actions[0].action_id
        if action in _ONE_CLICK:
            chosen = _ONE_CLICK[action]
            await self._decide(
                clicked,
                review,
                person,
                (chosen, f"one click on “{chosen.value}” on the Slack card, no reason given", {}),
            )
        elif action == DETAILS:
            if review.answer is not None:
                raise _answered(review.answer)
            view = {"trigger_id": act.trigger_id, "view": answer_modal(review)}
            client = self._slack.channel.client(clicked.workspace.tenant)
            later.append(_quietly(lambda: client.call("views.open", view, key=clicked.digest), "slack.no_modal"))
        elif action != OPEN:
            raise Conflict("This button is not known here; use the newest card or the console")

    async def _submitted(self, clicked: Clicked, act: SubmittedModal, review: Review, person: Person) -> Reply:
        if act.view.callback_id != CALLBACK:
            return _nothing()
        filled = read(review, act.view.state.values)
        errors = filled.errors
        if not errors:
            try:
                await self._decide(clicked, review, person, (filled.action, filled.reason, filled.edits))
            except UnprocessableOrder as wrong:
                errors = {block_for(review, wrong.pointer): str(wrong)}
        if errors:
            shown = {block: error_text(sentence) for block, sentence in errors.items()}
            return _json({"response_action": "errors", "errors": shown})
        return _json({"response_action": "clear"})

    async def _decide(
        self, clicked: Clicked, review: Review, person: Person, said: tuple[ReviewAction, str, dict[str, Any]]
    ) -> None:
        action, reason, edits = said
        answer = ReviewAnswer(
            action=action,
            decided_by=f"user:{person.id}",
            decided_at=self._context.now(),
            via=VIA,
            reason=clean(reason, 2000),
            edits=edits,
            seen_digest=review.content_digest,
        )
        tenant = self._context.tenants.get(clicked.workspace.tenant)
        by = tenant.actor(person, via=VIA)
        await self._context.desk.decide(
            tenant.tenant, ReviewId(review.review_id), answer, by.roles, limit_usd_minor=by.limit_usd_minor
        )

    def _word(self, clicked: Clicked, sentence: str) -> Later:
        """A message only the clicker sees."""
        url = clicked.act.response_url if isinstance(clicked.act, Click) else ""
        client = self._slack.channel.client(clicked.workspace.tenant)
        message = {"response_type": "ephemeral", "replace_original": False, "text": inert(sentence, 500)}
        return _quietly(lambda: client.respond(url, message), "slack.word_not_sent")

    async def _note(self, clicked: Clicked, why: str) -> None:
        """Journal a refused act, on the order it was about where that is known."""
        tenant, act = clicked.workspace.tenant, clicked.act
        review_id, _ = read_value(_value(act))
        try:
            review = await self._slack.reviews.find(tenant, review_id)
        except NotFound:
            entity, kind, thread = clean(review_id, 60) or "none", "slack_click", thread_id(tenant, "slack", review_id)
        else:
            entity, kind, thread = review.entity_id, review.entity_type, ThreadId(review.thread_id)
        who = f"slack:{clean(act.team.id, 40)}/{clean(act.user.id, 40)}"
        now = self._context.now()
        event = Event(
            event_id=EventId(stable_id(tenant, "slack.refused", clicked.digest)),
            event_type=f"{kind}.review.answer_refused",
            entity_type=kind,
            entity_id=entity,
            agent_name=f"person:{who}",
            timestamp=now,
            result={"review_id": clean(review_id, 60), "by": who, "via": VIA, "why": why},
            metadata={"actor": who},
            tenant=tenant,
            sequence=0,
            correlation_id=clean(review_id, 60) or clicked.digest[:16],
            currency="",
            locale="",
        )
        await self._slack.journal.publish(thread, [event], at=now)
        log.warning("slack.refused", tenant=tenant, review=clean(review_id, 60), why=why)


def _value(act: Click | SubmittedModal) -> str:
    return act.actions[0].value if isinstance(act, Click) else act.view.private_metadata


def _answered(answer: ReviewAnswer) -> AlreadyDecided:
    who, what = answer.decided_by, answer.action.value
    return AlreadyDecided(
        f"{who} already answered {what} at {answer.decided_at:%Y-%m-%d %H:%M:%S} UTC",
        decided_by=who,
        decided_at=answer.decided_at,
        action=what,
    )


def _sentence(refusal: SignalboxError) -> str:
    text = str(refusal).replace("user:", "")
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _nothing() -> Reply:
    return Reply(200, b"")


def _json(document: dict[str, Any]) -> Reply:
    return Reply(200, orjson.dumps(document))


def _quietly(step: Callable[[], Awaitable[Any]], said: str) -> Later:
    """A courtesy behind the answer: when it fails, the decision stands and the card tells the rest."""

    async def run() -> None:
        try:
            await step()
        except SignalboxError as failure:
            log.warning(said, why=str(failure))

    return run
