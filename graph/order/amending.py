"""What a newer version of an order changes for its customer, whether that is in time, and why it can no longer be followed.

Before the release a change outside its window is a person's to allow: shop and customer may rely on it already. What a
marketplace reports is its truth, and what a person of ours edits is that person's word; neither has a window.
"""

from collections.abc import Sequence
from datetime import datetime

from domain.amendment import VERSION, Change, changes, permission
from domain.event import Event
from domain.order import Order, OrderProgress
from domain.values import Document, Plain
from graph.runtime.orders import OrderRecord, happening

REFUSED = "order.amendment.refused"
_ENDED = frozenset({OrderProgress.FULFILLED, OrderProgress.CANCELLED, OrderProgress.CLOSED_EXTERNALLY})
"""Where a newer version comes too late; a backordered order is judged anew."""
_ELSEWHERE = frozenset({"ASK_PLATFORM", "NO_RULE"})
"""Answers about who decides; they do not say why a change that was decided cannot be followed."""


def too_late(record: OrderRecord) -> bool:
    """Whether the order has ended, so that nothing new is followed."""
    return record.progress in _ENDED


def changed(before: Order | None, after: Order) -> list[Plain]:
    """The names of what changes, for the event."""
    return [] if before is None else [change.value for change in changes(before, after)]


class LateAmendment(Document):
    """Changes made outside their windows that no person has looked at yet."""

    version: int
    """Of the order that brought the last of them."""
    texts: tuple[str, ...]

    @property
    def code(self) -> str:
        """Names this question: an approval covers no later change."""
        return f"LATE_AMENDMENT_{self.version}"

    @property
    def sentence(self) -> str:
        """The question."""
        late = "; ".join(self.texts)
        return f"the customer changed the order outside its window ({late}); approve to follow, edit to ship otherwise"


def outside_window(record: OrderRecord, after: Order, *, now: datetime) -> list[dict[str, Plain]]:
    """The customer's changes that come too late although the order is not released, each with its rule.

    Judged by the channel's own time of the version: a change made in time is not late because we were.
    """
    before = record.order
    if before is None or after.channel.marketplace or too_late(record):
        return []
    made = min(now, after.updated_at)
    answers = {
        change: permission(before, change, progress=record.progress, now=made) for change in changes(before, after)
    }
    return [
        {"change": change.value, "code": answer.code, "text": answer.text, "rule_id": answer.rule_id}
        for change, answer in answers.items()
        if not answer.allowed
    ]


def noted_late(record: OrderRecord, late: Sequence[dict[str, Plain]], *, version: int) -> str:
    """What is kept with the order until a person has answered: these changes, and those that wait already."""
    before = LateAmendment.from_json(record.late).texts if record.late else ()
    texts = dict.fromkeys((*before, *(str(one["text"]) for one in late)))
    return LateAmendment(version=version, texts=tuple(texts)).to_json()


def refusal(record: OrderRecord, after: Order, *, version: int, now: datetime) -> Event | None:
    """The event that refuses a version arriving too late, change by change; None when it asks for nothing."""
    before = record.order
    asked = () if before is None else changes(before, after)
    if before is None or not asked:
        return None
    facts: dict[str, Plain] = {
        "version": version,
        "progress": record.progress.value,
        "policy": VERSION,
        "changes": [_why(before, change, record.progress, now) for change in asked],
    }
    return happening(record, REFUSED, facts, at=now)


def refusal_in_release(record: OrderRecord, *, now: datetime) -> Event:
    """The event that refuses a version which met the release half done."""
    facts: dict[str, Plain] = {
        "version": record.version,
        "progress": record.progress.value,
        "policy": VERSION,
        "changes": [],
        "text": "the channel is being told that the order ships, or a parcel has left; it goes out as it was judged",
    }
    return happening(record, REFUSED, facts, at=now)


def _why(before: Order, change: Change, progress: OrderProgress, now: datetime) -> dict[str, Plain]:
    answer = permission(before, change, progress=progress, now=now)
    code, text = answer.code, answer.text
    if answer.allowed or code in _ELSEWHERE:
        state = "released" if progress is OrderProgress.FULFILLED else progress.value.replace("_", " ")
        code, text = "STATE_TOO_LATE", f"{change.value} is no longer possible: the order is {state}"
    return {"change": change.value, "code": code, "text": text, "rule_id": answer.rule_id}
