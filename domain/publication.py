"""Policies as versions: written as drafts, put in force, taken back; nothing that was ever in force is changed."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from domain.ids import TenantId
from domain.values import Document

SHIPPED = "shipped"
"""The version that comes with the software, as publications call it."""


class PublicationAction(StrEnum):
    """How a version came into force."""

    PUBLISH = "publish"
    ROLLBACK = "rollback"


class PolicyVersion(Document):
    """One version of one table, with who wrote it and why."""

    tenant: TenantId
    subject: str
    version: str
    text: str
    author: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    written_at: AwareDatetime


class Publication(Document):
    """One version put in force."""

    publication_id: str
    tenant: TenantId
    subject: str
    version: str
    """``shipped`` for the one that comes with the software."""
    action: PublicationAction
    by: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    at: AwareDatetime
    in_force_from: AwareDatetime
    """It decides orders that come in from then on."""
    reports: str = ""
    """The shadow reports it rests on."""
