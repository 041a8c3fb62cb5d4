"""What is measured on our own orders for the agents that judge the next ones."""

from dataclasses import dataclass

from graph.bootstrap.foundation import Foundation
from graph.order.measuring import Measuring
from graph.runtime.consignments import Consignments
from graph.runtime.demand_book import DemandBook
from graph.runtime.listening import Listener, Watch


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Counts and rates, and what keeps them."""

    consignees: Consignments
    """What each consignee was sent across the border."""
    demand: DemandBook
    """How fast SKUs sell."""
    followers: tuple[Listener, ...]
    watches: tuple[Watch, ...]


def measure(base: Foundation) -> Measures:
    """Build the area."""
    consignees = Consignments(base.store.batcher, base.keys)
    demand = DemandBook(base.store.batcher, base.keys, base.clock)
    return Measures(
        consignees=consignees,
        demand=demand,
        followers=(Measuring(base.store, consignees, demand, base.systems.wms),),
        watches=(Watch("demand", demand.watch),),
    )
