"""A context in at most 8,000 characters: the same facts in short lines, variants as tables, the least needed left out last.

What does not fit is named, never cut in the middle.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import orjson

from domain.money import Money
from domain.support import (
    AddressView,
    Fact,
    LineView,
    OrderBrief,
    OrderFacts,
    PaymentView,
    ProductVariants,
    SupportContext,
    Variant,
)
from domain.support_reason import Topic

T = TypeVar("T")
LIMIT = 8_000
_ROOM = 160
"""For the names of what was left out."""


def compact(context: SupportContext, *, limit: int = LIMIT) -> dict[str, Any]:
    """The context as ``{schema_version, context_id, text, left_out}``, at most ``limit`` characters as JSON."""
    shown: dict[str, Any] = {
        "schema_version": f"{context.schema_version}.compact",
        "context_id": context.context_id,
        "missing": list(context.missing),
        "text": "",
        "left_out": [],
    }
    room = limit - len(orjson.dumps(shown).decode()) - _ROOM
    kept: list[str] = []
    left_out = []
    for name, lines in _blocks(context):
        if not lines:
            continue
        text = "\n".join(lines)
        size = len(orjson.dumps(text).decode()) - 2 + 2
        if size > room:
            left_out.append(name)
            continue
        kept.append(text)
        room -= size
    shown["text"] = "\n".join(kept)
    shown["left_out"] = _named(left_out)
    return shown


def _named(names: Sequence[str]) -> list[str]:
    few, rest = names[:4], len(names) - 4
    return [*few, f"and {rest} more"] if rest > 0 else list(few)


def _blocks(context: SupportContext) -> Iterable[tuple[str, list[str]]]:
    yield "summary", _summary(context)
    if context.order is not None:
        yield "order", _order(context.order)
    yield "shipments", _shipments(context)
    yield "returns and refunds", _rules(context)
    if context.order is None or context.exchange_options.value:
        yield "account", _account(context)
    others = context.other_orders.value or ()
    for brief in others:
        yield f"order {brief.number}", _brief(brief)
    for product in _most_useful(context):
        yield f"variants of {product.name}", _variants(product)


def _most_useful(context: SupportContext) -> list[ProductVariants]:
    """The order's own products first; of the rest those in orders that can still be changed or returned, small first."""
    own = {line.product_id for line in context.order.lines.value or ()} if context.order else set()
    changeable = {
        line.product_id
        for brief in context.other_orders.value or ()
        if brief.state not in {"cancelled", "ready_to_ship"}
        for line in brief.lines
    }
    products = context.exchange_options.value or ()
    return sorted(
        products, key=lambda one: (one.product_id not in own, one.product_id not in changeable, len(one.variants))
    )


def _summary(context: SupportContext) -> list[str]:
    who, advice = context.customer, context.next_best_action
    return [
        f"at {context.generated_at:%Y-%m-%dT%H:%MZ}; reason {context.reason.name if context.reason else 'unknown'}",
        f"customer {who.id_hash}: language {_v(who.language)}, tier {_v(who.tier)}, worth {_v(who.ltv_bucket)}, "
        f"{_v(who.orders_24m)} orders in 24 months, returns {_v(who.return_rate)}, open tickets {_v(who.open_tickets)}",
        *(f"ticket: {one}" for one in who.last_3_ticket_summaries.value or ()),
        f"next: {advice.action} ({advice.confidence:.2f}): {advice.why}",
        *(f"needs: {one}" for one in advice.preconditions),
        *(f"missing {gap.source}: {gap.why}" for gap in context.gaps),
    ]


def _v(fact: Fact[T]) -> str:
    if fact.value is None:
        return "unknown"
    return f"{fact.value}{' (old)' if fact.stale else ''}{'' if fact.confidence >= 1 else f' ({fact.confidence:.2f})'}"


def _account(context: SupportContext) -> list[str]:
    who = context.customer
    lines = [f"customer id {who.crm_id.value}"] if who.crm_id else []
    if who.address and who.address.value:
        lines.append(f"address {_address(who.address.value)}")
    for method in (who.payment_methods.value or ()) if who.payment_methods else ():
        lines.append(f"pays with {method.method_id} {method.label}".strip())
    return lines


