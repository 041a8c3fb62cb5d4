"""customer_notification cn-2.0: as cn-1.0, worded by a model in the customer's own language, also where we have no template.

Who is told what, and every figure, are the rules' of cn-1.0. Only the wording is the model's, and it must pass every check.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.customer_notification import CustomerNotification, slot_values
from agents.message_templates import DEFAULT_LOCALE, MessageTable
from agents.slot_prose import filled, prose_faults, written_languages
from domain.decision import Proposal, Reason, Verdict
from domain.effect import EffectKind
from domain.intent import SendMessage
from domain.language import Answer, Answered, LanguageRequest
from domain.order import PaymentMethod
from domain.ports import AgentCase, LanguagePort
from domain.values import Plain

PROMPT = "customer_message"
NEEDED = {"fulfilled": ("number", "parcels", "carriers"), "cancelled": ("number",), "backordered": ("number",)}
"""Slots the body of each occasion must use, as our own templates do."""


class DraftedNotification:
    """Writes to the buyer as cn-1.0 does, in words of a model where they pass the checks, else in our own."""

    name = CustomerNotification.name
    version = "cn-2.0"
    fallbacks = CustomerNotification.fallbacks

    def __init__(self, rules: CustomerNotification, language: LanguagePort) -> None:
        """``rules`` decides what is told to whom."""
        self._rules = rules
        self._language = language

    @property
    def messages(self) -> MessageTable:
        """Our own templates."""
        return self._rules.messages

    async def decide(self, case: AgentCase) -> Verdict:
        """The rules' message in the model's words, or in ours when there are none that pass."""
        base = await self._rules.decide(case)
        if not base.proposals:
            return base
        language = written_language(case.order.locale)
        occasion = str(case.hints["progress"])
        question = _question(case, occasion, language, self.messages)
        answer = await self._language.ask(question, check=lambda data: draft_faults(data, occasion, language))
        return _worded(base, case, answer, language)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """As the rule version's.

        Raises:
            ConfigError: another fallback is named.
        """
        return self._rules.fallback(name, case, why)


def written_language(tag: str) -> str:
    """The language of a BCP 47 tag as we name it; our default one where we could not check what is written."""
    parts = tag.replace("_", "-").casefold().split("-")
    if parts[0] == "zh":
        traditional = "hans" not in parts and bool({"hant", "tw", "hk", "mo"} & set(parts))
        return "zh-Hant" if traditional else "zh-Hans"
    return parts[0] if parts[0] in written_languages() else DEFAULT_LOCALE


def draft_faults(data: Mapping[str, Any], occasion: str, language: str) -> Sequence[str]:
    """What is wrong with a draft, as sentences the model can mend it by."""
    needed, subject = NEEDED[occasion], str(data["subject"])
    found = prose_faults(subject, language, slots=("number",), needed=("number",), at="$.subject", most=120)
    found += prose_faults(str(data["body"]), language, slots=needed, needed=needed, at="$.body", most=900)
    if "\n" in subject or "\r" in subject:
        found.append("$.subject has more than one line")
    return found


def _question(case: AgentCase, occasion: str, language: str, messages: MessageTable) -> LanguageRequest:
    template = messages.templates["en", occasion]
    situation: dict[str, Plain] = {
        "pays_on_delivery": case.order.payment.method is PaymentMethod.COD,
        "marketplace": case.order.channel.value if case.order.channel.marketplace else "",
    }
    return LanguageRequest(
        agent=DraftedNotification.name,
        prompt=PROMPT,
        tenant=case.order.tenant,
        entity_type="order",
        entity_id=case.order.order_id,
        locale=language,
        trusted={
            "occasion": occasion,
            "meaning": " ".join(template.body.split()),
            "situation": situation,
            "slots": [f"{{{{{name}}}}}" for name in NEEDED[occasion]],
            "needed": list(NEEDED[occasion]),
        },
    )


def _worded(base: Verdict, case: AgentCase, answer: Answer, language: str) -> Verdict:
    told: dict[str, Any] = {"cost": answer.cost, "versions": {**base.versions, **answer.versions}}
    if not isinstance(answer, Answered):
        met = (f"model:{flag}" for flag in answer.flags if flag != answer.silence.value)
        return base.model_copy(update={**told, "flags": (*base.flags, *met, f"model_silent:{answer.silence.value}")})
    flags = tuple(f"model:{flag}" for flag in answer.flags)
    values = slot_values(case)
    own = SendMessage.model_validate(base.proposals[0].args)
    intent = own.model_copy(
        update={
            "template": f"{answer.prompt}/{case.hints['progress']}",
            "locale": language,
            "subject": " ".join(filled(str(answer.data["subject"]), values).split()),
            "body": filled(str(answer.data["body"]), values),
        }
    )
    reason = Reason(
        code="WORDED_BY_MODEL",
        text=f"worded in {language} by a model; every figure is from records, every check passed",
        value=language,
        evidence=f"prompt:{answer.prompt}",
    )
    proposal = Proposal(kind=EffectKind.SEND_MESSAGE, part=base.proposals[0].part, args=intent.model_dump(mode="json"))
    facts: dict[str, Plain] = {
        **base.facts,
        "template": intent.template,
        "locale": language,
        "draft": {"subject": str(answer.data["subject"]), "body": str(answer.data["body"])},
        "record": answer.record_id,
    }
    update = {
        **told, "flags": (*base.flags, "worded_by_model", *flags), "reasons": (*base.reasons, reason),
        "proposals": (proposal,), "facts": facts,
    }  # fmt: skip
    return base.model_copy(update=update)
