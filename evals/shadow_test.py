"""A shadow test from end to end: which cases, both versions on all of them, the report and whether it passes.

The cases are tapes: neither version can reach anything outside, and a read that no tape has is an outcome.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, count
from time import perf_counter

from domain.decision import Decision
from domain.errors import NotFound
from evals.labelled import CASES, CaseSet, read_cases
from evals.shadow_gate import (
    Limits,
    actions_of,
    confidence_of,
    flips_of,
    gates_of,
    hard_of,
    labels_of,
    matrix_of,
    power_of,
    segments_of,
    side_of,
)
from evals.shadow_pairs import Case, Pair, Tell, compare, hard_cases, sampled_case
from evals.shadow_report import Sample, ShadowReport
from graph.order.candidates import code_digest, topology_with
from graph.order.replaying import MakeAgent, Replays, TapeDeck, said_digest
from graph.runtime.tapes import TapeBook, TapeQuery
from graph.topology.model import Workflow


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a shadow test."""

    tenant: str
    agent: str
    old_version: str
    new_version: str
    made_by: str
    at: datetime
    report_id: str
    workflow: Workflow


@dataclass(frozen=True, kw_only=True)
class Material:
    """The cases of one source, and the deck that can play them."""

    cases: Sequence[Case]
    deck: TapeDeck


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """The orders of a sample."""

    material: Material
    sample: Sample


def shipped_hard_set(agent: str) -> CaseSet | None:
    """The hard set that ships for an agent; None where there is none."""
    path = CASES / f"{agent}_hard.jsonl.gz"
    return read_cases(path) if path.exists() else None


def hard_material(found: CaseSet, make: MakeAgent) -> Material:
    """A hard set, ready to be played."""
    return Material(cases=hard_cases(found.cases), deck=TapeDeck(found.values, found.decisions, make=make))


async def last_orders(
    book: TapeBook, query: TapeQuery, labels: Mapping[str, tuple[str, ...]], make: MakeAgent
) -> Sampled:
    """The agent's last decisions in production, one for each order, with what they rested on then.

    An order whose document has been erased is left out and counted.
    """
    tapes = await book.last(query)
    recorded = await book.decisions(query.tenant, [tape.decision_id for tape in tapes])
    deck = await Replays(book).deck(tapes, make=make)
    cases, lost = [], 0
    for tape in tapes:
        try:
            case = sampled_case(deck, tape)
        except NotFound:
            lost += 1
            continue
        cases.append(_known(case, recorded.get(tape.decision_id), labels))
    note = []
    if len(cases) < query.limit:
        note.append(f"the audit holds {len(cases)} of the {query.limit} orders asked for, and these were used")
    if lost:
        note.append(f"{lost} orders were left out because their documents were erased")
    instants = [case.tape.asked_at for case in cases]
    sample = Sample(
        source="audit",
        asked=query.limit,
        found=len(cases),
        oldest=min(instants, default=None),
        newest=max(instants, default=None),
        note="; ".join(note),
    )
    return Sampled(material=Material(cases=cases, deck=deck), sample=sample)


def _known(case: Case, recorded: Decision | None, labels: Mapping[str, tuple[str, ...]]) -> Case:
    right = labels.get(case.order_id, ())
    label = "/".join(right)
    if recorded is None:
        return replace(case, right=right, label=label)
    return replace(
        case, right=right, label=label, recorded=said_digest(recorded), recorded_ms=recorded.processing_time_ms
    )


async def shadow_test(
    question: Question, sampled: Sampled, hard: Sequence[CaseSet], make: MakeAgent, tell: Tell
) -> ShadowReport:
    """Play every case of the sample and of the hard sets to both versions, and report.

    Raises:
        ConfigError: one of the versions does not exist.
    """
    started_s = perf_counter()
    materials = [sampled.material, *(hard_material(found, make) for found in hard)]
    done, total = count(1), sum(len(material.cases) for material in materials)
    pairs, *hard_pairs = [
        await compare(
            material.cases,
            material.deck,
            material.deck.agent(question.agent, question.old_version),
            material.deck.agent(question.agent, question.new_version),
            lambda: tell(next(done), total),
        )
        for material in materials
    ]
    return report_on(question, sampled.sample, pairs, list(chain(*hard_pairs)), hard, perf_counter() - started_s)


def report_on(
    question: Question,
    sample: Sample,
    pairs: list[Pair],
    hard_pairs: list[Pair],
    hard: Sequence[CaseSet],
    took_s: float,
) -> ShadowReport:
    """The report on pairs, whoever asked the versions."""
    both = pairs + hard_pairs
    actions, labels, segments = actions_of(both), labels_of(both), segments_of(both)
    old = side_of(question.old_version, both, lambda pair: pair.old)
    new = side_of(question.new_version, both, lambda pair: pair.new)
    in_hard = hard_of(hard_pairs, name=_joined(hard, "name"), digest=_joined(hard, "digest")) if hard else None
    found, statement = power_of(labels.n)
    return ShadowReport(
        report_id=question.report_id,
        made_at=question.at,
        made_by=question.made_by,
        tenant=question.tenant,
        agent=question.agent,
        old_version=question.old_version,
        new_version=question.new_version,
        topology=topology_with(question.workflow, question.agent, question.new_version),
        code=code_digest(),
        sample=sample.model_copy(update={"drifted": sum(_drifted(pair, question.old_version) for pair in pairs)}),
        hard=in_hard,
        actions=actions,
        matrix=matrix_of(both, actions),
        compared=len(both),
        flips=flips_of(both),
        reworded=sum(pair.reworded for pair in both),
        old=old,
        new=new,
        confidence=confidence_of(both),
        labels=labels,
        segments=segments,
        power=found,
        power_statement=statement,
        gates=gates_of(both, labels, segments, in_hard, old, new, _limits(question)),
        took_s=round(took_s, 3),
    )


def _joined(sets: Sequence[CaseSet], part: str) -> str:
    return "+".join(str(getattr(one, part)) for one in sets)


def _drifted(pair: Pair, old_version: str) -> bool:
    """Whether the old version does not say again what it said in production."""
    case = pair.case
    if not case.recorded or case.tape.fallback or case.tape.version != old_version:
        return False
    return pair.old.verdict is not None and said_digest(pair.old.verdict) != pair.case.recorded


def _limits(question: Question) -> Limits:
    known = {node.name: node for node in question.workflow.agents}
    node = known.get(question.agent)
    return Limits(timeout_ms=node.timeout_ms if node else None)
