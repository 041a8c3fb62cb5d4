"""Ports that answer from the tape being played and from nowhere else; there is nothing outside they could reach."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from agents import AgentPorts
from agents.exchange import Exchange
from agents.fraud_segments import Segments, SegmentTable, ShippedSegments
from agents.network import Network
from agents.reads import (
    ANSWER,
    CONFIRMED,
    CONSIGNED,
    COUNT,
    DEMAND,
    EXCEPTIONS,
    FEEDS,
    HISTORY,
    LANES,
    PRODUCTS,
    RATES,
    RULES,
    SEGMENTS,
    STOCK,
    UNIT_PRICES,
    WAREHOUSES,
    confirmed_key,
    count_key,
    hidden,
    question_key,
)
from agents.recording import NotRecorded, playback
from domain.catalogue import Product
from domain.consignee import Consigned
from domain.fx import Rate, RateTable
from domain.ids import Sku, WarehouseId
from domain.inventory import DemandTable, FeedState, StockLevel
from domain.language import Answer, Check, LanguageRequest
from domain.pick_wave import UnitPrices
from domain.ports import CustomerHistory, RatePort, SegmentPort
from domain.promoted_rule import PromotedRule
from domain.risk import CustomerException
from domain.shipment import Lane, Warehouse


def playback_ports() -> AgentPorts:
    """Ports for agents that are replayed; which tape they answer from follows the task."""
    tape = _Tape()
    return _PlaybackPorts(
        wms=tape,
        carriers={},
        crm=tape,
        erp=tape,
        activity=tape,
        risk_book=tape,
        feed=tape,
        demand=tape,
        unit_prices=tape,
        consignees=tape,
        language=tape,
        rules=tape,
    )


class _PlaybackPorts(AgentPorts):
    @cached_property
    def network(self) -> Network:
        return _Network(self.wms, self.carriers)

    @cached_property
    def exchange(self) -> Exchange:
        return _Exchange(self.erp)

    @cached_property
    def segment_tables(self) -> Segments:
        return _Segments(ShippedSegments())


class _Network(Network):
    async def warehouses(self, now: datetime) -> tuple[Warehouse, ...]:
        return playback().answer(WAREHOUSES, "")

    async def lanes(self, country: str, now: datetime) -> tuple[Lane, ...]:
        return playback().answer(LANES, country)

    def last_warehouses(self) -> tuple[Warehouse, ...]:
        try:
            return playback().answer(WAREHOUSES, "")
        except NotRecorded:
            return ()

    def last_lanes(self, country: str) -> tuple[Lane, ...]:
        try:
            return playback().answer(LANES, country)
        except NotRecorded:
            return ()


class _Exchange(Exchange):
    """Keeps one table for each list of rates: what is priced by it need not be priced again."""

    def __init__(self, source: RatePort) -> None:
        super().__init__(source)
        self._tables: dict[int, tuple[tuple[Rate, ...], RateTable]] = {}

    async def table(self, currencies: Iterable[str], now: datetime) -> RateTable:
        return self._of(playback().answer(RATES, ""))

    def last_table(self) -> RateTable:
        try:
            return self._of(playback().answer(RATES, ""))
        except NotRecorded:
            return RateTable(())

    def _of(self, rates: tuple[Rate, ...]) -> RateTable:
        known = self._tables.get(id(rates))
        if known is None:
            known = self._tables[id(rates)] = rates, RateTable(rates)
        return known[1]


class _Segments(Segments):
    def __init__(self, source: SegmentPort) -> None:
        super().__init__(source)
        self._indexed: dict[int, SegmentTable] = {}

    async def table(self, tenant: str, now: datetime) -> SegmentTable:
        snapshot = playback().answer(SEGMENTS, "")
        known = self._indexed.get(id(snapshot))
        if known is None:
            known = self._indexed[id(snapshot)] = SegmentTable(snapshot)
        return known


class _Tape:
    """Every read port at once."""

    async def warehouses(self) -> Sequence[Warehouse]:
        return playback().answer(WAREHOUSES, "")

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        return playback().answer(STOCK, ",".join(skus))

    async def history(self, customer_id: str) -> CustomerHistory:
        return playback().answer(HISTORY, hidden(customer_id))

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        return playback().answer(PRODUCTS, ",".join(skus))

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        return playback().answer(RATES, "")

    async def count(self, *, tenant: str, name: str, value: str, since: datetime, distinct: str) -> int:
        return playback().answer(COUNT, count_key(name=name, value=value, since=since, distinct=distinct))

    async def exceptions(self, *, tenant: str, customer_id: str) -> Sequence[CustomerException]:
        return playback().answer(EXCEPTIONS, hidden(customer_id))

    async def confirmed(self, *, tenant: str, keys: Mapping[str, str]) -> Sequence[str]:
        return playback().answer(CONFIRMED, confirmed_key(dict(keys)))

    def states(self, now: datetime) -> Mapping[WarehouseId, FeedState]:
        if "feed" in playback().without:
            return {}
        states: dict[WarehouseId, FeedState] = playback().answer(FEEDS, "")
        return states | {}

    def demand(self, skus: Sequence[Sku]) -> DemandTable:
        if "demand" in playback().without:
            return {}
        return {(site, sku): one for site, sku, one in playback().answer(DEMAND, ",".join(skus))}

    async def sent(
        self, *, tenant: str, consignee: str, order_id: str, half_year: datetime, day: datetime, now: datetime
    ) -> Consigned | None:
        # A tape from before anybody counted has none.
        found: Consigned | None = playback().recall(CONSIGNED, None)
        return found

    async def prices(self, *, tenant: str, now: datetime) -> UnitPrices | None:
        # A tape from before there were any has none.
        prices: UnitPrices | None = playback().recall(UNIT_PRICES, None)
        return prices

    async def ask(self, request: LanguageRequest, *, check: Check | None = None) -> Answer:
        return playback().answer(ANSWER, question_key(request))

    async def adopted(self, tenant: str, agent: str) -> Sequence[PromotedRule]:
        # Keyed as a read is; a tape of a decision that asked no rules has none.
        return playback().recall_keyed(RULES, agent, ())
