"""Webhooks of carriers and help desks at the door: only authentic ones get in, each once, for the tenant who signed."""

import gzip
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from api.tenants import SenderAccess, Tenants
from domain.errors import MalformedPayload
from tests.support.hooks import (
    HEADERS,
    PATHS,
    RIVAL_SECRET,
    SECRETS,
    HookWorld,
    aftership,
    hook_world,
    sample,
    signature,
    tenants,
)
from tests.support.system import TENANT
from tools.helpdesk import read_ticket
from tools.senders import TRACKERS, Sender
from tools.tracking.news import read_news

JSON = {"Content-Type": "application/json"}
TYPE = [(b"Content-Type", b"application/json")]


def forgeries(sender: Sender) -> dict[str, tuple[bytes, Any]]:
    """Deliveries nobody signed like this."""
    raw, name = sample(sender), HEADERS[sender]
    given = signature(sender, raw)
    signed = {**JSON, name: given}
    flipped = bytearray(raw)
    flipped[-3] ^= 1
    return {
        "one flipped byte": (bytes(flipped), signed),
        "re-serialised": (orjson.dumps(orjson.loads(raw), option=orjson.OPT_INDENT_2), signed),
        "header missing": (raw, JSON),
        "header empty": (raw, {**JSON, name: ""}),
        "signature in another case": (raw, {**JSON, name: given.swapcase()}),
        "header not ASCII": (raw, [*TYPE, (name.encode(), "签名".encode())]),
        "header twice": (raw, [*TYPE, (name.encode(), given.encode()), (name.encode(), given.encode())]),
        "only the digest": (raw, {**JSON, name: given.partition("=")[2] or given[:-4]}),
        "gzip": (gzip.compress(raw), {**signed, "Content-Encoding": "gzip"}),
        "empty body": (b"", signed),
        "another secret": (raw, {**JSON, name: signature(sender, raw, "0123456789abcdef0123456789abcdef")}),
        "not JSON and not signed": (b"{", {**JSON, name: given}),
    }


async def kept(world: HookWorld) -> tuple[int, int]:
    """How many clocks and parcels there are."""
    parcels = await world.rig.box.contacts.parcel_book.named(TENANT, ["T-1"])
    return len(await world.clocks()), len(parcels)


async def test_only_what_was_signed_as_sent_is_taken_each_once(tmp_path: Path) -> None:
    """reliability/S06: for all four senders: every forgery is 401 and keeps nothing; the real one 202, its repeat too."""
    async with hook_world(tmp_path) as world:
        for sender in Sender:
            before = await kept(world)
            for what, (raw, headers) in forgeries(sender).items():
                answer = await world.post(sender, raw, headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "input.signature"), (sender, what)
            assert await kept(world) == before
            lower = {**JSON, HEADERS[sender].lower(): signature(sender, sample(sender))}
            raw = sample(sender)
            lower[HEADERS[sender].lower()] = signature(sender, raw)
            first = await world.post(sender, raw, lower)
            assert (first.status_code, first.json()) == (202, {"status": "accepted"})
            after = await kept(world)
            assert after > before or sender is Sender.EASYPOST
            again = await world.post(sender, raw)
            assert (again.status_code, again.json()) == (202, {"status": "duplicate"})
            assert await kept(world) == after


async def test_a_large_body_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """reliability/S06: 10 MB is 413 at every hook, signed or not."""
    raw = b"[" + b"1," * 5_000_000 + b"1]"
    async with hook_world(tmp_path) as world:
        for sender in Sender:
            assert (await world.post(sender, raw)).status_code == 413


async def test_what_is_authentic_and_unreadable_is_one_sentence_and_never_a_crash(tmp_path: Path) -> None:
    """reliability/S06: 400 with a sentence, or ignored; nothing kept."""
    unreadable = (b"{broken", b"[]", b"{}", b"null", b'{"id":1,"id":2}', b"\xff\xfe", b"[" * 5000)
    async with hook_world(tmp_path) as world:
        for sender in Sender:
            for raw in unreadable:
                answer = await world.post(sender, raw)
                assert answer.status_code == 400 or answer.json() == {"status": "ignored"}, (sender, raw, answer.text)
        assert await kept(world) == (0, 0)


def test_wrong_types_inside_an_authentic_document_are_refused_or_read() -> None:
    """reliability/S06: no value anywhere in an authentic document can break the door: it is read, or one sentence."""
    values: list[Any] = [None, [], {}, "", "x" * 5000, True, -1, 10**18, "9999-12-31T23:59:59-14:00", {"a": [1]}]
    now, read = datetime.now(UTC), 0
    for sender in Sender:
        for path in places(orjson.loads(sample(sender))):
            for value in values:
                raw = replaced(orjson.loads(sample(sender)), path, value)
                with suppress(MalformedPayload):
                    read += (read_news if sender in TRACKERS else read_ticket)(sender, raw, now=now) is not None
    assert read > 100


def places(value: Any, *before: Any) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for name, one in inside for way in ((*before, name), *places(one, *before, name))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> bytes:
    """The document with another value in one place."""
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return orjson.dumps(document)


async def test_intercom_may_sign_with_sha256_too_and_a_sender_speaks_for_its_tenant(tmp_path: Path) -> None:
    """reliability/S06, S04: both digests of Intercom; what the rival's account signs is the rival's parcel."""
    async with hook_world(tmp_path) as world:
        raw = sample(Sender.INTERCOM)
        headers = {**JSON, "X-Hub-Signature": signature(Sender.INTERCOM, raw, algorithm="sha256")}
        assert (await world.post(Sender.INTERCOM, raw, headers)).status_code == 202
        raw = aftership("evt-9", "T-1", [("Delivered", "2026-11-20T03:00:00+08:00")])
        theirs = {**JSON, HEADERS[Sender.AFTERSHIP]: signature(Sender.AFTERSHIP, raw, RIVAL_SECRET)}
        assert (await world.post(Sender.AFTERSHIP, raw, theirs)).status_code == 202
        book = world.rig.box.contacts.parcel_book
        assert await book.named(TENANT, ["T-1"]) == []
        assert len(await book.named("bolt", ["T-1"])) == 1
        async with world.client() as client:
            for path in ("/v1/tracking/intercom/webhooks", "/v1/support/webhooks/aftership", "/v1/support/webhooks/x"):
                assert (await client.post(path, content=raw, headers=theirs)).status_code == 404
        assert set(PATHS) == set(SECRETS)


def test_a_secret_belongs_to_one_tenant_and_is_not_a_weak_one() -> None:
    """reliability/S06: two tenants may not share a secret of one sender; guessable ones are refused."""
    first, rival = tenants()
    shared = rival.model_copy(update={"senders": first.senders})
    with pytest.raises(ValueError, match="share a secret"):
        Tenants([first, shared])
    with pytest.raises(ValidationError, match=r"guessable|shorter"):
        SenderAccess(sender=Sender.INTERCOM, secrets=("changeme-changeme",))
