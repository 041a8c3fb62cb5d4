"""A new carrier needs one adapter file: the one below speaks another company's API and passes the carrier contract."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI, Response

from domain.effect import Effect, EffectKind, Receipt
from domain.errors import Ambiguous, ConnectorRejected, ConnectorUnavailable, TooLate
from domain.ids import EffectKey, ServiceId
from domain.intent import BookLabel, VoidLabel
from domain.ports import CarrierPort
from domain.shipment import Lane
from tests.support.outside import START, TOKEN, SettableClock, effect, label, served
from tools.connectors.directory import Systems
from tools.connectors.http import Answer, HttpClient, refuse
from tools.sandbox import Fault, FaultMode, Sandbox
from tools.sandbox.http import create_app


class MeridianApi:
    """Another company's server: waybills by client reference, no idempotency of its own on repeated cancellations."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.waybills: dict[str, dict[str, Any]] = {}
        self.cancelled: dict[str, dict[str, Any]] = {}
        self.bookings = 0
        self.broken = False
        self.app = FastAPI()
        self.app.add_api_route("/tariff", self.tariff, methods=["GET"])
        self.app.add_api_route("/waybills", self.book, methods=["POST"])
        self.app.add_api_route("/waybills", self.find, methods=["GET"])
        self.app.add_api_route("/cancellations", self.cancel, methods=["POST"])

    async def tariff(self, to: str) -> dict[str, Any]:
        return {"to": to, "lanes": [self.lane.model_dump(mode="json")] if to == self.lane.country else []}

    async def book(self, order: dict[str, Any]) -> Response:
        found = self.waybills.get(order["client_reference"])
        if found is not None and found["fingerprint"] != order["fingerprint"]:
            return Response(b'{"reason": "reference in use"}', status_code=409)
        if order["grams"] > self.lane.steps[-1].up_to_g:
            return Response(b'{"reason": "too heavy"}', status_code=422)
        if found is None:
            self.bookings += 1
            found = order | {
                "waybill": f"MD{self.bookings:08d}",
                "charge": 450,
                "scanned": False,
                "at": START.isoformat(),
            }
            self.waybills[order["client_reference"]] = found
        return Response(b"<html>" if self.broken else orjson.dumps(found))

    async def find(self, client_reference: str) -> dict[str, Any]:
        known = self.waybills | self.cancelled
        return {"found": [known[client_reference]] if client_reference in known else []}

    async def cancel(self, wish: dict[str, Any]) -> Response:
        waybill = self.waybills.get(wish["waybill_reference"])
        if waybill is None or waybill["scanned"]:
            return Response(b'{"reason": "gone"}', status_code=410 if waybill else 404)
        done = {"client_reference": wish["client_reference"], "waybill": waybill["waybill"], "at": START.isoformat()}
        return Response(orjson.dumps(self.cancelled.setdefault(wish["client_reference"], done)))


