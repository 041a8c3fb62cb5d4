"""Language tasks that are functions over records, not agents of a workflow: listed beside the agents, in each version."""

from dataclasses import dataclass

from agents import contact_reason, supplier_letter, supplier_reading
from agents.support_drafts import ACTION, REPLY, SUMMARY


@dataclass(frozen=True, kw_only=True)
class LanguageTask:
    """One version of a task. All of them only propose."""

    name: str
    version: str
    owner: str
    trigger: str
    reads: tuple[str, ...]


def _both(
    name: str, owner: str, trigger: str, reads: tuple[str, ...], *, versions: tuple[str, str]
) -> list[LanguageTask]:
    """The rule version, and the model version that stands beside it."""
    rules, model = versions
    return [
        LanguageTask(name=name, version=rules, owner=owner, trigger=trigger, reads=reads),
        LanguageTask(name=name, version=model, owner=owner, trigger=trigger, reads=(*reads, "model.answer")),
    ]


TASKS: tuple[LanguageTask, ...] = (
    *_both(
        contact_reason.NAME,
        "customer service",
        "a customer writes",
        ("contact.message",),
        versions=("cr-1.0", contact_reason.BY_MODEL),
    ),
    *_both(
        SUMMARY,
        "customer service",
        "a colleague opens a contact",
        ("support.context",),
        versions=("facts-1.0", "prompt-1.0"),
    ),
    *_both(
        REPLY,
        "customer service",
        "a colleague asks for a draft",
        ("support.context",),
        versions=("person", "prompt-1.0"),
    ),
    *_both(
        ACTION,
        "customer service",
        "a contact is looked at",
        ("support.context",),
        versions=("context-1.0", "prompt-1.0"),
    ),
    *_both(
        supplier_letter.NAME,
        "procurement",
        "a purchase order is drafted",
        ("purchase_order",),
        versions=("own-1.0", "prompt-1.0"),
    ),
    *_both(
        supplier_reading.NAME,
        "procurement",
        "a supplier answers",
        ("purchase_order", "supplier.mail"),
        versions=("rules-1.0", "prompt-1.0"),
    ),
)
