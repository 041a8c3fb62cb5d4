"""What a customer may hear of an order: four languages, nothing of how we tell."""

import re

import pytest

from domain.order import OrderProgress
from graph.runtime.audit_chain import GENESIS, AuditRow, columns_of, link
from graph.runtime.customer_story import LANGUAGES, for_customer
from graph.runtime.why import explain
from tests.support.audited import AT, an_event


def rows(*events: dict[str, object]) -> list[AuditRow]:
    """Audit rows of one order."""
    found, last = [], GENESIS
    for position, changes in enumerate(events, start=1):
        row = link(
            columns_of(an_event(sequence=position, **changes)), position=position, prev_hash=last, recorded_at=AT
        )
        last = row["hash"]
        found.append(AuditRow.model_validate({"id": position, **row}))
    return found


SECRETS = re.compile(r"fraud|risk|score|threshold|VELOCITY|NEW_DEVICE|fd-1|mei|\d", re.IGNORECASE)


@pytest.mark.parametrize("state", list(OrderProgress))
def test_every_state_is_told_in_four_languages_without_internals(state: OrderProgress) -> None:
    """F45, reliability/S05: no reason, score, threshold, version or name of ours, in any language."""
    told = for_customer(
        explain(rows({}, {"event_type": f"order.progress.{state}", "agent_name": "signalbox", "result": {}}))
    )
    assert tuple(told) == LANGUAGES
    assert len(set(told.values())) == 4
    for text in told.values():
        assert not SECRETS.search(text), text
    assert "checks" not in told["vi"]
    assert "payment" in told["en"]


def test_it_says_whether_a_person_decided() -> None:
    asked = {"event_type": "order.review.requested", "agent_name": "signalbox", "result": {"review_id": "rv0-1"}}
    answer = {"event_type": "order.review.decided", "agent_name": "person:mei",
              "result": {"review_id": "rv0-1", "action": "approve", "decided_by": "user:mei"}}  # fmt: skip
    assert "No person" in for_customer(explain(rows({})))["en"]
    assert "A colleague is looking" in for_customer(explain(rows({}, asked)))["en"]
    assert "A person made" in for_customer(explain(rows({}, asked, answer)))["en"]


def test_what_is_no_order_has_no_customer() -> None:
    order = {"event_type": "purchase_order.drafted", "entity_type": "purchase_order", "entity_id": "PO-1"}
    assert for_customer(explain(rows(order))) == {}
