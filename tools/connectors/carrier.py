"""One carrier over HTTP."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from domain.effect import EffectKind
from domain.errors import ConnectorUnavailable
from domain.ids import EffectKey
from domain.shipment import Lane
from tools.connectors.address import path_of
from tools.connectors.effect import EffectConnector
from tools.connectors.http import HttpClient
from tools.connectors.reading import Kept, read_about

_LANES = TypeAdapter(tuple[Lane, ...])
_FLAG = TypeAdapter(bool)


class CarrierConnector(EffectConnector):
    """``CarrierPort`` over HTTP."""

    applies = frozenset({EffectKind.BOOK_LABEL, EffectKind.VOID_LABEL})

    def __init__(self, client: HttpClient, code: str) -> None:
        """The carrier with this code on the client's host."""
        super().__init__(client, "carriers", code)
        self.code = code
        self._kept: Kept[str, tuple[Lane, ...]] = Kept()

    async def lanes(self, country: str) -> Sequence[Lane]:
        """Every lane sold to the country; kept for a minute.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about another country or carrier.
        """
        kept = self._kept.get(country)
        if kept is None:
            path = path_of("carriers", self.code, "lanes")
            kept = await read_about(self._client, path, {"country": country}, subject=country, shape=_LANES)
            if any((lane.country, lane.carrier) != (country, self.code) for lane in kept):
                raise ConnectorUnavailable(f"carrier {self.code} answered about other lanes; try again")
            self._kept.put(country, kept)
        return kept

    async def scanned(self, label_key: EffectKey) -> bool:
        """Whether the carrier has taken over the parcel whose label was booked under this key; never kept.

        Raises:
            ConnectorUnavailable: the carrier cannot say now.
        """
        path = path_of("carriers", self.code, "scanned")
        return await read_about(self._client, path, {"label_key": label_key}, subject=label_key, shape=_FLAG)
