"""Effects over HTTP: sent once under their key, looked up by it, and believed only when the answer is about it."""

from typing import ClassVar
from urllib.parse import quote

import orjson
from pydantic import ValidationError

from domain.effect import Effect, EffectKind, Receipt
from domain.errors import Ambiguous, ConnectorRejected, ConnectorUnavailable
from tools.connectors.address import path_of
from tools.connectors.http import Answer, HttpClient, refuse


class EffectConnector:
    """``EffectPort`` over HTTP. Subclasses name their kinds."""

    applies: ClassVar[frozenset[EffectKind]] = frozenset()

    def __init__(self, client: HttpClient, *segments: str) -> None:
        """``segments`` are the system's place on the host: ``wms``, or ``carriers`` and a code."""
        self._client = client
        self._place = path_of(*segments)

    @property
    def kinds(self) -> frozenset[EffectKind]:
        """The effects this system applies."""
        return self.applies

    async def apply(self, effect: Effect) -> Receipt:
        """Send the effect once.

        Raises:
            ConnectorUnavailable: nothing was done; try again.
            Ambiguous: no usable answer; look the key up before repeating.
            InsufficientStock, TooLate, ConnectorRejected: refused for good; nothing was done.
        """
        if effect.kind not in self.applies:
            raise ConnectorRejected(f"{self._place[1:]} cannot {effect.kind.value}; send it to the system that does")
        fields = {"tenant": effect.tenant, "entity_id": effect.entity_id, "decision_id": effect.decision_id}
        body = orjson.dumps(fields | {"args": effect.args})
        path = f"{self._place}/effects/{effect.kind.value}"
        answer = await self._client.send(path, body, key=quote(effect.key, safe=":/"))
        if not 200 <= answer.status < 300:
            refuse(answer, what=f"{effect.kind.value} {effect.key}", silence=Ambiguous)
        try:
            return _receipt(answer, effect)
        except ValueError as error:
            raise Ambiguous(
                f"{effect.kind.value} {effect.key} got an unusable receipt ({error}); look the key up"
            ) from None

    async def lookup(self, effect: Effect) -> Receipt | None:
        """The receipt of an effect applied earlier under the same key, or None when it never was.

        Raises:
            ConnectorUnavailable: the system cannot say now.
        """

        def parse(answer: Answer) -> Receipt | None:
            if answer.status == 404 and _never_applied(answer, effect):
                return None
            if answer.status != 200:
                refuse(answer, what=f"looking up {effect.key}", silence=ConnectorUnavailable)
            return _receipt(answer, effect)

        path = f"{self._place}/effects{path_of(effect.key)}"
        return await self._client.read(path, {"tenant": effect.tenant}, parse)


def _receipt(answer: Answer, effect: Effect) -> Receipt:
    """The receipt in an answer.

    Raises:
        ValueError: there is none, or it is about another effect.
    """
    try:
        receipt = Receipt.from_json(answer.body)
    except ValidationError:
        raise ValueError("not a receipt") from None
    if (receipt.key, receipt.kind) != (effect.key, effect.kind):
        raise ValueError("a receipt for something else")
    return receipt


def _never_applied(answer: Answer, effect: Effect) -> bool:
    """Only the system's own word counts: a 404 from a proxy or a wrong address proves nothing."""
    try:
        document = answer.document()
    except ValueError:
        return False
    return isinstance(document, dict) and (document.get("code"), document.get("key")) == ("effect.unknown", effect.key)
