"""The customer relations system over HTTP."""

from pydantic import TypeAdapter

from domain.effect import EffectKind
from domain.errors import ConnectorUnavailable
from domain.ports import CustomerHistory
from tools.connectors.effect import EffectConnector
from tools.connectors.http import HttpClient
from tools.connectors.reading import read_about

_HISTORY = TypeAdapter(CustomerHistory)


class CustomerConnector(EffectConnector):
    """``CustomerPort`` over HTTP."""

    applies = frozenset({EffectKind.POST_LOYALTY, EffectKind.REVERSE_LOYALTY, EffectKind.TAG_ORDER})

    def __init__(self, client: HttpClient) -> None:
        """The system named ``crm`` on the client's host."""
        super().__init__(client, "crm")

    async def history(self, customer_id: str) -> CustomerHistory:
        """What is known of the customer; an unknown id gives an empty history.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about somebody else.
        """
        asked = {"customer_id": customer_id}
        found = await read_about(self._client, "/crm/history", asked, subject=customer_id, shape=_HISTORY)
        if found.customer_id != customer_id:
            raise ConnectorUnavailable("crm history answered about somebody else; try again")
        return found
