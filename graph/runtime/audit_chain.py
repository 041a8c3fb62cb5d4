"""The audit's hash chain: how an event becomes a row that names its predecessor.

A row's hash covers every column but its position and takes the payload by its salted digest, so that the chain can
still be checked after personal data was erased from a payload.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from pydantic import AwareDatetime

from domain.errors import MalformedPayload
from domain.event import Event
from domain.values import Document
from graph.runtime.audit_schema import utc_text

GENESIS = "0" * 64
"""What the first row of a chain names as its predecessor."""

LONGEST_NAME = 500
"""Characters; a Postgres index takes 2,704 bytes a row."""

ChainKey = tuple[str, str, str]
"""Tenant, entity type, entity id."""


class AuditRow(Document):
    """One audited event, as stored."""

    id: int
    event_id: str
    tenant: str
    entity_type: str
    entity_id: str
    position: int
    """1 for the entity's first row, without a gap."""
    sequence: int
    """The journal's number."""
    event_type: str
    agent: str
    agent_version: str | None
    decision: str | None
    confidence: float | None
    mode: str | None
    actor: str
    at_utc: AwareDatetime
    inputs_digest: str | None
    payload: str
    """The event as JSON."""
    recorded_at: AwareDatetime
    prev_hash: str
    hash: str
    salt: str = ""
    """Random; gone with the personal data of an erased payload."""

    @property
    def event(self) -> Event:
        """The event itself."""
        return Event.from_json(self.payload)


def key_of(row: Any) -> ChainKey:
    """The entity an event, row or head belongs to."""
    return row.tenant, row.entity_type, row.entity_id


def columns_of(event: Event) -> dict[str, Any]:
    """An event as the columns it will fill, before it has a place in a chain.

    Raises:
        MalformedPayload: the event cannot be stored: a name is empty, too long or not text a database takes.
    """
    version = _text(event.metadata.get("model_version"))
    named = {
        "event_id": event.event_id,
        "tenant": event.tenant,
        "entity_type": event.entity_type,
        "entity_id": event.entity_id,
        "event_type": event.event_type,
        "agent": event.agent_name,
        "agent_version": version,
        "decision": _text(event.result.get("decision")),
        "mode": _text(event.metadata.get("mode")),
        "actor": _text(event.metadata.get("actor")) or event.agent_name,
        "inputs_digest": _text(event.metadata.get("inputs_digest")),
    }
    for name, value in named.items():
        if value is not None and (not 0 < len(value) <= LONGEST_NAME or "\x00" in value):
            raise MalformedPayload(f"event cannot be audited: {name} must be 1 to {LONGEST_NAME} characters of text")
    if event.sequence >= 2**63:
        raise MalformedPayload("event cannot be audited: its sequence does not fit 64 bits")
    try:
        at_utc = utc_text(event.timestamp)
        payload = event.to_json()
        orjson.dumps(list(named.values()))
    except (ValueError, OverflowError, TypeError) as bad:
        raise MalformedPayload(f"event cannot be audited: {type(bad).__name__} while writing it as JSON") from bad
    return {
        **named,
        "sequence": event.sequence,
        "confidence": probability(event.result.get("confidence")),
        "at_utc": at_utc,
        "payload": payload,
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def probability(value: object) -> float | None:
    """A stated confidence, or None when what was stated is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)


def link(
    columns: Mapping[str, Any], *, position: int, prev_hash: str, recorded_at: datetime | str, salt: str = ""
) -> dict[str, Any]:
    """The complete row: the columns, its place in the entity's chain, and its hash."""
    row = {**columns, "position": position, "prev_hash": prev_hash, "recorded_at": recorded_at, "salt": salt}
    row["hash"] = row_hash(row)
    return row


def payload_digest(row: Mapping[str, Any]) -> str:
    """SHA-256 over a row's salt and payload."""
    return hashlib.sha256((row["salt"] + row["payload"]).encode()).hexdigest()


def row_hash(row: Mapping[str, Any], payload: str | None = None) -> str:
    """SHA-256 over a row's predecessor and everything it says; ``payload`` is its payload's digest once it was erased."""
    said = [
        row["prev_hash"],
        row["event_id"],
        row["tenant"],
        row["entity_type"],
        row["entity_id"],
        row["sequence"],
        row["event_type"],
        row["agent"],
        row["agent_version"],
        row["decision"],
        row["confidence"],
        row["mode"],
        row["actor"],
        _stamp(row["at_utc"]),
        row["inputs_digest"],
        payload or payload_digest(row),
        _stamp(row["recorded_at"]),
    ]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


ERASED = "personal_data.erased"
"""What happened to an entity when somebody's personal data was taken out of its rows."""


def attested(row: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What a row says of erased rows before it: event id to the digests of the payload then and of what is left."""
    if not row["event_type"].endswith(ERASED):
        return {}
    rows = orjson.loads(row["payload"])["result"].get("rows")
    pairs = rows.items() if isinstance(rows, dict) else ()
    return {one: (str(pair[0]), str(pair[1])) for one, pair in pairs if isinstance(pair, list) and len(pair) == 2}


def _stamp(at: datetime | str) -> str:
    return at if isinstance(at, str) else utc_text(at)
