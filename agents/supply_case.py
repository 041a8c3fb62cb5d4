"""What an agent of the supplier workflow is given and may read. It writes nowhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import orjson

from agents.assortment import Assortment
from agents.campaigns import Calendar, campaigns
from agents.exchange import Exchange
from agents.letter_checks import Finding
from agents.letter_draft import Prose, own_prose
from agents.letter_locale import LetterLocale
from agents.supplier_choice import ReorderTerms
from domain.decision import Decision, Outcome, Reason, Verdict
from domain.ids import Sku, TenantId
from domain.ports import CataloguePort, RatePort, WarehouseReads
from domain.purchasing import PurchaseOrder
from domain.supply_ports import ComingPort, ListingReads, SupplyPort
from domain.values import Document, Plain

MANUAL = "manual_review_queue"
"""The fallback of every agent here: a person looks."""

Drafting = Callable[[PurchaseOrder, LetterLocale, tuple[Finding, ...]], Prose]
"""Writes prose with slots for an order; the findings are what was wrong with the attempt before."""


def own_drafting(order: PurchaseOrder, locale: LetterLocale, findings: tuple[Finding, ...]) -> Prose:
    """Our own localised letter, which needs no second attempt."""
    return own_prose(order, locale)


@dataclass(frozen=True, kw_only=True)
class SupplyCase:
    """One purchase order in the making."""

    number: str
    tenant: TenantId
    trigger: str
    skus: tuple[Sku, ...]
    now: datetime
    version: int = 1
    """The version a draft of this run becomes."""
    attempt_group: int = 1
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    edits: Mapping[str, Plain] = field(default_factory=dict)
    """Terms a person has changed: ``quantities`` by SKU, ``deliver_until``, ``notes``, ``vendor_id``."""

    def facts(self, agent: str) -> dict[str, Plain]:
        """What an earlier agent found; empty when it found nothing."""
        decision = self.decisions.get(agent)
        return dict(decision.facts) if decision is not None else {}


@dataclass(frozen=True, kw_only=True)
class SupplyPorts:
    """What agents may read. One value builds all agents of a process."""

    supply: SupplyPort
    wms: WarehouseReads
    erp: CataloguePort
    coming: ComingPort
    listings: ListingReads
    rates: RatePort | None = None
    terms: ReorderTerms = field(default_factory=ReorderTerms)
    drafting: Drafting = own_drafting
    calendar: Calendar = field(default_factory=campaigns)
    country: str = ""
    """Whose campaigns lift demand; without one only those that count everywhere."""

    @cached_property
    def assortment(self) -> Assortment:
        """Forecasts of everything sold, made once in a while for all agents."""
        return Assortment(self.supply)

    @cached_property
    def exchange(self) -> Exchange:
        """Exchange rates, read once in ten minutes."""
        return Exchange(self.rates or self.erp)


class SupplyAgent(Protocol):
    """One agent of the supplier workflow."""

    @property
    def name(self) -> str:
        """The registry name."""

    @property
    def version(self) -> str:
        """The published version."""

    async def decide(self, case: SupplyCase) -> Verdict:
        """Judge the case.

        Raises:
            Transient: an input could not be read; the declared fallback decides.
        """


def to_a_person(code: str, sentence: str) -> Verdict:
    """The verdict of an agent that cannot go on without a person."""
    return Verdict(
        decision="ask_person",
        outcome=Outcome.HOLD,
        confidence=None,
        reasons=(Reason(code=code, text=sentence),),
    )


def fallback_verdict(fallback: str | None, agent: str, why: str) -> Verdict:
    """What stands in for an agent that failed, computed from nothing."""
    return to_a_person("NO_ANSWER", f"{agent} {why}; a person has to look")


def plain_of(document: Document) -> Plain:
    """A document as decision facts hold it: numbers that are not whole become text, which parses back to the same."""
    return _plain(orjson.loads(document.to_json()))


def _plain(value: Any) -> Plain:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def figure(value: float, digits: int = 4) -> str:
    """A number as decision facts hold it: text, without noise."""
    return f"{value:.{digits}f}"
