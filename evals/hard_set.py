"""The frozen hard set of the fraud agent: frauds of every kind in every segment, each as a tape.

``python -m evals.hard_set`` writes it anew from its seed; the file, not this code, is what versions are compared on.
Everybody in it is invented; how often each kind of fraud shows each sign is stated in ``fraud_signs``.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random

from agents import AgentPorts, build
from agents.recording import Recorder, on_tape
from agents.taped_ports import absent, taped
from domain.ids import TenantId
from domain.order import Channel, Order
from domain.ports import AgentCase
from domain.tape import Tape
from domain.values import digest
from evals.fraud_signs import CHANCES, SIGNS, Kind
from evals.fraud_world import BAD_DIRECT, BAD_PLATFORM, draw_basket
from evals.hard_set_orders import Drawn, StatedReads, order_of
from evals.labelled import CASES, Labelled, Segment, write_cases
from evals.segments import band_of
from evals.world_markets import MARKETS

NAME = "fraud-hard-set-1"
FILE = CASES / "fraud_detection_hard.jsonl.gz"
SEED = 20261111
EACH = 30
"""Frauds in every segment."""
START = datetime(2026, 11, 11, tzinfo=UTC)
AGENT = "fraud_detection"
VERSIONS = ("fd-1.0", "fd-1.1")
"""Whose reads the tapes carry; a later version that reads more is told so."""
TENANT = TenantId("hard-set")
_BANDS = {"<100": (10, 99), "100-500": (100, 499), ">=500": (500, 1800)}


@dataclass(frozen=True, kw_only=True)
class Place:
    """One segment of the set."""

    segment: Segment
    currency: str


def places() -> Iterator[Place]:
    """Every segment: markets x channels x bands, marketplaces where there are some."""
    for market, channel, band in product(MARKETS, (Channel.SHOPIFY, Channel.STOREFRONT, Channel.SHOPEE), _BANDS):
        if channel is not Channel.SHOPEE or market.shopee_shop:
            segment = Segment(market=market.country, channel=channel.value, band=band)
            yield Place(segment=segment, currency=market.currency)


def drawn() -> Iterator[tuple[str, Place, Kind, Drawn]]:
    """Every fraud of the set before it is written as an order."""
    random = Random(f"{NAME}:{SEED}")
    for place in places():
        shares = BAD_PLATFORM if place.segment.channel == Channel.SHOPEE else BAD_DIRECT
        for number in range(1, EACH + 1):
            kind = random.choices(list(shares), weights=list(shares.values()))[0]
            shown = frozenset(sign for sign in SIGNS if random.random() < CHANCES[kind][sign])
            basket = draw_basket(random, 1.0)
            low, high = _BANDS[place.segment.band]
            dollars = Decimal(random.randint(low * 100, high * 100)) / 100
            name = f"{place.segment.market}-{place.segment.channel}-{_BANDS[place.segment.band][0]}-{number:02d}"
            at = START + timedelta(seconds=random.randrange(86_400))
            yield (
                name,
                place,
                kind,
                Drawn(
                    number=name,
                    at=at,
                    market=place.segment.market,
                    currency=place.currency,
                    channel=Channel(place.segment.channel),
                    category=basket.category,
                    high_resale=basket.high_resale,
                    dollars=dollars,
                    shown=shown,
                    cash=kind is Kind.COD_REFUSAL or ("cod" in shown and kind is not Kind.STOLEN_CARD),
                    spread=random.random(),
                ),
            )


async def cases() -> list[Labelled]:
    """The whole set."""
    return [await _case(name, place, kind, one) for name, place, kind, one in drawn()]


async def _case(name: str, place: Place, kind: Kind, one: Drawn) -> Labelled:
    order = order_of(one, TENANT)
    assert band_of(one.dollars) == place.segment.band  # noqa: S101  # the set must be what it says
    return Labelled(
        case_id=f"hard-{name}",
        segment=place.segment,
        label=f"fraud:{kind.value}",
        right=("review", "hold", "reject"),
        severe=True,
        tape=await record(order, StatedReads(one), AGENT, VERSIONS),
    )


async def record(order: Order, reads: StatedReads, agent: str, versions: tuple[str, ...]) -> Tape:
    """The tape of an order as read by every one of the versions."""
    recorder, now = Recorder(), order.placed_at + timedelta(seconds=20)
    ports = AgentPorts(wms=reads, carriers={}, crm=reads, erp=reads, activity=reads, risk_book=reads)
    case = AgentCase(order=order, order_version=1, decisions={}, now=now)
    for version in versions:
        with on_tape(recorder):
            await build(agent, version, taped(ports)).decide(case)
    document = order.to_json()
    name = digest(order.model_dump(mode="json"))
    return Tape(
        decision_id=f"case-{order.external_id}",
        tenant=order.tenant,
        entity_id=order.order_id,
        agent=agent,
        version=versions[0],
        asked_at=now,
        order=name,
        order_version=1,
        attempt_group=1,
        reads=recorder.reads,
        without=absent(ports),
        values=recorder.values | {name: document},
    )


def main() -> None:
    """Write the file."""
    found = asyncio.run(cases())
    write_cases(FILE, name=NAME, agent=AGENT, cases=found)
    print(f"{FILE}: {len(found)} frauds in {len({case.segment.name for case in found})} segments")


if __name__ == "__main__":
    main()
