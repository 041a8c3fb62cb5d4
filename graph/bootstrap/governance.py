"""The governance area: tapes of decisions and what is made of them."""

from dataclasses import dataclass

from graph.bootstrap.foundation import Foundation
from graph.order.candidates import code_digest
from graph.runtime.listening import Listener, Watch
from graph.runtime.publications import PoliciesInForce, PolicyBook
from graph.runtime.shadow_reports import ShadowReports
from graph.runtime.tape_keeper import TapeKeeper
from graph.runtime.tapes import TapeBook


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

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker runs for it."""
        return (Watch("tapes", self.keeper.run), Watch("policies", self.in_force.watch))

    @property
    def followers(self) -> tuple[Listener, ...]:
        """Who listens for it."""
        return ()


async def govern(base: Foundation) -> Governance:
    """Build the area, and read what is in force.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    tapes, policies = TapeBook(base.engine), PolicyBook(base.engine)
    in_force = PoliciesInForce(policies)
    await in_force.look()
    return Governance(
        tapes=tapes,
        keeper=TapeKeeper(base.bus, tapes, consumer=base.owner),
        reports=ShadowReports(base.engine, code=code_digest()),
        policies=policies,
        in_force=in_force,
    )
