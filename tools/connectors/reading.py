"""Reads over HTTP: the answer must name what was asked; master data is kept for a minute, stock never."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import orjson
from pydantic import TypeAdapter

from domain.errors import ConnectorUnavailable
from tools.connectors.http import Answer, HttpClient, refuse

MASTER_DATA_TTL_S = 60.0
MAX_KEPT = 10_000

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Kept(Generic[K, V]):
    """Values kept for a while, by key."""

    def __init__(self, ttl_s: float = MASTER_DATA_TTL_S, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` counts seconds and never goes back."""
        self._ttl_s = ttl_s
        self._clock = clock
        self._values: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        """The value, unless it is too old or was never kept."""
        found = self._values.get(key)
        return found[1] if found is not None and self._clock() - found[0] < self._ttl_s else None

    def put(self, key: K, value: V) -> None:
        """Keep a value; when there are too many, all older ones go."""
        if len(self._values) >= MAX_KEPT:
            self._values.clear()
        self._values[key] = (self._clock(), value)


async def read_about(
    client: HttpClient,
    path: str,
    params: Mapping[str, str | Sequence[str]],
    *,
    subject: str,
    shape: TypeAdapter[T],
) -> T:
    """A read whose answer says what it is about.

    Raises:
        ConnectorUnavailable: no usable answer in time, or only answers about something else.
        ConnectorRejected, NotFound: refused for good.
    """

    def parse(answer: Answer) -> T:
        if answer.status != 200:
            refuse(answer, what=f"GET {path}", silence=ConnectorUnavailable)
        document = answer.document()
        if not isinstance(document, dict) or "data" not in document:
            raise ValueError("not the expected document")
        if document.get("about") != subject:
            raise ValueError("it is about something else")
        return shape.validate_json(orjson.dumps(document["data"]))

    return await client.read(path, params, parse)
