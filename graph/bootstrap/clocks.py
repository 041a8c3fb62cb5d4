"""Builds the clocks that run against us on the foundation."""

from graph.bootstrap.foundation import Foundation
from graph.runtime.leases import Leadership
from graph.runtime.promise_clocks import RULES_FILE, PromiseClocks, read_rules


def build_clocks(base: Foundation) -> PromiseClocks:
    """The clocks by the shop's rules, or by those shipped.

    Raises:
        ConfigError: the file of rules is missing or wrong.
    """
    rules = read_rules(base.settings.clock_rules_file or RULES_FILE)
    lead = Leadership(base.store.batcher, base.keys, "clocks", base.owner, lease_ms=base.settings.lease_ms)
    return PromiseClocks(
        base.engine, base.store.journal, rules, lead=lead, clock=base.clock, metrics=base.store.metrics
    )
