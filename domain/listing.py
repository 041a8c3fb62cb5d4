"""How one SKU is offered on one channel, and the promotions that run for it."""

from datetime import date

from pydantic import Field

from domain.ids import Sku
from domain.money import Money
from domain.order import Channel
from domain.values import Document, digest


class Listing(Document):
    """One SKU on one channel. Every field but the first two may be changed and must be restored exactly."""

    sku: Sku
    channel: Channel
    ad_campaigns: tuple[str, ...] = ()
    """Ids of the paid campaigns that show it."""
    recommended: bool = True
    ships_from: date | None = None
    """Promised to leave from this day on; None for at once."""
    customer_limit: int | None = Field(default=None, ge=1)
    """Units one customer may buy."""
    allocation_percent: int = Field(default=100, ge=0, le=100)
    """Share of the free stock the channel is told of."""
    price: Money
    backorder_label: str = ""
    """Shown when goods are sold that are still to come; empty when they are not."""
    visible: bool = True

    @property
    def content_digest(self) -> str:
        """Digest of everything a buyer may notice."""
        return digest(self.model_dump(mode="json"))


class RunningPromotion(Document):
    """A promotion customers were told about."""

    promotion_id: str
    sku: Sku
    channel: Channel
    starts: date
    ends: date
    advertised: bool = True

    def covers(self, day: date) -> bool:
        """Whether it runs on a day."""
        return self.starts <= day <= self.ends


class ListingReport(Document):
    """What a channel says about one SKU."""

    listings: tuple[Listing, ...]
    promotions: tuple[RunningPromotion, ...] = ()
