"""The order workflow and whoever contradicts it from outside: claims around release and cancellation, and after a crash."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from domain.claim import ClaimState, Entity
from domain.conflict import Party, Side
from domain.effect import EffectKind
from domain.ids import ReviewId
from domain.order import OrderProgress
from domain.review import ReviewAction
from graph.order.claiming import AGENT
from tests.support.conflict_sides import side
from tests.support.system import TENANT, Rig, fast_settings, for_review, native_order, opened, working
from tests.support.worker_process import KILLED, worker_processes

AT = OrderProgress


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with opened(fast_settings(tmp_path)) as rig:
        yield rig


def about(order_id: str) -> Entity:
    return Entity(tenant=TENANT, entity_type="order", entity_id=order_id)


def refund(**changes: object) -> Side:
    return side("support", "refund/refund", 3, ".95", "20").model_copy(update={"state_version": 1, **changes})


async def begun(rig: Rig, order_id: str, one: Side) -> None:
    now = datetime.now(UTC)
    assert (await rig.box.claims.claim_facet(about(order_id), one, at=now)).state is ClaimState.GRANTED
    await rig.box.claims.begin(about(order_id), one, at=now)


async def test_a_release_leaves_no_claim_behind(rig: Rig) -> None:
    """F59: released, reviewed, parked or cancelled: what ended claims nothing, and a later refund meets nothing."""
    async with working(rig):
        released = await rig.run(native_order(), at=AT.FULFILLED)
        gone = await rig.reviewed(for_review())
        await rig.cancel(gone.order_id)
        await rig.settled(gone.order_id, at=[AT.CANCELLED])
        approved = await rig.reviewed(for_review())
        await rig.decide(approved.review_id, ReviewAction.APPROVE)
        await rig.settled(approved.order_id, at=[AT.FULFILLED])
    for record in (released, gone, approved):
        assert await rig.box.claims.of(about(record.order_id)) == []
        assert await rig.keys_without_ttl(record.order_id) == []
    await begun(rig, released.order_id, refund())


async def test_a_refund_under_way_stops_the_release_until_a_person_decides(rig: Rig) -> None:
    """domain 10, F59: support has begun to refund an order that is about to ship: asked, told why, then as the person says."""
    orders = [native_order() for _ in range(2)]
    for payload in orders:
        await begun(rig, f"storefront-{payload['external_id']}", refund())
    async with working(rig):
        asked = [await rig.reviewed(payload) for payload in orders]
        for record in asked:
            review = await rig.box.store.reviews.find(TENANT, ReviewId(record.review_id))
            assert "support says refund" in " ".join(review.reasons)
            assert EffectKind.BOOK_LABEL not in await rig.kinds(record.order_id)
        await rig.decide(asked[0].review_id, ReviewAction.APPROVE)
        await rig.decide(asked[1].review_id, ReviewAction.REJECT)
        await rig.settled(asked[0].order_id, at=[AT.FULFILLED])
        await rig.settled(asked[1].order_id, at=[AT.CANCELLED])
        rows = await rig.history(asked[0].order_id)
    assert "order.conflict.recorded" in [row.event_type for row in rows]
    for record in asked:
        assert [claim.side.agent for claim in await rig.box.claims.of(about(record.order_id))] == ["support"]


async def test_a_cancellation_meets_what_cannot_be_called_back(rig: Rig) -> None:
    """domain 10 row 11: another workflow has the parcel on its way: the customer's wish is refused with the reason."""
    async with working(rig):
        record = await rig.reviewed(for_review())
        ship = side("depot", "order.shipping/ship", 2, ".95", "20").model_copy(update={"state_version": record.version})
        await begun(rig, record.order_id, ship)
        await rig.cancel(record.order_id)
        await rig.idle()
        rows = await rig.history(record.order_id)
        (refused,) = [row.event.result for row in rows if row.event_type == "order.cancel.refused"]
    assert "depot says ship" in str(refused["detail"])
    assert (await rig.progress(record.order_id)) is AT.IN_REVIEW


@pytest.mark.parametrize("end", [pytest.param(AT.FULFILLED, marks=pytest.mark.chaos), AT.CANCELLED])
async def test_a_crash_inside_a_release_never_blocks_the_order(tmp_path: Path, end: AT) -> None:
    """F59: killed with the claim begun, the order goes on, or is cancelled; meanwhile a refund is told that it is late."""
    async with opened(fast_settings(tmp_path / "home")) as rig, worker_processes() as workers:
        order_id = await rig.submit(native_order())
        crashing = await workers.start(rig.box.settings.home, crash_at="effect.applied:3")
        assert await crashing.ended(within_s=20.0) == KILLED, crashing.log()
        (left,) = await rig.box.claims.of(about(order_id))
        assert (left.side.agent, left.state) == (AGENT, ClaimState.BEGUN)
        late = await rig.box.claims.claim_facet(about(order_id), refund(), at=datetime.now(UTC))
        assert late.state is ClaimState.LOST
        if end is AT.CANCELLED:
            await rig.cancel(order_id)
        async with working(rig):
            await rig.settled(order_id, at=[end], within_s=20.0)
            await rig.idle()
        assert [one.side.agent for one in await rig.box.claims.of(about(order_id))] == ["support"]
        assert left.side.party is Party.AGENT
