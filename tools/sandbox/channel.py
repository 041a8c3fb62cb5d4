"""The stand-in sales channels: what was told to them, and the platform's own copy of each order to be fetched."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2s
from typing import Any

import orjson

from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected, MalformedPayload, NotFound, TooLate
from domain.ids import OrderId
from domain.intent import CancelChannel, UpdateChannel
from domain.order import Channel
from domain.values import Document
from tools.sandbox.system import Change, System, parse_args, reference

_GONE = frozenset({"shipped", "delivered", "completed"})


class ChannelRecord(Document):
    """What a channel was told about one order."""

    order_id: OrderId
    external_id: str
    shop: str
    state: str
    tracking: tuple[str, ...]
    carrier: str
    reason: str


@dataclass(frozen=True)
class ChannelSystem(System):
    """All sales channels behind one ``EffectPort``; the order id names the channel."""

    handlers = {EffectKind.UPDATE_CHANNEL: "_update", EffectKind.CANCEL_CHANNEL: "_cancel"}

    async def put_platform_order(self, channel: str, external_id: str, payload_text: str, *, shop: str = "") -> None:
        """Keep the platform's own copy of an order; an empty ``shop`` answers for every shop.

        Raises:
            MalformedPayload: the text is not JSON.
        """
        try:
            orjson.loads(payload_text)
        except orjson.JSONDecodeError as error:
            raise MalformedPayload(f"the {channel} order {external_id} is not JSON ({error})") from None
        await self.store.write(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO platform_orders (channel, shop, external_id, payload) VALUES (?, ?, ?, ?)",
                (channel, shop, external_id, payload_text),
            )
        )

    async def fetch_platform_order(self, channel: str, shop: str, external_id: str) -> str:
        """The platform's answer about an order: Shopee's order-detail envelope, otherwise the text that was put.

        Raises:
            NotFound: the platform does not know the order.
            ConnectorUnavailable: a scripted fault, or the sandbox file is busy.
        """
        fault = await self._meet("fetch_platform_order")
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT payload FROM platform_orders WHERE external_id = ? AND channel = ? AND shop IN (?, '') "
                "ORDER BY shop DESC LIMIT 1",
                (external_id, channel, shop),
            ).fetchone()
        )
        await self._leave(fault, "fetch_platform_order")
        if found is None:
            raise NotFound(f"{channel} does not know order {external_id} of shop {shop or '(any)'}")
        text = str(found[0])
        return shopee_envelope([text], external_id) if channel == Channel.SHOPEE else text

    async def record(self, order_id: str, *, tenant: str) -> ChannelRecord:
        """What the channel was told.

        Raises:
            NotFound: nothing was told about this order yet.
        """
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT external_id, shop, state, tracking, carrier, reason FROM channel_orders "
                "WHERE order_id = ? AND tenant = ?",
                (order_id, tenant),
            ).fetchone()
        )
        if found is None:
            raise NotFound(f"no channel was told about {order_id}")
        external_id, shop, state, tracking, carrier, reason = found
        return ChannelRecord(
            order_id=OrderId(order_id),
            external_id=external_id,
            shop=shop,
            state=state,
            tracking=orjson.loads(tracking),
            carrier=carrier,
            reason=reason,
        )

    def _update(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(UpdateChannel, effect)
        if _state(connection, args.order_id, effect.tenant) == "cancelled":
            raise ConnectorRejected(f"{args.order_id} is cancelled at its channel; it cannot become {args.state}")
        connection.execute(
            "INSERT OR REPLACE INTO channel_orders (tenant, order_id, external_id, shop, state, tracking, carrier) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                effect.tenant,
                args.order_id,
                args.external_id,
                args.shop,
                args.state,
                orjson.dumps(args.tracking).decode(),
                args.carrier,
            ),
        )
        return Change(reference=reference("chn", effect), detail={"state": args.state})

    def _cancel(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(CancelChannel, effect)
        state = _state(connection, args.order_id, effect.tenant)
        if state in _GONE:
            raise TooLate(f"{args.order_id} is {state} at its channel; start a return instead")
        connection.execute(
            "INSERT OR REPLACE INTO channel_orders (tenant, order_id, external_id, shop, state, reason) "
            "VALUES (?, ?, ?, ?, 'cancelled', ?)",
            (effect.tenant, args.order_id, args.external_id, args.shop, args.reason),
        )
        return Change(reference=reference("chn", effect), detail={"state": "cancelled"})


def shopee_envelope(payloads: list[str], wanted: str) -> str:
    """Shopee's v2 order-detail answer around stored orders.

    A stored payload may be one order object or a whole recorded answer; a single recorded answer is returned unchanged.
    """
    documents: list[Any] = [orjson.loads(payload) for payload in payloads]
    if len(documents) == 1 and isinstance(documents[0], dict) and "response" in documents[0]:
        return payloads[0]
    orders: list[Any] = []
    for document in documents:
        recorded = isinstance(document, dict) and "response" in document
        orders.extend(document["response"]["order_list"] if recorded else [document])
    request_id = blake2s(wanted.encode(), digest_size=16).hexdigest()
    envelope = {"error": "", "message": "", "request_id": request_id, "response": {"order_list": orders}}
    return orjson.dumps(envelope).decode()


def _state(connection: sqlite3.Connection, order_id: str, tenant: str) -> str | None:
    found = connection.execute(
        "SELECT state FROM channel_orders WHERE order_id = ? AND tenant = ?", (order_id, tenant)
    ).fetchone()
    return None if found is None else str(found[0])
