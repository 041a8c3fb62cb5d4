"""The supplier workflow on a whole system: from an alert to an order sent, with people in between, and what may go wrong."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from api.desk import Desk
from domain.effect import EffectKind
from domain.errors import Conflict, Forbidden, NotFound, UnprocessableOrder
from domain.ids import Sku, TenantId
from domain.listing import Listing
from domain.money import Money
from domain.order import Channel
from domain.purchasing import PurchaseOrderState
from domain.review import ReviewAction, ReviewState
from domain.slowing import SlowState
from domain.supply import PriceBreak
from domain.supply_case import SupplyProgress
from tests.support.suppliers import Shop, offer
from tests.support.system import TENANT, fast_settings, native_order, opened, running, working
from tests.support.waiting import wait_until
from tools.sandbox import Fault, FaultMode

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with running(fast_settings(tmp_path_factory.mktemp("suppliers"))) as rig:
        yield Shop(rig.box)


async def test_an_alert_becomes_a_reviewed_order_that_is_sent_once(shop: Shop) -> None:
    """F34, F35, E7: one trigger, one chain; price from the ERP; a verified draft within a minute; sent after approval."""
    dear = offer("", "V-CN-02", "12.00")
    sku = await shop.sells(offers=[offer("", price="10.50"), dear])
    started = (await shop.alert(sku)).started
    assert [one.skus for one in started] == [(sku,)]
    number = started[0].number
    review = await shop.asked(number)
    stored = await shop.order(number)
    assert stored.state is PurchaseOrderState.IN_REVIEW
    line = stored.order.lines[0]
    assert (stored.order.vendor.vendor_id, line.unit_price, stored.order.currency) == (
        "V-CN-01",
        Decimal("10.50"),
        "CNY",
    )
    assert line.quantity % line.pack == 0
    assert stored.drafted_at is not None
    assert (stored.drafted_at - stored.triggered_at).total_seconds() < 60
    facts = review.facts
    assert facts["findings"] == []
    assert {"purchase_order", "letter", "gloss", "comparison", "stockout", "weeks"} <= set(facts)
    assert number in str(facts["letter"])
    assert number in str(facts["gloss"])
    assert {row["supplier_id"] for row in facts["comparison"][sku]} == {"V-CN-01", "V-CN-02"}  # type: ignore[index,call-overload,union-attr]
    assert await shop.letters(number) == 0
    await shop.answer(review, ReviewAction.APPROVE)
    assert (await shop.over(number)).progress is SupplyProgress.SENT
    sent = await shop.order(number)
    assert sent.state is PurchaseOrderState.SENT
    assert sent.decided_at is not None
    assert sent.sent_at is not None
    assert await shop.letters(number) == 1


async def test_a_need_is_met_once(shop: Shop) -> None:
    """F34: the same alert, other alerts, many at once, and an open order all lead to no second chain."""
    sku = await shop.sells()
    told = await asyncio.gather(*(shop.alert(sku) for _ in range(5)))
    numbers = {one.number for outcome in told for one in outcome.started}
    assert len(numbers) == 1
    number = numbers.pop()
    await shop.asked(number)
    again = await shop.alert(sku)
    assert not again.started
    assert number in again.covered[sku]
    await shop.answer(await shop.asked(number), ReviewAction.APPROVE)
    await shop.over(number)
    assert not (await shop.alert(sku)).started


async def test_a_rejected_order_frees_its_need(shop: Shop) -> None:
    """F34: procurement's no ends the chain, nothing is sent, and the next alert starts a new one."""
    sku = await shop.sells()
    first = (await shop.alert(sku, key="same")).started[0].number
    await shop.answer(await shop.asked(first), ReviewAction.REJECT)
    assert (await shop.over(first)).progress is SupplyProgress.REJECTED
    assert (await shop.order(first)).state is PurchaseOrderState.REJECTED
    assert await shop.letters(first) == 0
    assert [one.number for one in (await shop.alert(sku, key="same")).started] == [first]
    second = (await shop.alert(sku)).started[0].number
    assert second != first


