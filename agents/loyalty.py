"""loyalty: points for a fulfilled order, once, and exactly those taken back when it is cancelled afterwards."""

from dataclasses import dataclass

from agents.fallbacks import retry_queue, undeclared
from domain.decision import Outcome, Proposal, Reason, Verdict
from domain.effect import EffectKind
from domain.ids import EffectKey
from domain.intent import PostLoyalty, ReverseLoyalty
from domain.order import OrderProgress
from domain.ports import AgentCase
from domain.values import Plain

PART = "award"
POSTED = EffectKind.POST_LOYALTY.value
CENTS = 100


@dataclass(frozen=True, kw_only=True)
class LoyaltyPolicy:
    """What an order earns."""

    version: str
    points_per_usd: int
    sure: float
    """Declared: arithmetic on a record."""


POLICY = LoyaltyPolicy(version="loyalty-2026-11-01", points_per_usd=1, sure=0.97)


class Loyalty:
    """One point per whole US-dollar equivalent; marketplaces run their own schemes."""

    name = "loyalty"
    version = "lo-1.0"
    fallbacks = ("retry_queue",)

    def __init__(self, *, policy: LoyaltyPolicy = POLICY) -> None:
        """Another policy than the shipped one may be given."""
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Propose a credit or its reversal for ``hints["progress"]`` and ``hints["usd_minor"]``."""
        progress, customer = case.hints.get("progress"), case.order.customer.customer_id
        if case.order.channel.marketplace or not customer:
            return self._verdict("not_eligible", "NO_MEMBER", "marketplace orders and guests collect no points")
        if progress == OrderProgress.FULFILLED:
            return self._award(case, customer)
        if progress == OrderProgress.CANCELLED:
            return self._reverse(case, customer)
        return self._verdict("nothing_to_post", "NO_CHANGE", f"{progress} neither earns nor loses points")

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``retry_queue``: posted later.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        return retry_queue(self.name, why)

    def _award(self, case: AgentCase, customer: str) -> Verdict:
        usd_minor = case.hints.get("usd_minor")
        if not isinstance(usd_minor, int) or isinstance(usd_minor, bool):
            return self._verdict("nothing_to_post", "NO_VALUE", "the order's US-dollar equivalent is not known")
        points = max(0, usd_minor) * self.policy.points_per_usd // CENTS
        if points == 0:
            return self._verdict("nothing_to_post", "NO_POINTS", "the order is worth less than one point")
        intent = PostLoyalty(order_id=case.order.order_id, customer_id=customer, points=points)
        proposal = Proposal(kind=EffectKind.POST_LOYALTY, part=PART, args=intent.model_dump(mode="json"))
        return self._verdict("award", "ORDER_FULFILLED", f"{points} points", proposal=proposal, points=points)

    def _reverse(self, case: AgentCase, customer: str) -> Verdict:
        earlier = case.decisions.get(self.name)
        if earlier is None or earlier.decision != "award":
            return self._verdict("nothing_to_reverse", "NOT_AWARDED", "no points were posted for this order")
        order, known = case.order, case.hints.get("loyalty_key")
        key = known if isinstance(known, str) else f"{order.tenant}/{order.order_id}/{POSTED}/{PART}/0"
        intent = ReverseLoyalty(order_id=case.order.order_id, customer_id=customer, loyalty_key=EffectKey(key))
        proposal = Proposal(kind=EffectKind.REVERSE_LOYALTY, part=PART, args=intent.model_dump(mode="json"))
        return self._verdict("reverse", "ORDER_CANCELLED", "the order's points are taken back", proposal=proposal)

    def _verdict(
        self, decision: str, code: str, text: str, *, proposal: Proposal | None = None, points: int = 0
    ) -> Verdict:
        facts: dict[str, Plain] = {"points": points, "thresholds_version": self.policy.version}
        return Verdict(
            decision=decision,
            outcome=Outcome.PROCEED,
            confidence=self.policy.sure,
            reasons=(Reason(code=code, text=text, value=str(points), evidence="hints.progress"),),
            proposals=(proposal,) if proposal else (),
            facts=facts,
        )
