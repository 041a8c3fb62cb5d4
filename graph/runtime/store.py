"""The working store: everything the runtime keeps in Redis, built together over one batcher."""

from dataclasses import dataclass
from typing import Self

from graph.runtime.activity import Activity
from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher
from graph.runtime.intake import Intake
from graph.runtime.journal import Journal
from graph.runtime.keys import Keyspace
from graph.runtime.leases import LEASE_MS, Leases
from graph.runtime.ledger import EffectLedger
from graph.runtime.metrics import Metrics
from graph.runtime.orders import OrderBook
from graph.runtime.reviews import ReviewDesk


@dataclass(frozen=True, kw_only=True)
class Store:
    """One process's access to the working store."""

    batcher: Batcher
    keys: Keyspace
    clock: Clock
    metrics: Metrics
    intake: Intake
    journal: Journal
    orders: OrderBook
    leases: Leases
    ledger: EffectLedger
    reviews: ReviewDesk
    activity: Activity
    checkpointer: RedisCheckpointer

    @classmethod
    def over(cls, batcher: Batcher, keys: Keyspace, clock: Clock, *, owner: str, lease_ms: int = LEASE_MS) -> Self:
        """Build every part; ``owner`` names this process among all that share the store."""
        return cls(
            batcher=batcher,
            keys=keys,
            clock=clock,
            metrics=Metrics(),
            intake=Intake(batcher, keys, clock),
            journal=Journal(batcher, keys),
            orders=OrderBook(batcher, keys),
            leases=Leases(batcher, keys, owner=owner, lease_ms=lease_ms),
            ledger=EffectLedger(batcher, keys),
            reviews=ReviewDesk(batcher, keys),
            activity=Activity(batcher, keys),
            checkpointer=RedisCheckpointer(batcher, keys),
        )
