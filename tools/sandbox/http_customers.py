"""The reads of support over HTTP. Questions are posted; each answer says by digest which question it is about."""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field, TypeAdapter

from domain.support import ProductVariants
from domain.support_identity import Subject
from domain.support_sources import HistoryOrder, Profile, TrackedParcel
from domain.values import Document, digest
from tools.sandbox.faults import Fault
from tools.sandbox.http_faults import Answers
from tools.sandbox.http_reads import about
from tools.sandbox.sandbox import Desks

_PROFILES = TypeAdapter(list[Profile])
_ORDERS = TypeAdapter(list[HistoryOrder])
_PARCELS = TypeAdapter(list[TrackedParcel])
_PRODUCTS = TypeAdapter(list[ProductVariants])


class Who(Document):
    """A question about a person."""

    tenant: str
    asked: Subject


class Parcels(Document):
    """A question about parcels."""

    tenant: str
    order_number: str
    tracking: list[str] = Field(max_length=200)


class Products(Document):
    """A question about products."""

    tenant: str
    product_ids: list[str] = Field(max_length=500)


def customer_routes(desks: Desks, answers: Answers) -> APIRouter:
    """The routes over fault-free desks; faults are met by ``answers``."""
    routes = APIRouter(tags=["customer service"])

    @routes.post("/crm/profiles")
    async def profiles(question: Who) -> Response:
        """Customers the subject fits."""
        return await _give(
            answers,
            ("crm", "profiles"),
            question,
            _PROFILES,
            lambda: desks.profiles.profiles(question.tenant, question.asked),
        )

    @routes.post("/oms/orders")
    async def orders(question: Who) -> Response:
        """Orders of whoever the subject fits."""
        return await _give(
            answers, ("oms", "orders"), question, _ORDERS, lambda: desks.history.orders(question.tenant, question.asked)
        )

    @routes.post("/tracking/parcels")
    async def parcels(question: Parcels) -> Response:
        """Parcels by number or order."""

        def read() -> Awaitable[Sequence[TrackedParcel]]:
            return desks.tracking.parcels(
                question.tenant, order_number=question.order_number, tracking=question.tracking
            )

        return await _give(answers, ("tracking", "parcels"), question, _PARCELS, read)

    @routes.post("/erp/variants")
    async def variants(question: Products) -> Response:
        """Variants of products."""
        return await _give(
            answers,
            ("erp", "variants"),
            question,
            _PRODUCTS,
            lambda: desks.variants.variants(question.tenant, question.product_ids),
        )

    return routes


async def _give(
    answers: Answers,
    call: tuple[str, str],
    question: BaseModel,
    shape: TypeAdapter[list[Profile]]
    | TypeAdapter[list[HistoryOrder]]
    | TypeAdapter[list[TrackedParcel]]
    | TypeAdapter[list[ProductVariants]],
    read: Callable[[], Awaitable[Sequence[Document]]],
) -> Response:
    async def body(_: Fault | None) -> bytes:
        return about(digest(question.model_dump(mode="json")), shape.dump_json(list(await read())))  # type: ignore[arg-type]

    return await answers.give(*call, body)
