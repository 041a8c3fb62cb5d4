"""Agents' ports twice over: those that note every answer on the decision's tape, and those that answer from a tape only.

Neither has a method that changes anything: an agent can not act, live or replayed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cached_property
from typing import Any

from agents import AgentPorts
from agents.exchange import Exchange
from agents.fraud_segments import Segments, SegmentTable
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
from agents.recording import SharedTexts, noted, recorder
from domain.catalogue import Product
from domain.consignee import Consigned
from domain.fx import Rate, RateTable
from domain.ids import Sku, WarehouseId
from domain.inventory import DemandTable, FeedState, StockLevel
from domain.language import Answer, Check, LanguageRequest
from domain.pick_wave import UnitPrices
from domain.ports import (
    ActivityReads,
    CataloguePort,
    ConsigneePort,
    CustomerHistory,
    CustomerReads,
    DemandPort,
    FeedPort,
    LanguagePort,
    RiskBookPort,
    RulePort,
    UnitPricePort,
    WarehouseReads,
)
from domain.promoted_rule import PromotedRule
from domain.risk import CustomerException
from domain.shipment import Lane, Warehouse

SOURCES = ("feed", "demand")
"""Sources an installation may not have."""


def taped(ports: AgentPorts) -> AgentPorts:
    """The same ports, noting what they answer on the tape of the decision being made."""
    given: dict[str, Any] = {spot.name: getattr(ports, spot.name) for spot in fields(AgentPorts)}
    return _TapedPorts(
        **given
        | {
            "wms": _Wms(ports.wms),
            "crm": _Crm(ports.crm),
            "erp": _Erp(ports.erp),
            "activity": _Activity(ports.activity),
            "risk_book": _RiskBook(ports.risk_book),
            "feed": _Feed(ports.feed) if ports.feed is not None else None,
            "demand": _Demand(ports.demand) if ports.demand is not None else None,
            "language": _Language(ports.language),
            "rules": _Rules(ports.rules),
            "consignees": _Consignees(ports.consignees) if ports.consignees is not None else None,
            "unit_prices": _UnitPrices(ports.unit_prices) if ports.unit_prices is not None else None,
        }
    )


def absent(ports: AgentPorts) -> tuple[str, ...]:
    """The sources these ports do not have."""
    return tuple(name for name in SOURCES if getattr(ports, name) is None)


class _TapedPorts(AgentPorts):
    """Ports whose shared caches note what they hand out, not what they fetched."""

    @cached_property
    def network(self) -> Network:
        return _Network(self.wms, self.carriers)

    @cached_property
    def exchange(self) -> Exchange:
        return _Exchange(self.rates or self.erp)

    @cached_property
    def segment_tables(self) -> Segments:
        return _Segments(self.segments)


class _Network(Network):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._texts = SharedTexts()

    async def warehouses(self, now: datetime) -> tuple[Warehouse, ...]:
        return self._sites_noted(await super().warehouses(now))

    async def lanes(self, country: str, now: datetime) -> tuple[Lane, ...]:
        return self._lanes_noted(country, await super().lanes(country, now))

    def last_warehouses(self) -> tuple[Warehouse, ...]:
        return self._sites_noted(super().last_warehouses())

    def last_lanes(self, country: str) -> tuple[Lane, ...]:
        return self._lanes_noted(country, super().last_lanes(country))

    def _sites_noted(self, sites: tuple[Warehouse, ...]) -> tuple[Warehouse, ...]:
        if (tape := recorder()) is not None:
            tape.note_shared(WAREHOUSES, "", *self._texts.of(WAREHOUSES, sites, lambda: sites))
        return sites

    def _lanes_noted(self, country: str, lanes: tuple[Lane, ...]) -> tuple[Lane, ...]:
        if (tape := recorder()) is not None:
            tape.note_shared(LANES, country, *self._texts.of(LANES, lanes, lambda: lanes))
        return lanes


class _Exchange(Exchange):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._texts = SharedTexts()

    async def table(self, currencies: Iterable[str], now: datetime) -> RateTable:
        return self._noted(await super().table(currencies, now))

    def last_table(self) -> RateTable:
        return self._noted(super().last_table())

    def _noted(self, table: RateTable) -> RateTable:
        if (tape := recorder()) is not None:
            tape.note_shared(RATES, "", *self._texts.of(RATES, table, lambda: table.rates))
        return table


class _Segments(Segments):
    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._texts = SharedTexts()

    async def table(self, tenant: str, now: datetime) -> SegmentTable:
        table = await super().table(tenant, now)
        if (tape := recorder()) is not None:
            tape.note_shared(SEGMENTS, "", *self._texts.of(SEGMENTS, table, lambda: table.snapshot))
        return table


class _Wms:
    def __init__(self, inner: WarehouseReads) -> None:
        self._inner = inner

    async def warehouses(self) -> Sequence[Warehouse]:
        return await self._inner.warehouses()

    async def stock(self, skus: Sequence[Sku]) -> Sequence[StockLevel]:
        async def read() -> tuple[StockLevel, ...]:
            return tuple(await self._inner.stock(skus))

        return await noted(STOCK, ",".join(skus), read())


class _Crm:
    def __init__(self, inner: CustomerReads) -> None:
        self._inner = inner

    async def history(self, customer_id: str) -> CustomerHistory:
        return await noted(HISTORY, hidden(customer_id), self._inner.history(customer_id))


class _Erp:
    def __init__(self, inner: CataloguePort) -> None:
        self._inner = inner

    async def products(self, skus: Sequence[Sku]) -> Mapping[Sku, Product]:
        async def read() -> dict[Sku, Product]:
            return dict(await self._inner.products(skus))

        return await noted(PRODUCTS, ",".join(skus), read())

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        return await self._inner.rates(currencies)


class _Activity:
    def __init__(self, inner: ActivityReads) -> None:
        self._inner = inner

    async def count(self, *, tenant: str, name: str, value: str, since: datetime, distinct: str) -> int:
        key = count_key(name=name, value=value, since=since, distinct=distinct)
        asked = self._inner.count(tenant=tenant, name=name, value=value, since=since, distinct=distinct)
        return await noted(COUNT, key, asked)


class _RiskBook:
    def __init__(self, inner: RiskBookPort) -> None:
        self._inner = inner

    async def exceptions(self, *, tenant: str, customer_id: str) -> Sequence[CustomerException]:
        async def read() -> tuple[CustomerException, ...]:
            return tuple(await self._inner.exceptions(tenant=tenant, customer_id=customer_id))

        return await noted(EXCEPTIONS, hidden(customer_id), read())

    async def confirmed(self, *, tenant: str, keys: Mapping[str, str]) -> Sequence[str]:
        async def read() -> tuple[str, ...]:
            return tuple(await self._inner.confirmed(tenant=tenant, keys=keys))

        return await noted(CONFIRMED, confirmed_key(dict(keys)), read())


class _Feed:
    def __init__(self, inner: FeedPort) -> None:
        self._inner = inner

    def states(self, now: datetime) -> Mapping[WarehouseId, FeedState]:
        states = dict(self._inner.states(now))
        if (tape := recorder()) is not None:
            tape.note(FEEDS, "", states)
        return states


class _Demand:
    def __init__(self, inner: DemandPort) -> None:
        self._inner = inner

    def demand(self, skus: Sequence[Sku]) -> DemandTable:
        found = self._inner.demand(skus)
        if (tape := recorder()) is not None:
            tape.note(DEMAND, ",".join(skus), [(site, sku, one) for (site, sku), one in found.items()])
        return found


class _Consignees:
    def __init__(self, inner: ConsigneePort) -> None:
        self._inner = inner

    async def sent(
        self, *, tenant: str, consignee: str, order_id: str, half_year: datetime, day: datetime, now: datetime
    ) -> Consigned | None:
        asked = self._inner.sent(
            tenant=tenant, consignee=consignee, order_id=order_id, half_year=half_year, day=day, now=now
        )
        return await noted(CONSIGNED, "", asked)


class _UnitPrices:
    def __init__(self, inner: UnitPricePort) -> None:
        self._inner = inner

    async def prices(self, *, tenant: str, now: datetime) -> UnitPrices | None:
        return await noted(UNIT_PRICES, "", self._inner.prices(tenant=tenant, now=now))


class _Language:
    def __init__(self, inner: LanguagePort) -> None:
        self._inner = inner

    async def ask(self, request: LanguageRequest, *, check: Check | None = None) -> Answer:
        return await noted(ANSWER, question_key(request), self._inner.ask(request, check=check))


class _Rules:
    def __init__(self, inner: RulePort) -> None:
        self._inner = inner

    async def adopted(self, tenant: str, agent: str) -> Sequence[PromotedRule]:
        async def read() -> tuple[PromotedRule, ...]:
            return tuple(await self._inner.adopted(tenant, agent))

        return await noted(RULES, agent, read())
