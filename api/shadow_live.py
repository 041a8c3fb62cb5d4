"""Candidates beside production: start, stop, how they do, and the same report as a shadow test's.

A live report is for people to read. A release rests on ``shadow-test`` alone, which has the hard set.
"""

from dataclasses import replace

from agents import SPECS
from api.services import Json
from domain.decision import Decision, Verdict
from domain.errors import Conflict, InputError, NotFound
from domain.ids import TenantId
from evals.shadow_pairs import Pair, sampled_case
from evals.shadow_report import Sample, ShadowReport
from evals.shadow_test import Question, report_on
from graph.bootstrap.system import Signalbox
from graph.order.replaying import Played, Replays
from graph.runtime.shadow_live import CandidateRecord, ShadowAnswer

MOST = 10_000


class LiveDesk:
    """What people do with candidates of one installation."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box
        self._book = box.governance.candidates

    async def start(self, tenant: TenantId, agent: str, version: str, *, by: str) -> CandidateRecord:
        """Let a version answer beside production from now on.

        Raises:
            InputError: there is no such version, or the workflow does not ask this agent.
            Conflict: it runs already, or is what production runs.
        """
        known = sorted(one for name, one in SPECS if name == agent)
        node = next((node for node in self._box.workflow.agents if node.name == agent), None)
        if version not in known or node is None:
            raise InputError(f"there is no {agent} {version} in this workflow; known are {', '.join(known) or 'none'}")
        if node.version == version:
            raise Conflict(f"{agent} {version} is what production runs")
        record = CandidateRecord(
            tenant=tenant, agent=agent, version=version, started_at=self._box.clock.now(), started_by=by
        )
        await self._book.start(record)
        return record

    async def stop(self, tenant: TenantId, agent: str, version: str, *, by: str) -> None:
        """Stop a version; what it said is kept.

        Raises:
            NotFound: it does not run.
        """
        await self._book.stop(tenant, agent, version, by=by, at=self._box.clock.now())

    async def status(self, tenant: TenantId) -> list[Json]:
        """Every candidate, with how often it agreed with production."""
        return [await self._standing(one) for one in await self._book.listed(tenant)]

    async def _standing(self, one: CandidateRecord) -> Json:
        pairs = await self._pairs(one, MOST)
        answered = [pair for pair in pairs if pair.new.verdict is not None]
        return {
            "agent": one.agent,
            "version": one.version,
            "running": one.stopped_at is None,
            "started_at": one.started_at.isoformat(),
            "started_by": one.started_by,
            "stopped_at": one.stopped_at.isoformat() if one.stopped_at else None,
            "asked": len(pairs),
            "answered": len(answered),
            "agreed": sum(not pair.flipped for pair in answered),
            "flipped": sum(pair.flipped for pair in answered),
            "newly_approved": sum(pair.newly_approved for pair in answered),
        }

    async def report(self, tenant: TenantId, agent: str, version: str, *, by: str, last: int) -> ShadowReport:
        """How the candidate compares with production on its last answers.

        Raises:
            NotFound: it never ran for this tenant.
        """
        record = next(
            (one for one in await self._book.listed(tenant) if (one.agent, one.version) == (agent, version)), None
        )
        if record is None:
            raise NotFound(f"{agent} {version} never ran beside production")
        pairs = await self._pairs(record, last)
        instants = [pair.case.tape.asked_at for pair in pairs]
        sample = Sample(
            source="live stream", asked=last, found=len(pairs), oldest=min(instants, default=None),
            newest=max(instants, default=None), note="not a release gate: no hard set is played live",
        )  # fmt: skip
        production = pairs[-1].case.tape.version if pairs else "production"
        question = Question(
            tenant=tenant, agent=agent, old_version=production, new_version=version, made_by=by,
            at=self._box.clock.now(), report_id=f"live-{self._box.clock.new_id()}", workflow=self._box.workflow,
        )  # fmt: skip
        return report_on(question, sample, pairs, [], [], 0.0)

    async def _pairs(self, one: CandidateRecord, limit: int) -> list[Pair]:
        """Production's decisions beside the candidate's, oldest first; what is not audited or was erased is left out."""
        answers = {a.decision_id: a for a in await self._book.answers(one.tenant, one.agent, one.version, limit=limit)}
        tapes = await self._box.governance.tapes.some(one.tenant, answers)
        decisions = await self._box.governance.tapes.decisions(one.tenant, answers)
        deck = await Replays(self._box.governance.tapes).deck(tapes)
        found = []
        for tape in tapes:
            decision = decisions.get(tape.decision_id)
            if decision is None:
                continue
            try:
                case = sampled_case(deck, tape)
            except NotFound:
                continue
            timed = replace(case, recorded_ms=decision.processing_time_ms)
            found.append(Pair(case=timed, old=_made(decision), new=_said(answers[tape.decision_id])))
        return found


def _made(decision: Decision) -> Played:
    kept = decision.model_dump(include=set(Verdict.model_fields) - {"versions"})
    return Played(verdict=Verdict.model_validate(kept), took_ms=float(decision.processing_time_ms))


def _said(answer: ShadowAnswer) -> Played:
    return Played(verdict=answer.verdict, missing=answer.missing, failure=answer.failure, took_ms=answer.took_ms)
