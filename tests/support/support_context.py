"""A support context for tests of language tasks: one late parcel of one order."""

from datetime import UTC, datetime, timedelta
from typing import Any

from domain.money import Money
from domain.support import (
    AddressView,
    CustomerFacts,
    Fact,
    LineView,
    LtvBucket,
    NextAction,
    OrderFacts,
    RefundOption,
    ShipmentStatus,
    ShipmentView,
    SupportAction,
    SupportContext,
)

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def fact(value: Any, source: str = "oms", **changes: Any) -> Fact[Any]:
    """A fact read just now."""
    return Fact[Any](value=value, source=source, fetched_at=AT, **changes)


def late_parcel(**changes: Any) -> SupportContext:
    """An order of two tea pots, last seen in Singapore, three days late."""
    total = Money(amount_minor=25_800, currency="HKD")
    parcel = ShipmentView(
        tracking_number="SF1234567890", carrier="SF Express", status=ShipmentStatus.IN_TRANSIT,
        last_scan_place="Singapore", last_scan_at=AT - timedelta(days=2), promised_at=AT - timedelta(days=3),
        predicted_p50_at=AT + timedelta(days=1), predicted_p80_at=AT + timedelta(days=2), days_late=3,
    )  # fmt: skip
    goods = LineView(line_id="1", sku="SKU-1", name="Tea pot", quantity=2, quantity_open=0, unit_price=total)
    order = OrderFacts(
        order_id="shopify-1001", number="#1001", channel="shopify", placed_at=AT - timedelta(days=9), currency="HKD",
        state=fact("SHIPPED"), total=fact(total), timeline=fact(()), lines=fact((goods,)), payments=fact(()),
        holds=fact(()), decisions=fact(()), ship_to=fact(AddressView(city="Kowloon", country="HK")),
    )  # fmt: skip
    given: dict[str, Any] = {
        "context_id": "ctx-1", "tenant": "acme", "generated_at": AT, "role": "support", "resolved_by": "order",
        "customer": CustomerFacts(
            id_hash="h", language=fact("en"), tier=fact("gold"), ltv_bucket=fact(LtvBucket.MEDIUM), orders_24m=fact(4),
            return_rate=fact(0.0), cod_refusal_rate=fact(0.0), open_tickets=fact(0), last_3_ticket_summaries=fact(()),
        ),
        "order": order, "other_orders": fact(()), "shipments": fact((parcel,), "carrier"), "returns": fact(()),
        "refunds": fact((RefundOption(amount=total, method_id="m1", eta_days=(3, 5), condition="parcel lost"),), "rules"),
        "exchange_options": fact(()),
        "next_best_action": NextAction(
            action=SupportAction.TRACE, confidence=0.8, preconditions=(), why="late and without a scan for two days"
        ),
    }  # fmt: skip
    return SupportContext(**given | changes)
