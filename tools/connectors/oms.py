"""The order management system over HTTP."""

from domain.effect import EffectKind
from tools.connectors.effect import EffectConnector
from tools.connectors.http import HttpClient


class OrderManagementConnector(EffectConnector):
    """Order records over HTTP."""

    applies = frozenset({EffectKind.UPDATE_OMS, EffectKind.CANCEL_OMS})

    def __init__(self, client: HttpClient) -> None:
        """The system named ``oms`` on the client's host."""
        super().__init__(client, "oms")