class MeridianCarrier:
    """The adapter: everything Signalbox needs to use the carrier above."""

    kinds = frozenset({EffectKind.BOOK_LABEL, EffectKind.VOID_LABEL})

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def lanes(self, country: str) -> Sequence[Lane]:
        return await self._client.read("/tariff", {"to": country}, lambda answer: self._tariff(answer, country))

    async def scanned(self, label_key: EffectKey) -> bool:
        found = await self._find(label_key)
        return found is not None and bool(found.get("scanned"))

    async def apply(self, effect: Effect) -> Receipt:
        path, order = self._order(effect)
        answer = await self._client.send(path, orjson.dumps(order), key=effect.key)
        if answer.status == 410:
            raise TooLate(f"Meridian already carries the parcel of {order['waybill_reference']}")
        if answer.status == 404:
            raise ConnectorRejected("Meridian has no such waybill")
        if answer.status != 200:
            refuse(answer, what=f"Meridian {effect.kind.value}", silence=Ambiguous)
        try:
            return self._receipt(effect, answer.document())
        except ValueError:
            raise Ambiguous("Meridian sent no waybill; look it up") from None

    async def lookup(self, effect: Effect) -> Receipt | None:
        found = await self._find(effect.key)
        return None if found is None else self._receipt(effect, found)

    async def _find(self, key: str) -> dict[str, Any] | None:
        def parse(answer: Answer) -> dict[str, Any] | None:
            if answer.status != 200:
                refuse(answer, what="Meridian lookup", silence=ConnectorUnavailable)
            found: list[dict[str, Any]] = answer.document()["found"]
            return found[0] if found else None

        return await self._client.read("/waybills", {"client_reference": key}, parse)

    def _order(self, effect: Effect) -> tuple[str, dict[str, Any]]:
        if effect.kind is EffectKind.VOID_LABEL:
            wanted = VoidLabel.model_validate(effect.args)
            return "/cancellations", {"client_reference": effect.key, "waybill_reference": wanted.label_key}
        booked = BookLabel.model_validate(effect.args)
        order = {"client_reference": effect.key, "grams": booked.billable_g, "fingerprint": effect.args_digest}
        return "/waybills", order

    def _tariff(self, answer: Answer, country: str) -> tuple[Lane, ...]:
        document = answer.document()
        if document["to"] != country:
            raise ValueError("another country")
        return tuple(Lane.model_validate(lane) for lane in document["lanes"])

    def _receipt(self, effect: Effect, found: Any) -> Receipt:
        if not isinstance(found, dict) or found.get("client_reference") != effect.key:
            raise ValueError("another waybill")
        detail = {"tracking": found["waybill"], "cost_minor": found.get("charge", 0), "currency": "USD"}
        at = datetime.fromisoformat(found["at"])
        return Receipt(key=effect.key, kind=effect.kind, reference=found["waybill"], applied_at=at, detail=detail)


class Carrier:
    """One carrier under contract, with the levers a test needs."""

    def __init__(self, port: CarrierPort, lane: Lane) -> None:
        self.port = port
        self.lane = lane

    async def scan(self, tracking: str) -> None:
        raise NotImplementedError

    async def lose_next_answer(self) -> None:
        raise NotImplementedError

    async def booked(self) -> int:
        raise NotImplementedError


class SandboxCarrier(Carrier):
    def __init__(self, port: CarrierPort, sandbox: Sandbox) -> None:
        super().__init__(port, sandbox.carriers["kite"].by_country["HK"][0])
        self.sandbox = sandbox

    async def scan(self, tracking: str) -> None:
        await self.sandbox.carriers["kite"].mark_scanned(tracking)

    async def lose_next_answer(self) -> None:
        await self.sandbox.faults.set(Fault(call="book_label", mode=FaultMode.NO_REPLY, times=1))

    async def booked(self) -> int:
        return len([one for one in await self.sandbox.applied() if one.kind is EffectKind.BOOK_LABEL])


class Meridian(Carrier):
    def __init__(self, port: CarrierPort, api: MeridianApi) -> None:
        super().__init__(port, api.lane)
        self.api = api

    async def scan(self, tracking: str) -> None:
        for waybill in self.api.waybills.values():
            waybill["scanned"] = waybill["waybill"] == tracking

    async def lose_next_answer(self) -> None:
        self.api.broken = True

    async def booked(self) -> int:
        self.api.broken = False
        return self.api.bookings


@asynccontextmanager
async def meridian(sandbox: Sandbox) -> AsyncIterator[Carrier]:
    offer = sandbox.carriers["kite"].by_country["HK"][0]
    api = MeridianApi(offer.model_copy(update={"service": ServiceId("meridian:day"), "carrier": "meridian"}))
    async with served(api.app) as url:
        client = HttpClient(url, "secret", timeout_s=10)
        yield Meridian(MeridianCarrier(client), api)
        await client.close()


