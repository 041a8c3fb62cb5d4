"""The HTTP connectors against a served sandbox: same answers as in process, every fault understood, nothing believed blindly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import orjson
import pytest

from domain.effect import Effect, EffectKind
from domain.errors import Ambiguous, ConnectorUnavailable, NotFound
from domain.ids import Sku
from domain.support_identity import Subject
from tests.support.customers import a_customer
from tests.support.outside import START, TENANT, TOKEN, SettableClock, apply, hold, line, lookup, release, served, story
from tools.connectors.directory import Systems
from tools.connectors.http import Misdirected
from tools.sandbox import Fault, FaultMode, Sandbox
from tools.sandbox.http import create_app

TIMEOUT_S = 0.25
"""Deadline of the hasty client, which meets the faults that never answer."""
SILENCE_S = 5.0
"""How long those faults say nothing: an answer well before this was the deadline's doing."""
SILENT = {FaultMode.TIMEOUT, FaultMode.DRIP}
SKU = Sku("SB-00001")
ORDER_TEXT = '{"order_sn": "2404A", "item_list": []}'
UNANSWERED = [mode for mode in FaultMode if mode not in {FaultMode.DELAY, FaultMode.STALE}]
ONE_PER_SYSTEM = {
    EffectKind.HOLD_STOCK,
    EffectKind.CAPTURE_PAYMENT,
    EffectKind.BOOK_LABEL,
    EffectKind.UPDATE_OMS,
    EffectKind.UPDATE_CHANNEL,
    EffectKind.SEND_MESSAGE,
    EffectKind.POST_LOYALTY,
    EffectKind.CHANGE_LISTING,
}
TAKEN_BACK = {EffectKind.REFUND_PAYMENT, EffectKind.CANCEL_OMS, EffectKind.CANCEL_CHANNEL, EffectKind.VOID_LABEL}
REFUSED_FOR_NOW = {FaultMode.UNAVAILABLE, FaultMode.RATE_LIMITED}


@dataclass(frozen=True)
class Served:
    """A sandbox, and its systems both ways."""

    sandbox: Sandbox
    url: str
    near: Systems
    far: Systems
    hasty: Systems


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Served]:
    async with Sandbox(tmp_path / "sandbox.sqlite3", clock=SettableClock()) as sandbox:
        await sandbox.wms.count_stock("HKG", SKU, 100)
        await sandbox.channels.put_platform_order("shopee", "2404A", ORDER_TEXT)
        await sandbox.channels.put_platform_order("shopify", "42", '{"id": 42.10}')
        await sandbox.put_customer_data(TENANT, a_customer())
        async with served(create_app(sandbox, TOKEN)) as url:
            far, hasty = Systems.over_http(url, TOKEN, timeout_s=10), Systems.over_http(url, TOKEN, timeout_s=TIMEOUT_S)
            yield Served(sandbox, url, Systems.in_process(sandbox), far, hasty)
            await far.aclose()
            await hasty.aclose()


def reads(systems: Systems) -> dict[tuple[str, str], Callable[[], Awaitable[object]]]:
    """Every read of every system, by system and call."""
    carrier = systems.carriers["kite"]
    return {
        ("wms", "warehouses"): systems.wms.warehouses,
        ("wms", "stock"): lambda: systems.wms.stock([SKU]),
        ("carriers/kite", "lanes"): lambda: carrier.lanes("MY"),
        ("carriers/kite", "scanned"): lambda: systems.scanned("kite:priority", story(SKU)[3].key),
        ("crm", "history"): lambda: systems.crm.history("C-00007"),
        ("erp", "products"): lambda: systems.erp.products([SKU]),
        ("erp", "rates"): lambda: systems.erp.rates(["HKD", "VND"]),
        ("purchasing", "buyer"): systems.purchasing.buyer,
        ("purchasing", "vendors"): lambda: systems.purchasing.vendors(["V-CN-01", "V-none"]),
        ("purchasing", "offers"): lambda: systems.purchasing.offers([SKU, Sku("SB-00002")]),
        ("purchasing", "sales"): lambda: systems.purchasing.sales([SKU], weeks=60),
        ("purchasing", "inbound"): lambda: systems.purchasing.inbound([SKU]),
        ("listings", "listings"): lambda: systems.listings.listings([SKU], tenant=TENANT),
        ("crm", "profiles"): lambda: systems.profiles.profiles(TENANT, Subject(email="AMY@mail.example.com")),
        ("oms", "orders"): lambda: systems.history.orders(TENANT, Subject(order="Order #A-1")),
        ("tracking", "parcels"): lambda: systems.tracking.parcels(TENANT, order_number="A1", tracking=["T-9"]),
        ("erp", "variants"): lambda: systems.variants.variants(TENANT, ["P1", "P-none"]),
        ("channels", "fetch_platform_order"): lambda: systems.channels.fetch_platform_order("shopee", "9", "2404A"),
    }


