"""What the market offers an order: the priced lanes to its country, kept between orders, and the order's own terms."""

from datetime import datetime

from agents.delivery_calendar import DeliveryCalendar
from agents.routing_offers import OfferDesk, Terms, minor_units, tariffs
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.order import Order, PaymentMethod
from domain.shipment import Lane, Warehouse


class Market:
    """Priced lanes by destination, priced anew when sites, lanes or rates were read anew."""

    def __init__(self, calendar: DeliveryCalendar, settlement: str) -> None:
        """``settlement`` is the currency of all prices."""
        self.calendar = calendar
        self.settlement = settlement
        self._desks: dict[str, tuple[object, object, object, OfferDesk]] = {}
        self._currencies: dict[str, tuple[object, object, frozenset[str]]] = {}

    def desk(
        self, country: str, sites: tuple[Warehouse, ...], lanes: tuple[Lane, ...], rates: RateTable, *, now: datetime
    ) -> OfferDesk:
        """Where an order to the country is quoted."""
        kept = self._desks.get(country)
        if kept is None or kept[0] is not sites or kept[1] is not lanes or kept[2] is not rates:
            priced = tariffs(lanes, self.settlement, rates, now)
            desk = OfferDesk(
                self.calendar,
                sites,
                priced,
                unpriced=frozenset(lane.warehouse for lane in lanes),
                picking_minor=lambda site: self._picking(site, rates, now),
            )
            kept = self._desks[country] = (sites, lanes, rates, desk)
        return kept[3]

    def currencies(self, country: str, sites: tuple[Warehouse, ...], lanes: tuple[Lane, ...]) -> frozenset[str]:
        """Every currency a quote to the country may be in."""
        kept = self._currencies.get(country)
        if kept is None or kept[0] is not sites or kept[1] is not lanes:
            named = {self.settlement, *(site.pick_pack.currency for site in sites)}
            for lane in lanes:
                named |= {step.price.currency for step in lane.steps}
                named |= {fee.at_least.currency for fee in lane.surcharges if fee.at_least}
                named |= {lane.max_value.currency} if lane.max_value else set()
            kept = self._currencies[country] = (sites, lanes, frozenset(named))
        return kept[2]

    def _picking(self, site: Warehouse, rates: RateTable, now: datetime) -> int | None:
        try:
            return minor_units(site.pick_pack, self.settlement, rates, now)
        except MissingRate:
            return None


def terms_of(order: Order, now: datetime, *, duty_paid: bool) -> Terms:
    """The terms an order released now travels under."""
    return Terms(
        country=order.ship_to.country,
        postcode=order.ship_to.postcode,
        cash_on_delivery=order.payment.method is PaymentMethod.COD,
        duty_paid=duty_paid,
        released_at=now,
        ship_by=order.ship_by,
    )
