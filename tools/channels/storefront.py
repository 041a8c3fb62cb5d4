"""Storefronts and B2B customers of our own: native orders in, nothing out. Sums are worked out, sent ones are checked."""

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from domain.address import Address
from domain.errors import BadSignature, ConnectorRejected, UnprocessableOrder
from domain.ids import OrderId, Sku, TenantId
from domain.intent import CancelChannel, UpdateChannel
from domain.money import Money, total
from domain.order import (
    Channel,
    Customer,
    Device,
    Order,
    OrderIssue,
    OrderLine,
    OrderState,
    Payment,
    PaymentMethod,
    PaymentState,
)
from tools.channels.native_order import LineIn, OrderIn, parse_order
from tools.channels.places import locale_of
from tools.channels.protocol import ChannelRequest, HeaderLines, ShopSecret, VerifiedDelivery
from tools.channels.strict_json import DEFAULT_LIMITS, ParseLimits


def canonical(given: OrderIn, channel: Channel, *, tenant: str, shop: str, payload_ref: str) -> Order:
    """The canonical order.

    Raises:
        UnprocessableOrder: two currencies, a repeated line id, or a discount above its line.
    """
    _check_currencies(given)
    lines = _lines(given)
    zero = Money.zero(given.currency)
    net = total([line.unit_price * line.quantity - line.discount for line in lines], given.currency)
    tax = given.tax or total([line.tax for line in lines], given.currency)
    due = net + (given.shipping or zero) + (zero if given.tax_included else tax)
    agreed = given.total or due
    money_gone = given.payment.state in (PaymentState.REFUNDED, PaymentState.VOIDED)
    ship_to = given.ship_to.canonical() if given.ship_to else Address()
    return Order(
        order_id=OrderId(f"{channel.value}-{given.external_id}"),
        tenant=TenantId(tenant),
        channel=channel,
        shop=shop,
        external_id=given.external_id,
        external_number=given.number or given.external_id,
        placed_at=given.placed_at,
        updated_at=given.updated_at or given.placed_at,
        currency=given.currency,
        locale=locale_of(given.locale, ship_to.country),
        state=_state(given),
        platform_status=given.payment.state.value,
        lines=lines,
        subtotal=net,
        discount=total([line.discount for line in lines], given.currency),
        shipping=given.shipping or zero,
        tax=tax,
        tax_included=given.tax_included,
        total=agreed,
        total_open=zero if money_gone else agreed,
        ship_to=ship_to,
        bill_to=given.bill_to.canonical() if given.bill_to else None,
        customer=Customer(**given.customer.model_dump()),
        payment=Payment(**given.payment.model_dump()),
        device=Device(**given.device.model_dump()),
        shipping_option=given.shipping_option,
        ship_by=given.ship_by,
        deliver_by=given.deliver_by,
        note=given.note,
        issues=_issues(given, ship_to, due),
        payload_ref=payload_ref,
    )


def _state(given: OrderIn) -> OrderState:
    """CREATED until money came or was promised; cash on delivery is paid at the door."""
    if given.payment.state is PaymentState.VOIDED:
        return OrderState.CREATED
    waiting = given.payment.state is PaymentState.PENDING and given.payment.method is not PaymentMethod.COD
    return OrderState.CREATED if waiting else OrderState.PAID


def _lines(given: OrderIn) -> tuple[OrderLine, ...]:
    seen: set[str] = set()
    lines: list[OrderLine] = []
    for i, line in enumerate(given.lines):
        line_id = line.line_id or str(i + 1)
        if line_id in seen:
            _refuse(f"/lines/{i}/line_id", "repeats the id of an earlier line")
        seen.add(line_id)
        if line.discount and line.discount > line.unit_price * line.quantity:
            _refuse(f"/lines/{i}/discount", "is more than the line costs")
        lines.append(_line(line, line_id))
    return tuple(lines)


def _line(line: LineIn, line_id: str) -> OrderLine:
    zero = Money.zero(line.unit_price.currency)
    return OrderLine(
        line_id=line_id,
        sku=Sku(line.sku),
        title=line.title,
        quantity=line.quantity,
        quantity_open=line.quantity,
        unit_price=line.unit_price,
        discount=line.discount or zero,
        tax=line.tax or zero,
        weight_g=line.weight_g,
        kit_id=line.kit_id,
        requires_shipping=line.requires_shipping,
    )


def _check_currencies(given: OrderIn) -> None:
    amounts = [("/shipping", given.shipping), ("/tax", given.tax), ("/total", given.total)]
    for i, line in enumerate(given.lines):
        at = f"/lines/{i}"
        amounts += [(f"{at}/unit_price", line.unit_price), (f"{at}/discount", line.discount), (f"{at}/tax", line.tax)]
    for pointer, amount in amounts:
        if amount is not None and amount.currency != given.currency:
            _refuse(f"{pointer}/currency", f"is {amount.currency} in an order in {given.currency}")


def _issues(given: OrderIn, ship_to: Address, due: Money) -> tuple[OrderIssue, ...]:
    shipped = [line for line in given.lines if line.requires_shipping]
    placeless = bool(shipped) and not (ship_to.line1 or ship_to.city or ship_to.district)
    found = {
        OrderIssue.NO_ADDRESS: placeless,
        OrderIssue.NO_COUNTRY: bool(shipped) and not placeless and not ship_to.country,
        OrderIssue.NO_SKU: any(not line.sku for line in shipped),
        OrderIssue.TOTALS_DISAGREE: given.total is not None and given.total != due,
        OrderIssue.PARTLY_REFUNDED: given.payment.state in (PaymentState.PARTLY_REFUNDED, PaymentState.REFUNDED),
        OrderIssue.TEST_ORDER: given.test,
    }
    return tuple(issue for issue in OrderIssue if found.get(issue))


def _refuse(pointer: str, what: str) -> NoReturn:
    raise UnprocessableOrder(f"{pointer} {what}", pointer=pointer)


class StorefrontAdapter:
    """Our own order API. Deliveries are proven by their API key, not by a signature."""

    def __init__(self, channel: Channel, limits: ParseLimits = DEFAULT_LIMITS) -> None:
        self.channel = channel
        self._limits = limits

    def verify(
        self, raw: bytes, headers: HeaderLines, secrets: Sequence[ShopSecret], *, now: datetime
    ) -> VerifiedDelivery:
        """There are no webhooks here.

        Raises:
            BadSignature: always.
        """
        raise BadSignature(f"{self.channel.value} orders have no webhook; send them to POST /v1/orders with an API key")

    def normalise(self, raw_text: str, *, tenant: str, shop: str, payload_ref: str) -> list[Order]:
        """The one order of a native document.

        Raises:
            MalformedPayload: not strict JSON.
            UnprocessableOrder: not an order; ``pointer`` names the part.
        """
        given = parse_order(raw_text, self._limits)
        return [canonical(given, self.channel, tenant=tenant, shop=shop, payload_ref=payload_ref)]

    def fetch_request(self, external_id: str, secret: ShopSecret, *, now: datetime) -> ChannelRequest:
        """There is nothing to fetch from.

        Raises:
            ConnectorRejected: always.
        """
        raise ConnectorRejected(f"{self.channel.value} orders cannot be fetched; they are sent to POST /v1/orders")

    def preread(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime
    ) -> ChannelRequest | None:
        """Nothing."""
        return None

    def denormalise(
        self, intent: UpdateChannel | CancelChannel, secret: ShopSecret, *, now: datetime, read: str = ""
    ) -> tuple[ChannelRequest, ...]:
        """No calls: our own shops read the order from us."""
        return ()
