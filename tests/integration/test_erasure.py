"""P18: a person is erased everywhere, decisions and a checkable audit stay."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.reconcile.check import reconcile
from domain.errors import Conflict, InputError, NotFound
from domain.order import OrderProgress
from domain.personal import GONE, Person
from domain.review import ReviewAction
from domain.risk import CustomerException, ExceptionKind
from tests.support.system import TENANT, Rig, fast_settings, native_order, running, submission
from tests.support.waiting import wait_until

CUSTOMER = "CUST-CANARY-77"
CANARIES = {
    "id": CUSTOMER,
    "name": "Zebulon Quixworth",
    "part of the name": "Quixworth",
    "e-mail": "zeb.quix@canary.example",
    "phone": "+85290001234",
    "street": "77 Canarywharf Lane",
    "card": "4539578763621486",
    "NRIC": "S8912345D",
    "HKID": "K1234567",
    "fingerprint": "fp_canary_999",
    "device": "dev-canary-5",
    "ip": "203.0.113.77",
}
BYSTANDER = "bystander@other.example"


def canary_order(**changes: Any) -> dict[str, Any]:
    """An order that carries every canary."""
    name, phone = CANARIES["name"], CANARIES["phone"]
    return native_order(
        customer={"customer_id": CUSTOMER, "name": name, "email": CANARIES["e-mail"], "phone": phone},
        ship_to={"name": name, "line1": CANARIES["street"], "city": "Central", "country": "HK", "phone": phone},
        note=f"card {CANARIES['card']} nric {CANARIES['NRIC']} hkid {CANARIES['HKID']}",
        payment={"method": "card", "state": "paid", "card_fingerprint": CANARIES["fingerprint"]},
        device={"ip": CANARIES["ip"], "device_id": CANARIES["device"]},
        **changes,
    )


async def seen_in_redis(rig: Rig) -> dict[str, list[str]]:
    """Canaries by the key they stand in, streams and key names included."""
    redis, found = rig.box.redis, {}
    async for key in redis.scan_iter(count=1000):
        kind = (await redis.type(key)).decode()
        if kind == "none":  # expired since it was listed
            continue
        value = {
            "string": lambda k: redis.get(k),
            "hash": lambda k: redis.hgetall(k),
            "zset": lambda k: redis.zrange(k, 0, -1),
            "set": lambda k: redis.smembers(k),
            "list": lambda k: redis.lrange(k, 0, -1),
            "stream": lambda k: redis.xrange(k),
        }[kind](key)
        said = f"{key!r} {await value!r}"
        if hits := [name for name, canary in CANARIES.items() if canary.casefold() in said.casefold()]:
            found[key.decode()] = hits
    return found


def seen_on_disk(home: Path) -> dict[str, list[str]]:
    """Canaries by the file they stand in, free pages and logs included."""
    found = {}
    for path in home.rglob("*"):
        if path.is_file():
            raw = path.read_bytes().lower()
            if hits := [name for name, canary in CANARIES.items() if canary.lower().encode() in raw]:
                found[str(path.relative_to(home))] = hits
    return found


async def a_busy_life(rig: Rig) -> dict[str, str]:
    """The person's orders through every flow: shipped, edited in review, cancelled with words of their own, dead letters."""
    shipped = await rig.run(canary_order(), at=OrderProgress.FULFILLED)
    asked = await rig.reviewed(canary_order(test=True))
    await rig.decide(asked.review_id, ReviewAction.APPROVE)
    await rig.settled(asked.order_id, at={OrderProgress.FULFILLED})
    refused = await rig.reviewed(canary_order(test=True))
    await rig.desk.cancel(
        TENANT, refused.order_id, actor=f"user:{CANARIES['e-mail']}", reason=f"I, {CANARIES['name']}, changed my mind"
    )
    await rig.settled(refused.order_id, at={OrderProgress.CANCELLED})
    junk = f"{CANARIES['name']} {CANARIES['e-mail']} is no order".encode()
    await rig.desk.dead_letter(TENANT, "storefront", junk, "not JSON")
    broken = canary_order()
    broken["lines"] = []
    await rig.desk.submit(submission(broken))
    await trusted(rig)
    await rig.idle()
    await rig.history(shipped.order_id)
    await wait_until(lambda: taped(rig, shipped.order_id), "the tapes are kept")
    return {"shipped": shipped.order_id, "reviewed": asked.order_id, "cancelled": refused.order_id}


