"""Support's language tasks over a context: a summary, a draft reply, the next action. No figure or promise without a source.

Prose has slots that the program fills from the context's own facts; a person sends, changes or drops every draft.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from agents.drafted_notification import written_language
from agents.model_samples import Sampled, Support, sample
from agents.slot_prose import SLOT, filled, prose_faults
from agents.support_facts import StatedFact, situation, stated_facts
from agents.text_signs import shipped_signs
from domain.language import Answer, Answered, LanguageRequest, Personal
from domain.model_proposal import MODEL, RULES, ModelProposal
from domain.ports import LanguagePort
from domain.support import SupportAction, SupportContext
from domain.values import Plain

SUMMARY, REPLY, ACTION = "support_summary", "support_reply", "next_best_action"
CHECKS = ("slots", "figures", "numbers_in_words", "promises", "currency", "links", "language")
SAFE = frozenset({SupportAction.INFORM, SupportAction.WAIT, SupportAction.ASK, SupportAction.ESCALATE})
"""Actions that change nothing; they are always open."""
_LONGEST_REPLY = 1_500


async def summarise(
    language: LanguagePort, context: SupportContext, *, message: str, locale: str, personal: Sequence[Personal] = ()
) -> ModelProposal[str]:
    """A few lines for the person who answers; without a model, the facts themselves as a list."""
    spoken = written_language(locale)
    facts = stated_facts(context, spoken)
    request = _request(SUMMARY, context, facts, message, spoken, personal)
    answer = await language.ask(request, check=lambda data: _faults(data, "summary", facts, spoken, 700))
    return _drafted(answer, "summary", facts, message, own="\n".join(f"{fact.what}: {fact.shown}" for fact in facts))


async def draft_reply(
    language: LanguagePort, context: SupportContext, *, message: str, locale: str, personal: Sequence[Personal] = ()
) -> ModelProposal[str]:
    """A reply in the customer's language; None without a model, because a wrong reply is worse than a late one."""
    spoken = written_language(locale)
    facts = stated_facts(context, spoken)
    request = _request(REPLY, context, facts, message, spoken, personal)
    answer = await language.ask(request, check=lambda data: _faults(data, "reply", facts, spoken, _LONGEST_REPLY))
    return _drafted(answer, "reply", facts, message, own=None)


async def next_action(
    language: LanguagePort,
    context: SupportContext,
    *,
    message: str,
    allowed: Sequence[SupportAction] = (),
    usd_cents: int | None = 0,
    personal: Sequence[Personal] = (),
) -> ModelProposal[SupportAction]:
    """What to do next, out of what changes nothing, what the rules suggest and ``allowed``; else what the rules suggest.

    ``usd_cents`` is what is at stake: above 50 dollars, or when it is unknown, five answers are compared.
    """
    suggested = context.next_best_action
    choices = sorted({*SAFE, suggested.action, *allowed})
    facts = stated_facts(context, "en")
    request = _request(ACTION, context, facts, message, "en", personal, choices=[choice.value for choice in choices])
    asked = await sample(
        language,
        request,
        key=lambda data: str(data["action"]),
        check=lambda data: [] if data["action"] in choices else ["$.action must be one of the actions listed"],
        usd_cents=usd_cents,
        inconclusive=lambda data: data["action"] != suggested.action,
    )
    marked = _marked(message)
    if asked.chosen is None:
        return ModelProposal[SupportAction](
            value=suggested.action, source=RULES, confidence=suggested.confidence, flags=(*marked, *asked.flags),
            versions=asked.versions, cost=asked.cost, samples=asked.asked,
        )  # fmt: skip
    return _chosen(SupportAction(asked.chosen.data["action"]), asked, suggested.action, context, marked)


def _chosen(
    action: SupportAction, asked: Sampled, suggested: SupportAction, context: SupportContext, marked: tuple[str, ...]
) -> ModelProposal[SupportAction]:
    agrees = action is suggested
    support = Support(
        agreement=asked.agreement, checks=1.0 if agrees else 0.5, retrieval=1 / (1 + len(context.missing))
    )
    return ModelProposal[SupportAction](
        value=action,
        source=MODEL,
        confidence=support.confidence,
        checks=("allowed_action", *(("rules_agree",) if agrees else ())),
        flags=(*marked, *asked.flags),
        samples=asked.asked,
        agreeing=asked.agreeing,
        versions=asked.versions,
        cost=asked.cost,
        record_id=asked.chosen.record_id if asked.chosen else "",
    )


def _request(
    prompt: str,
    context: SupportContext,
    facts: Sequence[StatedFact],
    message: str,
    language: str,
    personal: Sequence[Personal],
    **more: Plain,
) -> LanguageRequest:
    order = context.order
    about: dict[str, Plain] = {
        "situation": cast(Plain, situation(context)),
        "facts": {fact.slot: fact.what for fact in facts},
    }
    return LanguageRequest(
        agent=prompt,
        prompt=prompt,
        tenant=context.tenant,
        entity_type="order" if order else "contact",
        entity_id=order.order_id if order else context.context_id,
        locale=language,
        trusted=about | more,
        untrusted={"message": message},
        personal=tuple(personal),
    )


def _faults(data: Mapping[str, Any], field: str, facts: Sequence[StatedFact], language: str, most: int) -> list[str]:
    return prose_faults(str(data[field]), language, slots=[fact.slot for fact in facts], at=f"$.{field}", most=most)


def _drafted(
    answer: Answer, field: str, facts: Sequence[StatedFact], message: str, *, own: str | None
) -> ModelProposal[str]:
    flags = (*_marked(message), *(f"model:{flag}" for flag in answer.flags if isinstance(answer, Answered)))
    if not isinstance(answer, Answered):
        flags = (*flags, f"model_silent:{answer.silence.value}")
        sure = 0.9 if own else 0.0
        return ModelProposal[str](
            value=own or None, source=RULES, confidence=sure, flags=flags, versions=answer.versions, cost=answer.cost
        )
    prose = str(answer.data[field])
    stated = len(set(SLOT.findall(prose)))
    support = Support(agreement=2 / 3, retrieval=1.0 if stated else 0.5)
    return ModelProposal[str](
        value=filled(prose, {fact.slot: fact.shown for fact in facts}),
        source=MODEL,
        confidence=support.confidence,
        checks=CHECKS,
        flags=flags,
        samples=1,
        agreeing=1,
        versions=answer.versions,
        cost=answer.cost,
        record_id=answer.record_id,
    )


def _marked(message: str) -> tuple[str, ...]:
    return ("instructions_in_text",) if shipped_signs().addresses_machine(message) else ()
