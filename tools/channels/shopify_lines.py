"""The lines of a Shopify order: what is open, what each line's share of discounts and tax is.

Line items repeat inside ``fulfillments`` and ``refunds``: only the order's own list is counted, the others only tell
which of its units are gone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from domain.ids import Sku
from domain.money import Money
from domain.order import OrderIssue, OrderLine
from tools.channels.reading import Fields, sum_of

_FULFILMENT_FAILED = frozenset({"failure", "cancelled", "error"})


def shop_money(fields: Fields, key: str, currency: str, issues: set[OrderIssue]) -> Money | None:
    """An amount in the shop's currency, from ``<key>_set`` where the API version has it, else from ``<key>``.

    The set names its currency; the bare field is the shop's by definition. Where both are there and disagree the order
    mixes currencies, which is an issue.

    Raises:
        UnprocessableOrder: the set's shop money is not in the order's currency.
    """
    plain = fields.money(key, currency, signed=True)
    both = fields.object(f"{key}_set")
    shop = both.object("shop_money") if both else None
    if shop is None:
        return plain
    code = shop.currency("currency_code")
    if code != currency:
        raise shop.refuse("currency_code", f"is {code} in an order in {currency}; an order has one shop currency")
    amount = shop.money("amount", currency, signed=True)
    if plain is not None and plain != amount:
        issues.add(OrderIssue.MIXED_CURRENCY)
    return amount


@dataclass(frozen=True, kw_only=True)
class RawLine:
    """One line as read, before order-wide discounts and taxes are spread over it."""

    line_id: str
    sku: str
    title: str
    quantity: int
    quantity_open: int
    unit_price: Money
    discount: Money
    tax: Money | None
    """None when the API version has no tax per line."""
    weight_g: int | None
    requires_shipping: bool

    @property
    def net(self) -> Money:
        """The line after its own discounts."""
        return self.unit_price * self.quantity - self.discount


def read_lines(order: Fields, currency: str, issues: set[OrderIssue], *, cancelled: bool) -> list[RawLine]:
    """The order's lines.

    Raises:
        UnprocessableOrder: no lines, two with one id, a negative quantity or price, a discount above the line.
    """
    gone = _gone_units(order)
    lines: list[RawLine] = []
    seen: set[str] = set()
    for fields in order.objects("line_items"):
        line = _read_line(fields, currency, issues, gone=gone, cancelled=cancelled)
        if line.line_id in seen:
            raise fields.refuse("id", "repeats the id of an earlier line")
        seen.add(line.line_id)
        lines.append(line)
    if not lines:
        raise order.refuse("line_items", "holds no lines; an order has at least one")
    return lines


def _read_line(
    fields: Fields, currency: str, issues: set[OrderIssue], *, gone: Counter[str], cancelled: bool
) -> RawLine:
    quantity = fields.required("quantity", fields.count("quantity"))
    price = fields.required("price", shop_money(fields, "price", currency, issues))
    if price.amount_minor < 0:
        raise fields.refuse("price", "is a negative amount")
    line_id = fields.identifier("id")
    shipped_whole = fields.text("fulfillment_status").lower() == "fulfilled"
    known = [quantity, fields.count("current_quantity")]
    known.append(fields.count("fulfillable_quantity") if "fulfillable_quantity" in fields else None)
    if known[-1] is None:
        known.append(0 if shipped_whole else max(0, quantity - gone[line_id]))
    discount = _line_discount(fields, currency, issues)
    if discount > price * quantity or discount.amount_minor < 0:
        raise fields.refuse("discount_allocations", "add up to more than the line, or to less than nothing")
    return RawLine(
        line_id=line_id,
        sku=fields.text("sku"),
        title=fields.text("name") or fields.text("title"),
        quantity=quantity,
        quantity_open=0 if cancelled else min(n for n in known if n is not None),
        unit_price=price,
        discount=discount,
        tax=tax_of(fields, currency, issues) if "tax_lines" in fields else None,
        weight_g=fields.count("grams") or None,
        requires_shipping=_ships(fields),
    )


def _ships(fields: Fields) -> bool:
    """Gift cards and downloads are delivered without a parcel; a line that does not say is taken to need one."""
    if fields.flag("gift_card"):
        return False
    return fields.flag("requires_shipping") if "requires_shipping" in fields else True


def _line_discount(fields: Fields, currency: str, issues: set[OrderIssue]) -> Money:
    """Discounts of one line: its allocations (they include the order's codes), else its own ``total_discount``."""
    shares = [shop_money(share, "amount", currency, issues) for share in fields.objects("discount_allocations")]
    own = sum_of(shares, currency) if shares else shop_money(fields, "total_discount", currency, issues)
    return own or Money.zero(currency)


def tax_of(fields: Fields, currency: str, issues: set[OrderIssue]) -> Money:
    """The sum of an object's tax lines."""
    return sum_of([shop_money(line, "price", currency, issues) for line in fields.objects("tax_lines")], currency)


def _gone_units(order: Fields) -> Counter[str]:
    """Units per line that are fulfilled or refunded, for API versions that do not count the open ones themselves.

    A refund of type ``return`` concerns units already fulfilled and takes nothing away a second time.
    """
    gone: Counter[str] = Counter()
    for fulfilment in order.objects("fulfillments"):
        if fulfilment.text("status").lower() not in _FULFILMENT_FAILED:
            for line in fulfilment.objects("line_items"):
                gone[line.identifier("id")] += line.count("quantity") or 0
    for refund in order.objects("refunds"):
        for line in refund.objects("refund_line_items"):
            if line.text("restock_type") != "return":
                gone[line.identifier("line_item_id")] += line.count("quantity") or 0
    return gone


def spread(lines: Sequence[RawLine], amount: Money) -> list[Money]:
    """``amount`` over the lines by what each costs (by units where all are free), adding up exactly."""
    weights = [line.net.amount_minor for line in lines]
    if not any(weights):
        weights = [line.quantity for line in lines]
    if not any(weights):
        weights = [1] * len(lines)
    return amount.allocate(weights)


def finished(lines: Sequence[RawLine], discount: Money, tax: Money) -> tuple[OrderLine, ...]:
    """The canonical lines, with the order's unallocated ``discount`` and, where lines have no tax of their own, ``tax``."""
    discounts = spread(lines, discount)
    taxes = spread(lines, tax) if all(line.tax is None for line in lines) else None
    zero = Money.zero(tax.currency)
    return tuple(
        OrderLine(
            line_id=line.line_id,
            sku=Sku(line.sku),
            title=line.title,
            quantity=line.quantity,
            quantity_open=line.quantity_open,
            unit_price=line.unit_price,
            discount=line.discount + discounts[i],
            tax=taxes[i] if taxes else line.tax or zero,
            weight_g=line.weight_g,
            requires_shipping=line.requires_shipping,
        )
        for i, line in enumerate(lines)
    )
