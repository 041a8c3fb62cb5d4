"""The payment gateway over HTTP."""

from domain.effect import EffectKind
from tools.connectors.effect import EffectConnector
from tools.connectors.http import HttpClient


class PaymentConnector(EffectConnector):
    """Captures and refunds over HTTP."""

    applies = frozenset({EffectKind.CAPTURE_PAYMENT, EffectKind.REFUND_PAYMENT})

    def __init__(self, client: HttpClient) -> None:
        """The system named ``payment`` on the client's host."""
        super().__init__(client, "payment")
