"""The last look before a pick wave: a changed plan for a released order, and what scarce units turned out to be worth."""

from pydantic import AwareDatetime

from domain.decision import Decision, Verdict
from domain.ids import EffectKey, Sku, WarehouseId
from domain.shipment import Parcel, RoutePlan
from domain.values import Document


class Booked(Document):
    """A parcel as it was booked."""

    parcel: Parcel
    label_key: EffectKey
    fulfilment_key: EffectKey
    tracking: str


class Agreed(Document):
    """A change that passed the gate: everything needed to carry it out, or to go on after a crash."""

    decisions: tuple[Decision, ...]
    """The route first."""
    restored: tuple[Decision, ...]
    """What is journaled instead when the change cannot be carried out: the decisions as they stood."""
    hold_key: EffectKey
    kept: tuple[Booked, ...]
    replaced: tuple[Booked, ...]
    parcels: tuple[Parcel, ...]
    """Booked in place of the replaced ones."""
    mark: str
    """Part of every effect key of this change."""
    tries: int = 0
    """How often picking was refused on both sides; each later try has keys of its own."""


class WaveChange(Document):
    """A better plan for one released order, kept with the order until it is carried out or dropped."""

    wave: str
    """Which look found it."""
    before: RoutePlan
    """The plan it replaces; the change is void when another one is in force."""
    verdict: Verdict
    agreed: Agreed | None = None


class UnitPrices(Document):
    """What one more unit of scarce goods would have saved the last batch, in minor units of the settlement currency."""

    version: str
    """The look that found them; travels in every decision they weigh in."""
    found_at: AwareDatetime
    until: AwareDatetime
    worth_minor: dict[WarehouseId, dict[Sku, int]]

    def table(self) -> dict[tuple[WarehouseId, Sku], int]:
        """By site and SKU."""
        return {(site, sku): minor for site, skus in self.worth_minor.items() for sku, minor in skus.items()}