async def test_reads_are_the_same_both_ways(world: Served) -> None:
    """F63: a system reached over HTTP tells an agent exactly what it tells in process."""
    near, far = reads(world.near), reads(world.far)
    for name, read in near.items():
        expected, found = await read(), await far[name]()
        plain = found == expected or list(found) == list(expected)  # type: ignore[call-overload]
        assert plain, name
    unknown = [Sku("SB-NONE"), Sku("a,b"), Sku("")]
    for systems in (world.near, world.far):
        assert list(await systems.wms.stock(unknown)) == []
        assert await systems.erp.products(unknown) == {}
        assert list(await systems.erp.rates(["XXX"])) == []
        assert list(await systems.erp.rates([])) == []
        assert list(await systems.wms.stock([])) == []
        assert list(await systems.carriers["kite"].lanes("US")) == []
        assert (await systems.crm.history("nobody/../?x=1")).orders_delivered == 0
    many = list(world.sandbox.world.skus[:260])
    assert list(await world.far.erp.products(many)) == many
    assert {level.sku for level in await world.far.wms.stock(many)} <= set(many)


async def test_platform_orders_come_in_the_platform_s_own_shape(world: Served) -> None:
    """Shopee answers in its envelope, others with the text as stored, digit for digit; unknown orders are not found."""
    for systems in (world.near, world.far):
        answer = orjson.loads(await systems.channels.fetch_platform_order("shopee", "1", "2404A"))
        assert (answer["error"], answer["response"]["order_list"]) == ("", [orjson.loads(ORDER_TEXT)])
        assert await systems.channels.fetch_platform_order("shopify", "s", "42") == '{"id": 42.10}'
        for channel in ("shopee", "shopify"):
            with pytest.raises(NotFound):
                await systems.channels.fetch_platform_order(channel, "1", "unknown")


async def meet(world: Served, wanted: Effect, mode: FaultMode, *, near: bool) -> None:
    """One effect meets one fault: the right error in time, an honest lookup, then one receipt."""
    faulty = world.near if near else world.hasty if mode in SILENT else world.far
    seconds = 0.05 if near else SILENCE_S
    await world.sandbox.faults.set(Fault(call=wanted.kind.value, mode=mode, times=1, seconds=seconds, retry_after_s=7))
    started = asyncio.get_running_loop().time()
    with pytest.raises(ConnectorUnavailable if mode in REFUSED_FOR_NOW else Ambiguous) as failed:
        await apply(faulty, wanted)
    assert asyncio.get_running_loop().time() - started < SILENCE_S - 1
    assert failed.value.retry_after_s == (7 if mode in REFUSED_FOR_NOW else None)
    clean = world.near if near else world.far
    found = await lookup(clean, wanted)
    assert (found is not None) == (not mode.before)
    receipt = await apply(clean, wanted)
    assert found in (None, receipt)


@pytest.mark.parametrize("mode", UNANSWERED)
async def test_effects_meet_every_fault(world: Served, mode: FaultMode) -> None:
    """O01, O02: each fault at each system, in process and over HTTP: the right error, in time; then the effect exists once."""
    far = [one for one in story(SKU) if one.kind in ONE_PER_SYSTEM]
    await asyncio.gather(*(meet(world, one, mode, near=False) for one in far))
    near = [release(far[0]), *(one for one in story(SKU) if one.kind in TAKEN_BACK)]
    await asyncio.gather(*(meet(world, one, mode, near=True) for one in near))
    keys = [entry.key for entry in await world.sandbox.applied()]
    assert sorted(keys) == sorted(one.key for one in (*far, *near))


@pytest.mark.parametrize("mode", UNANSWERED)
async def test_reads_meet_every_fault(world: Served, mode: FaultMode) -> None:
    """O01: each fault at each read: a transient error within the deadline, never a wrong answer."""
    faulty = world.hasty if mode in SILENT else world.far
    for systems, seconds in ((faulty, SILENCE_S), (world.near, 0.05)):
        await world.sandbox.faults.set(Fault(mode=mode, seconds=seconds))
        started = asyncio.get_running_loop().time()
        calls = reads(systems).values()
        results = await asyncio.gather(*(read() for read in calls), return_exceptions=True)
        assert asyncio.get_running_loop().time() - started < SILENCE_S - 1
        assert [type(result) for result in results] == [ConnectorUnavailable] * len(calls)
        await world.sandbox.faults.clear()
    await asyncio.gather(*(read() for systems in (world.far, world.near) for read in reads(systems).values()))


