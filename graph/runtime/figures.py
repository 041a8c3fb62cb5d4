"""Figures that are read from the stores, not counted in passing: stuck orders, funnel, dead letters, feeds, budgets.

One worker of all shows them; the others show nothing, so that a sum over processes is right.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from itertools import groupby

import structlog
from prometheus_client import CollectorRegistry

from domain.errors import StoreUnavailable
from domain.flow import PERSON, Expected
from domain.inventory import FeedState
from graph.runtime import metric_names as names
from graph.runtime.clock import Clock
from graph.runtime.connection import Batcher
from graph.runtime.keys import STATE_TTL_S, Keyspace
from graph.runtime.leases import Leadership
from graph.runtime.order_flow import OrderFlow
from graph.runtime.stock_feed import StockFeed

log = structlog.get_logger(__name__)

EVERY_S = 15.0
LOOK_BACK = timedelta(seconds=STATE_TTL_S)
FUNNEL_OF = timedelta(hours=1)

Budgets = Callable[[], Awaitable[dict[str, float]]]
"""By agent: the share of the day's model budget that is spent."""


class Figures:
    """Shows the figures in the metrics of the process that leads."""

    def __init__(
        self, registry: CollectorRegistry, clock: Clock, lead: Leadership, *, flow: OrderFlow, expected: Expected,
        feed: StockFeed, store: tuple[Batcher, Keyspace], budgets: Budgets,
    ) -> None:  # fmt: skip
        """``flow`` is this watch's own; all else is shared."""
        self._clock = clock
        self._lead = lead
        self._flow = flow
        self._expected = expected
        self._feed = feed
        self._redis, self._keys = store
        self._budgets = budgets
        self._stuck = names.STUCK.gauge(registry)
        self._open = names.OPEN.gauge(registry)
        self._late = names.LATE_PERSON.gauge(registry)
        self._funnel = names.FUNNEL.gauge(registry)
        self._dead = names.DEAD_LETTERS.gauge(registry)
        self._age = names.FEED_AGE.gauge(registry)
        self._state = names.FEED_STATE.gauge(registry)
        self._budget = names.LLM_BUDGET.gauge(registry)

    async def run(self, stop: asyncio.Event) -> None:
        """Show them every ``EVERY_S`` until ``stop`` is set."""
        while not stop.is_set():
            try:
                if await self._lead.lead():
                    await self.show()
                else:
                    self.forget()
            except StoreUnavailable as away:
                log.warning("figures.not_now", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await stop.wait()
        with suppress(StoreUnavailable):
            await self._lead.resign()

    async def show(self) -> None:
        """Read the stores and show what they say.

        Raises:
            StoreUnavailable: a store does not answer.
        """
        await self._orders()
        shards = range(self._keys.shards)
        self._dead.set(sum([await self._redis.execute("XLEN", self._keys.dead_letters(shard)) for shard in shards]))
        await self._feeds()
        self._budget.clear()
        for agent, share in (await self._budgets()).items():
            self._budget.labels(agent).set(share)

    async def _orders(self) -> None:
        now = self._clock.now()
        await self._flow.refresh(since=now - LOOK_BACK)
        flow = self._flow.flow
        flow.forget(accepted_before=now - FUNNEL_OF)
        late = sorted(flow.late(now, self._expected), key=lambda one: one.stage)
        by_stage = {stage: len(list(found)) for stage, found in groupby(late, key=lambda one: one.stage)}
        self._late.set(by_stage.pop(PERSON, 0))
        standing = flow.standing()
        for stage in {*self._expected.seconds, *standing, *by_stage}:
            self._open.labels(stage).set(standing.get(stage, 0))
            if stage != PERSON:
                self._stuck.labels(stage).set(by_stage.get(stage, 0))
        for stage, outcomes in flow.funnel(since=now - FUNNEL_OF):
            for outcome, count in outcomes.items():
                self._funnel.labels(stage, outcome.value).set(count)

    async def _feeds(self) -> None:
        now = self._clock.now()
        await self._feed.refresh()
        states = self._feed.states(now)
        self._age.clear()
        self._state.clear()
        for warehouse, known in self._feed.feeds.items():
            self._age.labels(warehouse).set(max(0.0, (now - known.newest).total_seconds()))
            for state in FeedState:
                self._state.labels(warehouse, state.value).set(states.get(warehouse) is state)

    def forget(self) -> None:
        """Show nothing: another process does."""
        for gauge in (self._stuck, self._open, self._funnel, self._age, self._state, self._budget):
            gauge.clear()
        self._late.set(0)
        self._dead.set(0)
