"""What consignees were sent: exact windows under hashes, counted when an order is released, forgotten when it is cancelled."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from agents.tax_rules import shipped_rules
from domain.address import Address
from domain.consignee import Consigned, consignee_of
from domain.money import Money
from domain.order import OrderProgress
from graph.order.replaying import Replays
from graph.runtime.connection import Batcher
from graph.runtime.consignments import KEPT_S, Consignments
from graph.runtime.journal import text
from graph.runtime.keys import Keyspace
from tests.support.system import TENANT, Rig, fast_settings, line, native_order, opened, working

AT = OrderProgress
TABLE = shipped_rules()
HOME = Address(name="Lin Mei", line1="5 Xinyi Rd, Sec. 2", city="Taipei", postcode="106", country="TW")
TO = "c" * 32


def twd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="TWD")


async def before(
    book: Consignments, now: datetime, *, order_id: str = "next", tenant: str = "one", to: str = TO
) -> Consigned:
    half_year, day = TABLE.half_year_began("TW", now), TABLE.day_began("TW", now)
    return await book.sent(tenant=tenant, consignee=to, order_id=order_id, half_year=half_year, day=day, now=now)


async def test_windows_are_exact_by_the_destinations_calendar(batcher: Batcher, keyspace: Keyspace) -> None:
    """domain/X2: the last millisecond before midnight in Taipei is yesterday, and before 1 July it is the old half year."""
    book = Consignments(batcher, keyspace)
    july = datetime(2026, 6, 30, 16, tzinfo=UTC)
    moment = timedelta(milliseconds=1)
    for name, at in (("june", july - moment), ("july", july), ("later", july + timedelta(days=3))):
        await book.put("one", name, consignee=TO, parcels=2, value=twd(500), at=at)
    assert await before(book, july - moment) == Consigned(imports=2, today=(twd(500),))
    assert await before(book, july) == Consigned(imports=2, today=(twd(500),))
    assert await before(book, july + timedelta(days=1) - moment) == Consigned(imports=2, today=(twd(500),))
    assert await before(book, july + timedelta(days=1)) == Consigned(imports=2)
    assert await before(book, july + timedelta(days=30)) == Consigned(imports=4)


async def test_an_order_counts_once_for_its_consignee_and_never_for_itself(
    batcher: Batcher, keyspace: Keyspace
) -> None:
    """domain/X2: delivered twice it counts once, at its first time; nobody else's order and no other shop's does."""
    book, now = Consignments(batcher, keyspace), datetime(2026, 11, 11, 3, tzinfo=UTC)
    usd = Money(amount_minor=2_000, currency="USD")
    for again in range(2):
        await book.put("one", "A", consignee=TO, parcels=1, value=twd(700), at=now + timedelta(hours=again))
    await book.put("one", "B", consignee=TO, parcels=1, value=usd, at=now)
    assert await before(book, now) == Consigned(imports=2, today=(twd(700), usd))
    assert await before(book, now, order_id="A") == Consigned(imports=1, today=(usd,))
    assert await before(book, now, tenant="two") == await before(book, now, to="d" * 32) == Consigned(imports=0)
    for _ in range(2):
        await book.drop("one", "A")
    assert await before(book, now) == Consigned(imports=1, today=(usd,))
    assert await before(book, now - timedelta(seconds=1)) == Consigned(imports=0)


async def test_the_book_forgets_and_names_nobody(batcher: Batcher, keyspace: Keyspace) -> None:
    """S04: hashes only, and a life of its own: what is older than any half year goes with the next order."""
    book, now = Consignments(batcher, keyspace), datetime(2026, 11, 11, 3, tzinfo=UTC)
    to = consignee_of(HOME)
    assert to is not None
    await book.put("one", "A", consignee=to, parcels=1, value=twd(1), at=now - timedelta(seconds=KEPT_S + 1))
    await book.put("one", "B", consignee=to, parcels=1, value=twd(1), at=now)
    kept = await batcher.execute("ZRANGE", keyspace.consignee("one", to).times, 0, -1)
    assert len(kept) == 1
    for key in [text(one) for one in await batcher.execute("KEYS", "*consign*")]:
        assert not any(part in key.casefold() for part in ("lin", "mei", "xinyi", "106"))
        assert 0 < await batcher.execute("TTL", key) <= KEPT_S


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"name": "LIN  MEI", "line1": "5, Xinyi Rd. Sec 2"}, True),
        ({"name": "\uff2c\uff29\uff2e Mei"}, True),
        ({"phone": "+886900000000", "region": "TPE"}, True),
        ({"line1": "6 Xinyi Rd, Sec. 2"}, False),
        ({"name": "Lin Ma"}, False),
        ({"country": "HK"}, False),
    ],
)
def test_spelling_makes_no_other_consignee(changes: dict[str, str], same: bool) -> None:
    """domain/X2: case, spaces, punctuation and full-width letters do not win another six parcels."""
    assert (consignee_of(HOME.model_copy(update=changes)) == consignee_of(HOME)) is same


@pytest.mark.parametrize("changes", [{"name": ""}, {"name": "L** M*i"}, {"line1": "***"}, {"country": ""}])
def test_what_tells_nobody_apart_is_no_consignee(changes: dict[str, str]) -> None:
    """domain/X2: masked or missing, the count is unknown, and the agents say so."""
    assert consignee_of(HOME.model_copy(update=changes)) is None


@pytest_asyncio.fixture
async def rig(tmp_path: Any) -> AsyncIterator[Rig]:
    async with opened(fast_settings(tmp_path)) as rig:
        yield rig


def to_taipei(**changes: Any) -> dict[str, Any]:
    """A book of about 387 TWD from abroad to one and the same consignee."""
    given = {"ship_to": HOME.model_dump(exclude_defaults=True) | {"phone": "+886223456789"}}
    return native_order(**given, **changes)


async def taxed(rig: Rig, order_id: str) -> Any:
    decisions = await rig.box.store.journal.latest((await rig.record(order_id)).thread)
    return decisions["tax"]


async def test_the_seventh_parcel_pays_until_one_is_cancelled(rig: Rig) -> None:
    """domain/X2: seven released orders in a half year; the seventh is taxed, a cancelled one leaves the count."""
    await rig.stock("SB-00023", 50)
    book = rig.box.measures.consignees
    consignee = consignee_of(HOME)
    assert consignee is not None
    async with working(rig):
        first = await rig.run(to_taipei(), at=AT.FULFILLED)
        await rig.idle()
        counted = (await taxed(rig, first.order_id)).facts
        assert (counted["rule"], counted["imports_before"]) == ("TW-RELIEF", 0)
        # Four more from when the half year began, of little value, so that the day's value does not decide.
        months_ago = TABLE.half_year_began("TW", datetime.now(UTC))
        for number in range(4):
            await book.put(TENANT, f"O-{number}", consignee=consignee, parcels=1, value=twd(100), at=months_ago)
        sixth = await rig.run(to_taipei(), at=AT.FULFILLED)
        await rig.idle()
        decision = await taxed(rig, sixth.order_id)
        assert (decision.facts["rule"], decision.facts["imports_before"]) == ("TW-RELIEF", 5)
        seventh = await rig.run(to_taipei(), at=AT.FULFILLED)
        await rig.idle()
        decision = await taxed(rig, seventh.order_id)
        assert (decision.facts["rule"], decision.facts["imports_before"]) == ("TW-IMPORT", 6)
        await rig.cancel(first.order_id)
        await rig.cancel(seventh.order_id)
        await rig.settled(first.order_id, at=[AT.CANCELLED])
        await rig.settled(seventh.order_id, at=[AT.CANCELLED])
        await rig.idle()
        again = await rig.run(to_taipei(), at=AT.FULFILLED)
        decision = await taxed(rig, again.order_id)
        assert (decision.facts["rule"], decision.facts["imports_before"]) == ("TW-RELIEF", 5)
        await rig.idle()
        await rig.history(again.order_id)
        await rig.box.governance.keeper.drain()
        found = await Replays(rig.box.governance.tapes).order(TENANT, seventh.order_id)
    assert [(one.agent, one.failure, one.differences) for one in found if not one.same] == []


async def test_orders_of_a_day_to_one_consignee_win_no_relief(rig: Rig) -> None:
    """domain 2.1, F15: four books are below 2,000 TWD; with those sent an hour ago to the same door they are not."""
    await rig.stock("SB-00023", 50)
    async with working(rig):
        first = await rig.run(to_taipei(lines=[line(quantity=4)]), at=AT.FULFILLED)
        await rig.idle()
        second = await rig.run(to_taipei(lines=[line(quantity=4)]), at=AT.FULFILLED)
        decisions = [await taxed(rig, one.order_id) for one in (first, second)]
        assert [one.facts["rule"] for one in decisions] == ["TW-RELIEF", "TW-IMPORT"]
        assert "same_day_consignee" in decisions[1].flags
        await rig.idle()


async def test_a_parcel_from_the_destination_itself_is_no_import(rig: Rig) -> None:
    """domain/X2: sent from Taipei to Taipei it crosses no border and takes none of the six."""
    await rig.stock("SB-00023", 50, warehouse="TPE")
    async with working(rig):
        record = await rig.run(to_taipei(), at=AT.FULFILLED)
        await rig.idle()
    assert record.order is not None
    consignee = consignee_of(record.order.ship_to)
    assert consignee is not None
    now = datetime.now(UTC)
    assert await before(rig.box.measures.consignees, now, tenant=TENANT, to=consignee) == Consigned(imports=0)


async def test_an_erased_person_leaves_the_book(rig: Rig) -> None:
    """P18: the hash of name and address goes with the rest of the person."""
    await rig.stock("SB-00023", 50)
    async with working(rig):
        payload = to_taipei()
        await rig.run(payload, at=AT.FULFILLED)
        await rig.idle()
        assert await rig.box.store.batcher.execute("KEYS", "*consign*")
        await rig.box.privacy.erasure.erase(TENANT, payload["customer"]["customer_id"], by="mei", reason="asked")
    assert await rig.box.store.batcher.execute("KEYS", "*consign*") == []
