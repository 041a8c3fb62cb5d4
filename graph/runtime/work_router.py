"""Hands each unit of intake work to the workflow its headers name; work without a name is about an order."""

from collections.abc import Mapping

from domain.errors import MalformedPayload
from domain.ports import Delivery
from domain.review_case import WorkHandler
from graph.runtime.orders import WORKFLOW


class WorkRouter:
    """Routes by the header ``workflow``."""

    def __init__(self, orders: WorkHandler, others: Mapping[str, WorkHandler] | None = None) -> None:
        """``orders`` does the work of the order workflow, ``others`` that of the workflows they name."""
        self._handlers: dict[str, WorkHandler] = {WORKFLOW: orders, **(others or {})}

    def register(self, workflow: str, handle: WorkHandler) -> None:
        """Let another workflow do its own work, resumption after a review among it."""
        self._handlers[workflow] = handle

    async def handle(self, delivery: Delivery) -> None:
        """Do one unit of work; when it returns, the delivery may be acknowledged.

        Raises:
            MalformedPayload: no workflow of that name runs here.
            SignalboxError: as the workflow raises it.
        """
        name = delivery.message.headers.get("workflow") or WORKFLOW
        handler = self._handlers.get(name)
        if handler is None:
            raise MalformedPayload(f"no workflow {name!r} runs here; there are {', '.join(self._handlers)}")
        await handler(delivery)
