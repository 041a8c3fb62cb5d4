"""Listings over HTTP: read for the SKUs asked about, changed field by field."""

from collections.abc import Sequence

from pydantic import TypeAdapter

from domain.effect import EffectKind
from domain.errors import ConnectorUnavailable
from domain.ids import Sku
from domain.listing import ListingReport
from tools.connectors.effect import EffectConnector
from tools.connectors.http import HttpClient
from tools.connectors.reading import read_about

_REPORT = TypeAdapter(ListingReport)


class ListingConnector(EffectConnector):
    """``ListingPort`` over HTTP."""

    applies = frozenset({EffectKind.CHANGE_LISTING, EffectKind.RESTORE_LISTING})

    def __init__(self, client: HttpClient) -> None:
        """The system named ``listings`` on the client's host."""
        super().__init__(client, "listings")

    async def listings(self, skus: Sequence[Sku], *, tenant: str) -> ListingReport:
        """Every channel's listing of the named SKUs, and the promotions for them; never kept.

        Raises:
            ConnectorUnavailable: no usable answer in time, or one about other SKUs.
        """
        asked = tuple(dict.fromkeys(skus))
        if not asked:
            return ListingReport(listings=())
        report = await read_about(
            self._client, "/listings", {"sku": asked, "tenant": tenant}, subject=",".join(asked), shape=_REPORT
        )
        about = {one.sku for one in report.listings} | {one.sku for one in report.promotions}
        if not about <= set(asked):
            raise ConnectorUnavailable("listings answered about other SKUs; try again")
        return report
