"""Tier 3, built from the foundation and the agents in force: who follows the occasions, and who tells what waited."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.ports import Agent
from graph.bootstrap.foundation import Foundation
from graph.effects import Effects
from graph.order.followers import Follower
from graph.order.postponing import Postponed
from graph.order.taping import Tapes
from graph.runtime.degraded import DegradedSwitch
from graph.runtime.leases import Leadership
from graph.runtime.listening import Listener, Watch
from graph.runtime.notices import Notices
from graph.topology.model import Workflow


@dataclass(frozen=True, kw_only=True)
class Tier3:
    """The followers of one workflow; both are empty when it has no tier 3."""

    followers: tuple[Listener, ...] = ()
    postponed: Postponed | None = None
    """Tells what peak mode held back."""

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker runs for it."""
        return () if self.postponed is None else (Watch("notices", self.postponed.watch),)


def follow(
    base: Foundation, workflow: Workflow, agents: Mapping[str, Agent], effects: Effects, *, switch: DegradedSwitch,
    tapes: Tapes,
) -> Tier3:  # fmt: skip
    """Build the area."""
    if not workflow.tier_3:
        return Tier3()
    store, notices = base.store, Notices(base.store.batcher, base.keys)
    follower = Follower(workflow.tier_3, agents, store, effects, switch, tapes, notices)
    lead = Leadership(store.batcher, base.keys, "notices", base.owner, lease_ms=base.settings.lease_ms)
    return Tier3(followers=(follower,), postponed=Postponed(store, notices, follower, switch, lead=lead))