async def taped(rig: Rig, order_id: str) -> bool:
    return bool(await rig.box.governance.tapes.of_order(TENANT, order_id))


async def trusted(rig: Rig) -> None:
    now = rig.box.clock.now()
    made = CustomerException(
        exception_id="x-1", tenant=TENANT, customer_id=CUSTOMER, kind=ExceptionKind.TRUST, rule="", starts_at=now,
        ends_at=now + timedelta(days=1), reason=f"{CANARIES['name']} is known", made_by="user:mei",
    )  # fmt: skip
    await rig.box.risk_book.write(made)
    reference = await rig.box.privacy.book.reference(TENANT, CUSTOMER)
    await rig.box.store.journal.note_customer(
        made, "made", reference, by="mei", reason=f"{CANARIES['name']} is known", at=now
    )


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(fast_settings(tmp_path)) as started:
        yield started


async def erase(rig: Rig, customer: str = CUSTOMER) -> Any:
    return await rig.box.privacy.erasure.erase(TENANT, customer, by="mei", reason=f"asked by {CANARIES['e-mail']}")


async def test_nothing_of_the_person_is_left_and_everything_decided_is(rig: Rig, tmp_path: Path) -> None:
    """P18, reliability/S05: canaries through every flow; afterwards no store and no file holds one, the chain holds, why answers."""
    orders = await a_busy_life(rig)
    other = await rig.run(native_order(), at=OrderProgress.FULFILLED)
    before = {name: await rig.desk.audit(TENANT, order_id) for name, order_id in orders.items()}
    assert await seen_in_redis(rig)
    places = {name.partition("-wal")[0].partition("/")[0] for name in seen_on_disk(tmp_path)}
    assert places == {"signalbox.sqlite3", "sandbox.sqlite3", "redis"}, "the test looks where the data is"
    report = await erase(rig)
    assert report.remaining == ()
    assert report.orders == 3
    assert report.dead_letters == 2
    assert await seen_in_redis(rig) == {}
    assert seen_on_disk(tmp_path) == {}
    checked = await rig.box.audit.verify()
    assert checked.intact, checked.broken
    for name, order_id in orders.items():
        after = await rig.desk.audit(TENANT, order_id)
        assert facts(after) == facts(before[name]), name
        assert any(entry["event"] == "order.personal_data.erased" for entry in after["entries"])
        assert GONE in orjson.dumps(after).decode()
    books = await reconcile(rig.box, tenant=TENANT)
    assert books.ok, books.mismatches
    assert (await rig.progress(other.order_id)) is OrderProgress.FULFILLED, "somebody else's order stays"
    again = await erase(rig)
    assert (again.orders, again.audit_rows, again.redis_keys) == (0, 0, 0)
    with pytest.raises(NotFound, match="nothing is held"):
        await rig.desk.erase_customer(TENANT, CUSTOMER, actor="user:mei", reason="again", dry_run=False)


def facts(explained: dict[str, Any]) -> list[Any]:
    """What an erasure must not change."""
    kept = ("event_id", "event", "actor", "decision", "outcome", "confidence", "flags", "versions", "inputs_digest")
    return [
        [*(entry[name] for name in kept), [ground["code"] for ground in entry["reasons"]]]
        for entry in explained["entries"]
        if not entry["event"].endswith(".erased")
    ]


async def test_a_running_order_is_finished_first(rig: Rig) -> None:
    """P18: nothing is erased under an order that still runs; another tenant's customer of the same id is another person."""
    record = await rig.reviewed(canary_order(test=True))
    for work in (erase(rig), rig.box.privacy.erasure.dry_run(TENANT, CUSTOMER)):
        with pytest.raises(Conflict, match=record.order_id):
            await work
    report = await rig.box.privacy.erasure.erase("rival", CUSTOMER, by="mei", reason="asked")
    assert report.orders == 0
    assert (await rig.record(record.order_id)).order is not None


async def test_a_dry_run_changes_nothing_and_a_guest_is_found_by_mail(rig: Rig, tmp_path: Path) -> None:
    guest = canary_order()
    guest["customer"] = {"name": CANARIES["name"], "email": CANARIES["e-mail"]}
    record = await rig.run(guest, at=OrderProgress.FULFILLED)
    await rig.history(record.order_id)
    said = await rig.box.privacy.erasure.dry_run(TENANT, CANARIES["e-mail"].upper())
    assert (said.orders, said.dry_run) == (1, True)
    assert said.ask
    assert (await rig.record(record.order_id)).order is not None
    report = await erase(rig, CANARIES["e-mail"].upper())
    assert (report.orders, report.remaining) == (1, ())
    assert await seen_in_redis(rig) == {}
    await wait_until(lambda: asyncio.to_thread(lambda: not seen_on_disk(tmp_path)), "the files are clean")


