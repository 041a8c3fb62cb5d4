"""The relay that carries the journal into the SQL audit, in order per entity.

A message is acknowledged only after its event is durable; what cannot be an event goes to the dead letters with its
reason and holds nobody up. Two relays at once by mistake repeat work and harm nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count

import structlog
from pydantic import ValidationError

from domain.errors import InputError, MalformedPayload, Transient
from domain.event import Event
from domain.ports import Delivery, EventBus
from graph.runtime.audit import AuditStore

log = structlog.get_logger()

TOPIC = "journal"
GROUP = "audit"


@dataclass(frozen=True, kw_only=True)
class RelayPace:
    """How the relay batches, waits and backs off."""

    batch: int = 500
    """Events per transaction at most."""
    block_ms: int = 1000
    """Longest wait for a first message; also the longest a stop takes."""
    linger_s: float = 0.1
    """How long a first message waits for company: a transaction costs the same for one event and for hundreds."""
    claim_idle_ms: int = 60_000
    """What another relay left unacknowledged this long is taken over."""
    backoff_s: float = 0.2
    """First pause after a failure; doubled each time."""
    backoff_max_s: float = 10.0
    trim_every_s: float = 10.0
    follow_s: float = 2.0
    """How often a relay that does not lead asks again."""
    jitter: Callable[[], float] = random.random
    """0..1; spreads the pauses of several relays between half and all of their length."""


@dataclass(frozen=True, kw_only=True)
class RelayStatus:
    """How the relay is doing."""

    leading: bool
    behind: int
    """Journaled events the audit has not confirmed."""
    oldest_ms: int
    """Age of the oldest of them."""
    appended: int
    """Events written by this relay since it started."""
    buried: int
    """Messages it sent to the dead letters since it started."""
    last_error: str | None
    """Why it is stuck now; None while it works."""


async def always() -> bool:
    """The lead of an installation with one relay."""
    return True


class AuditRelay:
    """Consumes topic ``journal`` as group ``audit``. One instance runs one loop."""

    def __init__(
        self,
        bus: EventBus,
        store: AuditStore,
        *,
        consumer: str,
        lead: Callable[[], Awaitable[bool]] = always,
        pace: RelayPace | None = None,
    ) -> None:
        """``consumer`` names this process; ``lead`` says before every batch whether this relay is the one that works."""
        self._bus = bus
        self._store = store
        self._consumer = consumer
        self._lead = lead
        self._pace = pace or RelayPace()
        self._held: list[Delivery] = []
        self._claimed_at: float | None = None
        self._trimmed_at = 0.0
        self._known = RelayStatus(leading=False, behind=0, oldest_ms=0, appended=0, buried=0, last_error=None)

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop`` is set, backing off with jitter while the store or the bus is away."""
        failures = count()
        while not stop.is_set():
            try:
                if not await self._leads():
                    await _wait(stop, self._pace.follow_s)
                    continue
                await self._step(self._pace.block_ms)
            except Transient as failure:
                failed = next(failures)
                self._note(failure, failed)
                # An answer may have been lost together with the messages it brought: ask for them again.
                self._claimed_at = None
                longest = min(self._pace.backoff_max_s, self._pace.backoff_s * 2 ** min(failed, 16))
                await _wait(stop, longest * (1 + self._pace.jitter()) / 2)
            else:
                if self._known.last_error is not None:
                    log.info("audit.relay.recovered", failures=next(failures))
                    self._known = replace(self._known, last_error=None)
                failures = count()

    async def drain(self) -> int:
        """Relay until nothing undelivered is left, and return how many messages were settled.

        Raises:
            StoreUnavailable: the store or the bus is away; nothing unwritten was acknowledged.
        """
        settled = 0
        while handled := await self._step(0):
            settled += handled
        return settled

    async def status(self) -> RelayStatus:
        """How the relay is doing, and how far the audit is behind the journal.

        Raises:
            StoreUnavailable: the bus cannot say how far.
        """
        await self._bus.subscribe(TOPIC, GROUP)
        lag = await self._bus.lag(TOPIC, GROUP)
        return replace(self._known, behind=lag.undelivered + lag.pending, oldest_ms=lag.oldest_ms)

    async def _leads(self) -> bool:
        leading = await self._lead()
        if not leading:
            # The next leader takes these over; writing them late would be harmless but is its work now.
            self._held = []
            self._claimed_at = None
        if leading != self._known.leading:
            self._known = replace(self._known, leading=leading)
            log.info("audit.relay.lead", leading=leading, consumer=self._consumer)
        return leading

    async def _step(self, block_ms: int) -> int:
        """Settle one batch: what a failure left in hand first, then what others left, then what is new."""
        if not self._held:
            await self._take(block_ms)
        settled = len(self._held)
        if settled:
            await self._settle()
        await self._trim()
        return settled

    async def _take(self, block_ms: int) -> None:
        now = asyncio.get_running_loop().time()
        first = self._claimed_at is None
        if self._claimed_at is None or now - self._claimed_at >= self._pace.claim_idle_ms / 2000:
            await self._bus.subscribe(TOPIC, GROUP)
            # A store that is down must not cost the messages deliveries, or a crash loop would bury them all.
            await self._store.ready()
            # Whoever led before is gone: what was left is older than anything new, so it goes first.
            idle_ms = 0 if first else self._pace.claim_idle_ms
            self._held = await self._bus.claim(TOPIC, GROUP, self._consumer, idle_ms=idle_ms, count=self._pace.batch)
            if self._held:
                return
            self._claimed_at = now
        while (room := self._pace.batch - len(self._held)) > 0:
            wait_ms = 0 if self._held else block_ms
            more = await self._bus.read(TOPIC, GROUP, self._consumer, count=room, block_ms=wait_ms)
            if not more:
                return
            if not self._held and block_ms and len(more) < room:
                await asyncio.sleep(self._pace.linger_s)
            self._held += more

    async def _settle(self) -> None:
        good: list[tuple[Delivery, Event]] = []
        for delivery in self._held:
            try:
                good.append((delivery, journaled(delivery)))
            except MalformedPayload as bad:
                await self._bury(delivery, bad)
        self._held = [delivery for delivery, _ in good]
        written = await self._append(good) if good else []
        if written:
            await self._bus.ack(TOPIC, GROUP, [delivery.delivery_id for delivery in written])
        self._held = []

    async def _append(self, pairs: list[tuple[Delivery, Event]]) -> list[Delivery]:
        """Write the events and return the deliveries that are durable now; one that can never be stored is buried."""
        try:
            added = await self._store.append([event for _, event in pairs])
        except InputError as bad:
            if len(pairs) == 1:
                await self._bury(pairs[0][0], bad)
                return []
            half = len(pairs) // 2
            return await self._append(pairs[:half]) + await self._append(pairs[half:])
        self._known = replace(self._known, appended=self._known.appended + added)
        return [delivery for delivery, _ in pairs]

    async def _bury(self, delivery: Delivery, bad: InputError) -> None:
        await self._bus.bury(TOPIC, GROUP, delivery, str(bad))
        self._known = replace(self._known, buried=self._known.buried + 1)
        log.warning("audit.relay.buried", delivery_id=delivery.delivery_id, reason=str(bad))

    async def _trim(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._trimmed_at >= self._pace.trim_every_s:
            self._trimmed_at = now
            await self._bus.trim(TOPIC)

    def _note(self, failure: Transient, failed: int) -> None:
        if failed == 0 or str(failure) != self._known.last_error:
            log.error("audit.relay.failed", error=str(failure), held=len(self._held))
        self._known = replace(self._known, last_error=str(failure))


def journaled(delivery: Delivery) -> Event:
    """The event a journal message carries, with the sequence the journal gave it.

    Raises:
        MalformedPayload: it is not an event of the one schema.
    """
    try:
        event = Event.from_json(delivery.message.body)
    except ValidationError as bad:
        first = bad.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise MalformedPayload(f"not an event: {where}: {first['msg']}") from bad
    number = delivery.message.headers.get("seq", "")
    if not number:
        return event
    if not (number.isascii() and number.isdigit() and len(number) < 20):
        raise MalformedPayload("not an event: header seq is not a whole number")
    return event.model_copy(update={"sequence": int(number)})


async def _wait(stop: asyncio.Event, longest_s: float) -> None:
    try:
        async with asyncio.timeout(longest_s):
            await stop.wait()
    except TimeoutError:
        return
