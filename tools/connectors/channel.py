"""The sales channels over HTTP: telling them, and fetching their own copy of an order."""

from typing import Any, Protocol

from pydantic import TypeAdapter

from domain.effect import EffectKind
from domain.errors import ConnectorUnavailable, NotFound
from domain.order import Channel
from domain.ports import EffectPort
from tools.connectors.effect import EffectConnector
from tools.connectors.http import Answer, HttpClient, refuse
from tools.connectors.reading import read_about

_TEXT = TypeAdapter(str)


class ChannelPort(EffectPort, Protocol):
    """Sales channels: told about orders, and asked for their copy."""

    async def fetch_platform_order(self, channel: str, shop: str, external_id: str) -> str:
        """The platform's own answer about an order, as text.

        Raises:
            NotFound: the platform does not know the order.
            ConnectorUnavailable: no usable answer in time.
        """


class ChannelConnector(EffectConnector):
    """``ChannelPort`` over HTTP."""

    applies = frozenset({EffectKind.UPDATE_CHANNEL, EffectKind.CANCEL_CHANNEL})

    def __init__(self, client: HttpClient) -> None:
        """The system named ``channels`` on the client's host."""
        super().__init__(client, "channels")

    async def fetch_platform_order(self, channel: str, shop: str, external_id: str) -> str:
        """The platform's own answer about an order: Shopee's order-detail envelope, otherwise the order's text.

        Raises:
            NotFound: the platform does not know the order.
            ConnectorUnavailable: no usable answer in time, or one about another order.
        """
        if channel == Channel.SHOPEE:
            asked = {"order_sn_list": external_id, "shop_id": shop}
            return await self._client.read(
                "/api/v2/order/get_order_detail", asked, lambda answer: _order_detail(answer, external_id)
            )
        asked = {"channel": channel, "shop": shop, "external_id": external_id}
        return await read_about(self._client, "/channels/order", asked, subject=external_id, shape=_TEXT)


def _order_detail(answer: Answer, order_sn: str) -> str:
    """Shopee's v2 answer as text; Shopee reports errors in the envelope, with status 200.

    Raises:
        NotFound: Shopee says ``error_not_found``.
        ConnectorUnavailable: Shopee reports another error.
        ValueError: the answer holds another order, or none.
    """
    if answer.status != 200:
        refuse(answer, what=f"order detail of {order_sn}", silence=ConnectorUnavailable)
    document: Any = answer.document()
    error = document.get("error") if isinstance(document, dict) else None
    if error == "error_not_found":
        raise NotFound(f"Shopee does not know order {order_sn}")
    if error:
        raise ConnectorUnavailable(f"Shopee answered {str(error)[:100]} about order {order_sn}; try again")
    try:
        numbers = [order["order_sn"] for order in document["response"]["order_list"]]
    except (KeyError, TypeError):
        raise ValueError("not an order detail") from None
    if order_sn not in numbers:
        raise ValueError("it is about another order")
    return answer.body.decode()
