"""The governance area: tapes of decisions and what is made of them."""

from dataclasses import dataclass

from domain.errors import ConfigError
from graph.bootstrap.foundation import Foundation
from graph.bootstrap.settings import ORDER_TOPOLOGY, Settings
from graph.order.candidates import code_digest
from graph.order.shadow_live import LiveShadow
from graph.order.threads import graph_version
from graph.runtime.listening import Listener, Watch
from graph.runtime.publications import PoliciesInForce, PolicyBook
from graph.runtime.shadow_live import CandidateBook
from graph.runtime.shadow_reports import ShadowReports
from graph.runtime.tape_keeper import TapeKeeper
from graph.runtime.tapes import TapeBook
from graph.topology.loader import load
from graph.topology.model import Workflow


@dataclass(frozen=True, kw_only=True)
class Governance:
    """What replays, shadow tests and publications work with."""

    tapes: TapeBook
    """What every decision rested on."""
    keeper: TapeKeeper
    """Brings the tapes of the journal into the book."""

    reports: ShadowReports
    """Shadow reports; knows which versions passed."""

    policies: PolicyBook
    """Drafts and publications of the tables agents decide by."""
    in_force: PoliciesInForce
    """What of them holds now."""

    candidates: CandidateBook
    """Versions beside production, and what they said."""
    live: LiveShadow
    """Lets them answer."""

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker runs for it."""
        return (
            Watch("tapes", self.keeper.run),
            Watch("policies", self.in_force.watch),
            Watch("shadow", self.live.watch),
        )

    @property
    def followers(self) -> tuple[Listener, ...]:
        """Who listens for it."""
        return (self.live,)


async def require_proof(settings: Settings, reports: ShadowReports, workflow: Workflow) -> None:
    """Whether every agent of a workflow may run, where that is asked for.

    Raises:
        ConfigError: a version neither ships in the workflow nor has passed its shadow test in it.
    """
    if not settings.require_shadow_report:
        return
    shipped = {(node.name, node.version) for node in load(ORDER_TOPOLOGY).workflow(workflow.name).agents}
    for node in workflow.agents:
        proven = (node.name, node.version) in shipped
        if not proven and not await reports.passed(
            agent=node.name, version=node.version, topology=graph_version(workflow)
        ):
            raise ConfigError(
                f"{workflow.source}:{node.line_of('version')}: {node.name} {node.version} has no passing shadow report "
                "in this workflow; run shadow-test, or unset SIGNALBOX_REQUIRE_SHADOW_REPORT"
            )


async def govern(base: Foundation, workflow: Workflow) -> Governance:
    """Build the area, and read what is in force.

    Raises:
        ConfigError: a version of the workflow is not proven, and that is asked for.
        StoreUnavailable: the database does not answer.
    """
    tapes, policies = TapeBook(base.engine), PolicyBook(base.engine)
    in_force, candidates = PoliciesInForce(policies), CandidateBook(base.engine)
    live = LiveShadow(candidates, tapes, base.clock)
    await live.look()
    await in_force.look()
    reports = ShadowReports(base.engine, code=code_digest())
    await require_proof(base.settings, reports, workflow)
    return Governance(
        tapes=tapes,
        keeper=TapeKeeper(base.bus, tapes, consumer=base.owner),
        reports=reports,
        policies=policies,
        in_force=in_force,
        candidates=candidates,
        live=live,
    )
