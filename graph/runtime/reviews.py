"""The review desk: our own record of every question to a person, answered once by compare-and-set.

An open review has no lifetime: the order it is about is pinned until it is decided or void. The winning answer and the
work that resumes the order are written by the same script.
"""

from collections.abc import Sequence
from hashlib import sha256

import orjson

from domain.errors import AlreadyDecided, Conflict, Forbidden, NotFound, StaleFence
from domain.event import Event
from domain.ids import ReviewId, ThreadId
from domain.review import Review, ReviewAction, ReviewAnswer, ReviewState
from graph.runtime.atomics import PRELUDE
from graph.runtime.connection import Batcher
from graph.runtime.intake import RAW_TTL_S, Work
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import millis, pairs, text
from graph.runtime.keys import Keyspace
from graph.runtime.scripts import Script

CLOSED_TTL_S = RAW_TTL_S
"""As long as a raw payload: a resumption replayed from the dead letters must still find its answer."""

_OPEN = Script(
    PRELUDE
    + """
local review, open, doc, state, fence, effects, order, journal = unpack(KEYS)
local token, id, record, deadline, iso, thread, now, kind, event, detail = unpack(ARGV)
if not fresh(fence, token) then return {'stale', ''} end
local kept = redis.call('HGET', review, 'record')
if kept then return {'kept', kept} end
redis.call('HSET', review, 'record', record, 'state', 'open')
redis.call('ZADD', open, deadline, id)
redis.call('HSET', doc, 'review', id, 'pinned', '1', 'progress', 'in_review', 'changed_at', iso, 'detail', detail)
publish(doc, journal, thread, now, kind, event)
keep(doc, doc); keep(doc, state); keep(doc, effects); keep(doc, order)
return {'opened', record}
"""
)

_CLOSE = Script(
    PRELUDE
    + f"""
local review, open, doc, journal, intake = unpack(KEYS)
local id, state, answer, thread, now, kind, event, headers = unpack(ARGV)
local was = redis.call('HGET', review, 'state')
if not was then return {{'unknown', ''}} end
if was ~= 'open' then return {{was, redis.call('HGET', review, 'answer') or ''}} end
redis.call('HSET', review, 'state', state, 'answer', answer)
redis.call('EXPIRE', review, {CLOSED_TTL_S})
redis.call('ZREM', open, id)
publish(doc, journal, thread, now, kind, event)
keep(doc, doc)
if headers ~= '' then redis.call('XADD', intake, '*', 'k', thread, 'h', headers, 'b', '', 'ts', now) end
return {{'closed', ''}}
"""
)


def review_id(thread: ThreadId, stage: str, attempt_group: int, round_: int, *, shard: int) -> ReviewId:
    """The id of the review a stage of a run asks for: the same question has the same id, however often it is asked."""
    name = f"{thread}:{stage}:{attempt_group}:{round_}"
    return ReviewId(f"rv{shard}-{sha256(name.encode()).hexdigest()[:16]}")


