"""Rules promoted from confirmed model answers, as agents meet them: asked first, free, and said so among the reasons."""

from collections.abc import Mapping, Sequence

from domain.decision import Reason
from domain.errors import StoreUnavailable
from domain.ports import RulePort
from domain.promoted_rule import PromotedRule, first_match
from domain.values import Plain


class NoRules:
    """Where nobody keeps promoted rules."""

    async def adopted(self, tenant: str, agent: str) -> Sequence[PromotedRule]:
        """None."""
        return ()


async def adopted_rule(port: RulePort, tenant: str, agent: str, features: Mapping[str, Plain]) -> PromotedRule | None:
    """The adopted rule that answers a case; None when there is none, or nobody can say now."""
    try:
        return first_match(await port.adopted(tenant, agent), features)
    except StoreUnavailable:
        return None


def rule_reason(rule: PromotedRule) -> Reason:
    """Why nobody was asked."""
    named = " and ".join(f"{one.feature} is {one.equals}" for one in rule.conditions)
    return Reason(
        code="PROMOTED_RULE",
        text=f"{named}: people agreed with {rule.answer} in {rule.agreed} of {rule.cases} such cases; no model was asked",
        value=rule.answer,
        threshold=f"precision above {rule.bound}",
        points=0,
        evidence=f"rule:{rule.rule_id}#{rule.version}",
    )
