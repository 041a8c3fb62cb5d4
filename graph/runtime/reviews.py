"""The record of every question to a person: opened once, changed by compare-and-set, answered once.

An open review has no lifetime: the order it is about is pinned until it is decided or void. The winning answer and the
work that resumes the order are written by the same script.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from domain.errors import NotFound, StaleFence
from domain.event import Event
from domain.ids import ReviewId, ThreadId
from domain.review import Review, ReviewAnswer, ReviewState
from domain.review_case import Case, CaseFile
from graph.runtime.atomics import PRELUDE
from graph.runtime.connection import Batcher
from graph.runtime.intake import RAW_TTL_S
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
local review, open, due, doc, state, fence, effects, order, journal = unpack(KEYS)
local token, id, name, record, deadline, created, iso, thread, now, kind, event, detail = unpack(ARGV)
if not fresh(fence, token) then return {'stale', ''} end
local kept = redis.call('HGET', review, 'record')
if kept then return {'kept', kept} end
redis.call('HSET', review, 'record', record, 'state', 'open')
redis.call('ZADD', open, deadline, id)
redis.call('ZADD', due, created, name)
redis.call('HSET', doc, 'review', id, 'pinned', '1', 'progress', 'in_review', 'changed_at', iso, 'detail', detail)
publish(doc, journal, thread, now, kind, event)
keep(doc, doc); keep(doc, state); keep(doc, effects); keep(doc, order)
return {'opened', record}
"""
)

