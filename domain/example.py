"""What people's accepted edits teach: dated, role-checked examples for the next similar proposal, which can be undone.

Only a person with a role for it teaches, never whoever made the proposal, and never text a customer or supplier wrote:
that is only what an example is recognised by.
"""

from collections.abc import Iterable, Mapping

from pydantic import AwareDatetime, Field

from domain.errors import Forbidden, InputError
from domain.ids import TenantId, stable_id
from domain.values import Document, Plain, canonical_json

TEACHERS: Mapping[str, frozenset[str]] = {"shipping_option": frozenset({"ops", "admin"})}
"""Roles whose edits teach, by kind; of a kind not named here only an admin's do."""
LONGEST = 2_000
"""Characters of an edit as JSON; longer ones teach nothing."""
MOST_SHOWN = 5
"""Examples one proposal is given."""


class Situation(Document):
    """What a proposal is about, by the features that make two of them similar."""

    agent: str
    kind: str
    """What is proposed (``shipping_option``)."""
    market: str = ""
    """Country."""
    segment: str = ""
    """Channel, supplier or customer segment."""
    language: str = ""
    cue: str = Field(default="", max_length=200)
    """The words that call for it, in lower case; empty where any will do. Compared, never followed."""


class Example(Document):
    """One accepted edit."""

    example_id: str
    tenant: TenantId
    situation: Situation
    before: Plain
    after: Plain
    entity_type: str
    entity_id: str
    review_id: str
    taught_by: str
    """``user:<id>``."""
    roles: tuple[str, ...]
    """The roles the person had that may teach this."""
    reason: str
    at: AwareDatetime
    undone_by: str = ""
    undone_at: AwareDatetime | None = None
    undone_reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it has influence."""
        return self.undone_at is None


class Edit(Document):
    """One accepted edit as its workflow tells it, before anybody has asked whether it may teach."""

    situation: Situation
    before: Plain
    after: Plain
    review_id: str
    edited_by: str
    roles: tuple[str, ...]
    via: str
    proposed_by: tuple[str, ...]
    reason: str


def learned(edit: Edit, *, tenant: TenantId, entity_type: str, entity_id: str, at: AwareDatetime) -> Example:
    """The example an edit gives; the same edit gives the same one however often it is told.

    Raises:
        Forbidden: the editor may not teach this.
        InputError: the edit changes nothing, is too long, or holds signs that are not text.
    """
    if not edit.edited_by.startswith("user:") or edit.via == "timeout":
        raise Forbidden(f"{edit.edited_by} is no person; only people teach")
    if edit.edited_by in edit.proposed_by:
        raise Forbidden(f"{edit.edited_by} made the proposal; whoever proposes does not teach")
    may = require_teacher(edit.situation.kind, edit.edited_by, edit.roles)
    if edit.before == edit.after:
        raise InputError("the edit changes nothing")
    if len(canonical_json(edit.after)) > LONGEST or not _clean(edit.after):
        raise InputError(f"the edit is longer than {LONGEST} characters or holds control signs; it teaches nothing")
    return Example(
        example_id=stable_id(tenant, entity_type, entity_id, edit.review_id, edit.situation.agent, edit.situation.kind),
        tenant=tenant,
        situation=edit.situation,
        before=edit.before,
        after=edit.after,
        entity_type=entity_type,
        entity_id=entity_id,
        review_id=edit.review_id,
        taught_by=edit.edited_by,
        roles=may,
        reason=edit.reason[:500],
        at=at,
    )


def require_teacher(kind: str, who: str, roles: Iterable[str]) -> tuple[str, ...]:
    """Those of the roles that may teach a kind, and take back what was taught.

    Raises:
        Forbidden: none does.
    """
    may = TEACHERS.get(kind, frozenset({"admin"}))
    if not may & set(roles):
        raise Forbidden(f"{who} has no role that teaches {kind}; it takes {' or '.join(sorted(may))}")
    return tuple(sorted(may & set(roles)))


def cue_of(words: str) -> str:
    """Words as they are compared: lower case, single spaces, no signs that are not printed."""
    return "".join(sign for sign in " ".join(words.casefold().split()) if sign.isprintable())[:200]


def similar(situation: Situation, examples: Iterable[Example], *, most: int = MOST_SHOWN) -> list[Example]:
    """The examples that fit, those that share most features first, then the newest.

    Agent, kind and cue must be the same; market, segment and language count one each.
    """
    wanted = (situation.market, situation.segment, situation.language)

    def shared(example: Example) -> int:
        own = example.situation
        return sum(a == b for a, b in zip(wanted, (own.market, own.segment, own.language), strict=True))

    fitting = [
        example
        for example in examples
        if example.active
        and (example.situation.agent, example.situation.kind, example.situation.cue)
        == (situation.agent, situation.kind, situation.cue)
    ]
    return sorted(fitting, key=lambda example: (shared(example), example.at), reverse=True)[:most]


def _clean(value: Plain) -> bool:
    if isinstance(value, str):
        return all(sign.isprintable() or sign in "\n\t" for sign in value)
    if isinstance(value, list):
        return all(_clean(part) for part in value)
    if isinstance(value, dict):
        return all(_clean(key) and _clean(part) for key, part in value.items())
    return True
