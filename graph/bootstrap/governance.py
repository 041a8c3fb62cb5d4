"""The governance area: tapes of decisions and what is made of them."""

from dataclasses import dataclass

from graph.bootstrap.foundation import Foundation
from graph.order.candidates import code_digest
from graph.runtime.listening import Listener, Watch
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

    @property
    def watches(self) -> tuple[Watch, ...]:
        """What a worker runs for it."""
        return (Watch("tapes", self.keeper.run),)

    @property
    def followers(self) -> tuple[Listener, ...]:
        """Who listens for it."""
        return ()


def govern(base: Foundation) -> Governance:
    """Build the area."""
    tapes = TapeBook(base.engine)
    return Governance(
        tapes=tapes,
        keeper=TapeKeeper(base.bus, tapes, consumer=base.owner),
        reports=ShadowReports(base.engine, code=code_digest()),
    )
