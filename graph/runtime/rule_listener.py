"""Hears what people answer about orders a model or a promoted rule had an opinion on, and lets the book of rules learn."""

import structlog

from domain.decision import Decision, Outcome
from domain.errors import MalformedPayload, NotFound
from domain.event import Event
from domain.ids import ThreadId
from domain.ports import Delivery
from domain.promoted_rule import Confirmation
from domain.review import Review, ReviewAction
from graph.runtime.journal import TOPIC, Journal
from graph.runtime.reviews import ReviewDesk
from graph.runtime.rule_book import RuleBook

log = structlog.get_logger(__name__)

_DECIDED = ".review.decided"
STOPPING = frozenset({"concern"})
"""Answers that say the order should not go on; a person who stops it agrees with them."""


class RuleListener:
    """Feeds the book from reviews."""

    topic = TOPIC
    group = "rules"

    def __init__(self, reviews: ReviewDesk, journal: Journal, book: RuleBook) -> None:
        """Reviews hold the answers, the journal the decisions they were about."""
        self._reviews = reviews
        self._journal = journal
        self._book = book

    def concerns(self, delivery: Delivery) -> bool:
        """Whether a person may have answered."""
        return delivery.message.headers.get("t", "").endswith(_DECIDED)

    async def handle(self, delivery: Delivery) -> None:
        """Take one answer into account, once however often it is delivered.

        Raises:
            MalformedPayload: the event cannot be read.
            StoreUnavailable: not now; it should be delivered again.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the answer cannot be read: {bad}") from None
        try:
            review = await self._reviews.find(event.tenant, str(event.result.get("review_id")))
        except NotFound:
            return
        decisions = await self._journal.decisions(ThreadId(delivery.message.key))
        for said in confirmations(review, decisions):
            if (retired := await self._book.confirm(said)) is not None:
                log.warning("rule.retired", rule=retired.rule_id, agent=retired.agent, why=retired.reason)


def confirmations(review: Review, decisions: list[Decision]) -> list[Confirmation]:
    """What a person's answer says about the models' opinions on the entity; nothing where no person decided.

    A rejection says nothing against an opinion to go on when another agent gave reasons to stop.
    """
    answer = review.answer
    if answer is None or answer.via == "timeout" or not answer.decided_by.startswith("user:"):
        return []
    latest = {decision.agent: decision for decision in decisions}
    found = []
    for decision in latest.values():
        opinion, features = decision.facts.get("opinion"), decision.facts.get("features")
        if not isinstance(opinion, dict) or not isinstance(features, dict):
            continue
        stops = opinion.get("answer") in STOPPING
        others = any(one.outcome.severity >= Outcome.REVIEW.severity for one in latest.values() if one is not decision)
        agreed = _agreed(answer.action, stops=stops, disputed=others)
        if agreed is None:
            continue
        found.append(
            Confirmation(
                tenant=decision.tenant,
                decision_id=decision.decision_id,
                agent=decision.agent,
                version=decision.versions.agent,
                entity_type=decision.entity_type,
                entity_id=decision.entity_id,
                answer=str(opinion.get("answer")),
                agreed=agreed,
                features=features,
                prompt=decision.versions.prompt or "",
                model=decision.versions.model or "",
                rule_id=str(opinion.get("rule") or ""),
                by=answer.decided_by,
                at=answer.decided_at,
            )
        )
    return found


def _agreed(action: ReviewAction, *, stops: bool, disputed: bool) -> bool | None:
    if action is ReviewAction.REJECT:
        return True if stops else None if disputed else False
    if action is ReviewAction.APPROVE:
        return not stops
    return None
