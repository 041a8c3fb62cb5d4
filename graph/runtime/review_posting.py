"""Reviews announced in chat products: the journal says that something changed, the poster brings the card up to date.

The journal is never held up: what it says becomes an entry in the record, and a chat product that is away is tried again
until it is back. A card is compared with the review as it is now, so late and repeated news do no harm.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import orjson
import structlog

from domain.errors import Ambiguous, ConnectorRejected, MalformedPayload, NotFound, StoreUnavailable, Transient
from domain.event import Event
from domain.ids import stable_id
from domain.ports import Delivery
from domain.review import ReviewState
from domain.review_case import CaseFile
from domain.review_channel import Nudge, NudgeKind, Posting, ReviewChannel, standing_of
from domain.values import digest
from graph.runtime import crash
from graph.runtime.clock import Clock
from graph.runtime.journal import TOPIC
from graph.runtime.review_cards import CARD, OUTCOME, Card, Place, ReviewCards
from graph.runtime.reviews import ReviewDesk

log = structlog.get_logger(__name__)

BATCH = 8
BUSY_S = 40.0
"""One message takes no longer than this at a time."""
NUDGES = {"review.reminded": NudgeKind.REMINDER, "review.escalated": NudgeKind.ESCALATION}


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often is looked and tried again."""

    poll_s: float = 0.5
    lease_s: float = 60.0
    """What a silent worker had in hand is taken over after this; one that lives keeps it."""
    first_s: float = 1.0
    most_s: float = 60.0
    unclear_s: float = 5.0
    """A message that may be on its way is looked for after this."""
    refused_s: float = 30.0
    """What an operator must mend is tried again after this."""


class CardListener:
    """Follows the journal and enters in the record what has to be shown."""

    topic = TOPIC
    group = "review_channels"

    def __init__(
        self,
        channels: Sequence[ReviewChannel],
        cards: ReviewCards,
        clock: Clock,
        *,
        chat_user: Callable[[str, str], str],
    ) -> None:
        """``chat_user`` knows a person's id in the chat product by tenant and person, empty when unknown."""
        self._channels = tuple(channels)
        self._cards = cards
        self._clock = clock
        self._chat_user = chat_user

    def concerns(self, delivery: Delivery) -> bool:
        """Whether the event is about a review."""
        return ".review." in delivery.message.headers.get("t", "")

    async def handle(self, delivery: Delivery) -> None:
        """Enter one event; doing it again changes nothing.

        Raises:
            MalformedPayload: the event cannot be read.
            StoreUnavailable: it was not entered.
        """
        try:
            event = Event.from_json(delivery.message.body)
        except ValueError as bad:
            raise MalformedPayload(f"the event cannot be read: {bad}") from None
        review_id = event.result.get("review_id")
        if not isinstance(review_id, str):
            return
        now, kind = self._clock.now(), NUDGES.get(event.event_type.partition(".")[2])
        for channel in self._channels:
            if channel.serves(event.tenant):
                place = Place(tenant=event.tenant, review_id=review_id, channel=channel.name)
                await self._cards.want(place, now=now)
                if kind is not None:
                    await self._nudge(event, place, kind)

    async def _nudge(self, event: Event, card: Place, kind: NudgeKind) -> None:
        person = str(event.result.get("to") or "")
        told = {"kind": kind.value, "person": person, "chat_user": self._chat_user(event.tenant, person)}
        place = Place(tenant=card.tenant, review_id=card.review_id, channel=card.channel, part=event.event_id)
        await self._cards.want(place, now=self._clock.now(), nudge=orjson.dumps(told).decode())


