"""Outside systems of a dry run: they read what may be read, and write down what would have been done. That is all.

No object here has a way to any system's ``apply``: an effect can be noted, and nothing else can be done with it.
"""

from collections.abc import Mapping, Sequence

from domain.catalogue import Product
from domain.effect import Effect, EffectKind, Receipt
from domain.errors import NotFound
from domain.fx import Rate
from domain.ids import EffectKey, Sku
from domain.inventory import StockLevel
from domain.listing import ListingReport
from domain.ports import CarrierReads, CataloguePort, CustomerHistory, CustomerReads, WarehouseReads
from domain.shipment import Lane, Warehouse
from domain.supply_ports import ListingReads
from graph.runtime.clock import Clock
from tools.connectors.directory import Systems


class NotedEffects:
    """Notes effects in the order they were wanted."""

    def __init__(self, clock: Clock) -> None:
        """Nothing noted."""
        self._clock = clock
        self.wanted: list[Effect] = []
        self._receipts: dict[EffectKey, Receipt] = {}

    def note(self, effect: Effect) -> Receipt:
        """Note an effect once per key, with a receipt that says it was dry."""
        if effect.key not in self._receipts:
            self.wanted.append(effect)
            self._receipts[effect.key] = Receipt(
                key=effect.key, kind=effect.kind, reference=f"dry-{len(self.wanted)}", applied_at=self._clock.now()
            )
        return self._receipts[effect.key]

    def receipt(self, key: EffectKey) -> Receipt | None:
        """The receipt of an effect noted earlier."""
        return self._receipts.get(key)


class DrySystem:
    """An ``EffectPort`` that only notes."""

    def __init__(self, notes: NotedEffects, kinds: frozenset[EffectKind]) -> None:
        """``kinds`` are the effects this system would apply."""
        self._notes = notes
        self._kinds = kinds

    @property
    def kinds(self) -> frozenset[EffectKind]:
        """The effects it would apply."""
        return self._kinds

    async def apply(self, effect: Effect) -> Receipt:
        """Note the effect."""
        return self._notes.note(effect)

    async def lookup(self, effect: Effect) -> Receipt | None:
        """The receipt of an effect noted earlier."""
        return self._notes.receipt(effect.key)


class _Wms(DrySystem):
    def __init__(self, notes: NotedEffects, kinds: frozenset[EffectKind], reads: WarehouseReads) -> None:
        super().__init__(notes, kinds)
        self._reads = reads

    async def warehouses(self) -> Sequence[Warehouse]:
        return await self._reads.warehouses()

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        return await self._reads.stock(skus)


class _Carrier(DrySystem):
    def __init__(self, notes: NotedEffects, kinds: frozenset[EffectKind], reads: CarrierReads) -> None:
        super().__init__(notes, kinds)
        self._reads = reads

    async def lanes(self, country: str) -> Sequence[Lane]:
        return await self._reads.lanes(country)

    async def scanned(self, label_key: EffectKey) -> bool:
        return False


class _Crm(DrySystem):
    def __init__(self, notes: NotedEffects, kinds: frozenset[EffectKind], reads: CustomerReads) -> None:
        super().__init__(notes, kinds)
        self._reads = reads

    async def history(self, customer_id: str) -> CustomerHistory:
        return await self._reads.history(customer_id)


class _Erp:
    def __init__(self, reads: CataloguePort) -> None:
        self._reads = reads

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        return await self._reads.products(skus)

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        return await self._reads.rates(currencies)


class _Listings(DrySystem):
    def __init__(self, notes: NotedEffects, kinds: frozenset[EffectKind], reads: ListingReads) -> None:
        super().__init__(notes, kinds)
        self._reads = reads

    async def listings(self, skus: Sequence[Sku], *, tenant: str) -> ListingReport:
        return await self._reads.listings(skus, tenant=tenant)


class _Channels(DrySystem):
    async def fetch_platform_order(self, channel: str, shop: str, external_id: str) -> str:
        raise NotFound(f"a dry run asks no sales channel, not even for order {external_id}")


def dry_systems(like: Systems, wms: WarehouseReads, notes: NotedEffects) -> Systems:
    """Systems with the same reads, that note every effect; ``wms`` reads the warehouses themselves."""
    return Systems(
        wms=_Wms(notes, like.wms.kinds, wms),
        carriers={code: _Carrier(notes, carrier.kinds, carrier) for code, carrier in like.carriers.items()},
        payment=DrySystem(notes, like.payment.kinds),
        oms=DrySystem(notes, like.oms.kinds),
        crm=_Crm(notes, like.crm.kinds, like.crm),
        erp=_Erp(like.erp),
        channels=_Channels(notes, like.channels.kinds),
        messages=DrySystem(notes, like.messages.kinds),
        purchasing=like.purchasing,
        listings=_Listings(notes, like.listings.kinds, like.listings),
        profiles=like.profiles,
        history=like.history,
        tracking=like.tracking,
        variants=like.variants,
    )
