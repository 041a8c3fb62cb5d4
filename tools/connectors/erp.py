"""The ERP over HTTP: products, kept for a minute each, and exchange rates."""

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter

from domain.catalogue import Product
from domain.errors import ConnectorUnavailable
from domain.fx import Rate
from domain.ids import Sku
from tools.connectors.http import HttpClient
from tools.connectors.reading import Kept, read_about

_PRODUCTS = TypeAdapter(tuple[Product, ...])
_RATES = TypeAdapter(tuple[Rate, ...])
_SKUS_PER_CALL = 100


class ErpConnector:
    """``CataloguePort`` over HTTP."""

    def __init__(self, client: HttpClient) -> None:
        """The system named ``erp`` on the client's host."""
        self._client = client
        self._kept: Kept[Sku, Product] = Kept()

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        """The products that exist; unknown SKUs are absent and asked for again next time.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other SKUs.
        """
        found = {sku: kept for sku in skus if (kept := self._kept.get(sku)) is not None}
        missing = [sku for sku in dict.fromkeys(skus) if sku not in found]
        for start in range(0, len(missing), _SKUS_PER_CALL):
            found |= await self._read(missing[start : start + _SKUS_PER_CALL])
        return found

    async def _read(self, skus: Sequence[Sku]) -> dict[Sku, Product]:
        products = await read_about(
            self._client, "/erp/products", {"sku": skus}, subject=",".join(skus), shape=_PRODUCTS
        )
        if any(product.sku not in skus for product in products):
            raise ConnectorUnavailable("erp products answered about other SKUs; try again")
        for product in products:
            self._kept.put(product.sku, product)
        return {product.sku: product for product in products}

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        """Recent dated rates per US dollar for the currencies that have any.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other currencies.
        """
        if not currencies:
            return ()
        rates = await read_about(
            self._client, "/erp/rates", {"currency": currencies}, subject=",".join(currencies), shape=_RATES
        )
        if any(rate.base != "USD" or rate.quote not in currencies for rate in rates):
            raise ConnectorUnavailable("erp rates answered about other currencies; try again")
        return rates
