"""F21: one published event schema. Other people's validators judge it, not our own code."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.decision import Decision, Outcome, Proposal, Reason, Versions
from domain.effect import EffectKind
from domain.event import Event, decision_event
from domain.ids import EventId, TenantId
from graph.runtime import event_schema

REPOSITORY = Path(__file__).parents[2]
AT = datetime(2026, 11, 11, 3, 0, 0, 123000, tzinfo=UTC)


def decided(**changes: Any) -> Event:
    decision = Decision(
        decision_id="0199f0a0-0000-7000-8000-000000000001",
        tenant=TenantId("t1"),
        entity_type="order",
        entity_id="shopify-1",
        agent="fraud_detection",
        versions=Versions(agent="fd-1.0"),
        decision="approve",
        outcome=Outcome.PROCEED,
        confidence=0.93,
        flags=("first_order",),
        reasons=(Reason(code="CARD_VELOCITY", text="one card, one order", value="1", threshold="3"),),
        proposals=(Proposal(kind=next(iter(EffectKind)), args={"units": 1}),),
        inputs_digest="0" * 64,
        order_version=1,
        decided_at=AT,
    )
    published = decision_event(decision, correlation_id="c-1", causation_id="", currency="HKD", locale="zh-Hant-HK")
    event = Event.from_json(published.text)
    return event.model_copy(update=changes)


def published() -> Any:
    schema = json.loads((REPOSITORY / "docs/events/event.schema.json").read_text())
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def outside() -> Any:
    described = yaml.safe_load((REPOSITORY / "docs/events/asyncapi.yaml").read_text())
    schema = {"$ref": "#/components/schemas/outsideEvent", "components": described["components"]}
    return jsonschema_rs.validator_for(schema, validate_formats=True)


@pytest.mark.parametrize("name", ["event.schema.json", "asyncapi.yaml"])
def test_the_published_files_are_those_the_code_generates(name: str) -> None:
    """F21: the checked-in description cannot drift from the code (``python -m graph.runtime.event_schema docs/events``)."""
    assert (REPOSITORY / "docs/events" / name).read_text() == event_schema.files()[name]


def test_every_field_says_what_it_means() -> None:
    """F21: the schema is readable without our source."""
    properties = event_schema.event_schema()["properties"]
    assert properties.keys() == Event.model_fields.keys()
    assert all(each["description"] for each in properties.values())


def test_a_decision_event_is_valid_inside_and_outside() -> None:
    """F21: what an agent decided validates against both published schemas."""
    published().validate(json.loads(decided().to_json()))
    outside().validate(decided().to_cloudevent())


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.from_regex(r"[a-z_]{1,12}(\.[a-z0-9_]{1,12}){1,3}", fullmatch=True),
    result=st.dictionaries(st.text(max_size=8), plain, max_size=4),
    entity_id=st.text(min_size=1, max_size=40),
    sequence=st.integers(0, 2**31),
    at=st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive by contract
)
def test_any_event_we_can_make_is_valid_and_comes_back_equal(
    kind: str, result: dict[str, Any], entity_id: str, sequence: int, at: datetime
) -> None:
    """F21: every event the code can publish validates, and parsing its text gives the event back."""
    event = Event(
        event_id=EventId("0199f0a0-0000-7000-8000-000000000002"),
        event_type=kind,
        entity_type="order",
        entity_id=entity_id,
        agent_name="signalbox",
        timestamp=at,
        result=result,
        tenant=TenantId("t1"),
        sequence=sequence,
        correlation_id="c",
        currency="VND",
        locale="vi-VN",
    )
    VALID.validate(json.loads(event.to_json()))
    assert Event.from_json(event.to_json()) == event


VALID = published()


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 99},
        {"event_type": "zebra"},
        {"event_type": "Order.Placed"},
        {"timestamp": "lunchtime"},
        {"timestamp": "2026-11-11T03:00:00"},
        {"sequence": -1},
        {"sequence": "seven"},
        {"tenant": None},
        {"result": []},
        {"colour": "red"},
    ],
    ids=str,
)
def test_a_bad_event_is_refused_by_schema_and_code_alike(change: Mapping[str, Any]) -> None:
    """F21: subscribers with only the published schema refuse exactly what we refuse, with a reason."""
    bad = {**json.loads(decided().to_json()), **change}
    assert not VALID.is_valid(bad)
    with pytest.raises(ValidationError):
        Event.model_validate(bad)


@pytest.mark.parametrize("missing", ["event_id", "tenant", "timestamp", "currency", "correlation_id"])
def test_a_missing_field_is_refused(missing: str) -> None:
    """F21: required means required, in the schema and in the code."""
    bad = json.loads(decided().to_json())
    del bad[missing]
    assert not VALID.is_valid(bad)
    with pytest.raises(ValidationError):
        Event.model_validate(bad)


def test_a_decision_without_its_outcome_is_refused_by_the_schema() -> None:
    """F21: an event that says it is a decision must carry one."""
    bad = json.loads(decided().to_json())
    del bad["result"]["outcome"]
    assert not VALID.is_valid(bad)


def test_the_cloudevents_package_reads_our_events() -> None:
    """F21: an independent implementation takes our events from the wire and finds every attribute."""
    event = decided()
    read = JSONFormat().read(CloudEvent, json.dumps(event.to_cloudevent()))
    assert (read.get_id(), read.get_type()) == (event.event_id, "order.fraud_check.completed")
    assert (read.get_source(), read.get_subject()) == ("/agents/fraud_detection", "shopify-1")
    assert read.get_time() == AT
    assert read.get_extension("tenant") == "t1"
    data = read.get_data()
    assert isinstance(data, dict)
    assert data["result"]["confidence"] == 0.93
    assert data["currency"] == "HKD"


def conformance(name: str) -> list[Any]:
    """Cases of the public CloudEvents conformance repository, from the data folder."""
    folder = Path(os.environ.get("SIGNALBOX_DATA", REPOSITORY.parent / "shared/data"))
    file = folder / "conformance/cloudevents" / f"{name}-events.json"
    if not file.exists():
        reason = f"no CloudEvents conformance cases: {name}-events.json is not below SIGNALBOX_DATA"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason), id="absent")]
    return [pytest.param(case["event"], id=case["id"]) for case in json.loads(file.read_text())["tests"]]


ENVELOPE = jsonschema_rs.validator_for(event_schema.cloudevent_schema(), validate_formats=True)


@pytest.mark.parametrize("event", conformance("valid"))
def test_our_envelope_schema_takes_every_valid_cloudevent(event: dict[str, Any]) -> None:
    """F21: the envelope we publish is CloudEvents 1.0, nothing narrower."""
    ENVELOPE.validate(event)


@pytest.mark.parametrize("event", conformance("invalid"))
def test_our_envelope_schema_refuses_every_invalid_cloudevent(event: dict[str, Any]) -> None:
    """F21: nor anything wider."""
    assert not ENVELOPE.is_valid(event)