class CardPoster:
    """Posts and changes what the record asks for, in any number of workers at once."""

    def __init__(
        self,
        channels: Sequence[ReviewChannel],
        cards: ReviewCards,
        desk: ReviewDesk,
        clock: Clock,
        *,
        pace: Pace | None = None,
    ) -> None:
        """``pace`` says how often a product that is away is tried again."""
        self._channels = {channel.name: channel for channel in channels}
        self._cards = cards
        self._desk = desk
        self._clock = clock
        self.pace = pace or Pace()

    async def watch(self, stop: asyncio.Event) -> None:
        """Post until stopped; survives chat products and a store that are away."""
        while not stop.is_set():
            busy = False
            try:
                busy = await self.step()
            except StoreUnavailable as away:
                log.warning("cards.store_away", why=str(away))
            if not busy:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.pace.poll_s):
                        await stop.wait()

    async def step(self) -> bool:
        """Do what is due; says whether there was anything.

        Raises:
            StoreUnavailable: the record cannot be read now.
        """
        places = await self._cards.take(now=self._clock.now(), lease=timedelta(seconds=self.pace.lease_s), count=BATCH)
        await asyncio.gather(*(self._attempt(place) for place in places))
        return bool(places)

    async def _attempt(self, place: Place) -> None:
        card = await self._cards.find(place)
        try:
            async with asyncio.timeout(BUSY_S), self._kept(place):
                closed = await self._bring_up_to_date(place, card)
        except StoreUnavailable:
            raise
        except NotFound:
            await self._cards.forget(place)
        except (Transient, ConnectorRejected, TimeoutError) as failure:
            await self._later(place, card, failure)
        else:
            await self._cards.done(place, card, now=self._clock.now(), closed=closed)

    @asynccontextmanager
    async def _kept(self, place: Place) -> AsyncIterator[None]:
        """Nobody else is given the message for the length of the block."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(self.pace.lease_s / 3)
                with suppress(StoreUnavailable):
                    until = self._clock.now() + timedelta(seconds=self.pace.lease_s)
                    await self._cards.keep(place, until=until)

        keeping = asyncio.get_running_loop().create_task(keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def _bring_up_to_date(self, place: Place, card: Card) -> bool:
        """Post or change one message; says whether its story is over."""
        channel = self._channels.get(place.channel)
        if channel is None or not channel.serves(place.tenant):
            return False
        file = await self._desk.file(place.tenant, place.review_id)
        review = file.review
        closed = review.state is not ReviewState.OPEN
        match place.part:
            case part if part == CARD:
                await self._card(channel, place, card, file)
            case part if part == OUTCOME:
                await self._present(channel, place, card, self._posting(place, file))
            case _ if not closed:
                await self._spoken(channel, place, card, file)
            case _:
                pass
        return closed or place.part not in {CARD, OUTCOME}

    def _posting(self, place: Place, file: CaseFile, receipt: str = "") -> Posting:
        key = stable_id(place.tenant, place.review_id, place.channel, place.part)
        standing = standing_of(file.review, file.case)
        return Posting(review=file.review, key=key, receipt=receipt, standing=standing)

    async def _card(self, channel: ReviewChannel, place: Place, card: Card, file: CaseFile) -> None:
        closed = file.review.state is not ReviewState.OPEN
        if closed and not card.receipt and card.begun_at is None:
            return  # answered before anybody could be told; there is nothing left to ask
        receipt, shown = card.receipt, card.shown
        if not receipt:
            receipt, shown = await self._present(channel, place, card, self._posting(place, file), only_look=closed)
        posting = self._posting(place, file, receipt)
        if not receipt or shown == _digest(posting):
            return
        if channel.updates:
            await channel.show(posting)
            await self._cards.posted(place, receipt, shown=_digest(posting))
        elif closed:
            outcome = Place(tenant=place.tenant, review_id=place.review_id, channel=place.channel, part=OUTCOME)
            await self._cards.want(outcome, now=self._clock.now())
            await self._cards.posted(place, receipt, shown=_digest(posting))

    async def _spoken(self, channel: ReviewChannel, place: Place, card: Card, file: CaseFile) -> None:
        above = await self._cards.find(
            Place(tenant=place.tenant, review_id=place.review_id, channel=place.channel, part=CARD)
        )
        if not above.receipt:
            raise Transient("the card is not there yet; the word to a person waits for it")
        told = Nudge(**{**(doc := orjson.loads(card.nudge)), "kind": NudgeKind(doc["kind"])})
        await self._present(channel, place, card, self._posting(place, file, above.receipt), nudge=told)

    async def _present(
        self,
        channel: ReviewChannel,
        place: Place,
        card: Card,
        posting: Posting,
        *,
        nudge: Nudge | None = None,
        only_look: bool = False,
    ) -> tuple[str, str]:
        """The receipt of the message and what it shows: found, or posted once."""
        if card.receipt:
            return card.receipt, card.shown
        if card.begun_at is not None:
            found = await channel.lookup(posting, since=card.begun_at)
            if found is not None:
                await self._cards.posted(place, found, shown="")
                return found, ""
            if only_look:
                return "", ""
        fresh = await self._cards.begin(place, now=self._clock.now())
        crash.point("card.begun")
        try:
            sent = channel.announce(posting) if nudge is None else channel.nudge(posting, nudge)
            receipt = await sent
        except Ambiguous:
            raise
        except (Transient, ConnectorRejected):
            if fresh:
                await self._cards.not_begun(place)
            raise
        crash.point("card.posted")
        shown = _digest(posting)
        await self._cards.posted(place, receipt, shown=shown)
        return receipt, shown

    async def _later(self, place: Place, card: Card, failure: Exception) -> None:
        pace, asked = self.pace, getattr(failure, "retry_after_s", None)
        wait_s = min(pace.most_s, pace.first_s * 2 ** min(card.attempts, 16)) * random.uniform(0.75, 1.0)  # noqa: S311  # jitter, no secret
        if isinstance(failure, Ambiguous | TimeoutError):
            wait_s = max(wait_s, pace.unclear_s)
        if isinstance(failure, ConnectorRejected):
            wait_s = max(wait_s, pace.refused_s)
        wait_s = max(wait_s, asked or 0.0)
        log.warning(
            "card.later", channel=place.channel, review=place.review_id, part=place.part,
            why=str(failure) or type(failure).__name__, wait_s=round(wait_s, 1),
        )  # fmt: skip
        await self._cards.later(place, at=self._clock.now() + timedelta(seconds=wait_s))


def _digest(posting: Posting) -> str:
    """Of everything a card may show; the interrupt is not shown."""
    shown = posting.review.model_dump(mode="json", exclude={"interrupt_id"})
    return digest({"review": shown, "standing": list(posting.standing)})
