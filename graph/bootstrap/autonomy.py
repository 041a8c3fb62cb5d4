"""The area of earned autonomy: what agents have earned, on which record, and who watches over it."""

from dataclasses import dataclass

from domain.autonomy import NoShadowGate, ShadowGate
from graph.bootstrap.foundation import Foundation
from graph.order.earning import Earning
from graph.order.threads import graph_version
from graph.runtime.autonomy_book import AutonomyBook
from graph.runtime.autonomy_counts import AutonomyCounts
from graph.runtime.autonomy_judge import AutonomyJudge
from graph.runtime.autonomy_ledger import SuggestionLedger
from graph.runtime.autonomy_listener import AutonomyListener
from graph.runtime.autonomy_watch import AutonomyWatch
from graph.runtime.calibration_book import CalibrationBook
from graph.runtime.leases import Leadership
from graph.runtime.listening import Listener, Watch
from graph.topology.model import Autonomy, Workflow


@dataclass(frozen=True, kw_only=True)
class EarnedAutonomy:
    """What commands, routes and workflows ask."""

    book: AutonomyBook
    ledger: SuggestionLedger
    judge: AutonomyJudge
    calibrations: CalibrationBook
    earning: Earning
    """For the order workflow."""
    listener: AutonomyListener
    watch: AutonomyWatch

    @property
    def followers(self) -> tuple[Listener, ...]:
        """Who listens for it."""
        return (self.listener,)

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker runs for it."""
        return (Watch("autonomy", self.watch.run),)


def earn(base: Foundation, workflow: Workflow, *, gate: ShadowGate | None = None) -> EarnedAutonomy:
    """Build the area; ``gate`` knows which versions passed the shadow test, without one none has."""
    store = base.store
    earning = frozenset(node.name for node in workflow.agents if node.mode is Autonomy.EARNED)
    book = AutonomyBook(store.batcher, base.keys, store.metrics)
    ledger, counts = SuggestionLedger(base.engine), AutonomyCounts(store.batcher, base.keys)
    judge = AutonomyJudge(
        book, ledger, counts, base.clock, gate=gate or NoShadowGate(), topology=graph_version(workflow)
    )  # fmt: skip
    leadership = Leadership(store.batcher, base.keys, "autonomy", base.owner, lease_ms=base.settings.lease_ms)
    return EarnedAutonomy(
        book=book,
        ledger=ledger,
        judge=judge,
        calibrations=CalibrationBook(base.engine, book, base.clock),
        earning=Earning(book, base.clock),
        listener=AutonomyListener(store.reviews, store.journal, base.audit, ledger, judge, counts, earning=earning),
        watch=AutonomyWatch(book, ledger, judge, leadership, earning=earning),
    )
