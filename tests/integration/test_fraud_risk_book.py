"""The risk desk's book in Redis, and the fraud agent reading it."""

from datetime import timedelta

import pytest

from agents.fraud_activity import activity_keys
from agents.fraud_detection import FraudDetection
from domain.errors import NotFound
from domain.ids import TenantId
from domain.risk import CustomerException, ExceptionKind
from graph.runtime.connection import Batcher
from graph.runtime.keys import Keyspace
from graph.runtime.risk_book import RiskBook
from tests.support.agent_world import NOW, Customer, Payment, PaymentMethod, PaymentState, case, order, world

SNOOZE = CustomerException(
    exception_id="x-1",
    tenant=TenantId("demo"),
    customer_id="C-1",
    kind=ExceptionKind.SNOOZE,
    rule="DISPOSABLE_EMAIL",
    starts_at=NOW - timedelta(days=1),
    ends_at=NOW + timedelta(days=1),
    reason="known buyer",
    made_by="user:ann",
)


@pytest.fixture
def book(batcher: Batcher, keyspace: Keyspace) -> RiskBook:
    return RiskBook(batcher, keyspace)


async def test_a_snooze_is_kept_until_it_ends(book: RiskBook) -> None:
    """P27: a snooze written down is read by the agent, ended early by the desk, and stays on record."""
    await book.write(SNOOZE)
    await book.write(SNOOZE)
    around = world()
    agent = FraudDetection(activity=around.activity, crm=around.crm, erp=around.erp, book=book)
    subject = order(customer=Customer(customer_id="C-1", email="a@mailinator.com"))
    assert "snoozed:DISPOSABLE_EMAIL" in (await agent.decide(case(subject))).flags
    assert await book.exceptions(tenant="rival", customer_id="C-1") == []
    ended = await book.end(tenant="demo", customer_id="C-1", exception_id="x-1", at=NOW)
    assert ended.ends_at == NOW
    assert await book.exceptions(tenant="demo", customer_id="C-1") == [ended]
    assert await book.end(tenant="demo", customer_id="C-1", exception_id="x-1", at=NOW + timedelta(hours=1)) == ended
    assert "snoozed:DISPOSABLE_EMAIL" not in (await agent.decide(case(subject))).flags
    with pytest.raises(NotFound, match="x-9"):
        await book.end(tenant="demo", customer_id="C-1", exception_id="x-9", at=NOW)
    await book.write(SNOOZE)
    await book.end(tenant="demo", customer_id="C-1", exception_id="x-1", at=SNOOZE.starts_at)
    assert await book.exceptions(tenant="demo", customer_id="C-1") == []


async def test_confirmed_fraud_is_found_by_any_of_its_keys(book: RiskBook) -> None:
    """domain/F1: B1: an order that shares a card, a place or a phone with confirmed fraud is held, per tenant."""
    paid = Payment(method=PaymentMethod.CARD, state=PaymentState.PAID, card_fingerprint="fp")
    fraud = order(payment=paid)
    around = world()
    agent = FraudDetection(activity=around.activity, crm=around.crm, erp=around.erp, book=book)
    assert (await agent.decide(case(fraud))).decision == "approve"
    await book.confirm(tenant="demo", keys=activity_keys(fraud))
    assert await book.confirmed(tenant="demo", keys={"card": "fp", "device": "new"}) == ["card"]
    assert await book.confirmed(tenant="rival", keys={"card": "fp"}) == []
    assert (await agent.decide(case(order(payment=paid, country="HK")))).decision == "hold"
    await book.clear(tenant="demo", keys=activity_keys(fraud))
    assert (await agent.decide(case(fraud))).decision == "approve"
    assert await book.confirmed(tenant="demo", keys={}) == ()
