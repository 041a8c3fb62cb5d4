"""Ports that answer from the tape where it has an answer, and read live where it has not; neither can change anything."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from agents import AgentPorts
from agents.exchange import Exchange
from agents.fraud_segments import Segments, SegmentTable, ShippedSegments
from agents.network import Network
from agents.playback_ports import playback_ports
from agents.recording import NotRecorded

_READS = ("wms", "crm", "erp", "activity", "risk_book", "feed", "demand", "unit_prices", "language", "rules")


def either_ports(live: AgentPorts) -> AgentPorts:
    """The tape first, then ``live``. What was read live stands in the tape's list of missing reads."""
    taped = playback_ports()
    reads: dict[str, Any] = {name: _either(getattr(taped, name), getattr(live, name)) for name in _READS}
    return _EitherPorts(carriers={}, tables=live.tables, taped=taped, live=live, **reads)


@dataclass(frozen=True, kw_only=True)
class _EitherPorts(AgentPorts):
    taped: AgentPorts
    live: AgentPorts

    @cached_property
    def network(self) -> Network:
        return cast(Network, self._of("network"))

    @cached_property
    def exchange(self) -> Exchange:
        return cast(Exchange, self._of("exchange"))

    @cached_property
    def segment_tables(self) -> Segments:
        return _Segments(self.taped.segment_tables, self.live.segment_tables)

    def _of(self, name: str) -> Any:
        return _either(getattr(self.taped, name), getattr(self.live, name))


class _Segments(Segments):
    def __init__(self, taped: Segments, live: Segments) -> None:
        super().__init__(ShippedSegments())
        self._taped = taped
        self._live = live

    async def table(self, tenant: str, now: datetime) -> SegmentTable:
        try:
            return await self._taped.table(tenant, now)
        except NotRecorded:
            return await self._live.table(tenant, now)


def _either(first: Any, then: Any) -> Any:
    return first if then is None else _Either(first, then)


class _Either:
    """One port over two: every call goes to the first, and to the second when the first has nothing recorded."""

    def __init__(self, first: Any, then: Any) -> None:
        self._first = first
        self._then = then

    def __getattr__(self, name: str) -> Callable[..., Any]:
        first, then = getattr(self._first, name), getattr(self._then, name)
        if not inspect.iscoroutinefunction(first):

            def at_once(*args: Any, **named: Any) -> Any:
                try:
                    return first(*args, **named)
                except NotRecorded:
                    return then(*args, **named)

            return at_once

        async def asked(*args: Any, **named: Any) -> Any:
            try:
                return await first(*args, **named)
            except NotRecorded:
                return await then(*args, **named)

        return asked
