"""Settlement currency and locale travel on every event of an order, from the delivery to the last message."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from domain.effect import EffectKind
from domain.order import OrderProgress
from tests.support.system import TENANT, Rig, fast_settings, for_review, native_order, running, submission

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path_factory.mktemp("locale"))) as system:
        yield system


async def delivered(rig: Rig, locale: str) -> str:
    """Deliver and finish an order written in a language, by a tenant settling in Hong Kong dollars."""
    given = submission(native_order(locale=locale))
    accepted = await rig.desk.submit(replace(given, currency="HKD", locale="zh-Hant-HK"))
    await rig.settled(accepted.handle, at={OrderProgress.FULFILLED})
    await rig.has_applied(accepted.handle, EffectKind.SEND_MESSAGE, EffectKind.POST_LOYALTY, EffectKind.TAG_ORDER)
    return accepted.handle


async def test_every_event_carries_currency_and_locale(rig: Rig) -> None:
    """F50, domain/X4: before the order is read the tenant's own, afterwards the order's; never nothing."""
    rows = await rig.history(await delivered(rig, "vi-VN"))
    carried = {(row.event.currency, row.event.locale) for row in rows if row.event_type != "order.accepted"}
    assert carried == {("USD", "vi-VN")}
    (accepted,) = [row.event for row in rows if row.event_type == "order.accepted"]
    assert (accepted.currency, accepted.locale) == ("HKD", "zh-Hant-HK")


async def test_a_cancellation_before_the_first_reading_carries_them_too(rig: Rig) -> None:
    """F50: what happens to an order nobody has read yet is told in the tenant's currency and language."""
    payload = native_order(currency="XXX")
    given = replace(submission(payload), currency="HKD", locale="zh-Hant-HK")
    handle = (await rig.desk.submit(given)).handle
    await rig.settled(handle, at={OrderProgress.DEAD_LETTER})
    record = await rig.record(handle)
    assert (record.currency, record.locale) == ("HKD", "zh-Hant-HK")
    rows = await rig.history(handle)
    assert {(row.event.currency, row.event.locale) for row in rows} == {("HKD", "zh-Hant-HK")}


async def test_language_changes_the_message_and_no_effect(rig: Rig) -> None:
    """F50: two orders alike but for their language have the same decisions and the same kinds of effect."""
    told = {}
    for locale in ("en", "zh-Hant-TW"):
        order_id = await delivered(rig, locale)
        view = await rig.desk.order(TENANT, order_id)
        decisions = {(d["agent"], d["decision"], d["confidence"]) for d in view["decisions"]}
        told[locale] = (decisions, await rig.kinds(order_id))
    assert told["en"] == told["zh-Hant-TW"]


async def test_a_review_names_the_rate_behind_its_value(rig: Rig) -> None:
    """F49: what the order is worth in dollars is shown with the dated rate it rests on and how fresh that is."""
    price = {"sku": "SB-00023", "quantity": 1, "unit_price": {"amount_minor": 780_000, "currency": "HKD"}}
    record = await rig.reviewed(for_review(currency="HKD", lines=[price]))
    review = await rig.box.store.reviews.find(TENANT, record.review_id)
    assert review.facts["usd_equivalent"] == "1000.00"
    rate, freshness = str(review.facts["exchange_rate"]).rsplit(" ", 1)
    assert rate.startswith("fixture:USDHKD:")
    assert freshness in {"fresh", "late"}
