"""fraud_detection fd-2.0: the rules of fd-1.0, and in the grey zone of their score a model's opinion on the free text.

The opinion is words from a fixed list about text from strangers. It may raise the severity, never lower it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from agents.fraud_detection import FraudDetection
from agents.fraud_report import OUTCOMES
from agents.model_samples import Sampled, Support, sample
from agents.promoted import adopted_rule, rule_reason
from agents.second_opinion_features import features_of
from agents.text_signs import shipped_signs
from domain.decision import Outcome, Reason, Verdict
from domain.language import LanguageRequest, Personal, PersonalKind
from domain.order import Order
from domain.ports import AgentCase, LanguagePort, RulePort
from domain.promoted_rule import PromotedRule
from domain.values import Document, Plain

TERMS_FILE = Path(__file__).with_name("second_opinion.yaml")
PROMPT = "fraud_second_opinion"
CODE = "SECOND_OPINION"
CONCERN = "concern"
_RAISED = {"approve": "review", "review": "hold"}
_GOODS_SHOWN = 20


class Grey(Document):
    """The zone of scores in which the text can make a difference."""

    since: int = Field(alias="from")
    below: int


class Hold(Document):
    """What it takes to hold an order."""

    agreement_percent: int
    samples: int


class Terms(Document):
    """When the model is asked, and what its concern may lead to."""

    version: str
    grey: Grey
    hold: Hold
    budget_ms: int = Field(gt=0)


@cache
def shipped_terms() -> Terms:
    """The terms that ship."""
    return Terms.model_validate(yaml.safe_load(TERMS_FILE.read_text(encoding="utf-8")))


class FraudSecondOpinion:
    """Decides as the rules do, and lets a model look at the text where that could matter."""

    name = FraudDetection.name
    version = "fd-2.0"
    fallbacks = FraudDetection.fallbacks

    def __init__(
        self, rules: FraudDetection, language: LanguagePort, adopted: RulePort, *, terms: Terms | None = None
    ) -> None:
        """``rules`` is the rule version it rests on; ``adopted`` are rules promoted from earlier opinions."""
        self._rules = rules
        self._language = language
        self._adopted = adopted
        self.terms = terms or shipped_terms()

    async def decide(self, case: AgentCase) -> Verdict:
        """The rules' verdict, raised where the text gives reason.

        Raises:
            Transient: what the rules read could not be read.
            ConfigError: no thresholds were in force yet at the time of the case.
        """
        base = await self._rules.decide(case)
        if not self.grey(base):
            return base
        features = features_of(case.order, base)
        base = _marked(base, case.order, features)
        rule = await adopted_rule(self._adopted, case.order.tenant, self.name, features)
        if rule is not None:
            return _by_rule(base, rule)
        asked = await sample(
            self._language,
            _question(case, base),
            key=lambda data: str(data["opinion"]),
            check=faults,
            usd_cents=_cents(base),
            inconclusive=lambda data: data["opinion"] == "unsure",
            budget_s=self.terms.budget_ms / 1000,
        )
        return _with_opinion(base, asked, self.terms)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """As the rule version's.

        Raises:
            ConfigError: another fallback is named.
        """
        return self._rules.fallback(name, case, why)

    def grey(self, base: Verdict) -> bool:
        """Whether the text could matter: an open score, nobody vouches for the customer, and no peak."""
        score = base.facts.get("score")
        if base.decision not in _RAISED or "trusted" in base.flags or "degraded" in base.flags:
            return False
        return isinstance(score, int) and self.terms.grey.since <= score < self.terms.grey.below


def faults(data: Mapping[str, Any]) -> Sequence[str]:
    """What makes an opinion unusable though it fits the schema."""
    found = []
    if (data["opinion"] == CONCERN) != bool(data["signs"]) and data["opinion"] != "unsure":
        found.append("$.signs must name at least one sign with a concern, and none without")
    if (data["where"] == "none") != (not data["signs"]):
        found.append("$.where must name a text when there is a sign, and none otherwise")
    return found


def _question(case: AgentCase, base: Verdict) -> LanguageRequest:
    order, place = case.order, case.order.ship_to
    facts: dict[str, Plain] = {
        "channel": order.channel.value,
        "ships_to": place.country,
        "payment": order.payment.method.value,
        "lines": len(order.lines),
        "rules_that_fired": [reason.code for reason in base.reasons if (reason.points or 0) > 0],
    }
    return LanguageRequest(
        agent=FraudSecondOpinion.name,
        prompt=PROMPT,
        tenant=order.tenant,
        entity_type="order",
        entity_id=order.order_id,
        locale="en",
        trusted={"facts": facts},
        untrusted={
            "note": order.note,
            "address": "\n".join(filter(None, (place.line1, place.line2))),
            "goods": "\n".join(line.title for line in order.lines[:_GOODS_SHOWN]),
        },
        personal=_personal(order),
    )


def _personal(order: Order) -> tuple[Personal, ...]:
    """Everything personal on the order but the address lines, which are what is judged."""
    places = [place for place in (order.ship_to, order.bill_to) if place is not None]
    named = {
        PersonalKind.NAME: [order.customer.name, *(place.name for place in places)],
        PersonalKind.EMAIL: [order.customer.email],
        PersonalKind.PHONE: [order.customer.phone, *(place.phone for place in places)],
        PersonalKind.COMPANY: [place.company for place in places],
        PersonalKind.CUSTOMER_ID: [order.customer.customer_id],
    }
    return tuple(
        Personal(kind=kind, value=value) for kind, values in named.items() for value in dict.fromkeys(values) if value
    )


def _cents(base: Verdict) -> int | None:
    value = base.inputs.get("usd_cents")
    return value if isinstance(value, int) else None


def _marked(base: Verdict, order: Order, features: dict[str, Plain]) -> Verdict:
    """The verdict with the features of the case, and a mark where the text talks to a program."""
    texts = (order.note, order.ship_to.line1, order.ship_to.line2, *(line.title for line in order.lines))
    update: dict[str, Any] = {"facts": {**base.facts, "features": features}}
    if any(shipped_signs().addresses_machine(text) for text in texts):
        update["flags"] = (*base.flags, "instructions_in_text")
    return base.model_copy(update=update)


def _with_opinion(base: Verdict, asked: Sampled, terms: Terms) -> Verdict:
    update: dict[str, Any] = {
        "flags": (*base.flags, *asked.flags),
        "cost": asked.cost,
        "versions": {**base.versions, **asked.versions},
    }
    if asked.chosen is None:
        return base.model_copy(update=update)
    opinion, signs = str(asked.chosen.data["opinion"]), [str(sign) for sign in asked.chosen.data["signs"]]
    where = str(asked.chosen.data["where"])
    support = Support(agreement=asked.agreement)
    facts: dict[str, Plain] = {
        "answer": opinion,
        "signs": list(signs),
        "where": where,
        "samples": asked.asked,
        "agreeing": asked.agreeing,
        "terms": terms.version,
        "record": asked.chosen.record_id,
    }
    said = f"{opinion}: {', '.join(signs)}" if signs else opinion
    reason = Reason(
        code=CODE,
        text=f"a model's second opinion on the free text is {said} ({asked.agreeing} of {asked.asked} samples); it only raises",
        value=said,
        threshold=f"score {terms.grey.since} to {terms.grey.below - 1}",
        points=0,
        evidence=f"order.{where}" if where != "none" else "order.note",
    )
    update |= {"reasons": (*base.reasons, reason), "facts": {**base.facts, "opinion": facts}}
    if opinion != CONCERN:
        return base.model_copy(update=update)
    surely = asked.asked >= terms.hold.samples and asked.agreeing * 100 >= terms.hold.agreement_percent * asked.asked
    return _raised(base, update, CODE, confidence=support.confidence, may_hold=surely)


def _by_rule(base: Verdict, rule: PromotedRule) -> Verdict:
    """What a rule promoted from confirmed opinions says, without asking anybody."""
    facts: dict[str, Plain] = {"answer": rule.answer, "rule": rule.rule_id}
    update: dict[str, Any] = {
        "flags": (*base.flags, "promoted_rule"),
        "reasons": (*base.reasons, rule_reason(rule)),
        "facts": {**base.facts, "opinion": facts},
        "versions": {**base.versions, "prompt": f"rule:{rule.rule_id}"},
    }
    if rule.answer != CONCERN:
        return base.model_copy(update=update)
    return _raised(base, update, "PROMOTED_RULE", confidence=rule.bound, may_hold=False)


def _raised(base: Verdict, update: dict[str, Any], code: str, *, confidence: float, may_hold: bool) -> Verdict:
    """One step more severe than the rules; a hold takes several samples and an order that is ours to hold."""
    action = _RAISED[base.decision]
    if action == "hold" and (not may_hold or "platform_screened" in base.flags):
        return base.model_copy(update=update)
    outcome = OUTCOMES[action]
    if outcome.severity <= base.outcome.severity or outcome is Outcome.REJECT:
        return base.model_copy(update=update)
    raised = {
        "decision": action,
        "outcome": outcome,
        "confidence": confidence,
        "counterfactual": (code,),
    }
    return base.model_copy(update=update | raised)
