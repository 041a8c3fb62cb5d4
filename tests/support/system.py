"""A whole Signalbox for tests: started in a home of its own with short waits, fed with native orders, asked what became of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from api.desk import Desk
from api.services import Accepted, Submission
from api.worker import Worker
from domain.effect import EffectKind
from domain.ids import ReviewId, TenantId
from domain.order import OrderProgress
from domain.review import ReviewAction, ReviewAnswer
from graph.bootstrap.settings import Settings, read_settings
from graph.bootstrap.system import Signalbox, Staff, open_signalbox
from graph.runtime.audit_chain import AuditRow
from graph.runtime.clock import Clock
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.journal import text
from graph.runtime.orders import OrderRecord, thread_of
from tests.support.waiting import wait_until
from tools.channels.protocol import DeliveryKind
from tools.sandbox.system import AppliedEffect

TENANT = TenantId("default")
SKU = "SB-00023"
"""A 12 dollar book, no dangerous goods, lying deep in Hong Kong and Singapore."""
CLAIM_IDLE_MS = 600
LEASE_MS = 450
SETTLED = frozenset(
    {
        OrderProgress.BACKORDERED,
        OrderProgress.FULFILLED,
        OrderProgress.CANCELLED,
        OrderProgress.CLOSED_EXTERNALLY,
        OrderProgress.IN_REVIEW,
        OrderProgress.DEAD_LETTER,
    }
)
ENDED = SETTLED - {OrderProgress.DEAD_LETTER}
"""Where an order may rest without anybody having to repair anything."""
_NUMBERS = count(1)


def fast_settings(home: Path, **changes: object) -> Settings:
    """Settings under which silent workers are replaced within a second."""
    given: dict[str, object] = {
        "home": home, "claim_idle_ms": CLAIM_IDLE_MS, "lease_ms": LEASE_MS, "worker_concurrency": 16, **changes
    }  # fmt: skip
    return read_settings(**given)


def native_order(**changes: Any) -> dict[str, Any]:
    """A paid order for one book to Hong Kong, by a buyer nobody has seen before."""
    number = next(_NUMBERS)
    placed = datetime.now(UTC) - timedelta(minutes=1)
    given: dict[str, Any] = {
        "external_id": f"T-{number:05d}",
        "placed_at": placed.isoformat(),
        "currency": "USD",
        "lines": [line()],
        "ship_to": {
            "name": f"Chan {number}",
            "line1": f"{number} Queen's Road",
            "city": "Central",
            "country": "HK",
            "phone": f"+852{20_000_000 + number}",
        },
        "customer": {"customer_id": f"T-C-{number}", "name": f"Chan {number}", "email": f"c{number}@mail.example.com"},
        "payment": {"method": "card", "state": "paid"},
    }
    return given | changes


def line(sku: str = SKU, quantity: int = 1, cents: int = 1210) -> dict[str, Any]:
    """One line of a native order."""
    return {"sku": sku, "quantity": quantity, "unit_price": {"amount_minor": cents, "currency": "USD"}}


def for_review(**changes: Any) -> dict[str, Any]:
    """An order a person has to look at: it is marked as a trial."""
    return native_order(test=True, **changes)


def to_capture(**changes: Any) -> dict[str, Any]:
    """An order whose money is only authorised, so that releasing it also captures the payment."""
    return native_order(payment={"method": "card", "state": "authorised"}, **changes)


def order_id_of(payload: dict[str, Any]) -> str:
    """The order id of a native payload."""
    return f"storefront-{payload['external_id']}"


def submission(payload: dict[str, Any] | bytes, *, dedupe_id: str = "", order_hint: str = "") -> Submission:
    """A verified delivery of a native order; without ``dedupe_id`` it is one nobody has sent before."""
    raw = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    hint = order_hint or ("" if isinstance(payload, bytes) else str(payload["external_id"]))
    return Submission(
        tenant=TENANT,
        channel="storefront",
        shop="web",
        topic="orders/create",
        kind=DeliveryKind.ORDER,
        raw=raw,
        dedupe_id=dedupe_id or f"delivery-{next(_NUMBERS)}-{datetime.now(UTC).timestamp()}",
        order_hint=hint,
        source="test",
        received_at=datetime.now(UTC),
    )


@dataclass
class Rig:
    """A running system and what a test asks of it."""

    box: Signalbox
    desk: Desk
    workers: list[Worker] = field(default_factory=list)

    async def submit(self, payload: dict[str, Any], *, dedupe_id: str = "") -> str:
        """Deliver a native order; gives its order id."""
        taken: Accepted = await self.desk.submit(submission(payload, dedupe_id=dedupe_id))
        return taken.handle

    async def record(self, order_id: str) -> OrderRecord:
        """The order as stored."""
        found = await self.box.store.orders.find(TENANT, order_id)
        assert found is not None, f"{order_id} is not in the order book"
        return found

    async def progress(self, order_id: str) -> OrderProgress:
        """Where the order stands."""
        return (await self.record(order_id)).progress

    async def settled(
        self, order_id: str, *, at: Iterable[OrderProgress] = SETTLED, within_s: float = 15.0
    ) -> OrderRecord:
        """Wait until the order rests at one of the named places."""
        places = frozenset(at)

        async def look() -> OrderRecord | None:
            record = await self.record(order_id)
            return record if record.progress in places else None

        names = " or ".join(sorted(places))
        try:
            return await wait_until(look, f"{order_id} is {names}", within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {await self.record(order_id)}") from None

    async def run(self, payload: dict[str, Any], *, at: OrderProgress) -> OrderRecord:
        """Deliver an order and wait until it rests where it should."""
        order_id = await self.submit(payload)
        record = await self.settled(order_id)
        assert record.progress is at, f"{order_id} is {record.progress}: {record.detail}"
        return record

    async def reviewed(self, payload: dict[str, Any]) -> OrderRecord:
        """Deliver an order and wait until its review is open and its thread waits."""
        order_id = await self.submit(payload)
        return await self.waiting(order_id)

    async def waiting(self, order_id: str, *, besides: str = "") -> OrderRecord:
        """Wait until a review of the order, other than ``besides``, is open and its thread is known to wait for it."""

        async def look() -> OrderRecord | None:
            record = await self.record(order_id)
            if record.progress is not OrderProgress.IN_REVIEW or record.review_id in {"", besides}:
                return None
            review = await self.box.store.reviews.find(TENANT, record.review_id)
            return record if review.interrupt_id else None

        return await wait_until(look, f"{order_id} waits for a person")

    async def decide(
        self, review_id: str, action: ReviewAction, *, by: str = "user:mei", edits: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Answer a review as an operator."""
        answer = ReviewAnswer(
            action=action, decided_by=by, decided_at=datetime.now(UTC), via="test", reason="looked at it",
            edits=edits or {},
        )  # fmt: skip
        return await self.desk.decide(TENANT, ReviewId(review_id), answer, frozenset({"ops"}))

    async def cancel(self, order_id: str, *, reason: str = "changed my mind") -> dict[str, Any]:
        """Ask for a cancellation as the customer."""
        return await self.desk.cancel(TENANT, order_id, actor="user:buyer", reason=reason)

    async def applied(self, order_id: str) -> list[AppliedEffect]:
        """What the outside world really did for the order, oldest first."""
        assert self.box.sandbox is not None
        return await self.box.sandbox.applied(order_id)

    async def kinds(self, order_id: str) -> Counter[EffectKind]:
        """How often each kind of effect was really applied for the order."""
        return Counter(effect.kind for effect in await self.applied(order_id))

    async def has_applied(self, order_id: str, *kinds: EffectKind) -> None:
        """Wait until each of the kinds was applied for the order."""

        async def look() -> bool:
            return (await self.kinds(order_id)).keys() >= set(kinds)

        await wait_until(look, f"{', '.join(kinds)} applied for {order_id}")

    async def history(self, order_id: str) -> list[AuditRow]:
        """Everything journaled about the order, in order; needs a worker, whose relay carries it into the audit."""

        async def carried() -> bool:
            lag = await self.box.bus.lag(JOURNAL, self.box.relay_group)
            return not lag.undelivered + lag.pending

        await wait_until(carried, "the audit has the whole journal")
        return await self.box.audit.entity(TENANT, "order", order_id)

    async def idle(self, *, within_s: float = 20.0) -> None:
        """Wait until no work is left on any topic: nothing undelivered, nothing unacknowledged."""
        groups = [(INTAKE, "controller"), *((listener.topic, listener.group) for listener in self.box.followers)]

        async def look() -> bool:
            lags = [await self.box.bus.lag(topic, group) for topic, group in groups]
            return not any(lag.undelivered + lag.pending for lag in lags)

        await wait_until(look, "all work is done", within_s=within_s, every_s=0.05)

    async def stock(self, sku: str, units: int, *, warehouse: str = "HKG") -> None:
        """Let the network hold exactly these units of a SKU, all in one warehouse."""
        assert self.box.sandbox is not None
        for site in self.box.sandbox.world.warehouses:
            await self.box.sandbox.wms.count_stock(site.warehouse, sku, units if site.warehouse == warehouse else 0)

    async def available(self, sku: str) -> int:
        """Units of the SKU nobody holds, over the whole network."""
        assert self.box.sandbox is not None
        levels = await self.box.sandbox.wms.stock([sku])  # type: ignore[list-item]
        return sum(level.on_hand - level.held for level in levels)

    async def keys_without_ttl(self, order_id: str) -> list[str]:
        """Keys of the order that would live for ever."""
        thread = thread_of(TENANT, order_id)
        found = [key async for key in self.box.redis.scan_iter(match=f"*{thread}*", count=1000)]
        return [text(key) for key in found if await self.box.redis.pttl(key) == -1]