class ReviewDesk:
    """Opens, lists, answers and voids reviews."""

    def __init__(self, batcher: Batcher, keys: Keyspace) -> None:
        """Both are shared with the rest of the runtime."""
        self._redis = batcher
        self._keys = keys

    @staticmethod
    def _shard(review: str) -> int:
        digits = review.partition("-")[0].removeprefix("rv")
        if not digits.isdigit():
            raise NotFound(f"there is no review {review!r}")
        return int(digits)

    async def open(self, thread: ThreadId, review: Review, event: Event, *, token: int, detail: str) -> Review:
        """Write the review, unless the same one is there, and pin its order; gives what is stored.

        Raises:
            StaleFence: a newer worker holds the order.
        """
        keys = self._keys.entity(thread)
        shard = self._shard(review.review_id)
        status, record = await self._redis.script(
            _OPEN,
            [
                self._keys.review(review.tenant, review.review_id, shard),
                self._keys.open_reviews(review.tenant, shard),
                keys.document,
                keys.state,
                keys.fence,
                keys.effects,
                keys.effects_order,
                self._keys.stream(JOURNAL, shard),
            ],
            [
                str(token),
                review.review_id,
                review.to_json(),
                millis(review.deadline),
                review.created_at.isoformat(),
                thread,
                millis(event.timestamp),
                event.event_type,
                event.to_json(),
                detail,
            ],
        )
        if text(status) == "stale":
            raise StaleFence(f"order {review.entity_id} is held by a newer worker; this one must stop")
        return review if text(status) == "opened" else Review.from_json(record)

    async def find(self, tenant: str, review: str) -> Review:
        """The review with its state and answer.

        Raises:
            NotFound: this tenant has no such review.
        """
        fields = pairs(await self._redis.execute("HGETALL", self._keys.review(tenant, review, self._shard(review))))
        if "record" not in fields:
            raise NotFound(f"there is no review {review!r}")
        stored = Review.from_json(fields["record"])
        answer = ReviewAnswer.from_json(fields["answer"]) if fields.get("answer") else None
        return stored.model_copy(
            update={
                "state": ReviewState(fields["state"]),
                "answer": answer,
                "interrupt_id": fields.get("interrupt", stored.interrupt_id),
            }
        )

    async def listed(self, tenant: str, *, limit: int = 200) -> list[Review]:
        """Open reviews, nearest deadline first."""
        found: list[Review] = []
        for shard in range(self._keys.shards):
            ids = await self._redis.execute("ZRANGE", self._keys.open_reviews(tenant, shard), 0, limit - 1)
            found += [await self.find(tenant, text(one)) for one in ids]
        return sorted(found, key=lambda r: r.deadline)[:limit]

    async def count_open(self, tenant: str) -> int:
        """How many reviews are open."""
        counts = [
            int(await self._redis.execute("ZCARD", self._keys.open_reviews(tenant, shard)))
            for shard in range(self._keys.shards)
        ]
        return sum(counts)

    async def set_interrupt(self, tenant: str, review: str, interrupt_id: str) -> None:
        """Note which interrupt of the thread waits for this review."""
        key = self._keys.review(tenant, review, self._shard(review))
        await self._redis.execute("HSET", key, "interrupt", interrupt_id)

    async def decide(
        self, review: Review, answer: ReviewAnswer, event: Event, *, thread: ThreadId, roles: Sequence[str]
    ) -> None:
        """Answer an open review and queue the order's resumption, once.

        Raises:
            Forbidden: none of ``roles`` may decide it, or the decider proposed it.
            Conflict: an edit names a field that may not be edited.
            AlreadyDecided: somebody else was first.
        """
        _check_answer(review, answer, roles)
        headers = {"work": Work.RESUME.value, "tenant": review.tenant, "order_id": review.entity_id}
        headers |= {"review": review.review_id, "correlation_id": event.correlation_id}
        was, stored = await self._close(
            review, ReviewState.DECIDED, answer.to_json(), event, thread, orjson.dumps(headers).decode()
        )
        if was == "closed":
            return
        if was == ReviewState.VOID:
            raise Conflict(f"review {review.review_id} no longer stands: its order changed or was cancelled")
        first = ReviewAnswer.from_json(stored)
        raise AlreadyDecided(
            f"{first.decided_by} already answered {first.action.value} at {first.decided_at:%Y-%m-%d %H:%M:%S} UTC",
            decided_by=first.decided_by,
            decided_at=first.decided_at,
            action=first.action.value,
        )

    async def void(self, review: Review, event: Event, *, thread: ThreadId) -> bool:
        """Withdraw an open review because its question no longer exists; False when it was answered before."""
        was, _ = await self._close(review, ReviewState.VOID, "", event, thread, "")
        return was == "closed"

    async def _close(
        self, review: Review, state: ReviewState, answer: str, event: Event, thread: ThreadId, headers: str
    ) -> tuple[str, bytes | str]:
        shard = self._shard(review.review_id)
        was, stored = await self._redis.script(
            _CLOSE,
            [
                self._keys.review(review.tenant, review.review_id, shard),
                self._keys.open_reviews(review.tenant, shard),
                self._keys.entity(thread).document,
                self._keys.stream(JOURNAL, shard),
                self._keys.stream(INTAKE, shard),
            ],
            [
                review.review_id,
                state.value,
                answer,
                thread,
                millis(event.timestamp),
                event.event_type,
                event.to_json(),
                headers,
            ],
        )
        if text(was) == "unknown":
            raise NotFound(f"there is no review {review.review_id!r}")
        return text(was), stored


def _check_answer(review: Review, answer: ReviewAnswer, roles: Sequence[str]) -> None:
    if not set(roles) & set(review.allowed_roles):
        raise Forbidden(f"this review is for {' or '.join(review.allowed_roles)}; your role is {', '.join(roles)}")
    if answer.decided_by in review.proposed_by and answer.action is not ReviewAction.REJECT:
        raise Forbidden("whoever proposed this may not approve it; ask a colleague")
    if answer.action is ReviewAction.EDIT and not answer.edits:
        raise Conflict("an edit must name at least one changed field")
    if answer.action is not ReviewAction.EDIT and answer.edits:
        raise Conflict("changed fields come with the action 'edit'")
    unknown = sorted(set(answer.edits) - set(review.editable))
    if unknown:
        allowed = ", ".join(review.editable) or "nothing"
        raise Conflict(f"{', '.join(unknown)} cannot be edited here; editable: {allowed}")
