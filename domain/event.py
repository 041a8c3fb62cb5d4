"""The one event schema: what the bus carries, the audit keeps and outside systems may subscribe to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pydantic import AwareDatetime, Field, model_validator

from domain.decision import Decision
from domain.ids import EventId, TenantId
from domain.values import Document, Plain

SCHEMA_VERSION = 1

TOPIC_OF_AGENT = {
    "fraud_detection": "fraud_check",
    "compliance": "compliance_check",
    "inventory_reservation": "inventory_reservation",
    "order_routing": "routing",
    "tax": "tax",
    "shipping_method": "shipping_method",
    "customer_notification": "notification",
    "loyalty": "loyalty",
    "analytics_tagging": "analytics",
}
"""The middle part of ``order.fraud_check.completed``; an agent not listed uses its own name."""


class Event(Document):
    """Something that happened to one entity, in order within that entity by ``sequence``."""

    event_id: EventId
    event_type: str = Field(pattern=r"^[a-z_]+(\.[a-z0-9_]+)+$")
    entity_type: str
    entity_id: str
    agent_name: str
    """The agent, or ``signalbox`` for the controller, ``person:<id>`` for people, ``automation:<name>`` for others."""
    timestamp: AwareDatetime
    result: dict[str, Any] = {}
    """``decision``, ``confidence``, ``flags``, ``reasons`` for decisions; the facts of the happening otherwise."""
    metadata: dict[str, Any] = {}
    """``processing_time_ms``, ``model_version``, ``mode``, ``cost`` and more versions."""
    schema_version: int = SCHEMA_VERSION
    tenant: TenantId
    sequence: int = Field(ge=0)
    """Position within the entity, assigned by the journal; 0 before it is journaled."""
    correlation_id: str
    causation_id: str = ""
    currency: str
    locale: str

    @model_validator(mode="after")
    def _known_schema(self) -> "Event":
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(f"schema_version {self.schema_version} is not {SCHEMA_VERSION}")
        return self

    def to_cloudevent(self) -> dict[str, Plain]:
        """The event as a CloudEvents 1.0 JSON object (structured mode)."""
        data = self.model_dump(mode="json", include={"result", "metadata", "sequence", "currency", "locale"})
        return {
            "specversion": "1.0",
            "id": self.event_id,
            "source": f"/agents/{self.agent_name}",
            "type": self.event_type,
            "subject": self.entity_id,
            "time": self.timestamp.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "tenant": self.tenant,
            "correlationid": self.correlation_id,
            "data": data,
        }


_PUBLISHED = (
    "decision",
    "outcome",
    "confidence",
    "flags",
    "reasons",
    "counterfactual",
    "proposals",
    "facts",
    "inputs",
)
"""What of a decision its event's ``result`` carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedEvent:
    """An event that is JSON already, with what the journal needs to know of it."""

    event_type: str
    timestamp: datetime
    text: str
    decision: str
    """JSON of the decision it publishes."""

    def to_json(self) -> str:
        """The event as JSON; ``Event.from_json`` reads it."""
        return self.text


def decision_event(
    decision: Decision, *, correlation_id: str, causation_id: str, currency: str, locale: str
) -> EncodedEvent:
    """The event that publishes a decision; its id is the decision's id. The decision is written as JSON only once."""
    text = decision.to_json()
    document = orjson.loads(text)
    kind = f"{decision.entity_type}.{TOPIC_OF_AGENT.get(decision.agent, decision.agent)}.completed"
    event = {
        "event_id": decision.decision_id,
        "event_type": kind,
        "entity_type": decision.entity_type,
        "entity_id": decision.entity_id,
        "agent_name": decision.agent,
        "timestamp": document["decided_at"],
        "result": {name: document[name] for name in _PUBLISHED},
        "metadata": {
            "processing_time_ms": decision.processing_time_ms,
            "model_version": decision.versions.agent,
            "versions": document["versions"],
            "mode": document["mode"],
            "attempt_group": decision.attempt_group,
            "attempt": decision.attempt,
            "inputs_digest": decision.inputs_digest,
            "order_version": decision.order_version,
            "cost": document["cost"],
        },
        "schema_version": SCHEMA_VERSION,
        "tenant": decision.tenant,
        "sequence": 0,
        "correlation_id": correlation_id,
        "causation_id": causation_id,
        "currency": currency,
        "locale": locale,
    }
    return EncodedEvent(
        event_type=kind, timestamp=decision.decided_at, text=orjson.dumps(event).decode(), decision=text
    )
