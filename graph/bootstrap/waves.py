"""The pick waves, built from the foundation and the agents in force."""

from collections.abc import Mapping

from domain.ports import Agent
from graph.bootstrap.foundation import Foundation
from graph.order.release import ROUTE_AGENT
from graph.order.waves import PickWaves
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.leases import Leadership


def pick_waves(base: Foundation, agents: Mapping[str, Agent], switch: DegradedSwitch) -> PickWaves:
    """Watches over the pick waves; one process of all looks."""
    store = base.store
    lead = Leadership(store.batcher, base.keys, "waves", base.owner, lease_ms=base.settings.lease_ms)
    return PickWaves(store, base.systems.wms, agents.get(ROUTE_AGENT), lead=lead, switch=switch)