@asynccontextmanager
async def opened(settings: Settings, *, staff: Staff | None = None, clock: Clock | None = None) -> AsyncIterator[Rig]:
    """A system without any worker."""
    async with open_signalbox(settings, staff=staff, clock=clock) as box:
        await Worker(box).subscribe()
        yield Rig(box=box, desk=Desk(box))


@asynccontextmanager
async def working(rig: Rig) -> AsyncIterator[Worker]:
    """A worker in this process, stopped at the end of the block."""
    stop, worker = asyncio.Event(), Worker(rig.box)
    running = asyncio.get_running_loop().create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.set()
        await running


@asynccontextmanager
async def running(settings: Settings, *, staff: Staff | None = None, clock: Clock | None = None) -> AsyncIterator[Rig]:
    """A system with one worker in this process."""
    async with opened(settings, staff=staff, clock=clock) as rig, working(rig):
        yield rig


def assert_once(applied: Sequence[AppliedEffect]) -> None:
    """No key was applied twice, and nothing that can be undone was done again while an earlier one stood."""
    keys = Counter((effect.tenant, effect.system, effect.key) for effect in applied)
    assert not [key for key, times in keys.items() if times > 1]
    open_now: Counter[tuple[str, str, str]] = Counter()
    for effect in applied:
        done = effect.key.removeprefix("undo:")
        _, order, kind, part = done.split("/")[:4]
        if done != effect.key:
            open_now[order, kind, part] -= 1
        elif effect.kind.undone_by:
            open_now[order, kind, part] += 1
            assert open_now[order, kind, part] == 1, f"{effect.key} while an earlier one stands"
