"""Shadow tests as the command line and the routes run them: on a system's own orders or on generated ones, and kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from agents import SPECS, AgentPorts
from agents.published import replayed
from api.versions import VersionDesk, tested_version
from domain.decision import Decision
from domain.errors import ConfigError, InputError, NotFound
from domain.ids import TenantId
from domain.ports import Agent
from evals.labelled import CaseSet
from evals.segments import segment_of
from evals.shadow_pairs import Case, Tell
from evals.shadow_report import Sample, ShadowReport
from evals.shadow_test import Material, Question, Sampled, last_orders, shadow_test, shipped_hard_set
from evals.world_draft import Label
from evals.world_tapes import judged
from graph.bootstrap.system import Signalbox
from graph.order.replaying import MakeAgent, TapeDeck
from graph.runtime.shadow_reports import ReportRecord
from graph.runtime.tapes import TapeQuery

WORLD_SEED = 20261111
PER_HOUR = 200
_FRAUD = "fraud_detection"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One shadow test that is wanted."""

    tenant: TenantId
    agent: str
    old_version: str
    new_version: str
    last: int
    made_by: str
    world: int = 0
    """Generated orders instead of the system's own; 0 for the system's own."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hard: CaseSet | None = None
    """A hard set of your own, beside the shipped one: that one is never left out."""


async def run_test(box: Signalbox, wanted: Trial, tell: Tell) -> ShadowReport:
    """Run a shadow test and keep its report.

    Raises:
        InputError: there is no such version, or the hard set is another agent's.
        StoreUnavailable: the tapes cannot be read, or the report cannot be kept.
    """
    check(wanted)
    wanted, make = await _named(box, wanted)
    hard = [found for found in (shipped_hard_set(wanted.agent), wanted.hard) if found is not None]
    await box.governance.keeper.drain()
    await box.relay.drain()
    sampled = await (_generated if wanted.world else _own)(box, wanted, make)
    now = box.clock.now()
    question = Question(
        tenant=wanted.tenant,
        agent=wanted.agent,
        old_version=wanted.old_version,
        new_version=wanted.new_version,
        made_by=wanted.made_by,
        at=now,
        report_id=f"st-{box.clock.new_id()}",
        workflow=box.workflow,
    )
    report = await shadow_test(question, sampled, hard, make, tell)
    await box.governance.reports.keep(record_of(report))
    return report


def check(wanted: Trial) -> None:
    """Whether the test can be run at all.

    Raises:
        InputError: there is no such agent or version, or the hard set is another agent's.
    """
    known = sorted(version for name, version in SPECS if name == wanted.agent)
    if not known:
        raise InputError(
            f"there is no agent {wanted.agent}; known are {', '.join(sorted({name for name, _ in SPECS}))}"
        )
    for version in (wanted.old_version, wanted.new_version):
        if "+" in version:
            tested_version(wanted.agent, version)
        elif version not in known:
            raise InputError(f"there is no {wanted.agent} {version}; known are {', '.join(known)}")
    if wanted.hard is not None and wanted.hard.agent != wanted.agent:
        raise InputError(f"the hard set {wanted.hard.name} is for {wanted.hard.agent}, not for {wanted.agent}")


async def _named(box: Signalbox, wanted: Trial) -> tuple[Trial, MakeAgent]:
    """The trial with drafts under the names reports give them, and what builds its versions."""
    labels, makers = [], []
    for version in (wanted.old_version, wanted.new_version):
        if "+" not in version:
            labels.append(version)
            continue
        base, table, of_table = tested_version(wanted.agent, version)
        candidate = await VersionDesk(box).candidate(wanted.tenant, wanted.agent, table, of_table, base)
        labels.append(candidate.label)
        makers.append(candidate)

    def make(name: str, version: str, ports: AgentPorts) -> Agent:
        known = next((one for one in makers if one.label == version), None)
        return replayed(name, version, ports) if known is None else known.make(name, version, ports)

    return replace(wanted, old_version=labels[0], new_version=labels[1]), make


async def _own(box: Signalbox, wanted: Trial, make: MakeAgent) -> Sampled:
    query = TapeQuery(tenant=wanted.tenant, agent=wanted.agent, limit=wanted.last)
    return await last_orders(box.governance.tapes, query, wanted.labels, make)


async def _generated(box: Signalbox, wanted: Trial, make: MakeAgent) -> Sampled:
    """Generated orders: their labels are known by construction."""
    names = {node.name for node in box.workflow.agents}
    if wanted.agent not in names:
        raise ConfigError(f"the workflow does not ask {wanted.agent}, so no generated order has a tape of it")
    start = box.clock.now() - timedelta(hours=wanted.world / PER_HOUR)
    cases: list[Case] = []
    values: dict[str, str] = {}
    decisions: dict[str, Decision] = {}
    async for run, one in judged(box.workflow, wanted.world, seed=WORLD_SEED, start=start):
        tape = one.tapes[wanted.agent]
        values, label = run.values, one.raw.label
        decisions |= {known.decision_id: known for known in one.decisions.values()}
        right = label.expected if wanted.agent == _FRAUD and label in _ABOUT_FRAUD else ()
        cases.append(
            Case(
                case_id=tape.decision_id, order_id=tape.entity_id, segment=segment_of(one.order), tape=tape,
                label=label.value if right else "", right=wanted.labels.get(tape.entity_id, right),
            )
        )  # fmt: skip
    sample = Sample(
        source="generated world",
        asked=wanted.world,
        found=len(cases),
        oldest=min((case.tape.asked_at for case in cases), default=None),
        newest=max((case.tape.asked_at for case in cases), default=None),
    )
    return Sampled(material=Material(cases=cases, deck=TapeDeck(values, decisions, make=make)), sample=sample)


_ABOUT_FRAUD = frozenset(
    {
        Label.GOOD,
        Label.STOLEN_CARD_VELOCITY,
        Label.STOLEN_CARD_BIN,
        Label.STOLEN_CARD_CVV,
        Label.COD_REFUSER,
        Label.BIG_TICKET,
    }
)


def record_of(report: ShadowReport) -> ReportRecord:
    """The report as it is kept."""
    return ReportRecord(
        report_id=report.report_id,
        tenant=report.tenant,
        agent=report.agent,
        old_version=report.old_version,
        new_version=report.new_version,
        topology=report.topology,
        code=report.code,
        compared=report.compared,
        passed=report.passed,
        made_at=report.made_at,
        made_by=report.made_by,
        report=report.to_json(),
    )


async def kept_report(box: Signalbox, tenant: TenantId, report_id: str) -> ShadowReport:
    """A report that was kept.

    Raises:
        NotFound: there is none of this id in this tenant.
    """
    record = await box.governance.reports.find(tenant, report_id)
    try:
        return ShadowReport.from_json(record.report)
    except ValueError:
        raise NotFound(f"shadow report {report_id} was written by another release and cannot be shown here") from None
