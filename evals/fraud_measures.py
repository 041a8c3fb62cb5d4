"""Measures of a fraud agent on labelled orders: what its decisions cost, how well its probabilities hold, what it finds."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from agents.fraud_calibration import Calibration
from agents.fraud_costs import MILLION, expected_costs
from agents.fraud_detection import Edition
from agents.fraud_policy import Policy
from agents.fraud_signals import Signals
from agents.fraud_thresholds import CostTerms, Thresholds
from evals.fraud_fitting import isotonic
from evals.fraud_labels import LabelledOrder

BINS = 10
SINGLE_GATE = 0.7
Case = tuple[LabelledOrder, bool]
Chooser = Callable[[Signals], str]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What a policy finds and whom it bothers."""

    recall: float
    """Bad orders not approved, of all bad ones."""
    false_flags: float
    """Good orders not approved, of all good ones."""
    flagged: float
    """Orders not approved, of all."""


class Ruler:
    """One edition's probability and decision for signals, without building verdicts."""

    def __init__(self, edition: Edition, thresholds: Thresholds) -> None:
        """Bind the edition's tables."""
        self._edition = edition
        self._thresholds = thresholds
        calibration = Calibration(edition.calibration, version=edition.version, rules=edition.table.version)
        self._policy = Policy(edition.table, calibration)

    def p_ppm(self, signals: Signals, *, shift: int = 0) -> int:
        """Probability of being bad in millionths; ``shift`` points are added to the score first."""
        score, p_ppm, _ = self._policy.weigh(self._edition.hits(signals), signals, self._thresholds)
        if not shift:
            return p_ppm
        segment = "platform" if signals.platform else "direct"
        return self._policy.calibration.p_ppm(segment, score.points + shift)

    def action(self, signals: Signals) -> str:
        """The agent's own decision."""
        return self._policy.rule(self._edition.hits(signals), signals, self._thresholds).action

    def cheapest(self, signals: Signals) -> str:
        """The action of least expected cost, whatever the thresholds say."""
        p_ppm, cents = self.p_ppm(signals), signals.usd_cents or 0
        return expected_costs(p_ppm=p_ppm, amount_cents=cents, terms=self._thresholds.costs).cheapest

    def single_gate(self, signals: Signals) -> str:
        """The policy to beat: act when ``max(p, 1 - p)`` is 0.7 or more, else ask."""
        p = self.p_ppm(signals) / MILLION
        if max(p, 1 - p) < SINGLE_GATE:
            return "review"
        return "approve" if p < 0.5 else "reject"


def cost_per_order(cases: Sequence[Case], choose: Chooser, terms: CostTerms) -> float:
    """US cents per order that the choices really cost, reviewers' mistakes included in the mean."""
    spent = 0
    for order, bad in cases:
        amount, action = order.signals.usd_cents or 0, choose(order.signals)
        loss = amount + terms.chargeback_fee if bad else amount * terms.margin_percent // 100 + terms.lost_customer
        if action in {"review", "hold"}:
            spent += terms.review * 100 + loss * (100 - terms.reviewer_accuracy_percent)
        elif (action == "approve") is bad:
            spent += loss * 100
    return spent / 100 / max(1, len(cases))


def detection(cases: Sequence[Case], choose: Chooser) -> Detection:
    """Recall and false flags of a policy."""
    flagged = [(choose(order.signals) != "approve", bad) for order, bad in cases]
    bads = [flag for flag, bad in flagged if bad]
    goods = [flag for flag, bad in flagged if not bad]
    return Detection(
        recall=sum(bads) / max(1, len(bads)),
        false_flags=sum(goods) / max(1, len(goods)),
        flagged=(sum(bads) + sum(goods)) / max(1, len(flagged)),
    )


def calibration_error(probabilities: Sequence[float], bads: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error in bins of equal mass: mean distance between said and seen, weighted by bin."""
    ranked = sorted(zip(probabilities, bads, strict=True))
    size, error = len(ranked), 0.0
    for place in range(bins):
        part = ranked[size * place // bins : size * (place + 1) // bins]
        error += abs(sum(p for p, _ in part) - sum(bad for _, bad in part))
    return error / max(1, size)


def pass_mark(p_ppms: Sequence[int], bads: Sequence[bool], *, seed: int, rounds: int = 300, percent: int = 95) -> float:
    """The calibration error that an agent of the same ranking stays under so often when its probabilities are right.

    Right are the probabilities that fit the labels themselves best in the agent's own order (isotonic): taking the
    agent's word for them would let an agent that says more than there is grant itself more room.
    """
    random = Random(seed)
    fitted = isotonic(zip(p_ppms, bads, strict=True))
    right = [fitted[bisect_right(fitted, p, key=lambda step: step[0]) - 1][1] / MILLION for p in p_ppms]
    drawn = sorted(calibration_error(right, [random.random() < p for p in right]) for _ in range(rounds))
    return drawn[rounds * percent // 100]


def recall_at(scores: Sequence[float], bads: Sequence[bool], share: float) -> float:
    """The share of bad cases among the ``share`` of cases with the highest scores."""
    ranked = sorted(range(len(scores)), key=lambda place: -scores[place])
    top = ranked[: round(len(scores) * share)]
    return sum(bads[place] for place in top) / max(1, sum(bads))
