"""What each store says, read separately: the audit, the review desk, the dead letters, the topics, the order book.

Read in the direction things move (journal before audit), so that nothing can slip between two reads.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.effect import EffectRecord
from domain.errors import NotFound
from domain.event import Event
from domain.order import OrderProgress
from domain.ports import DeadLetter
from graph.bootstrap.system import Signalbox
from graph.runtime.audit_chain import ERASED
from graph.runtime.audit_lines import AuditLine, audit_lines, line_of
from graph.runtime.backlog import Backlog
from graph.runtime.dead_letters import DROPPED, DeadLetters, order_of
from graph.runtime.intake import CONTROLLER
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import OCCASIONS, text
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.keys import STATE_TTL_S
from graph.runtime.orders import WORKFLOW, thread_of

Ref = tuple[str, str]
"""Tenant and order id."""

DEAD = "dead_letter"
GIVEN_UP = "given_up"
_PROGRESS = "order.progress."
_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The last word of the audit on where an order stands."""

    name: str
    """A progress, ``dead_letter`` or ``given_up``."""
    at: datetime

    @property
    def ended(self) -> bool:
        """Whether the order's run is over."""
        return self.name == GIVEN_UP or (self.name != DEAD and OrderProgress(self.name).terminal)


@dataclass
class AuditSide:
    """What the audit says, events on their way into it included."""

    accepted: set[Ref] = field(default_factory=set)
    standing: dict[Ref, Standing] = field(default_factory=dict)
    effects: dict[tuple[str, str], int] = field(default_factory=dict)
    """How often each (tenant, effect key) was applied."""
    events: set[str] = field(default_factory=set)
    """Ids of all events."""
    erased: set[Ref] = field(default_factory=set)
    """Orders of people who were erased: their working state is gone before its time."""

    def take(self, line: AuditLine) -> None:
        """Add one line; the lines of an order come in their order."""
        if line.event_id in self.events:
            return
        self.events.add(line.event_id)
        kind, about = line.event_type, line.about
        if kind == "order.accepted":
            self.accepted.add(about)
        elif kind.startswith(_PROGRESS):
            self.standing[about] = Standing(name=kind.removeprefix(_PROGRESS), at=line.at)
        elif kind == "order.dead_lettered":
            self.standing[about] = Standing(name=DEAD, at=line.at)
        elif kind == f"order.{ERASED}":
            self.erased.add(about)
        elif kind == DROPPED and about in self.accepted and not self._over(about):
            # A delivery nobody could read never became an order; giving its letter up gives up no order.
            self.standing[about] = Standing(name=GIVEN_UP, at=line.at)
        elif kind in ("order.effect.applied", "order.effect.compensated"):
            key = line.tenant, line.effect_key
            self.effects[key] = self.effects.get(key, 0) + 1

    def _over(self, about: Ref) -> bool:
        standing = self.standing.get(about)
        return standing is not None and standing.ended


@dataclass(frozen=True, kw_only=True)
class Book:
    """What the working state says of one order."""

    progress: OrderProgress
    review_id: str
    effects: list[EffectRecord]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that is compared."""

    audit: AuditSide
    open_reviews: dict[Ref, str]
    """Review id of each order with an open review."""
    lost_reviews: tuple[str, ...]
    """Listed as open, without a record."""
    letters: dict[Ref, str]
    """Letter id of each order with work among the dead letters."""
    side_letters: set[Ref]
    """Orders with tier-3 work among the dead letters."""
    in_flight: set[Ref]
    """Orders with unfinished work on the intake topic."""
    following: set[str]
    """Threads whose tier-3 work is not finished."""
    books: dict[Ref, Book | None]
    """Working state of every order the others know; None where it has expired."""
    now: datetime

    def busy(self, about: Ref) -> bool:
        """Whether something about the order may still change without anybody's doing."""
        return about in self.in_flight or about in self.side_letters or thread_of(*about) in self.following

    def expired(self, about: Ref) -> bool:
        """Whether the order ended so long ago that its working state may be gone."""
        standing = self.audit.standing.get(about)
        if about in self.audit.erased:
            return True
        return standing is not None and self.now - standing.at >= timedelta(seconds=STATE_TTL_S - 60)