async def test_an_erasure_that_died_goes_on_where_it_was(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P18: stopped before any step, the same command finishes it; what was found before the crash is not forgotten."""
    erasure = rig.box.privacy.erasure

    async def die(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    for step in ("_drop_letters", "_redact", "_forget", "rewrite", "compact"):
        record = await rig.run(canary_order(), at=OrderProgress.FULFILLED)
        await rig.history(record.order_id)
        with monkeypatch.context() as patched:
            if step == "compact":
                patched.setattr("graph.order.erasing.compact", die)
            else:
                patched.setattr(erasure._at.working if step == "rewrite" else erasure, step, die)
            with pytest.raises(asyncio.CancelledError):
                await erase(rig)
        assert len(await rig.box.privacy.book.unfinished(TENANT)) == 1, step
        report = await erase(rig)
        assert report.remaining == (), step
        assert await rig.box.privacy.book.unfinished(TENANT) == []
        assert await seen_in_redis(rig) == {}, step
        assert seen_on_disk(tmp_path) == {}, step
    assert (await rig.box.audit.verify()).intact


async def test_an_erased_row_that_is_edited_later_is_still_noticed(rig: Rig, tmp_path: Path) -> None:
    """P18, reliability/A02: an erasure is no licence: the chain knows what was left of each row."""
    record = await rig.run(canary_order(), at=OrderProgress.FULFILLED)
    await rig.history(record.order_id)
    await erase(rig)
    with sqlite3.connect(tmp_path / "signalbox.sqlite3") as connection:
        connection.execute("DROP TRIGGER audit_events_no_update")
        connection.execute(
            "UPDATE audit_events SET payload = replace(payload, ?, 'Bob') WHERE payload LIKE ?", (GONE, f"%{GONE}%")
        )
    (bad,) = (await rig.box.audit.verify()).broken
    assert (bad.entity_id, bad.tampering) == (record.order_id, "edited")


async def test_everything_held_of_one_person_can_be_handed_over(rig: Rig) -> None:
    """P18: orders, raw payloads, events, tapes and dead letters, of this person and nobody else."""
    await a_busy_life(rig)
    await rig.run(native_order(customer={"customer_id": "other", "email": BYSTANDER}), at=OrderProgress.FULFILLED)
    held = await rig.box.privacy.finder.export(TENANT, CUSTOMER)
    text = orjson.dumps(held).decode()
    assert all(canary in text for canary in CANARIES.values())
    assert BYSTANDER not in text
    assert (len(held["orders"]), len(held["dead_letters"])) == (3, 2)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="nothing is held"):
        await rig.box.privacy.finder.export(TENANT, "nobody")
    with pytest.raises(InputError):
        await rig.box.privacy.finder.export(TENANT, " ")


def test_texts_lose_the_person_and_nothing_else() -> None:
    person = Person(
        ids=frozenset({"C-1", "li@x.hk"}), values=frozenset({"C-1", "li@x.hk", "Li", "陳大文", "Wong Park"})
    )
    document = orjson.dumps(
        {"code": "LIMIT", "note": "x", "customer_id": "C-10", "text": "Li and 陳大文先生 at li@x.hk, Mr Wong, C-1 not C-11",
         "reason": "call +852 9000 1234 or 4539 5787 6362 1486", "key": "o/1795366909269-0", "n": 1, "f": 0.5,
         "ship_to": {"name": "Li", "line1": "x"}, "agent": {"name": "fraud"}}
    ).decode()  # fmt: skip
    left = orjson.loads(person.without_person(document))
    assert left == {
        "code": "LIMIT", "note": GONE, "customer_id": GONE,
        "text": f"{GONE} and {GONE}先生 at {GONE}, Mr {GONE}, {GONE} not C-11",
        "reason": f"call {GONE} or {GONE}", "key": "o/1795366909269-0", "n": 1, "f": 0.5,
        "ship_to": {"name": GONE, "line1": GONE}, "agent": {"name": "fraud"},
    }  # fmt: skip
    clean = '{"b": 1,  "a":"nothing"}'
    assert person.without_person(clean) is clean
    assert person.without_ids('{"a":"Li of C-1"}') == f'{{"a":"Li of {GONE}"}}'
