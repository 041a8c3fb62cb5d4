"""What support reads, over HTTP. Questions name people, so they are posted; an answer must say what it is about."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import orjson
from pydantic import TypeAdapter

from domain.errors import ConnectorUnavailable
from domain.support import ProductVariants
from domain.support_identity import Subject
from domain.support_sources import HistoryOrder, Profile, TrackedParcel
from domain.values import digest
from tools.connectors.http import Answer, HttpClient, refuse

T = TypeVar("T")

_PROFILES = TypeAdapter(list[Profile])
_ORDERS = TypeAdapter(list[HistoryOrder])
_PARCELS = TypeAdapter(list[TrackedParcel])
_PRODUCTS = TypeAdapter(list[ProductVariants])


class _Connector:
    def __init__(self, client: HttpClient) -> None:
        """The systems on the client's host."""
        self._client = client

    async def _ask(self, path: str, question: Mapping[str, object], shape: TypeAdapter[list[T]]) -> list[T]:
        body = orjson.dumps(question, option=orjson.OPT_SORT_KEYS)

        def parse(answer: Answer) -> list[T]:
            if answer.status != 200:
                refuse(answer, what=f"POST {path}", silence=ConnectorUnavailable)
            document = answer.document()
            if not isinstance(document, dict) or document.get("about") != digest(question):
                raise ValueError("it is about something else")
            return shape.validate_json(orjson.dumps(document.get("data")))

        return await self._client.read(path, {}, parse, body=body)


class ProfileConnector(_Connector):
    """``ProfilePort`` over HTTP."""

    async def profiles(self, tenant: str, asked: Subject) -> Sequence[Profile]:
        """Everybody the subject fits.

        Raises:
            ConnectorUnavailable: no usable answer in time.
        """
        return await self._ask("/crm/profiles", {"tenant": tenant, "asked": asked.model_dump()}, _PROFILES)


class HistoryConnector(_Connector):
    """``HistoryPort`` over HTTP."""

    async def orders(self, tenant: str, asked: Subject) -> Sequence[HistoryOrder]:
        """All orders of whoever the subject fits.

        Raises:
            ConnectorUnavailable: no usable answer in time.
        """
        return await self._ask("/oms/orders", {"tenant": tenant, "asked": asked.model_dump()}, _ORDERS)


class TrackingConnector(_Connector):
    """``TrackingPort`` over HTTP."""

    async def parcels(self, tenant: str, *, order_number: str, tracking: Sequence[str]) -> Sequence[TrackedParcel]:
        """The parcels with these numbers, and those booked for the order number.

        Raises:
            ConnectorUnavailable: no usable answer in time.
        """
        question = {"tenant": tenant, "order_number": order_number, "tracking": list(tracking)}
        return await self._ask("/tracking/parcels", question, _PARCELS)


class VariantConnector(_Connector):
    """``VariantPort`` over HTTP."""

    async def variants(self, tenant: str, product_ids: Sequence[str]) -> Sequence[ProductVariants]:
        """The variants of these products.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other products.
        """
        found = await self._ask("/erp/variants", {"tenant": tenant, "product_ids": list(product_ids)}, _PRODUCTS)
        if any(one.product_id not in product_ids for one in found):
            raise ConnectorUnavailable("erp variants answered about other products; try again")
        return found
