"""The warehouse management system over HTTP."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from domain.effect import EffectKind
from domain.errors import ConnectorUnavailable
from domain.ids import Sku
from domain.inventory import StockLevel
from domain.shipment import Warehouse
from tools.connectors.effect import EffectConnector
from tools.connectors.http import HttpClient
from tools.connectors.reading import Kept, read_about

_WAREHOUSES = TypeAdapter(tuple[Warehouse, ...])
_LEVELS = TypeAdapter(tuple[StockLevel, ...])
_SKUS_PER_CALL = 50


class WarehouseConnector(EffectConnector):
    """``WarehousePort`` over HTTP."""

    applies = frozenset(
        {
            EffectKind.HOLD_STOCK,
            EffectKind.CONFIRM_HOLD,
            EffectKind.RELEASE_HOLD,
            EffectKind.CREATE_FULFILMENT,
            EffectKind.CANCEL_FULFILMENT,
            EffectKind.RECALL_FULFILMENTS,
        }
    )

    def __init__(self, client: HttpClient) -> None:
        """The system named ``wms`` on the client's host."""
        super().__init__(client, "wms")
        self._sites: Kept[str, tuple[Warehouse, ...]] = Kept()

    async def warehouses(self) -> Sequence[Warehouse]:
        """Every site goods can leave from; kept for a minute.

        Raises:
            ConnectorUnavailable: no usable answer in time.
        """
        kept = self._sites.get("")
        if kept is None:
            kept = await read_about(self._client, "/wms/warehouses", {}, subject="warehouses", shape=_WAREHOUSES)
            self._sites.put("", kept)
        return kept

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        """Levels of the named SKUs, as of the feed's own time; never kept.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other SKUs.
        """
        wanted = tuple(dict.fromkeys(skus))
        levels: list[StockLevel] = []
        for start in range(0, len(wanted), _SKUS_PER_CALL):
            chunk = wanted[start : start + _SKUS_PER_CALL]
            found = await read_about(self._client, "/wms/stock", {"sku": chunk}, subject=",".join(chunk), shape=_LEVELS)
            if any(level.sku not in chunk for level in found):
                raise ConnectorUnavailable("wms stock answered about other SKUs; try again")
            levels += found
        return levels
