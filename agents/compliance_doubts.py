"""What about an order itself sends it to a person, and what of it is compared with lists of parties."""

from collections.abc import Iterator, Mapping

from agents.compliance_clauses import ClauseTable
from agents.compliance_parties import MASK, IdentifierKind, Screened
from domain.catalogue import Product
from domain.decision import Reason
from domain.ids import Sku
from domain.order import Order, OrderIssue

ISSUE_TEXTS: Mapping[OrderIssue, str] = {
    OrderIssue.NO_ADDRESS: "the order has no address to ship to",
    OrderIssue.NO_COUNTRY: "the address has no country",
    OrderIssue.NO_SKU: "a line has no SKU",
    OrderIssue.TOTALS_DISAGREE: "the channel's totals do not add up",
    OrderIssue.UNKNOWN_STATUS: "the channel sent a status we do not know",
    OrderIssue.PARTLY_REFUNDED: "the order was partly refunded before it reached us",
    OrderIssue.PLATFORM_RISK_CANCEL: "the platform's own risk check advises to cancel",
    OrderIssue.TEST_ORDER: "the channel marks this as a test order",
    OrderIssue.MIXED_CURRENCY: "the order mixes currencies",
}
ADDRESS_ISSUES = frozenset({OrderIssue.NO_ADDRESS, OrderIssue.NO_COUNTRY})
"""Without meaning for an order with nothing to ship."""


def order_doubts(order: Order) -> Iterator[Reason]:
    """What normalisation found odd, and an address nobody could deliver to."""
    ships = bool(order.open_lines)
    stated = [issue for issue in order.issues if ships or issue not in ADDRESS_ISSUES]
    for issue in stated:
        yield Reason(code=issue.value.upper(), text=ISSUE_TEXTS[issue], evidence="order.issues")
    if not ships:
        return
    country = order.ship_to.country
    if not country and OrderIssue.NO_COUNTRY not in stated:
        yield Reason(code="NO_COUNTRY", text=ISSUE_TEXTS[OrderIssue.NO_COUNTRY], evidence="order.ship_to.country")
    elif country and not _is_code(country):
        yield Reason(
            code="COUNTRY_UNREADABLE",
            text="the address's country is not a two-letter code, so no clause can be looked up",
            value=country[:40],
            evidence="order.ship_to.country",
        )
    elif not order.ship_to.deliverable and not ADDRESS_ISSUES & set(stated):
        yield Reason(code="NO_ADDRESS", text=ISSUE_TEXTS[OrderIssue.NO_ADDRESS], evidence="order.ship_to")


def goods_doubts(order: Order, products: Mapping[Sku, Product], clauses: ClauseTable) -> Iterator[Reason]:
    """Lines whose product is unknown, or calls itself harmless under a battery's tariff code."""
    for index, line in enumerate(order.lines):
        if not line.sku or line.quantity_open == 0:
            continue
        product = products.get(line.sku)
        if product is None:
            yield Reason(
                code="UNKNOWN_SKU",
                text=f"{line.sku} is not in our catalogue, so its restrictions cannot be checked",
                value=line.sku,
                evidence=f"order.lines[{index}].sku",
            )
        elif clauses.undeclared_battery(product):
            yield Reason(
                code="BATTERY_UNDECLARED",
                text=f"{line.sku} has a lithium battery's tariff code and no dangerous-goods class",
                value=product.hs_code,
                evidence=f"erp.products:{line.sku}.dangerous",
            )


def screened(order: Order) -> Screened:
    """The names, identifiers and countries of everybody the order names. Masked names are left out."""
    ship_to, bill_to, customer = order.ship_to, order.bill_to, order.customer
    identifiers = (
        ("order.customer.customer_id", IdentifierKind.CUSTOMER_ID, customer.customer_id),
        ("order.customer.email", IdentifierKind.EMAIL, customer.email),
        ("order.customer.phone", IdentifierKind.PHONE, customer.phone),
        ("order.ship_to.phone", IdentifierKind.PHONE, ship_to.phone),
        ("order.bill_to.phone", IdentifierKind.PHONE, bill_to.phone if bill_to else ""),
    )
    names: dict[str, str] = {}
    for field, name in _names(order):
        if name and MASK not in name:
            names.setdefault(name, field)
    return Screened(
        names=[(field, name) for name, field in names.items()],
        identifiers=[entry for entry in identifiers if entry[2] and MASK not in entry[2]],
        countries=frozenset(filter(None, (ship_to.country, bill_to.country if bill_to else ""))),
        customer_id=customer.customer_id,
    )


def names_masked(order: Order) -> bool:
    """Whether the channel hides a name from us, so that its own screening is relied on."""
    return any(MASK in name for _, name in _names(order))


def _names(order: Order) -> tuple[tuple[str, str], ...]:
    bill_to = order.bill_to
    return (
        ("order.ship_to.name", order.ship_to.name),
        ("order.ship_to.company", order.ship_to.company),
        ("order.customer.name", order.customer.name),
        ("order.bill_to.name", bill_to.name if bill_to else ""),
        ("order.bill_to.company", bill_to.company if bill_to else ""),
    )


def _is_code(country: str) -> bool:
    return len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()
