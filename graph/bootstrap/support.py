"""The support area: the context graph over the connected systems."""

from dataclasses import dataclass
from pathlib import Path

from agents.support_returns import shipped_table
from graph.bootstrap.foundation import Foundation
from graph.runtime.support_book import SupportBook
from graph.support.asking import Asking
from graph.support.assembly import Consolidation
from graph.support.desk import SupportDesk
from graph.support.nodes import SupportSources
from graph.support.own_orders import OwnState
from graph.topology.catalogue import check
from graph.topology.loader import load
from graph.topology.model import Workflow
from graph.topology.problems import TopologyError

WORKFLOW = "support_workflow"
SHIPPED_FILE = Path(__file__).parents[1] / "support" / "support.yaml"


@dataclass(frozen=True, kw_only=True)
class SupportArea:
    """The support desk's parts."""

    desk: SupportDesk
    book: SupportBook
    workflow: Workflow


def build_support(base: Foundation) -> SupportArea:
    """The support desk over the systems of the foundation.

    Raises:
        TopologyError: the support file is wrong; every problem with file and line.
        ConfigError: the table of return rules is wrong.
    """
    topology = load(SHIPPED_FILE)
    problems = check(topology, SupportSources())
    if problems:
        raise TopologyError(problems)
    workflow = topology.workflow(WORKFLOW)
    asking = Asking(base.systems, OwnState(base.store), base.clock)
    desk = SupportDesk(workflow, asking, Consolidation(shipped_table()), base.clock)
    return SupportArea(desk=desk, book=SupportBook(base.engine), workflow=workflow)