@pytest.mark.parametrize("mode", UNANSWERED)
async def test_lookups_meet_faults_without_guessing(world: Served, mode: FaultMode) -> None:
    """O02: a lookup that cannot say never says 'not applied'."""
    done, never = story(SKU)[0], hold([line(SKU, "HKG")], order="never")
    await apply(world.far, done)
    faulty = world.hasty if mode in SILENT else world.far
    for systems, seconds in ((faulty, SILENCE_S), (world.near, 0.05)):
        await world.sandbox.faults.set(Fault(call="lookup", mode=mode, seconds=seconds))
        asked = [lookup(systems, one) for one in (done, never)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, ConnectorUnavailable) for result in results), results
        await world.sandbox.faults.clear()
    assert await lookup(world.far, done) is not None
    assert await lookup(world.far, never) is None


async def test_a_slow_answer_inside_the_deadline_is_fine(world: Served) -> None:
    """O01: a delay alone changes nothing."""
    await world.sandbox.faults.set(Fault(mode=FaultMode.DELAY, seconds=0.05, times=2))
    assert await world.far.wms.stock([SKU])
    assert await apply(world.far, story(SKU)[0])
    assert await world.sandbox.faults.active() == []


async def test_stale_stock_carries_its_own_time(world: Served) -> None:
    """F12: the feed's event time travels; one warehouse may be stale while the others are fresh."""
    await world.sandbox.faults.set(
        Fault(system="wms", call="stock", mode=FaultMode.STALE, seconds=121, target="HKG", times=2)
    )
    for systems in (world.near, world.far):
        levels = await systems.wms.stock([SKU])
        assert {(START - level.as_of).total_seconds() for level in levels if level.warehouse == "HKG"} == {121}
        assert {level.as_of for level in levels if level.warehouse != "HKG"} <= {START}


async def test_faults_are_set_and_read_over_http(world: Served) -> None:
    """The levers work from outside, with the token only."""
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=world.url, trust_env=False) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/_faults")).status_code == 401
        wrong = {b"Authorization": "Bearer ünknown".encode()}
        assert (await client.get("/_applied", headers=wrong)).status_code == 401
        armed = await client.post("/_faults", headers=bearer, json={"system": "wms", "mode": "error", "times": 2})
        assert armed.status_code == 201
        assert (await client.post("/_faults", headers=bearer, json={"mode": "explode"})).status_code == 422
        assert [one["times"] for one in (await client.get("/_faults", headers=bearer)).json()] == [2]
        with pytest.raises(ConnectorUnavailable):
            await world.near.wms.stock([SKU])
        assert (await client.delete("/_faults", headers=bearer)).status_code == 204
        await apply(world.far, story(SKU)[0])
        applied = (await client.get("/_applied", headers=bearer, params={"order_id": "o-1"})).json()
        assert [one["kind"] for one in applied] == ["hold_stock"]
        assert (await client.get("/_stock_totals", headers=bearer)).json()["balanced"] is True
        count = {"warehouse": "HKG", "sku": SKU, "on_hand": 0}
        assert (await client.post("/_stock", headers=bearer, json=count)).status_code == 409


async def test_a_wrong_token_does_nothing_and_says_so(world: Served) -> None:
    """F64: a wrong token is for an operator to mend: not repeated, not taken for a refusal of the order."""
    strangers = Systems.over_http(world.url, "wrong")
    with pytest.raises(Misdirected, match="token"):
        await strangers.wms.stock([SKU])
    with pytest.raises(Misdirected, match="token"):
        await apply(strangers, story(SKU)[0])
    await strangers.aclose()
    assert await world.sandbox.applied() == []


async def test_master_data_is_kept_and_stock_is_not(world: Served) -> None:
    """Sites, lanes and products survive a short outage for a minute; stock is always asked for."""
    await world.far.wms.warehouses()
    await world.far.carriers["kite"].lanes("MY")
    await world.far.erp.products([SKU])
    await world.sandbox.faults.set(Fault(mode=FaultMode.ERROR))
    assert await world.far.wms.warehouses()
    assert await world.far.carriers["kite"].lanes("MY")
    assert await world.far.erp.products([SKU])
    with pytest.raises(ConnectorUnavailable):
        await world.far.wms.stock([SKU])


async def test_a_label_goes_to_the_carrier_its_service_names(world: Served) -> None:
    """F63: carriers are chosen by service id; an unknown one is refused clearly."""
    kinds = {EffectKind.BOOK_LABEL, EffectKind.VOID_LABEL}
    for kind in kinds:
        for code, carrier in world.far.carriers.items():
            assert world.far.effect_port(kind, {"service": f"{code}:x"}) is carrier
    for kind in set(EffectKind) - kinds:
        assert kind in world.far.effect_port(kind, {}).kinds
    assert TENANT in story(SKU)[0].key