async def test_a_price_change_voids_the_question(shop: Shop) -> None:
    """A new price under an open question: the answer is refused, and the next version asks again with the new price."""
    assert shop.box.sandbox is not None
    sku = await shop.sells()
    number = (await shop.alert(sku)).started[0].number
    review = await shop.asked(number)
    await shop.box.sandbox.purchasing.put_offer(offer(sku, price="11.00"))
    with pytest.raises(Conflict):
        await shop.answer(review, ReviewAction.APPROVE)
    fresh = await shop.asked(number, besides=review.review_id)
    assert (await shop.box.store.reviews.find(TENANT, review.review_id)).state is ReviewState.VOID
    order = (await shop.order(number)).order
    assert (order.version, order.lines[0].unit_price) == (2, Decimal("11.00"))
    await shop.answer(fresh, ReviewAction.APPROVE)
    await shop.over(number)
    assert await shop.letters(number) == 1


async def test_an_edit_is_verified_anew(shop: Shop) -> None:
    """Edited quantities must be whole packs and become the next version, whose price is the ERP's for that quantity."""
    steps = (PriceBreak(from_quantity=0, unit_price=Decimal(10)), PriceBreak(from_quantity=500, unit_price=Decimal(9)))
    sku = await shop.sells(offers=[offer("", prices=steps)])
    number = (await shop.alert(sku)).started[0].number
    review = await shop.asked(number)
    for wrong in ({"quantities": {sku: 15}}, {"unit_price": "1"}, {"quantities": {"NONE": 10}}, {"deliver_until": "soon"},
                  {"deliver_until": "2020-01-01"}, {"quantities": {sku: 0}}, {}):  # fmt: skip
        with pytest.raises((UnprocessableOrder, Conflict)):
            await shop.answer(review, ReviewAction.EDIT, edits=wrong)
    await shop.answer(review, ReviewAction.EDIT, edits={"quantities": {sku: 600}, "notes": ["Mark the cartons"]})
    await shop.asked(number, besides=review.review_id)
    order = (await shop.order(number)).order
    assert (order.version, order.lines[0].quantity, order.lines[0].unit_price) == (2, 600, Decimal(9))
    assert order.notes == ("Mark the cartons",)


async def test_only_procurement_decides(shop: Shop) -> None:
    """S: the support role cannot approve an order."""
    sku = await shop.sells()
    review = await shop.asked((await shop.alert(sku)).started[0].number)
    with pytest.raises(Forbidden):
        await shop.answer(review, ReviewAction.APPROVE, role="support")


async def test_a_letter_that_cannot_be_sent_is_asked_about(shop: Shop) -> None:
    """A gateway that refuses for good leaves the order with procurement; trying again sends it once."""
    assert shop.box.sandbox is not None
    sku = await shop.sells()
    number = (await shop.alert(sku)).started[0].number
    review = await shop.asked(number)
    call = EffectKind.SEND_PURCHASE_ORDER.value
    await shop.box.sandbox.faults.set(Fault(system="messages", call=call, mode=FaultMode.UNAVAILABLE, times=3))
    await shop.answer(review, ReviewAction.APPROVE)
    again = await shop.asked(number, besides=review.review_id)
    assert again.stage == "release"
    assert await shop.letters(number) == 0
    await shop.answer(again, ReviewAction.APPROVE)
    third = await shop.asked(number, besides=again.review_id)
    await shop.answer(third, ReviewAction.APPROVE)
    await shop.over(number)
    assert await shop.letters(number) == 1


async def test_several_skus_of_one_supplier_go_in_one_order(shop: Shop) -> None:
    """Consolidation: one order a supplier; what nobody offers is told and does not hold up the rest."""
    pair = [await shop.sells(), await shop.sells()]
    other = await shop.sells(offers=[offer("", "V-CN-03")])
    outcome = await shop.alert(*pair, other, Sku("NOBODY-SELLS-IT"))
    assert {frozenset(one.skus) for one in outcome.started} == {frozenset(pair), frozenset({other})}
    assert "NOBODY-SELLS-IT" in outcome.refused
    both = next(one.number for one in outcome.started if len(one.skus) == 2)
    await shop.asked(both)
    assert {line.sku for line in (await shop.order(both)).order.lines} == set(pair)