def _order(order: OrderFacts) -> list[str]:
    lines = [
        f"ORDER {order.number} ({order.order_id}, {order.channel}): {_v(order.state)}, total {_money(order.total.value)}"
        + (f", {order.progress.value} here" if order.progress else ""),
        *(_line(one) for one in order.lines.value or ()),
        *_paid(order.payments.value or ()),
        f" to {_address(order.ship_to.value or AddressView())}",
        *(f" {one.event} {one.at:%Y-%m-%dT%H:%MZ}" for one in order.timeline.value or ()),
        *(
            f" held ({one.kind}: {', '.join(one.reason_codes)}); say: {one.tell_customer}"
            for one in order.holds.value or ()
        ),
    ]
    told = dict.fromkeys(one.tell_customer for one in order.decisions.value or () if one.tell_customer)
    return [*lines, *(f" say: {one}" for one in told)]


def _brief(order: OrderBrief) -> list[str]:
    lines = [f"order {order.number}: {order.state}, {_money(order.total)}", *(_line(one) for one in order.lines)]
    lines += _paid(order.payments)
    if order.ship_to is not None:
        lines.append(f" to {_address(order.ship_to)}")
    return lines


def _line(line: LineView) -> str:
    many = f"{line.quantity} x " if line.quantity != 1 else ""
    options = f" ({', '.join(line.options.values())})" if line.options else ""
    product = f" of {line.product_id}" if line.product_id else ""
    return f" {line.line_id}: {many}{line.name} {line.sku}{product}{options} {_money(line.unit_price)}"


def _paid(payments: Sequence[PaymentView]) -> list[str]:
    return [f" {one.kind} {_money(one.amount)} {one.method_id}" for one in payments]


def _shipments(context: SupportContext) -> list[str]:
    lines = []
    for one in context.shipments.value or ():
        parts = [
            f"PARCEL {one.tracking_number} {one.carrier}".strip(),
            one.status.value if one.status else "status unknown",
        ]
        parts += [one.sub_reason] if one.sub_reason else []
        parts += (
            [f"last scan {one.last_scan_at:%Y-%m-%dT%H:%MZ} {one.last_scan_place}".strip()] if one.last_scan_at else []
        )
        dates = (
            ("promised", one.promised_at),
            ("likely", one.predicted_p50_at),
            ("at the latest", one.predicted_p80_at),
        )
        parts += [f"{name} {at:%Y-%m-%d}" for name, at in dates if at is not None]
        parts += [f"{one.days_late} days late"] if one.days_late else []
        lines.append(", ".join(parts))
    return lines


def _rules(context: SupportContext) -> list[str]:
    lines = []
    for view in context.returns.value or ():
        may = {True: "may be returned", False: "may not be returned", None: "return unclear"}[view.eligible]
        lines.append(f"line {view.line_id} {may}: {view.why}" + (f" [{view.rule_id}]" if view.rule_id else ""))
    for option in context.refunds.value or ():
        low, high = option.eta_days
        lines.append(
            f"refund up to {_money(option.amount)} to {option.method_id}, {low}-{high} days, {option.condition}"
        )
    if context.reason is None or context.reason.topic is Topic.CHANGE:
        lines += [f"{one.policy_id}: {one.text}" for one in context.policies]
    return list(dict.fromkeys(lines))


def _variants(product: ProductVariants) -> list[str]:
    """A table: option names once, then sku, values and price; values that are the same in all stand in the head."""
    available = [one for one in product.variants if one.available]
    names = list(dict.fromkeys(name for one in available for name in one.options))
    values = {name: list(dict.fromkeys(one.options.get(name, "-") for one in available)) for name in names}
    common = [f"{name}={values[name][0]}" for name in names if len(values[name]) == 1]
    varying = [name for name in names if len(values[name]) > 1]
    head = f"{product.name} {product.product_id} available (sku|{'|'.join(varying)}|price)"
    if common:
        head += f" all {', '.join(common)}"
    return [
        head,
        *(
            "|".join([one.sku, *(one.options.get(name, "-") for name in varying), _price(product, one)])
            for one in available
        ),
    ]


def _price(product: ProductVariants, variant: Variant) -> str:
    return f"{Money(amount_minor=variant.amount_minor, currency=product.currency).decimal:f}"


def _address(address: AddressView) -> str:
    place = (address.city, address.region, address.postcode, address.country_name or address.country)
    return ", ".join(part for part in (address.name, address.line1, address.line2, *place) if part)


def _money(money: Money | None) -> str:
    return "unknown" if money is None else f"{money.decimal:f} {money.currency}"
