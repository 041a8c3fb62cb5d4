"""The warehouse system with an eye on its feeds: every reading is a sample, pushed counts are read where there are any."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from domain.effect import Effect, EffectKind, Receipt
from domain.ids import Sku, WarehouseId
from domain.intent import ConfirmHold, HoldStock, RecallFulfilments
from domain.inventory import StockLevel
from domain.ports import WarehousePort, WarehouseReads
from domain.shipment import Warehouse
from graph.runtime.clock import Clock
from graph.runtime.stock_feed import StockFeed

_TAKES: Mapping[EffectKind, type[HoldStock] | type[ConfirmHold] | type[RecallFulfilments]] = {
    EffectKind.HOLD_STOCK: HoldStock,
    EffectKind.CONFIRM_HOLD: ConfirmHold,
    EffectKind.RECALL_FULFILMENTS: RecallFulfilments,
}


class WatchedWarehouse:
    """A ``WarehousePort`` around another one.

    Where no warehouse pushes its counts it reads what the other one reads, and while every feed is on time that costs
    nothing more.
    """

    def __init__(self, inner: WarehousePort, feed: StockFeed, clock: Clock) -> None:
        """``inner`` is the system itself."""
        self._inner = inner
        self._feed = feed
        self._clock = clock
        self._sites: frozenset[WarehouseId] = frozenset()

    @property
    def unwatched(self) -> WarehouseReads:
        """The reads of the system itself, which leave no sample behind."""
        return self._inner

    @property
    def kinds(self) -> frozenset[EffectKind]:
        """The effects the system applies."""
        return self._inner.kinds

    async def apply(self, effect: Effect) -> Receipt:
        """Apply an effect; what it takes is taken off pushed counts until they are newer."""
        receipt = await self._inner.apply(effect)
        await self._note(effect, receipt)
        return receipt

    async def lookup(self, effect: Effect) -> Receipt | None:
        """The receipt of an effect applied earlier."""
        receipt = await self._inner.lookup(effect)
        if receipt is not None:
            await self._note(effect, receipt)
        return receipt

    async def warehouses(self) -> Sequence[Warehouse]:
        """Every site goods can leave from."""
        sites = await self._inner.warehouses()
        self._sites = frozenset(site.warehouse for site in sites)
        return sites

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        """Levels of the named SKUs: a warehouse that pushes its counts is judged by them, the others are asked."""
        await self._feed.refresh()
        pushing = self._pushing()
        if not pushing:
            levels = await self._inner.stock(skus)
            await self._feed.sampled(levels, now=self._clock.now())
            return [self._feed.ours(level) for level in levels]
        pushed = await self._feed.levels(skus, pushing)
        counted = {(level.warehouse, level.sku) for level in pushed}
        if self._sites <= set(pushing) and {sku for _, sku in counted} >= set(skus):
            return pushed
        asked = [
            level for level in await self._inner.stock(skus) if (level.warehouse, level.sku) not in counted
        ]  # fmt: skip
        await self._feed.sampled(asked, now=self._clock.now())
        return [*pushed, *(self._feed.ours(level) for level in asked)]

    def _pushing(self) -> list[WarehouseId]:
        return sorted(warehouse for warehouse, feed in self._feed.feeds.items() if feed.pushed)

    async def _note(self, effect: Effect, receipt: Receipt) -> None:
        model = _TAKES.get(effect.kind)
        if model is None or not self._pushing():
            return
        try:
            taken = model.model_validate(effect.args)
        except ValidationError:
            return  # a probe for a receipt carries no lines
        key = effect.key if isinstance(taken, HoldStock) else taken.hold_key
        await self._feed.sold(key, taken.lines, at=receipt.applied_at)
