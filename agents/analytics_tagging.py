"""analytics_tagging: the tags every finished order gets, made of our own records only."""

from bisect import bisect_right
from dataclasses import dataclass

from agents.fallbacks import retry_queue, undeclared
from agents.precedents import route_plan
from domain.decision import Outcome, Proposal, Reason, Verdict
from domain.effect import EffectKind
from domain.intent import TagOrder
from domain.ports import AgentCase

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class TagPolicy:
    """The value bands, by their lower ends in whole US dollars."""

    version: str
    band_starts_usd: tuple[int, ...]
    sure: float
    """Declared: a look-up."""


POLICY = TagPolicy(version="tags-2026-11-01", band_starts_usd=(0, 25, 50, 100, 200, 500, 1000), sure=0.97)


class AnalyticsTagging:
    """Tags an order with channel, market, value band, outcome and what the agents said."""

    name = "analytics_tagging"
    version = "at-1.0"
    fallbacks = ("retry_queue",)

    def __init__(self, *, policy: TagPolicy = POLICY) -> None:
        """Another policy than the shipped one may be given."""
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Propose the tags; the last set wins, so repeats are harmless."""
        progress = str(case.hints.get("progress") or UNKNOWN)
        tags = self._tags(case, progress)
        intent = TagOrder(order_id=case.order.order_id, tags=tags)
        return Verdict(
            decision="tag",
            outcome=Outcome.PROCEED,
            confidence=self.policy.sure,
            reasons=(Reason(code="ORDER_FINISHED", text=f"the order is {progress}", evidence="hints.progress"),),
            proposals=(Proposal(kind=EffectKind.TAG_ORDER, part=progress, args=intent.model_dump(mode="json")),),
            facts={"tags": list(tags), "thresholds_version": self.policy.version},
        )

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``retry_queue``: tagged later.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        return retry_queue(self.name, why)

    def _tags(self, case: AgentCase, progress: str) -> tuple[str, ...]:
        order = case.order
        plan = route_plan(case.decisions)
        fraud = case.decisions.get("fraud_detection")
        return (
            f"channel:{order.channel.value}",
            f"market:{order.ship_to.country or UNKNOWN}",
            f"value_usd:{self._band(case.hints.get('usd_minor'))}",
            f"outcome:{progress}",
            f"payment:{order.payment.method.value}",
            f"risk:{fraud.decision if fraud else UNKNOWN}",
            f"parcels:{len(plan.parcels) if plan else 0}",
        )

    def _band(self, usd_minor: object) -> str:
        if not isinstance(usd_minor, int) or usd_minor < 0:
            return UNKNOWN
        starts = self.policy.band_starts_usd
        index = bisect_right(starts, usd_minor // 100) - 1
        return f"{starts[index]}-{starts[index + 1]}" if index + 1 < len(starts) else f"{starts[index]}+"
