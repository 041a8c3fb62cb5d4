"""What of an order is taxed: line values after every discount, shipping, origin, and how many imports came before."""

from collections.abc import Sequence
from dataclasses import dataclass

from agents.precedents import route_origins, route_plan
from domain.consignee import Consigned
from domain.money import Money, total
from domain.order import Order
from domain.ports import AgentCase


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What of an order is taxed."""

    country: str
    origins: tuple[str, ...]
    goods: tuple[Money, ...]
    shipping: Money
    sent: Consigned | None
    """What other orders sent to the same consignee; None when nobody knows."""
    parcels: int = 1
    """Parcels of this order, as routed."""

    @property
    def domestic(self) -> bool:
        """Whether everything leaves from the destination itself."""
        return bool(self.origins) and set(self.origins) == {self.country}

    @property
    def value(self) -> Money:
        """The value of all goods. All parcels of an order count together: splitting is never rewarded."""
        return total(self.goods, self.shipping.currency)


def basis_of(case: AgentCase, sent: Consigned | None = None) -> Basis:
    """The basis of an order as it is open and routed now."""
    order = case.order
    plan = route_plan(case.decisions)
    return Basis(
        country=destination(order),
        origins=route_origins(case.decisions),
        goods=line_values(order),
        shipping=order.shipping,
        sent=sent,
        parcels=max(1, len(plan.parcels)) if plan else 1,
    )


def destination(order: Order) -> str:
    """Where the order is taxed: where it goes, or is billed when nothing is shipped; empty when neither says."""
    return order.ship_to.country or (order.bill_to.country if order.bill_to else "")


def mixed_currencies(order: Order) -> bool:
    """Whether an amount is in another currency than the order, so that no sum of it means anything."""
    amounts = (order.shipping, order.tax, order.discount, order.total, *(line.unit_price for line in order.lines))
    return any(amount.currency != order.currency for amount in amounts)


def discounted(nets: Sequence[Money], discount: Money) -> tuple[Money, ...]:
    """Line values less their share of an order's discount, by largest remainder: the shares add up to it exactly."""
    if not discount.amount_minor:
        return tuple(nets)
    shares = discount.allocate([max(0, net.amount_minor) for net in nets])
    return tuple(net - share for net, share in zip(nets, shares, strict=True))


def line_values(order: Order) -> tuple[Money, ...]:
    """What each line's open units cost after its discount and its share of the order's discount."""
    nets = [
        _scaled((line.unit_price * line.quantity) - line.discount, line.quantity_open, line.quantity)
        for line in order.lines
    ]
    whole = total(nets, order.currency)
    tax = Money.zero(order.currency) if order.tax_included else order.tax
    rest = whole + order.shipping + tax - order.total
    complete = all(line.quantity_open == line.quantity for line in order.lines)
    if complete and 0 < rest.amount_minor <= min(order.discount.amount_minor, whole.amount_minor):
        return discounted(nets, rest)
    return tuple(nets)


def charged(order: Order) -> Money:
    """The tax the channel charged for what is still open."""
    if all(line.quantity_open == line.quantity for line in order.lines):
        return order.tax
    parts = [_scaled(line.tax, line.quantity_open, line.quantity) for line in order.lines]
    return total(parts, order.currency)


def _scaled(amount: Money, part: int, whole: int) -> Money:
    if part == whole or whole == 0:
        return amount
    return Money.rounded(amount.decimal * part / whole, amount.currency)
