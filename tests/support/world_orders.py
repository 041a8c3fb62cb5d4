"""Orders of the generated world, delivered to a running system as if their platforms had just been asked for them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from api.services import Submission
from evals.world import Catalogue, RawOrder, generate
from tests.support.system import TENANT, Rig
from tools.channels.protocol import DeliveryKind


def world_orders(rig: Rig, count: int, *, seed: int = 5) -> Iterator[RawOrder]:
    """``count`` mixed orders of the last hour."""
    assert rig.box.sandbox is not None
    catalogue = Catalogue.of_sandbox(rig.box.sandbox.world)
    return generate(count, seed, start=datetime.now(UTC) - timedelta(hours=1), catalogue=catalogue, per_hour=count)


async def deliver(rig: Rig, orders: Iterator[RawOrder]) -> list[str]:
    """Submit them all; gives their ids."""
    ids = []
    for order in orders:
        submission = Submission(
            tenant=TENANT,
            channel=order.channel.value,
            shop=order.shop,
            topic=order.topic,
            kind=DeliveryKind.ORDER,
            raw=order.body,
            dedupe_id=order.external_id,
            order_hint=order.external_id,
            source="test",
            received_at=datetime.now(UTC),
        )
        ids.append((await rig.desk.submit(submission)).handle)
    return ids