async def test_with_only_this_workflow_orders_are_kept_and_start_nothing(tmp_path: Path) -> None:
    """F3: the order workflow is off: an order event is stored, no graph runs; a purchase order goes its whole way."""
    settings = fast_settings(tmp_path)
    text = settings.topology_file.read_text(encoding="utf-8").replace("enabled: true", "enabled: false")
    off = tmp_path / "order.yaml"
    off.write_text(text, encoding="utf-8")
    async with opened(fast_settings(tmp_path, topology_file=off)) as rig, working(rig):
        shop = Shop(rig.box)
        order_id = await rig.submit(native_order())
        sku = await shop.sells()
        number = (await shop.alert(sku)).started[0].number
        await shop.answer(await shop.asked(number), ReviewAction.APPROVE)
        assert (await shop.over(number)).progress is SupplyProgress.SENT
        record = await rig.record(order_id)
        assert (record.order, record.attempt_group) == (None, 0)

        async def stored() -> bool:
            return (await rig.box.bus.lag("intake", "controller")).undelivered >= 1

        await wait_until(stored, "the order event waits on the topic")


async def test_the_cycle_is_measured_and_explained(shop: Shop) -> None:
    """F37: minutes from trigger to sent by supplier, work apart from waiting; the audit explains the order by its number."""
    desk = Desk(shop.box)
    sku = await shop.sells(offers=[offer("", "V-CN-04")])
    number = (await shop.alert(sku)).started[0].number
    shown = await desk.purchasing.shown(TENANT, number)
    assert shown["number"] == number
    await shop.answer(await shop.asked(number), ReviewAction.APPROVE)
    await shop.over(number)
    cycle = (await desk.purchasing.listed(TENANT, ["sent"]))["cycle_minutes"]["V-CN-04"]
    assert cycle["orders"] == 1
    assert 0 < cycle["work"] <= cycle["trigger_to_sent"] < 1
    assert cycle["waiting_for_approval"] == pytest.approx(cycle["trigger_to_sent"] - cycle["work"], abs=0.01)
    assert cycle["waiting_for_supplier"] is None
    explained = await desk.audit(TENANT, number)
    asked = {entry["actor"] for entry in explained["entries"]}
    assert {"demand_forecast", "supplier_choice", "purchase_order_draft", "purchase_order_verification"} <= asked
    assert any("effect.applied" in entry["event"] for entry in explained["entries"])
    with pytest.raises(NotFound):
        await desk.purchasing.shown(TENANT, "PO-1900-000001")
    with pytest.raises(NotFound):
        await desk.purchasing.shown(TenantId("other"), number)


async def test_a_late_reorder_slows_sales_by_itself(shop: Shop) -> None:
    """F38: a chain that finds every delivery too late has the SKU's sales slowed, without a person asking for it."""
    assert shop.box.sandbox is not None
    sku = await shop.sells(stock=2)
    price = Money(amount_minor=999, currency="USD")
    listing = Listing(sku=sku, channel=Channel.SHOPIFY, ad_campaigns=("ad-1",), price=price)
    await shop.box.sandbox.listings.put(listing, tenant=TENANT)
    await shop.alert(sku)

    async def slowed() -> bool:
        plan = await shop.box.suppliers.slowing.book.find(TENANT, sku)
        return plan is not None and plan.state is SlowState.STANDING

    await wait_until(slowed, f"sales of {sku} are slowed")
    await shop.box.suppliers.slowing.restore(TENANT, sku, "test")
    report = await shop.box.sandbox.listings.listings([sku], tenant=TENANT)
    assert report.listings == (listing,)
