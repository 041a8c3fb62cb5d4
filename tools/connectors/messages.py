"""The message gateway over HTTP."""

from domain.effect import EffectKind
from tools.connectors.effect import EffectConnector
from tools.connectors.http import HttpClient


class MessageConnector(EffectConnector):
    """Messages to customers and letters to suppliers over HTTP."""

    applies = frozenset({EffectKind.SEND_MESSAGE, EffectKind.SEND_PURCHASE_ORDER})

    def __init__(self, client: HttpClient) -> None:
        """The system named ``messages`` on the client's host."""
        super().__init__(client, "messages")