@pytest.fixture(params=["in process", "over http", "meridian"])
async def carrier(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Carrier]:
    async with Sandbox(tmp_path / "sandbox.sqlite3", clock=SettableClock()) as sandbox:
        if request.param == "in process":
            yield SandboxCarrier(sandbox.carriers["kite"], sandbox)
        elif request.param == "meridian":
            async with meridian(sandbox) as found:
                yield found
        else:
            async with served(create_app(sandbox, TOKEN)) as url:
                systems = Systems.over_http(url, TOKEN, timeout_s=10)
                yield SandboxCarrier(systems.carriers["kite"], sandbox)
                await systems.aclose()


def booking(carrier: Carrier, **more: Any) -> Effect:
    return label(carrier.lane.warehouse, carrier.lane.service, carrier.lane.country, **more)


def voiding(carrier: Carrier, booked: Effect) -> Effect:
    return effect(EffectKind.VOID_LABEL, {"service": carrier.lane.service, "label_key": booked.key})


async def test_it_says_what_it_sells(carrier: Carrier) -> None:
    """F63: lanes of the asked country only; none where it does not go."""
    lanes = await carrier.port.lanes(carrier.lane.country)
    assert carrier.lane in lanes
    assert {lane.country for lane in lanes} == {carrier.lane.country}
    assert list(await carrier.port.lanes("US")) == []


async def test_a_label_is_booked_once(carrier: Carrier) -> None:
    """F63, P2: repeated and looked up, a booking stays one booking with one tracking number and its price."""
    wanted = booking(carrier)
    assert await carrier.port.lookup(wanted) is None
    receipt = await carrier.port.apply(wanted)
    assert await carrier.port.apply(wanted) == receipt
    assert await carrier.port.lookup(wanted) == receipt
    assert receipt.detail["tracking"]
    assert isinstance(receipt.detail["cost_minor"], int)
    assert await carrier.booked() == 1


async def test_a_lost_answer_is_found(carrier: Carrier) -> None:
    """F63, O02: booked with the answer lost is ambiguous, found by its key, and never booked twice."""
    wanted = booking(carrier)
    await carrier.lose_next_answer()
    with pytest.raises(Ambiguous):
        await carrier.port.apply(wanted)
    assert await carrier.booked() == 1
    assert await carrier.port.lookup(wanted) is not None
    await carrier.port.apply(wanted)
    assert await carrier.booked() == 1


async def test_it_refuses_what_it_cannot_carry(carrier: Carrier) -> None:
    """F63: too heavy, or the same key for another parcel: refused for good, nothing booked."""
    with pytest.raises(ConnectorRejected):
        await carrier.port.apply(booking(carrier, billable_g=999_999))
    assert await carrier.booked() == 0
    await carrier.port.apply(booking(carrier))
    with pytest.raises(ConnectorRejected):
        await carrier.port.apply(booking(carrier, billable_g=401))
    assert await carrier.booked() == 1


async def test_a_label_is_void_until_it_is_scanned(carrier: Carrier) -> None:
    """F63, P1: voiding works once before the scan; after it, it is too late; an unknown label is refused."""
    first, second = booking(carrier), booking(carrier, order="o-2")
    await carrier.port.apply(first)
    receipt = await carrier.port.apply(voiding(carrier, first))
    assert await carrier.port.apply(voiding(carrier, first)) == receipt
    booked = await carrier.port.apply(second)
    assert await carrier.port.scanned(second.key) is False
    await carrier.scan(str(booked.detail["tracking"]))
    assert await carrier.port.scanned(second.key) is True
    late = voiding(carrier, second).model_copy(update={"key": EffectKey("late")})
    with pytest.raises(TooLate):
        await carrier.port.apply(late)
    unknown = voiding(carrier, booking(carrier, order="never")).model_copy(update={"key": EffectKey("unknown")})
    with pytest.raises(ConnectorRejected):
        await carrier.port.apply(unknown)
    assert await carrier.port.scanned(EffectKey("never")) is False
