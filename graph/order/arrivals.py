"""Raw payloads into orders: fetched where a push only names one, normalised by the channel's adapter."""

from typing import Protocol

from domain.errors import MalformedPayload, NotFound
from domain.order import Order
from graph.runtime.intake import Intake, Work
from tools.channels import adapter


class PlatformOrders(Protocol):
    """Reads an order at its sales channel."""

    async def fetch_platform_order(self, channel: str, shop: str, external_id: str) -> str:
        """The platform's document of the order, as text.

        Raises:
            NotFound: the platform has no such order.
            ConnectorUnavailable: it does not answer now.
        """


class Arrivals:
    """Turns a unit of intake work into canonical orders."""

    def __init__(self, intake: Intake, platforms: PlatformOrders) -> None:
        """``platforms`` answers for pushes that carry no order."""
        self._intake = intake
        self._platforms = platforms

    async def orders(self, headers: dict[str, str]) -> list[Order]:
        """The orders the work is about.

        Raises:
            InputError: the payload cannot be read as an order; the work goes to the dead letters.
            Transient: the platform or the store does not answer now.
        """
        text, channel, shop = await self._text(headers), headers["channel"], headers["shop"]
        found = adapter(channel).normalise(
            text, tenant=headers["tenant"], shop=shop, payload_ref=f"raw:{headers['shard']}:{headers['raw']}"
        )
        expected = headers.get("order_id", "")
        if expected and all(order.order_id != expected for order in found):
            raise MalformedPayload(f"the payload was announced as order {expected} and is about {found[0].order_id}")
        return found

    async def _text(self, headers: dict[str, str]) -> str:
        if headers["work"] == Work.FETCH:
            try:
                return await self._platforms.fetch_platform_order(
                    headers["channel"], headers["shop"], headers["external_id"]
                )
            except NotFound as missing:
                raise MalformedPayload(f"{headers['channel']} pushed an order it does not have: {missing}") from None
        raw = await self._intake.raw(headers["raw"], int(headers["shard"]))
        if raw is None:
            raise MalformedPayload("the raw payload is no longer kept; ask the channel to send the order again")
        return raw
