"""fraud_detection: rules to points to one of approve, review, hold, reject; marketplace orders only approve or review."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from agents.exchange import Exchange
from agents.fallbacks import manual_review_queue, undeclared
from agents.fraud_book import MemoryRiskBook
from agents.fraud_calibration import Calibration, CalibrationTable, shipped_calibration
from agents.fraud_degraded import (
    GATE,
    NO_RATE,
    Offer,
    PeakRuling,
    ReviewBudget,
    is_degraded,
    peak_ruling,
    reviews_per_hour,
)
from agents.fraud_policy import COST_GATE, TRUST, Policy, Ruling
from agents.fraud_reading import FraudReader
from agents.fraud_report import verdict_on
from agents.fraud_scoring import ACTIONS, Hit, Trace, counterfactual, evaluate
from agents.fraud_segments import Segments, ShippedSegments
from agents.fraud_signals import Signals, read_signals
from agents.fraud_table import FraudTable, shipped_table
from agents.fraud_thresholds import Thresholds, ThresholdSchedule, shipped_thresholds
from agents.reads import BUDGET
from agents.recording import recalled
from domain.decision import Verdict
from domain.ports import ActivityReads, AgentCase, CataloguePort, CustomerReads, RiskBookPort, SegmentPort


@dataclass(frozen=True, kw_only=True)
class Edition:
    """The tables one published version of the agent judges by."""

    version: str
    table: FraudTable
    calibration: CalibrationTable
    schedule: ThresholdSchedule

    def judging(self, at: datetime) -> Thresholds:
        """The thresholds in force at an instant."""
        return self.schedule.at(at)

    def trace(self, signals: Signals, *, degraded: bool = False) -> Trace:
        """Which rules fire, and what was measured."""
        return evaluate(signals, self.table, skipped=self.table.degraded_skips if degraded else ())

    def hits(self, signals: Signals) -> tuple[Hit, ...]:
        """What counts towards the score."""
        return self.trace(signals).hits


def rules_edition() -> Edition:
    """fd-1.0: the published rules with their published points."""
    return Edition(
        version="fd-1.0", table=shipped_table(), calibration=shipped_calibration(), schedule=shipped_thresholds()
    )


class FraudJudge:
    """Judges signals by one edition's tables. Pure, so that calibration and shadow tests run the very same code."""

    def __init__(self, edition: Edition) -> None:
        """Bind the tables together."""
        self.edition = edition
        calibration = Calibration(edition.calibration, version=edition.version, rules=edition.table.version)
        self.policy = Policy(edition.table, calibration)

    def judge(self, signals: Signals, *, at: datetime) -> Verdict:
        """The verdict under the full policy.

        Raises:
            ConfigError: no thresholds were in force at ``at``.
        """
        thresholds = self.edition.judging(at)
        trace = self.edition.trace(signals)
        ruling = self.policy.rule(trace.hits, signals, thresholds)

        def decide(hits: Sequence[Hit], without: Collection[str]) -> str:
            return self.policy.rule(hits, signals, thresholds, without=without).action

        flipping = counterfactual(trace.hits, _gates(signals), decide)
        return self._verdict(signals, trace, ruling, thresholds, flipping)

    def judge_degraded(self, signals: Signals, *, at: datetime, offer: Offer) -> tuple[Verdict, PeakRuling]:
        """The verdict under the simplified policy of peak days, and what the review budget should remember.

        Raises:
            ConfigError: no thresholds were in force at ``at``.
        """
        thresholds = self.edition.judging(at)
        trace = self.edition.trace(signals, degraded=True)

        def rule(hits: Sequence[Hit], without: Collection[str] = ()) -> tuple[Ruling, PeakRuling]:
            score, p_ppm, costs = self.policy.weigh(hits, signals, thresholds)
            peak = peak_ruling(
                hits, signals, score, costs, table=self.edition.table, terms=thresholds.degraded, offer=offer,
                without=without,
            )  # fmt: skip
            ruled = self.policy.settle(peak.severity, score, p_ppm, costs, signals=signals, thresholds=thresholds)
            return ruled, peak

        ruling, peak = rule(trace.hits)
        flipping = counterfactual(trace.hits, (GATE, NO_RATE), lambda hits, without: rule(hits, without)[0].action)
        return self._verdict(signals, trace, ruling, thresholds, flipping, peak), peak

    def _verdict(
        self,
        signals: Signals,
        trace: Trace,
        ruling: Ruling,
        thresholds: Thresholds,
        flipping: tuple[str, ...],
        peak: PeakRuling | None = None,
    ) -> Verdict:
        return verdict_on(
            signals,
            trace,
            ruling,
            table=self.edition.table,
            thresholds=thresholds,
            counterfactual=flipping,
            calibration_id=self.edition.calibration.calibration_id,
            peak=peak,
        )


class FraudDetection:
    """Reads about an order and has it judged; one instance serves many orders at once."""

    name = "fraud_detection"
    fallbacks = ("manual_review_queue",)

    def __init__(
        self,
        *,
        activity: ActivityReads,
        crm: CustomerReads,
        erp: CataloguePort,
        exchange: Exchange | None = None,
        book: RiskBookPort | None = None,
        segments: SegmentPort | Segments | None = None,
        edition: Edition | None = None,
    ) -> None:
        """``edition`` says which version this is; the published rules unless another is given."""
        self.judging = FraudJudge(edition or rules_edition())
        self.budget = ReviewBudget()
        self._reader = FraudReader(
            activity=activity,
            crm=crm,
            erp=erp,
            exchange=exchange or Exchange(erp),
            book=book or MemoryRiskBook(),
            segments=segments if isinstance(segments, Segments) else Segments(segments or ShippedSegments()),
        )

    @cached_property
    def version(self) -> str:
        """The published version (``fd-1.0``)."""
        return self.judging.edition.version

    async def decide(self, case: AgentCase) -> Verdict:
        """Score the order; simplified when the case says so.

        Raises:
            Transient: a count, the history, the catalogue or the rates could not be read.
            ConfigError: no thresholds were in force yet at the time of the case.
        """
        table = self.judging.edition.table
        if not is_degraded(case.hints):
            signals = read_signals(case.order, await self._reader.read(case, table), table)
            return self.judging.judge(signals, at=case.now)
        terms = self.judging.edition.judging(case.now).degraded
        signals = read_signals(case.order, await self._reader.read_quickly(case, table, terms), table)
        offer = recalled(BUDGET, self.budget.offer(case.now, reviews_per_hour(case.hints, terms)))
        verdict, peak = self.judging.judge_degraded(signals, at=case.now, offer=offer)
        asked = verdict.decision in {"review", "hold"}
        self.budget.note(case.now, peak.saved, asked=asked)
        return verdict

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``manual_review_queue``: a person decides.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        return manual_review_queue(self.name, why)


def _gates(signals: Signals) -> tuple[str, ...]:
    return (TRUST, COST_GATE) if signals.trusted is not None else (COST_GATE,)


__all__ = ["ACTIONS", "Edition", "FraudDetection", "FraudJudge", "rules_edition"]
