"""The support context's published shape, and the names of contact reasons."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from domain.errors import InputError
from domain.support import context_schema
from domain.support_reason import DETAILS, Reason, Topic, parse_reason


def test_every_reason_is_named_as_it_is_parsed() -> None:
    for topic in Topic:
        for detail in ("", *DETAILS[topic]):
            reason = Reason(topic=topic, detail=detail)
            assert parse_reason(reason.name.upper()) == reason


@pytest.mark.parametrize("text", ["", "wismo/", "lost", "wismo/cancel", "change/late", "refund_status/late", "../etc"])
def test_unknown_reasons_are_refused_with_the_list(text: str) -> None:
    if text == "wismo/":
        assert parse_reason(text).name == "wismo"
        return
    with pytest.raises(InputError) as refused:
        parse_reason(text)
    assert "use one of" in str(refused.value) or "it has:" in str(refused.value)


def test_a_detail_belongs_to_its_topic() -> None:
    with pytest.raises(ValidationError):
        Reason(topic=Topic.WISMO, detail="cancel")


def test_the_published_schema_closes_every_object() -> None:
    """F39: the shape is published, and nothing undeclared travels in it."""
    schema = context_schema()
    objects = [schema, *schema["$defs"].values()]
    for each in objects:
        if each.get("type") == "object":
            assert each["additionalProperties"] is False, each.get("title")


def test_the_published_schema_is_the_code() -> None:
    """F39: the checked-in file cannot drift (``python -m domain.support`` prints it)."""
    kept = Path(__file__).parents[2] / "docs/support/support_context.v1.schema.json"
    assert json.loads(kept.read_text()) == context_schema()
