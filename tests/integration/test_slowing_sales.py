"""Slowing sales on a whole system: plans applied through effects, locked per SKU, restored exactly, also after a cut-off."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
import pytest_asyncio

from agents.merchandising import Step, plan
from agents.merchandising_case import situation_of
from api.desk import Desk
from domain.effect import EffectKind
from domain.ids import Sku
from domain.listing import Listing, RunningPromotion
from domain.money import Money
from domain.order import Channel
from domain.slowing import SlowState
from tests.support.fake_clock import FakeClock
from tests.support.suppliers import Shop
from tests.support.system import TENANT, fast_settings, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
CLOCK = FakeClock()
CHANNELS = (Channel.SHOPIFY, Channel.SHOPEE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with opened(fast_settings(tmp_path_factory.mktemp("slowing")), clock=CLOCK) as rig:
        yield Shop(rig.box)


def listing(sku: Sku, channel: Channel, random: Random) -> Listing:
    """Any state a listing may be in."""
    return Listing(
        sku=sku, channel=channel, ad_campaigns=tuple(f"ad-{n}" for n in range(random.randrange(3))),
        recommended=random.random() < 0.7, ships_from=random.choice((None, date(2026, 12, 24))),
        customer_limit=random.choice((None, 1, 5)), allocation_percent=random.choice((100, 60, 7)),
        price=Money(amount_minor=random.randrange(100, 99_999), currency="USD"),
        backorder_label=random.choice(("", "ships late")), visible=random.random() < 0.8,
    )  # fmt: skip


async def listed(shop: Shop, random: Random, *, stock: int = 12) -> Sku:
    """An SKU that runs out before anybody delivers, in any listing state on two channels."""
    assert shop.box.sandbox is not None
    sku = await shop.sells(stock=stock)
    for channel in CHANNELS:
        await shop.box.sandbox.listings.put(listing(sku, channel, random), tenant=TENANT)
    return sku


async def now_listed(shop: Shop, sku: Sku) -> list[str]:
    assert shop.box.sandbox is not None
    report = await shop.box.sandbox.listings.listings([sku], tenant=TENANT)
    return [one.to_json() for one in report.listings]


async def test_every_state_comes_back_byte_for_byte(shop: Shop) -> None:
    """domain/M1: 200 random states, some cut off between two steps, are restored to the byte."""
    random = Random(7)  # noqa: S311
    slowing, sku = shop.box.suppliers.slowing, await listed(shop, random)
    assert shop.box.sandbox is not None
    for turn in range(200):
        for channel in CHANNELS:
            await shop.box.sandbox.listings.put(listing(sku, channel, random), tenant=TENANT)
        before = await now_listed(shop, sku)
        done = await slowing.consider(TENANT, sku)
        assert done.plan is not None
        if turn % 4 == 0 and len(done.plan.changes) > 1:
            # As a crash leaves it: planned in full, and on one channel nothing of it was made.
            await shop.box.sandbox.listings.put(Listing.from_json(before[turn % 2]), tenant=TENANT)
            half = done.plan.model_copy(update={"state": SlowState.RESTORING})
            await slowing.book.keep(half, token=2**40 + turn, at=CLOCK.now())
            await slowing.look()
        else:
            assert await now_listed(shop, sku) != before
            await slowing.restore(TENANT, sku, "test")
        assert await now_listed(shop, sku) == before
    assert not await slowing.book.standing()


async def test_two_triggers_make_one_plan(shop: Shop) -> None:
    """domain/M2: ten triggers at once lead to one plan, each step applied once."""
    sku = await listed(shop, Random(1))  # noqa: S311
    slowing = shop.box.suppliers.slowing
    done = await asyncio.gather(*(slowing.consider(TENANT, sku) for _ in range(10)))
    assert {one.plan.number for one in done if one.plan} == {1}
    assert shop.box.sandbox is not None
    applied = await shop.box.sandbox.applied(sku)
    assert len({one.key for one in applied}) == len(applied)
    assert all(one.kind is EffectKind.CHANGE_LISTING for one in applied)
    await slowing.restore(TENANT, sku, "test")


async def test_goods_that_arrive_end_the_plan_at_the_next_look(shop: Shop) -> None:
    """F38, domain/M3: a late reorder lowers visibility, arrival restores it, both in the journal; looks are 20 s apart."""
    assert shop.box.sandbox is not None
    sku = await listed(shop, Random(2))  # noqa: S311
    before, slowing = await now_listed(shop, sku), shop.box.suppliers.slowing
    done = await slowing.consider(TENANT, sku)
    assert done.plan is not None
    assert done.probability > 0.2
    await slowing.look()
    assert (await slowing.book.find(TENANT, sku)).state is SlowState.STANDING  # type: ignore[union-attr]
    await shop.box.sandbox.wms.count_stock("HKG", sku, 500)
    await slowing.look()
    assert await now_listed(shop, sku) == before

    told = await Desk(shop.box).audit(TENANT, sku)
    assert {"sku.slowed", "sku.restored"} <= {entry["event"] for entry in told["entries"]}


async def test_what_somebody_else_set_is_left_alone(shop: Shop) -> None:
    """A field changed by hand while a plan stands is not set back; the others are."""
    assert shop.box.sandbox is not None
    sku = await listed(shop, Random(3))  # noqa: S311
    slowing = shop.box.suppliers.slowing
    done = await slowing.consider(TENANT, sku)
    assert done.plan is not None
    report = await shop.box.sandbox.listings.listings([sku], tenant=TENANT)
    by_hand = report.listings[0].model_copy(update={"price": Money(amount_minor=1, currency="USD")})
    await shop.box.sandbox.listings.put(by_hand, tenant=TENANT)
    await slowing.restore(TENANT, sku, "test")
    after = await shop.box.sandbox.listings.listings([sku], tenant=TENANT)
    assert after.listings[0].price.amount_minor == 1


async def test_an_advertised_promotion_keeps_its_price(shop: Shop) -> None:
    """domain/M4: raising the price during an advertised promotion is refused with the reason."""
    assert shop.box.sandbox is not None
    sku = await listed(shop, Random(4), stock=3)  # noqa: S311
    today = datetime.now(UTC).date()
    promotion = RunningPromotion(
        promotion_id="12.12", sku=sku, channel=Channel.SHOPIFY, starts=today, ends=today + timedelta(days=2)
    )
    await shop.box.sandbox.listings.put_promotion(promotion, tenant=TENANT)
    situation = await situation_of(shop.box.suppliers.ports, sku, tenant=TENANT, now=CLOCK.now())
    chosen = plan(situation)
    assert any("12.12" in why and why.startswith("price on shopify") for why in chosen.refused)
    assert not [c for c in chosen.changes if c.step is Step.PRICE and c.channel is Channel.SHOPIFY]


async def test_plenty_of_stock_is_left_in_peace(shop: Shop) -> None:
    """No plan below the chance from which sales are slowed."""
    sku = await listed(shop, Random(5), stock=5_000)  # noqa: S311
    done = await shop.box.suppliers.slowing.consider(TENANT, sku)
    assert done.plan is None
    assert done.probability <= 0.2
