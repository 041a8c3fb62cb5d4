"""shipping_method: names the carrier service of every parcel, and only ones the carrier sells on that lane today.

The route plan usually stands; a service that has gone since is replaced by the cheapest one from the same site that
takes the same parcel, or else a person is asked.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.delivery_calendar import DeliveryCalendar
from agents.exchange import Exchange
from agents.fallbacks import undeclared
from agents.network import Network
from agents.precedents import route_plan
from agents.routing_blocks import hazard_bits
from agents.routing_offers import Tariff, tariffs
from agents.shipping_options import OPTIONS, option_class
from domain.catalogue import Product
from domain.decision import Outcome, Reason, Verdict
from domain.ids import Sku
from domain.order import Order, PaymentMethod
from domain.ports import AgentCase, CataloguePort
from domain.shipment import Parcel, RoutePlan
from domain.values import Plain


@dataclass(frozen=True, kw_only=True)
class MethodPolicy:
    """Declared confidences: a look-up in the carriers' own tables."""

    version: str
    sure: float
    replaced: float
    fallback: float


POLICY = MethodPolicy(version="methods-2026-11-01", sure=0.97, replaced=0.85, fallback=0.72)


class ShippingMethod:
    """Checks the routed service of each parcel against what is sold now, and maps the buyer's choice."""

    name = "shipping_method"
    version = "sm-1.0"
    fallbacks = ("lane_default",)

    def __init__(
        self, *, network: Network, exchange: Exchange, erp: CataloguePort, policy: MethodPolicy = POLICY
    ) -> None:
        """``network`` and ``exchange`` are shared with routing."""
        self._network = network
        self._exchange = exchange
        self._erp = erp
        self._calendar = DeliveryCalendar()
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Name the services.

        Raises:
            Transient: lanes, products or rates could not be read.
        """
        if not case.order.open_lines:
            return self._nothing_to_ship()
        plan = route_plan(case.decisions)
        if plan is None:
            return self._no_plan()
        lanes = await self._network.lanes(case.order.ship_to.country, case.now)
        products = await self._erp.products(sorted({sku for parcel in plan.parcels for sku in parcel.skus}))
        currencies = {lane.steps[0].price.currency for lane in lanes} | {plan.cost.currency}
        currencies |= {lane.max_value.currency for lane in lanes if lane.max_value}
        rates = await self._exchange.table(currencies, case.now)
        sold = tariffs(lanes, plan.cost.currency, rates, case.now)
        chosen: list[Parcel | None] = [self._service(parcel, sold, case.order, products) for parcel in plan.parcels]
        missing = [parcel for parcel, service in zip(plan.parcels, chosen, strict=True) if service is None]
        if missing:
            return self._no_service(missing)
        return self._methods(case.order, plan, [service for service in chosen if service is not None])

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``lane_default``: the services as routed, unchecked; a person when there is no route.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        if not case.order.open_lines:
            return self._nothing_to_ship()
        plan = route_plan(case.decisions)
        if plan is None:
            return self._no_plan()
        reason = Reason(
            code="LANE_DEFAULT",
            text=f"the routed services stand unchecked ({why})",
            evidence="decisions.order_routing.plan",
        )
        return self._verdict(case.order, plan, (reason,), ("fallback",), self.policy.fallback)

    def _service(
        self, parcel: Parcel, sold: Sequence[Tariff], order: Order, products: Mapping[Sku, Product]
    ) -> Parcel | None:
        """The parcel with a service that takes it now; None when none does."""
        fit = {
            tariff.service: price for tariff in sold if (price := _price(tariff, parcel, order, products)) is not None
        }
        if parcel.service in fit:
            return parcel
        if not fit:
            return None
        by_service = {tariff.service: tariff for tariff in sold if tariff.warehouse == parcel.warehouse}
        days = {service: by_service[service].transit_days for service in fit}
        service = min(fit, key=lambda service: (fit[service], days[service], service))
        ready, country = parcel.ready_at, order.ship_to.country
        median, safe = days[service]
        return parcel.model_copy(
            update={
                "service": service,
                "carrier": by_service[service].carrier,
                "arrives_p50": self._calendar.arrival(ready, country, median),
                "arrives_p80": self._calendar.arrival(ready, country, safe),
            }
        )

    def _methods(self, order: Order, plan: RoutePlan, parcels: Sequence[Parcel]) -> Verdict:
        changed = [new for new, old in zip(parcels, plan.parcels, strict=True) if new.service != old.service]
        reasons = [
            Reason(
                code="SERVICE_ON_LANE",
                text=f"parcel {parcel.number}: {parcel.service} takes {parcel.billable_g} g from {parcel.warehouse}",
                value=parcel.service,
                evidence=f"carriers.lanes:{parcel.warehouse}:{order.ship_to.country}",
            )
            for parcel in parcels
        ]
        reasons += [
            Reason(
                code="SERVICE_REPLACED",
                text=f"parcel {parcel.number}: the routed service no longer takes it; {parcel.service} does",
                value=parcel.service,
                evidence=f"carriers.lanes:{parcel.warehouse}:{order.ship_to.country}",
            )
            for parcel in changed
        ]
        flags = ("method_changed",) if changed else ()
        confidence = self.policy.replaced if changed else self.policy.sure
        final = plan.model_copy(update={"parcels": tuple(parcels)})
        return self._verdict(order, final, tuple(reasons), flags, confidence)

    def _verdict(
        self, order: Order, plan: RoutePlan, reasons: tuple[Reason, ...], flags: tuple[str, ...], confidence: float
    ) -> Verdict:
        methods: list[Plain] = [
            {
                "parcel": parcel.number,
                "warehouse": parcel.warehouse,
                "service": parcel.service,
                "carrier": parcel.carrier,
                "billable_g": parcel.billable_g,
                "cost_minor": parcel.cost.amount_minor,
                "currency": parcel.cost.currency,
                "arrives_p80": parcel.arrives_p80.isoformat(),
            }
            for parcel in plan.parcels
        ]
        return Verdict(
            decision="methods",
            outcome=Outcome.PROCEED,
            confidence=confidence,
            flags=flags,
            reasons=reasons,
            facts={
                "methods": methods,
                "plan": plan.model_dump(mode="json"),
                "option": option_class(order.shipping_option).value,
                "options_version": OPTIONS.version,
                "thresholds_version": self.policy.version,
                "confidence_basis": "declared",
            },
        )

    def _no_service(self, parcels: Sequence[Parcel]) -> Verdict:
        return Verdict(
            decision="review",
            outcome=Outcome.REVIEW,
            confidence=None,
            flags=("no_service",),
            reasons=tuple(
                Reason(
                    code="NO_SERVICE",
                    text=f"parcel {parcel.number}: no service from {parcel.warehouse} takes {parcel.billable_g} g now",
                    value=parcel.service,
                    evidence=f"carriers.lanes:{parcel.warehouse}",
                )
                for parcel in parcels
            ),
            counterfactual=("NO_SERVICE",),
        )

    def _no_plan(self) -> Verdict:
        return Verdict(
            decision="review",
            outcome=Outcome.REVIEW,
            confidence=None,
            flags=("no_plan",),
            reasons=(Reason(code="NO_PLAN", text="there is no route plan", evidence="decisions.order_routing"),),
            counterfactual=("NO_PLAN",),
        )

    def _nothing_to_ship(self) -> Verdict:
        return Verdict(
            decision="not_needed",
            outcome=Outcome.PROCEED,
            confidence=self.policy.sure,
            reasons=(Reason(code="NOTHING_TO_SHIP", text="no open line needs shipping", evidence="order.lines"),),
        )


def _price(tariff: Tariff, parcel: Parcel, order: Order, products: Mapping[Sku, Product]) -> int | None:
    """What the lane charges for the parcel, without picking; None when it does not take it."""
    hazards = 0
    for sku in parcel.skus:
        hazards |= hazard_bits(products.get(sku))
    refused = hazards & ~tariff.accepts or (order.payment.method is PaymentMethod.COD and not tariff.cod)
    if tariff.warehouse != parcel.warehouse or refused:
        return None
    step = bisect_left(tariff.limits_g, parcel.billable_g)
    return tariff.prices_minor[step] if step < len(tariff.limits_g) else None
