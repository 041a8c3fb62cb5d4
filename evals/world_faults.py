"""How deliveries really arrive: some twice, some late, some never. Shares as in the project's synthetic world."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from evals.world_draft import RawOrder

_FURTHEST = 20
"""A late or repeated delivery arrives at most this many orders later."""


@dataclass(frozen=True, kw_only=True)
class DeliveryFaults:
    """Shares of deliveries in per cent."""

    duplicated: int = 2
    late: int = 3
    lost: int = 4
    """Only polling the platform will find these orders."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One delivery reaching us, or not."""

    order: RawOrder
    repeat: bool = False
    """The same bytes came before."""
    lost: bool = False
    """It never arrived; listed where it should have been, so that a poller can be given it."""


def arrivals(orders: Iterable[RawOrder], seed: int, *, faults: DeliveryFaults | None = None) -> Iterator[Arrival]:
    """The deliveries of ``orders`` in the order in which they arrive; every order once, repeats beside it."""
    shares = faults or DeliveryFaults()
    random = Random(f"arrivals:{seed}")
    held: list[tuple[int, Arrival]] = []
    for place, order in enumerate(orders):
        drawn = random.randrange(100)
        if drawn < shares.lost:
            yield Arrival(order=order, lost=True)
        elif drawn < shares.lost + shares.late:
            held.append((place + random.randint(1, _FURTHEST), Arrival(order=order)))
        else:
            yield Arrival(order=order)
            if drawn < shares.lost + shares.late + shares.duplicated:
                held.append((place + random.randint(0, _FURTHEST), Arrival(order=order, repeat=True)))
        due = [arrival for release, arrival in held if release <= place]
        held = [entry for entry in held if entry[0] > place]
        yield from due
    yield from (arrival for _, arrival in held)
