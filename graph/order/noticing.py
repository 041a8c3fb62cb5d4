"""What intake notes of an order for the velocity rules of orders to come."""

from agents.fraud_activity import activity_account, activity_keys, decline_keys
from domain.order import Order
from domain.ports import ActivityPort

MOST_DECLINES = 20
"""Of one payment; no rule asks for as many."""


async def notice(activity: ActivityPort, order: Order) -> None:
    """Note the order, and every attempt that was declined before its payment succeeded; again changes nothing.

    Raises:
        StoreUnavailable: it could not be noted; noting it again is safe.
    """
    account = activity_account(order)
    await activity.record(
        tenant=order.tenant, keys=activity_keys(order), order_id=order.order_id, account=account, at=order.placed_at
    )
    for number in range(min(order.payment.declines_1h or 0, MOST_DECLINES)):
        attempt = f"{order.order_id}#declined{number}"
        await activity.record(
            tenant=order.tenant, keys=decline_keys(order), order_id=attempt, account=account, at=order.placed_at
        )
