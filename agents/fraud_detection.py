"""fraud_detection: rules to points to one of approve, review, hold, reject; marketplace orders only approve or review."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from agents.fallbacks import manual_review_queue, undeclared
from agents.fraud_calibration import Calibration, CalibrationTable, Confidence, shipped_calibration
from agents.fraud_scoring import Hit, Judgement, Trace, counterfactual, evaluate, judge
from agents.fraud_signals import Signals, read_signals, telling_keys
from agents.fraud_table import FraudTable, shipped_table
from domain.decision import Outcome, Reason, Verdict
from domain.ids import Sku
from domain.ports import ActivityPort, AgentCase, CataloguePort, CustomerHistory, CustomerPort
from domain.values import Plain

OUTCOMES = {
    "approve": Outcome.PROCEED,
    "review": Outcome.REVIEW,
    "hold": Outcome.HOLD,
    "reject": Outcome.REJECT,
}
COUNTED = {
    "CARD_VELOCITY": ("card", "order"),
    "DEVICE_MULTI_ACCOUNT": ("device", "account"),
    "IP_VELOCITY": ("ip", "order"),
    "ADDRESS_MULTI_ACCOUNT": ("address", "account"),
}
"""Velocity rules: the activity key they count, and what is distinct in the count."""


class FraudDetection:
    """Scores an order by versioned rules; its confidence is the measured agreement of its action with the truth."""

    name = "fraud_detection"
    version = "fd-1.0"
    fallbacks = ("manual_review_queue",)

    def __init__(
        self,
        *,
        activity: ActivityPort,
        crm: CustomerPort,
        erp: CataloguePort,
        table: FraudTable | None = None,
        calibration: CalibrationTable | None = None,
    ) -> None:
        """Other tables than the shipped ones may be given, for shadow tests and tuning."""
        self._activity = activity
        self._crm = crm
        self._erp = erp
        self.table = table or shipped_table()
        self.calibration = Calibration(
            calibration or shipped_calibration(), version=self.version, thresholds=self.table.version
        )

    async def decide(self, case: AgentCase) -> Verdict:
        """Score the order.

        Raises:
            Transient: a count, the history or the catalogue could not be read.
        """
        order = case.order
        skus = sorted({line.sku for line in order.lines if line.sku})
        counts, history, products = await asyncio.gather(
            self._counts(case), self._history(case), self._erp.products([Sku(sku) for sku in skus])
        )
        signals = read_signals(order, history, dict(products), counts=counts, now=case.now, table=self.table)
        return self.judge(signals)

    def judge(self, signals: Signals) -> Verdict:
        """The verdict on signals alone: pure, so that calibration and shadow tests run the very same code."""
        trace = evaluate(signals, self.table)
        action, judgement, confidence = self._decide(trace.hits, signals)
        flipping = counterfactual(trace.hits, lambda hits: self._decide(hits, signals)[0])
        flags = tuple(
            flag
            for flag, raised in (
                ("platform_screened", signals.platform),
                ("precision_gate", action != judgement.action),
                ("uncalibrated", not confidence.calibrated),
            )
            if raised
        )
        return Verdict(
            decision=action,
            outcome=OUTCOMES[action],
            confidence=confidence.value,
            flags=flags,
            reasons=self._reasons(trace, judgement, action),
            counterfactual=flipping,
            facts=self._facts(trace, judgement, confidence),
            versions={
                "thresholds": self.table.version,
                "calibration": self.calibration.table.calibration_id,
            },
            inputs={"counts": dict(signals.counts), "first_order": signals.first_order, "known_bad": signals.known_bad},
        )

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``manual_review_queue``: a person decides.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        return manual_review_queue(self.name, why)

    async def _counts(self, case: AgentCase) -> dict[str, int]:
        keys = telling_keys(case.order, self.table)
        wanted = {code: key for code, (key, _) in COUNTED.items() if key in keys}
        counted = await asyncio.gather(
            *(
                self._activity.count(
                    tenant=case.order.tenant,
                    name=key,
                    value=keys[key],
                    since=case.now - timedelta(seconds=self.table.rules[code].limits["window_s"]),
                    distinct=COUNTED[code][1],
                )
                for code, key in wanted.items()
            )
        )
        return dict(zip(wanted, counted, strict=True))

    async def _history(self, case: AgentCase) -> CustomerHistory | None:
        customer_id = case.order.customer.customer_id
        return await self._crm.history(customer_id) if customer_id else None

    def _decide(self, hits: Sequence[Hit], signals: Signals) -> tuple[str, Judgement, Confidence]:
        judgement = judge(hits, self.table, platform=signals.platform)
        segment = "platform" if signals.platform else "direct"
        confidence = self.calibration.confidence(segment=segment, action=judgement.action, score=judgement.score)
        if judgement.action != "reject" or confidence.value >= self.table.reject_precision:
            return judgement.action, judgement, confidence
        return "hold", judgement, confidence

    def _reasons(self, trace: Trace, judgement: Judgement, action: str) -> tuple[Reason, ...]:
        points = dict(judgement.entries)
        reasons = [
            Reason(
                code=hit.code,
                text=f"{self.table.rules[hit.code].rule_id} {hit.code}: {hit.finding.value}",
                value=hit.finding.value,
                threshold=hit.finding.threshold,
                points=points[hit.code],
                evidence=hit.finding.evidence,
            )
            for hit in trace.hits
        ]
        thresholds = f"review {self.table.review}, hold {self.table.hold}, decline {self.table.decline}"
        summary = Reason(
            code="RISK_SCORE",
            text=f"score {judgement.score} means {action} under {self.table.version}",
            value=str(judgement.score),
            threshold=thresholds,
            evidence="facts.rules",
        )
        return (*reasons, summary)

    def _facts(self, trace: Trace, judgement: Judgement, confidence: Confidence) -> dict[str, Plain]:
        return {
            "score": judgement.score,
            "p_bad": confidence.p_bad,
            "rules": [{"code": code, "points": points} for code, points in judgement.entries],
            "not_evaluated": list(trace.not_evaluated),
            "thresholds_version": self.table.version,
            "calibration_id": self.calibration.table.calibration_id,
            "calibrated": confidence.calibrated,
        }
