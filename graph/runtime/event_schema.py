"""The published description of the events, generated from the code that makes them: JSON Schema and AsyncAPI.

``python -m graph.runtime.event_schema docs/events`` writes the files again; a test holds them equal to the code.
"""

import sys
from pathlib import Path
from typing import Any

import orjson
import yaml

from domain.decision import Decision
from domain.event import SCHEMA_VERSION, Event
from graph.runtime.bus_messages import BODY_FIELD, HEADERS_FIELD, KEY_FIELD, PUBLISHED_FIELD

Schema = dict[str, Any]

SCHEMA_ID = "urn:signalbox:event:1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_MEANING = {
    "event_id": "UUID; the same event redelivered keeps it, so consumers drop what they have seen.",
    "event_type": "<entity>.<what>.<happening>, as in order.fraud_check.completed.",
    "entity_type": "What the event is about: order, purchase_order, support_case...",
    "entity_id": "Which one, unique within the tenant.",
    "agent_name": "The agent; signalbox for the controller, person:<id> for people, automation:<name> for others.",
    "timestamp": "When it happened: UTC, milliseconds.",
    "result": "decision, confidence, flags and reasons of a decision; the facts of the happening otherwise.",
    "metadata": "processing_time_ms, model_version, mode, cost and the versions in force.",
    "schema_version": "Version of this schema. An event of another version goes to the dead letters with its reason.",
    "tenant": "Whose entity it is.",
    "sequence": "Position within the entity; 0 in the journal's own stream, whose field seq carries it.",
    "correlation_id": "Shared by everything one incoming delivery set off.",
    "causation_id": "The event that led to this one; empty for the first.",
    "currency": "Settlement currency of the entity (ISO 4217); empty when it is not known yet.",
    "locale": "Language and region for people (BCP 47); empty when it is not known yet.",
}

_DECIDED = ("decision", "outcome", "confidence", "flags", "reasons", "counterfactual", "proposals", "facts", "inputs")


def event_schema() -> Schema:
    """JSON Schema (2020-12) of one event. Events that carry ``metadata.inputs_digest`` are decisions."""
    schema = Event.model_json_schema(mode="serialization")
    decision = Decision.model_json_schema(mode="serialization")
    for name, meaning in _MEANING.items():
        schema["properties"][name]["description"] = meaning
    schema["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    # Defaults are written out in every published event, but a reader must not insist on them.
    schema["required"] = Event.model_json_schema(mode="validation")["required"]
    decided = {name: decision["properties"][name] for name in _DECIDED}
    schema["if"] = {"properties": {"metadata": {"required": ["inputs_digest"]}}, "required": ["metadata"]}
    schema["then"] = {
        "properties": {"result": {"properties": decided, "required": ["decision", "outcome", "confidence"]}}
    }
    return {"$schema": DIALECT, "$id": SCHEMA_ID, **schema, "$defs": _used(decided, decision.get("$defs", {}))}


def cloudevent_schema() -> Schema:
    """JSON Schema of a CloudEvents 1.0 event in structured JSON mode, strict to the specification."""
    text = {"type": "string", "minLength": 1}
    optional_text = {"type": ["string", "null"], "minLength": 1}
    extension = {"type": ["string", "integer", "boolean", "null"], "minimum": -(2**31), "maximum": 2**31 - 1}
    return {
        "type": "object",
        "description": "CloudEvents 1.0, structured JSON mode.",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": text,
            "source": {**text, "format": "uri-reference"},
            "type": text,
            "subject": optional_text,
            "time": {"type": ["string", "null"], "format": "date-time"},
            "datacontenttype": {
                "type": ["string", "null"],
                "pattern": r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+*-]+(\s*;.*)?$",
            },
            "dataschema": {**optional_text, "format": "uri"},
            "data": True,
            "data_base64": {"type": "string", "contentEncoding": "base64"},
        },
        "not": {"required": ["data", "data_base64"]},
        "propertyNames": {"pattern": "^([a-z0-9]+|data_base64)$"},
        "additionalProperties": extension,
    }


def outside_event_schema() -> Schema:
    """JSON Schema of our events as CloudEvents, for subscribers outside."""
    event = event_schema()["properties"]
    data = {name: event[name] for name in ("result", "metadata", "sequence", "currency", "locale")}
    return {
        "allOf": [{"$ref": "#/components/schemas/cloudEvent"}],
        "required": ["subject", "time", "datacontenttype", "tenant", "correlationid", "data"],
        "properties": {
            "id": event["event_id"],
            "source": {"type": "string", "pattern": "^/agents/", "description": "/agents/ and the agent's name."},
            "type": event["event_type"],
            "subject": event["entity_id"],
            "tenant": event["tenant"],
            "correlationid": event["correlation_id"],
            "data": {"type": "object", "required": list(data), "properties": data, "additionalProperties": False},
        },
    }


def asyncapi() -> Schema:
    """The AsyncAPI 3.0 description of the topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Signalbox events",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": "Every decision and happening, in order within its entity, at least once. Messages are keyed "
            "by the entity's thread id. What a group cannot handle is kept as a dead letter with its reason.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "journal": {
                "address": "journal",
                "description": "The decision journal. Redis: stream sb:{s<shard>}:stream:journal; Kafka and RabbitMQ: "
                "topic signalbox.journal. Start a consumer group at the beginning.",
                "messages": {"event": {"$ref": "#/components/messages/event"}},
            },
        },
        "operations": {
            "publishEvent": {
                "action": "send",
                "channel": {"$ref": "#/channels/journal"},
                "summary": "Signalbox appends what happened.",
            },
        },
        "components": {
            "messages": _messages(),
            "schemas": {"cloudEvent": cloudevent_schema(), "outsideEvent": outside_event_schema()},
        },
    }


def _messages() -> Schema:
    return {
        "event": {
            "name": "event",
            "title": "Event",
            "description": f"Redis stream fields: {KEY_FIELD} = message key, {BODY_FIELD} = this JSON text, "
            f"{HEADERS_FIELD} = headers as a JSON object of text, {PUBLISHED_FIELD} = publish time in ms since "
            "1970; any further field is a header (seq = the event's sequence).",
            "payload": {
                "schemaFormat": "application/schema+json;version=draft-2020-12",
                "schema": {"$ref": "./event.schema.json"},
            },
        },
        "cloudEvent": {
            "name": "cloudEvent",
            "title": "Event as CloudEvents 1.0",
            "description": "How an event is told to systems outside.",
            "contentType": "application/cloudevents+json",
            "payload": {"$ref": "#/components/schemas/outsideEvent"},
        },
    }


def files() -> dict[str, str]:
    """The published files by name."""
    schema = orjson.dumps(event_schema(), option=orjson.OPT_INDENT_2).decode() + "\n"
    return {
        "event.schema.json": schema,
        # Copied through JSON: YAML would write equal parts once and refer to them by anchors.
        "asyncapi.yaml": yaml.safe_dump(orjson.loads(orjson.dumps(asyncapi())), sort_keys=False, width=118),
    }


def _used(part: Schema, definitions: Schema) -> Schema:
    """The definitions a part of a schema refers to, and those they refer to."""
    text = orjson.dumps(part).decode()
    used = {name: found for name, found in definitions.items() if f'"#/$defs/{name}"' in text}
    missing = {name: found for name, found in definitions.items() if name not in used}
    return used | _used(used, missing) if used else {}


def main(folder: Path) -> None:
    """Write the published files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
