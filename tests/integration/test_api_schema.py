"""The OpenAPI document kept honest: generated requests, good and bad, never meet a 5xx or an undocumented answer."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks as openapi_checks

from api.limits import Limits
from tests.support.api_desk import World, key_of

pytestmark = pytest.mark.timeout(120)

CHECKS = [
    not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.unsupported_method,
    openapi_checks.allow_header_conformance,
]


def _world() -> World:
    """``bolt`` names no reviewers, so that any well-formed person may stand behind its keys."""
    world = World(limits=Limits(rate_per_s=1e6, burst=10**6))
    world.add_review("rev-1001", tenant="bolt")
    world.desk.known["bolt", "storefront-web-1001"] = {"order_id": "storefront-web-1001", "progress": "accepted"}
    return world


schema = schemathesis.openapi.from_asgi("/openapi.json", _world().app, config=SchemathesisConfig(seed=1111))


@schema.exclude(path="/v1/stream").parametrize()
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_is_undocumented(case: Case[Any]) -> None:
    """reliability/S16: seeded requests over every route but the endless stream: 0 x 5xx, 0 undocumented statuses."""
    case.call_and_validate(headers={"Authorization": f"Bearer {key_of('bolt', 'admin')}"}, checks=CHECKS)