_CHANGE = Script(
    PRELUDE
    + f"""
local review, open, due, doc, journal, intake = unpack(KEYS)
local id, name, revision, case, at, state, answer, thread, now, kind, event, headers = unpack(ARGV)
local was = redis.call('HGET', review, 'state')
if not was then return {{'unknown', ''}} end
if was ~= 'open' then return {{was, redis.call('HGET', review, 'answer') or ''}} end
if revision ~= '' and (redis.call('HGET', review, 'revision') or '0') ~= revision then return {{'moved', ''}} end
redis.call('HINCRBY', review, 'revision', 1)
if case ~= '' then redis.call('HSET', review, 'case', case) end
if state ~= 'open' then
  redis.call('HSET', review, 'state', state, 'answer', answer)
  redis.call('EXPIRE', review, {CLOSED_TTL_S})
  redis.call('ZREM', open, id)
end
if at ~= '' then redis.call('ZADD', due, at, name) else redis.call('ZREM', due, name) end
if kind ~= '' then publish(doc, journal, thread, now, kind, event) end
keep(doc, doc)
if headers ~= '' then redis.call('XADD', intake, '*', 'k', thread, 'h', headers, 'b', '', 'ts', now) end
return {{'done', ''}}
"""
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one act writes: the case, when the desk looks at it next, and the review's end when it ends by it.

    A case that needs no look any more stays in the timetable at the end of time: the timetable lists what is open.
    """

    case: Case | None = None
    due_at: datetime | None = None
    state: ReviewState = ReviewState.OPEN
    answer: ReviewAnswer | None = None
    event: Event | None = None
    headers: str = ""
    """Of the work that resumes the entity; empty for none."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What became of a change."""

    done: bool
    state: ReviewState
    """The review's, when the change was not written because it is no longer open."""
    answer: ReviewAnswer | None = None
    """What was answered before."""


def review_id(thread: ThreadId, stage: str, attempt_group: int, round_: int, *, shard: int) -> ReviewId:
    """The id of the review a stage of a run asks for: the same question has the same id, however often it is asked."""
    name = f"{thread}:{stage}:{attempt_group}:{round_}"
    return ReviewId(f"rv{shard}-{sha256(name.encode()).hexdigest()[:16]}")


class ReviewDesk:
    """Opens, finds, lists, changes and closes reviews."""

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
                self._keys.reviews_due(shard),
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
                _member(review.tenant, review.review_id),
                review.to_json(),
                millis(review.deadline),
                millis(review.created_at),
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
        return (await self.file(tenant, review)).review

    async def file(self, tenant: str, review: str) -> CaseFile:
        """The review with its case.

        Raises:
            NotFound: this tenant has no such review.
        """
        fields = pairs(await self._redis.execute("HGETALL", self._keys.review(tenant, review, self._shard(review))))
        if "record" not in fields:
            raise NotFound(f"there is no review {review!r}")
        stored = Review.from_json(fields["record"])
        update = {
            "state": ReviewState(fields["state"]),
            "answer": ReviewAnswer.from_json(fields["answer"]) if fields.get("answer") else None,
            "interrupt_id": fields.get("interrupt", stored.interrupt_id),
        }
        return CaseFile(
            review=stored.model_copy(update=update),
            case=Case.from_json(fields["case"]) if "case" in fields else Case(),
            revision=int(fields.get("revision", "0")),
        )

    async def listed(self, tenant: str, *, limit: int = 200) -> list[Review]:
        """Open reviews, nearest deadline first."""
        return [file.review for file in await self.files(tenant, limit=limit)]

    async def files(self, tenant: str, *, limit: int = 200) -> list[CaseFile]:
        """Open reviews with their cases, nearest deadline first."""
        found: list[CaseFile] = []
        for shard in range(self._keys.shards):
            ids = await self._redis.execute("ZRANGE", self._keys.open_reviews(tenant, shard), 0, limit - 1)
            read = await asyncio.gather(*(self.file(tenant, text(one)) for one in ids), return_exceptions=True)
            for one in read:
                if isinstance(one, CaseFile):
                    found.append(one)
                elif not isinstance(one, NotFound):
                    raise one
        return sorted(found, key=lambda file: file.review.deadline)[:limit]

    async def count_open(self, tenant: str) -> int:
        """How many reviews are open."""
        counts = [
            int(await self._redis.execute("ZCARD", self._keys.open_reviews(tenant, shard)))
            for shard in range(self._keys.shards)
        ]
        return sum(counts)

    async def due(self, now: datetime, *, limit: int) -> list[tuple[str, ReviewId]]:
        """The open reviews of all tenants whose time has come, longest overdue first in each shard."""
        found: list[tuple[str, ReviewId]] = []
        for shard in range(self._keys.shards):
            key = self._keys.reviews_due(shard)
            names = await self._redis.execute("ZRANGEBYSCORE", key, "-inf", millis(now), "LIMIT", 0, limit)
            found += [(tenant, ReviewId(one)) for tenant, _, one in (text(name).partition(" ") for name in names)]
        return found

    async def open_everywhere(self, *, limit: int) -> list[Review]:
        """Open reviews of all tenants."""
        found: list[CaseFile | BaseException] = []
        for shard in range(self._keys.shards):
            names = await self._redis.execute("ZRANGE", self._keys.reviews_due(shard), 0, limit - 1)
            parts = [text(name).partition(" ") for name in names]
            found += await asyncio.gather(*(self.file(t, one) for t, _, one in parts), return_exceptions=True)
        return [file.review for file in found if isinstance(file, CaseFile)]

    async def forget_due(self, tenant: str, review: str) -> None:
        """Drop a name from the timetable whose review is gone."""
        key = self._keys.reviews_due(self._shard(review))
        await self._redis.execute("ZREM", key, _member(tenant, review))

    async def set_interrupt(self, tenant: str, review: str, interrupt_id: str) -> None:
        """Note which interrupt of the thread waits for this review."""
        key = self._keys.review(tenant, review, self._shard(review))
        await self._redis.execute("HSET", key, "interrupt", interrupt_id)

    async def change(self, file: CaseFile, change: Change, *, at: datetime) -> Written | None:
        """Write a change to an open review, unless somebody else has changed it since ``file`` was read: then None.

        Raises:
            NotFound: this tenant has no such review.
        """
        return await self._write(file.review, str(file.revision), change, at)

    async def void(self, review: Review, event: Event) -> bool:
        """Withdraw an open review because its question no longer exists; False when it was answered before."""
        written = await self._write(review, "", Change(state=ReviewState.VOID, event=event), event.timestamp)
        return written is not None and written.done

    async def _write(self, review: Review, revision: str, change: Change, at: datetime) -> Written | None:
        shard, thread = self._shard(review.review_id), ThreadId(review.thread_id)
        said, answer = await self._redis.script(
            _CHANGE,
            [
                self._keys.review(review.tenant, review.review_id, shard),
                self._keys.open_reviews(review.tenant, shard),
                self._keys.reviews_due(shard),
                self._keys.entity(thread).document,
                self._keys.stream(JOURNAL, shard),
                self._keys.stream(INTAKE, shard),
            ],
            [
                review.review_id,
                _member(review.tenant, review.review_id),
                revision,
                change.case.to_json() if change.case else "",
                _score(change),
                change.state.value,
                change.answer.to_json() if change.answer else "",
                thread,
                millis(at),
                change.event.event_type if change.event else "",
                change.event.to_json() if change.event else "",
                change.headers,
            ],
        )
        match text(said):
            case "done":
                return Written(done=True, state=change.state)
            case "moved":
                return None
            case "unknown":
                raise NotFound(f"there is no review {review.review_id!r}")
            case was:
                before = ReviewAnswer.from_json(answer) if answer else None
                return Written(done=False, state=ReviewState(was), answer=before)


def _score(change: Change) -> str:
    if change.state is not ReviewState.OPEN:
        return ""
    return millis(change.due_at) if change.due_at else "+inf"


def _member(tenant: str, review: str) -> str:
    return f"{tenant} {review}"
