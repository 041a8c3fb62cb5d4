"""The letter of a purchase order worded by a model: prose with slots, mended once, then a person; without a model, our own.

The figures, names and terms are the purchase order's and are filled in afterwards. The finished letter is checked again.
"""

from collections.abc import Mapping
from typing import Any

from agents.letter_checks import check_letter, check_prose
from agents.letter_draft import MODEL as WRITTEN_BY_MODEL
from agents.letter_draft import Letter, Prose, fill, own_prose
from agents.letter_locale import SLOTS, LetterLocale, letter_locale
from agents.model_samples import Support
from domain.language import Answered, LanguageRequest, Silence
from domain.model_proposal import MODEL, RULES, ModelProposal
from domain.ports import LanguagePort
from domain.purchasing import PurchaseOrder

NAME = PROMPT = "supplier_letter"
CHECKS = ("prose", "records", "ids", "dates", "numbers", "currency", "promises", "glossary", "addressee", "language")
OWN_CONFIDENCE = 0.9
"""Our own letter, as everybody has read it."""


async def draft_letter(
    language: LanguagePort, order: PurchaseOrder, locale: LetterLocale | None = None
) -> ModelProposal[Letter]:
    """A letter for an order in the vendor's language.

    ``value`` is None when the model wrote a letter twice that may not be sent: then a person writes it. When no model
    answered, it is our own letter.

    Raises:
        ConfigError: no letters are written in the vendor's language.
    """
    terms = locale or letter_locale(order.vendor.language, order.vendor.country)
    answer = await language.ask(_request(order, terms), check=lambda data: _faults(data, order, terms))
    told = {"versions": answer.versions, "cost": answer.cost}
    if isinstance(answer, Answered):
        letter = fill(_prose(answer.data), order, terms)
        return ModelProposal[Letter](
            value=letter, source=MODEL, confidence=Support(agreement=2 / 3).confidence, checks=CHECKS,
            flags=tuple(f"model:{flag}" for flag in answer.flags), samples=1, agreeing=1, record_id=answer.record_id,
            **told,
        )  # fmt: skip
    flags = (f"model_silent:{answer.silence.value}",)
    if answer.silence is Silence.INVALID:
        return ModelProposal[Letter](value=None, source=MODEL, confidence=0.0, flags=(*flags, "person_writes"), **told)
    own = fill(own_prose(order, terms), order, terms)
    return ModelProposal[Letter](value=own, source=RULES, confidence=OWN_CONFIDENCE, flags=flags, **told)


def _request(order: PurchaseOrder, terms: LetterLocale) -> LanguageRequest:
    return LanguageRequest(
        agent=NAME,
        prompt=PROMPT,
        tenant=order.tenant,
        entity_type="purchase_order",
        entity_id=order.number,
        locale=terms.language,
        trusted={
            "slots": [f"{{{{{name}}}}}" for name in sorted(SLOTS)],
            "glossary": list(terms.glossary),
            "terms_to_avoid": list(terms.foreign),
            "example": own_prose(order, terms).body,
            "amendment": order.version > 1,
        },
    )


def _faults(data: Mapping[str, Any], order: PurchaseOrder, terms: LetterLocale) -> list[str]:
    """Faults of the prose, and of the letter it makes; the sentences name checks, not the order's figures."""
    prose = _prose(data)
    found = [f"$.body: {finding.sentence}" for finding in check_prose(prose, terms)]
    if not found:
        found = [
            f"$.body: the letter fails the check of {one.check}"
            for one in check_letter(fill(prose, order, terms), order, terms)
        ]
    return list(dict.fromkeys(found))[:12]


def _prose(data: Mapping[str, Any]) -> Prose:
    return Prose(subject=str(data["subject"]), body=str(data["body"]), source=WRITTEN_BY_MODEL)
