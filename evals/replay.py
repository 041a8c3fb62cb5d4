"""Open-loop replay: seeded deliveries sent to a running system over HTTP, each at its intended time.

Latency counts from the intended time, so a slow answer is not hidden by the wait it causes. Deliveries leave one after
the other in their order: the same seed arrives in the same sequence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import httpx2

from domain.order import Channel
from evals.world import RawOrder

ATTEMPTS = 8
LONGEST_WAIT_S = 2.0
_REPEAT_EVERY, _REPEAT_AT = 40, 20
_FORGE_EVERY, _FORGE_AT = 75, 30
_OURS = frozenset({Channel.STOREFRONT, Channel.B2B})


class Kind(StrEnum):
    """What a delivery is to the receiver."""

    FIRST = "first"
    REPEAT = "repeat"
    """The same bytes came before."""
    FORGED = "forged"
    """Not signed by who it says it is from."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One request on its way."""

    order: RawOrder
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Target:
    """The system under replay."""

    url: str
    api_key: str
    """A key with the role storefront, for orders of our own shops."""
    put_platform_order: Callable[[RawOrder], Awaitable[None]]
    """Makes an order known to its platform, before a push that only names it is sent."""


@dataclass
class Tally:
    """What was sent and how it was answered."""

    accepted: int = 0
    """First deliveries answered 202."""
    repeated: int = 0
    """Repeats answered 202."""
    refused: int = 0
    """Forged deliveries answered 401."""
    unexpected: list[str] = field(default_factory=list)
    """Answers that should not have been, one sentence each."""
    accept_ms: list[float] = field(default_factory=list)
    """Of first deliveries, from the intended time to the answer."""

    @property
    def sent(self) -> int:
        """Deliveries sent."""
        return self.accepted + self.repeated + self.refused + len(self.unexpected)


def deliveries(orders: Iterable[RawOrder]) -> Iterator[Delivery]:
    """Every order once, in order; now and then a forged copy before it, or the same delivery again after it."""
    for number, order in enumerate(orders, start=1):
        if number % _FORGE_EVERY == _FORGE_AT:
            yield Delivery(order=order, kind=Kind.FORGED)
        yield Delivery(order=order, kind=Kind.FIRST)
        if number % _REPEAT_EVERY == _REPEAT_AT:
            yield Delivery(order=order, kind=Kind.REPEAT)


async def replay(
    planned: Iterable[Delivery], target: Target, *, rate_per_s: float, on_progress: Callable[[Tally], None]
) -> Tally:
    """Send the deliveries at ``rate_per_s``; calls ``on_progress`` after each."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    async with httpx2.AsyncClient(base_url=target.url, timeout=30.0) as client:
        started_s = loop.time()
        for number, delivery in enumerate(planned):
            intended_s = started_s + number / rate_per_s
            await asyncio.sleep(max(0.0, intended_s - loop.time()))
            if delivery.order.topic.startswith("push/") and delivery.kind is not Kind.FORGED:
                await target.put_platform_order(delivery.order)
            status = await _post(client, delivery, target)
            _count(tally, delivery, status, (loop.time() - intended_s) * 1000)
            on_progress(tally)
    return tally


async def _post(client: httpx2.AsyncClient, delivery: Delivery, target: Target) -> int:
    """Send one delivery the way its sender would; one that is turned away for now comes again, as platforms do."""
    order, headers = delivery.order, dict(delivery.order.headers)
    if order.channel in _OURS:
        path, proof = f"/v1/orders?channel={order.channel.value}", "X-API-Key"
        headers[proof] = target.api_key
    else:
        path = f"/v1/channels/{order.channel.value}/webhooks"
        proof = "X-Shopify-Hmac-Sha256" if order.channel is Channel.SHOPIFY else "Authorization"
    if delivery.kind is Kind.FORGED:
        headers[proof] = headers[proof][::-1]
    answer = await client.post(path, content=order.delivery, headers=headers)
    for _ in range(ATTEMPTS - 1):
        if answer.status_code not in (429, 503):
            break
        await asyncio.sleep(min(LONGEST_WAIT_S, float(answer.headers.get("Retry-After", "1"))))
        answer = await client.post(path, content=order.delivery, headers=headers)
    return answer.status_code


def _count(tally: Tally, delivery: Delivery, status: int, took_ms: float) -> None:
    match delivery.kind, status:
        case Kind.FIRST, 202:
            tally.accepted += 1
            tally.accept_ms.append(took_ms)
        case Kind.REPEAT, 202:
            tally.repeated += 1
        case Kind.FORGED, 401:
            tally.refused += 1
        case _:
            tally.unexpected.append(f"{delivery.order.order_id} ({delivery.kind}) was answered {status}")
