"""shipping_method: names the carrier service of every parcel, and only ones the carrier sells on that lane today.

The route plan usually stands; a service that has gone since is replaced by the cheapest one from the same site that
takes the same parcel, or else a person is asked.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agents.delivery_calendar import DeliveryCalendar
from agents.exchange import Exchange
from agents.fallbacks import undeclared
from agents.network import Network
from agents.precedents import route_plan
from agents.routing_blocks import Goods
from agents.routing_goods import insured_values, open_goods
from agents.routing_market import Market, terms_of
from agents.routing_policy import POLICY as ROUTING_POLICY
from agents.routing_problem import Block, Offer, merged
from agents.shipping_options import OPTIONS, option_class
from agents.taught import said, with_option
from domain.decision import Outcome, Reason, Verdict
from domain.money import Money, total
from domain.order import Order
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
        self._market = Market(DeliveryCalendar(), ROUTING_POLICY.settlement)
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
        if case.hints.get("mode") == "degraded":
            return self._lane_default(case.order, plan, "peak mode", ())
        case, example = with_option(case)
        sites, lanes, products = await asyncio.gather(
            self._network.warehouses(case.now),
            self._network.lanes(case.order.ship_to.country, case.now),
            self._erp.products(sorted({sku for parcel in plan.parcels for sku in parcel.skus})),
        )
        country = case.order.ship_to.country
        named = {plan.cost.currency, case.order.currency, *self._market.currencies(country, sites, lanes)}
        rates = await self._exchange.table(named, case.now)
        desk = self._market.desk(country, sites, lanes, rates, now=case.now)
        paid = any(parcel.duty_paid is not None for parcel in plan.parcels)
        offers, _ = desk.offers(terms_of(case.order, case.now, duty_paid=paid))
        values = insured_values(case.order, rates, case.now, settlement=self._market.settlement)
        goods = {item.line_id: item for item in open_goods(case.order, products, values)[0]}
        chosen: list[Parcel | None] = [self._service(parcel, offers, goods) for parcel in plan.parcels]
        missing = [parcel for parcel, service in zip(plan.parcels, chosen, strict=True) if service is None]
        if missing:
            return self._no_service(missing)
        verdict = self._methods(case.order, plan, [service for service in chosen if service is not None])
        return said(verdict, example, case.order.shipping_option)

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
        return self._lane_default(case.order, plan, why, ("fallback",))

    def _lane_default(self, order: Order, plan: RoutePlan, why: str, flags: tuple[str, ...]) -> Verdict:
        reason = Reason(
            code="LANE_DEFAULT",
            text=f"the routed services stand unchecked ({why})",
            evidence="decisions.order_routing.plan",
        )
        return self._verdict(order, plan, (reason,), flags, self.policy.fallback)

    def _service(self, parcel: Parcel, offers: Sequence[Offer], goods: Mapping[str, Goods]) -> Parcel | None:
        """The parcel with a service that takes it now; None when none does."""
        content = _content(parcel, goods)
        if content is None:
            return None
        priced = ((offer, offer.price_minor(content)) for offer in offers if offer.warehouse == parcel.warehouse)
        fit = {offer.service: (offer, price) for offer, price in priced if price is not None}
        if parcel.service in fit:
            return parcel
        if not fit:
            return None
        offer, price = min(fit.values(), key=lambda of: (of[1], of[0].arrives_p80, of[0].service))
        paid = offer.duty_paid_minor(content.duty_minor)
        return parcel.model_copy(
            update={
                "service": offer.service,
                "carrier": offer.carrier,
                "billable_g": offer.billable_g(content),
                "cost": Money(amount_minor=price, currency=self._market.settlement),
                "duty_paid": Money(amount_minor=paid, currency=self._market.settlement) if offer.pays_duty else None,
                "ready_at": offer.ready_at,
                "arrives_p50": offer.arrives_p50,
                "arrives_p80": offer.arrives_p80,
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
        cost = total([parcel.cost for parcel in parcels], plan.cost.currency)
        final = plan.model_copy(update={"parcels": tuple(parcels), "cost": cost})
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


def _content(parcel: Parcel, goods: Mapping[str, Goods]) -> Block | None:
    """The parcel's goods; None when a line is no longer open or nobody knows its weight."""
    if any(line_id not in goods for line_id in parcel.lines):
        return None
    content = merged(goods[line_id].block(units) for line_id, units in parcel.lines.items())
    return replace(content, duty_minor=parcel.duty_paid.amount_minor) if parcel.duty_paid else content
