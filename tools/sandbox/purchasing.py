"""The stand-in for purchasing in the ERP: vendor master, offers whose prices may change, sales history, goods under way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from domain.ids import Sku
from domain.purchasing import BuyerParty, Vendor
from domain.supply import SupplierOffer
from domain.supply_ports import InboundSupply, SalesHistory
from tools.sandbox.sales_history import monday, weekly_sales
from tools.sandbox.suppliers import BUYER
from tools.sandbox.system import System
from tools.sandbox.world import World


@dataclass(frozen=True)
class PurchasingSystem(System):
    """Purchasing behind ``SupplyPort``. It is read only; prices and goods under way are changed by whoever plays the world."""

    world: World

    async def buyer(self) -> BuyerParty:
        """Our own side of a purchase order."""
        fault = await self._meet("buyer")
        await self._leave(fault, "buyer")
        return BUYER

    async def vendors(self, vendor_ids: Sequence[str]) -> Sequence[Vendor]:
        """The named vendors that exist; with no names, all of them."""
        fault = await self._meet("vendors")
        known = self.world.suppliers.vendors
        found = (
            [known[one] for one in dict.fromkeys(vendor_ids) if one in known] if vendor_ids else list(known.values())
        )
        await self._leave(fault, "vendors")
        return found

    async def offers(self, skus: Sequence[Sku]) -> Sequence[SupplierOffer]:
        """Every supplier's present offer for the named SKUs."""
        fault = await self._meet("offers")
        changed = await self._rows("SELECT sku || char(0) || supplier_id, offer FROM supply_offers", ())
        replaced = {name: SupplierOffer.from_json(text) for name, text in changed}
        found = {
            f"{offer.sku}\0{offer.supplier_id}": offer
            for sku in dict.fromkeys(skus)
            for offer in self.world.suppliers.offers.get(sku, ())
        }
        found |= {name: offer for name, offer in replaced.items() if offer.sku in skus}
        await self._leave(fault, "offers")
        return [found[name] for name in sorted(found)]

    async def sales(self, skus: Sequence[Sku], *, weeks: int) -> Sequence[SalesHistory]:
        """Weekly sales of the named SKUs; with no names, of all."""
        fault = await self._meet("sales")
        until = monday(self.clock().astimezone(UTC).date())
        rows = await self._rows("SELECT sku, history FROM supply_sales", ())
        put = {sku: SalesHistory.from_json(text) for sku, text in rows}
        found = []
        for sku in dict.fromkeys(skus) if skus else sorted({*self.world.products, *(Sku(one) for one in put)}):
            if sku in put:
                found.append(put[sku].model_copy(update={"weeks": put[sku].weeks[-weeks:], "until": until}))
            elif (product := self.world.products.get(sku)) is not None:
                sold = weekly_sales(self.world.seed, sku, until=until, weeks=weeks)
                margin = product.list_price.amount_minor * 45 // 100
                found.append(
                    SalesHistory(sku=sku, category=product.category, until=until, weeks=sold, margin_usd_minor=margin)
                )
        await self._leave(fault, "sales")
        return found

    async def inbound(self, skus: Sequence[Sku]) -> Sequence[InboundSupply]:
        """Goods of the named SKUs that were ordered and have not arrived."""
        fault = await self._meet("inbound")
        rows = await self._rows("SELECT sku, supply FROM supply_inbound ORDER BY sku, reference", ())
        found = [InboundSupply.from_json(text) for sku, text in rows if sku in skus]
        await self._leave(fault, "inbound")
        return found

    async def put_offer(self, offer: SupplierOffer) -> None:
        """A supplier changes its offer, or makes a new one."""
        await self._write(
            "INSERT OR REPLACE INTO supply_offers (supplier_id, sku, offer) VALUES (?, ?, ?)",
            (offer.supplier_id, offer.sku, offer.to_json()),
        )

    async def put_sales(self, history: SalesHistory) -> None:
        """Replace what an SKU sold."""
        await self._write(
            "INSERT OR REPLACE INTO supply_sales (sku, history) VALUES (?, ?)", (history.sku, history.to_json())
        )

    async def put_inbound(self, supply: InboundSupply) -> None:
        """Goods are on their way."""
        await self._write(
            "INSERT OR REPLACE INTO supply_inbound (sku, reference, supply) VALUES (?, ?, ?)",
            (supply.sku, supply.reference, supply.to_json()),
        )

    async def drop_inbound(self, sku: Sku, reference: str) -> None:
        """Goods are no longer on their way: they arrived, or never will."""
        await self._write("DELETE FROM supply_inbound WHERE sku = ? AND reference = ?", (sku, reference))

    async def _rows(self, statement: str, values: tuple[str, ...]) -> list[tuple[str, str]]:
        return await self.store.read(lambda connection: connection.execute(statement, values).fetchall())

    async def _write(self, statement: str, values: tuple[str, ...]) -> None:
        await self.store.write(lambda connection: connection.execute(statement, values))