async def gather_evidence(box: Signalbox, tenant: str | None) -> Evidence:
    """Ask every source.

    Raises:
        StoreUnavailable: Redis or the database does not answer.
    """
    backlog = Backlog(box.store.batcher, box.keys)
    unaudited = await backlog.unfinished(JOURNAL, box.relay_group)
    audit = AuditSide()
    async for line in audit_lines(box.engine, tenant=tenant):
        audit.take(line)
    for waiting in unaudited:
        event = Event.from_json(waiting.message.body)
        if event.entity_type == "order" and tenant in (None, event.tenant):
            audit.take(line_of(event))
    tenants = {tenant} if tenant else {name for name, _ in audit.accepted | set(audit.standing)}
    reviews, lost = await _open_reviews(box, tenants)
    letters, side_letters = _letters(await DeadLetters(box.store.batcher, box.keys).all(), tenant)
    flight = {
        (w.message.headers.get("tenant", ""), w.message.headers["order_id"])
        for w in await backlog.unfinished(INTAKE, CONTROLLER)
        if w.message.headers.get("order_id") and tenant in (None, w.message.headers.get("tenant"))
    }
    known = audit.accepted | set(audit.standing) | set(reviews) | set(letters) | flight
    return Evidence(
        audit=audit,
        open_reviews=reviews,
        lost_reviews=lost,
        letters=letters,
        side_letters=side_letters,
        in_flight=flight,
        following=await _following(box, backlog),
        books=await _books(box, sorted(known)),
        now=box.clock.now(),
    )


async def _open_reviews(box: Signalbox, tenants: Iterable[str]) -> tuple[dict[Ref, str], tuple[str, ...]]:
    found: dict[Ref, str] = {}
    lost: list[str] = []
    for tenant in sorted(tenants):
        for shard in range(box.keys.shards):
            for raw in await box.store.batcher.execute("ZRANGE", box.keys.open_reviews(tenant, shard), 0, -1):
                try:
                    review = await box.store.reviews.find(tenant, text(raw))
                except NotFound:
                    lost.append(text(raw))
                else:
                    if review.workflow == WORKFLOW:
                        found[tenant, review.entity_id] = review.review_id
    return found, tuple(lost)


def _letters(letters: Iterable[DeadLetter], tenant: str | None) -> tuple[dict[Ref, str], set[Ref]]:
    intake: dict[Ref, str] = {}
    aside: set[Ref] = set()
    for letter in letters:
        of_tenant, order_id = order_of(letter)
        if not order_id or tenant not in (None, of_tenant):
            continue
        if letter.topic == INTAKE:
            intake[of_tenant, order_id] = letter.letter_id
        else:
            aside.add((of_tenant, order_id))
    return intake, aside


async def _following(box: Signalbox, backlog: Backlog) -> set[str]:
    threads: set[str] = set()
    for follower in (f for f in box.followers if f.topic == OCCASIONS):
        threads |= {
            waiting.message.key
            for waiting in await backlog.unfinished(OCCASIONS, follower.group)
            if waiting.message.headers.get("t", "").startswith(_PROGRESS)
        }
    return threads


async def _books(box: Signalbox, refs: list[Ref]) -> dict[Ref, Book | None]:
    books: dict[Ref, Book | None] = {}
    for start in range(0, len(refs), _AT_ONCE):
        some = refs[start : start + _AT_ONCE]
        books |= zip(some, await asyncio.gather(*(_book(box, ref) for ref in some)), strict=True)
    return books


async def _book(box: Signalbox, ref: Ref) -> Book | None:
    record = await box.store.orders.find(*ref)
    if record is None:
        return None
    effects = await box.store.ledger.records(record.thread)
    return Book(progress=record.progress, review_id=record.review_id, effects=effects)
