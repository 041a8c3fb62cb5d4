"""Builds the review desk on the foundation: policy, service, clock."""

from dataclasses import dataclass

from graph.bootstrap.foundation import Foundation
from graph.order.reviewed import ReviewedOrders
from graph.runtime.cases import Cases
from graph.runtime.leases import Leadership
from graph.runtime.listening import Watch
from graph.runtime.orders import WORKFLOW
from graph.runtime.review_history import ReviewHistory
from graph.runtime.review_metrics import ReviewMetrics
from graph.runtime.review_policies import read_policy, shipped_policy
from graph.runtime.review_watch import ReviewWatch


@dataclass(frozen=True, kw_only=True)
class ReviewArea:
    """The desk's parts."""

    cases: Cases
    timer: ReviewWatch
    history: ReviewHistory

    @property
    def watch(self) -> Watch:
        """What a worker runs for the desk."""
        return Watch("reviews", self.timer.watch)


def build_reviews(base: Foundation) -> ReviewArea:
    """The review desk, deciding orders; other workflows register with ``cases``.

    Raises:
        ConfigError: the review policy file is missing or wrong.
    """
    store, file = base.store, base.settings.review_policy_file
    policy = read_policy(file) if file is not None else shipped_policy()
    instruments = ReviewMetrics(store.metrics.registry)
    cases = Cases(
        store.reviews, store.journal, policy, clock=base.clock, metrics=store.metrics, instruments=instruments
    )
    cases.register(WORKFLOW, ReviewedOrders(store.orders))
    lead = Leadership(store.batcher, base.keys, "reviews", base.owner, lease_ms=base.settings.lease_ms)
    timer = ReviewWatch(cases, store.reviews, lead=lead, clock=base.clock, metrics=store.metrics)
    return ReviewArea(cases=cases, timer=timer, history=ReviewHistory(base.engine, policy.reviewing))
