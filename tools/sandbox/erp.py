"""The stand-in ERP: product master and dated fixture rates. It is read only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

from domain.catalogue import Product
from domain.fx import Rate
from domain.ids import Sku
from tools.sandbox.system import System
from tools.sandbox.world import World


@dataclass(frozen=True)
class ErpSystem(System):
    """Products and rates behind ``CataloguePort``."""

    world: World

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        """The products that exist; unknown SKUs are absent."""
        fault = await self._meet("products")
        known = self.world.products
        found = {sku: known[sku] for sku in skus if sku in known}
        await self._leave(fault, "products")
        return found

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        """Fixture rates per US dollar for the 31 days up to today, for the currencies that have any."""
        fault = await self._meet("rates")
        found = self.world.rates(currencies, on=self.clock().astimezone(UTC).date())
        await self._leave(fault, "rates")
        return found
