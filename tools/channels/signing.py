"""Reading a delivery's headers and comparing its signature, before anything is parsed."""

import hmac
from collections.abc import Mapping

from domain.errors import BadSignature
from tools.channels.protocol import HeaderLines


class DeliveryHeaders:
    """The headers of one delivery: names in any case, each at most once, ASCII only."""

    def __init__(self, lines: HeaderLines) -> None:
        pairs = lines.items() if isinstance(lines, Mapping) else lines
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value.strip(" \t"))

    def optional(self, name: str) -> str:
        """The header's value, empty when it is absent.

        Raises:
            BadSignature: it was sent twice, or holds more than printable ASCII.
        """
        values = self._values.get(name.lower(), [])
        if len(values) > 1:
            raise BadSignature(f"the header {name} was sent {len(values)} times; send it once")
        value = values[0] if values else ""
        if not value.isascii() or not value.isprintable():
            raise BadSignature(f"the header {name} holds characters beyond printable ASCII")
        return value

    def required(self, name: str) -> str:
        """The header's value.

        Raises:
            BadSignature: it is missing, empty, sent twice, or holds more than printable ASCII.
        """
        value = self.optional(name)
        if not value:
            raise BadSignature(f"the header {name} is missing or empty; deliveries must be signed")
        return value


def same(expected: str, given: str) -> bool:
    """Whether two signatures are equal, in time that does not depend on where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode())
