"""A Shopify REST order (2008 to today's versions) as a canonical order.

The order's currency is the shop's (``currency``): stock, settlement and payouts are in it. What the buyer saw in another
currency is kept as ``presented_total``.
"""

from typing import NamedTuple

from domain.address import Address
from domain.ids import OrderId, TenantId
from domain.money import Money
from domain.order import Channel, Order, OrderIssue, OrderLine, OrderState, Payment, PaymentMethod, PaymentState
from tools.channels import shopify_status
from tools.channels.places import locale_of
from tools.channels.reading import Fields, sum_of
from tools.channels.shopify_lines import finished, read_lines, shop_money, tax_of
from tools.channels.shopify_parties import read_address, read_customer, read_device, read_payment

_EXTRAS = (
    "original_total_duties", "original_total_additional_fees", "total_tip_received",
    "total_cash_rounding_payment_adjustment",
)  # fmt: skip
"""Parts of ``total_price`` that are neither lines, discounts, shipping nor tax."""


class Standing(NamedTuple):
    """Where an order stands with the platform and its money."""

    state: OrderState
    platform_status: str
    payment: Payment


class ShopifyOrder:
    """One order document, read step by step; ``canonical`` puts the steps together."""

    def __init__(self, fields: Fields, *, risk_says_cancel: bool) -> None:
        self.fields = fields
        self.currency = fields.currency("currency")
        self.zero = Money.zero(self.currency)
        self.issues: set[OrderIssue] = {OrderIssue.PLATFORM_RISK_CANCEL} if risk_says_cancel else set()
        self.cancelled_at = fields.moment("cancelled_at")

    def money(self, key: str) -> Money | None:
        """An amount of the order in its own currency."""
        return shop_money(self.fields, key, self.currency, self.issues)

    def canonical(self, *, tenant: str, shop: str, payload_ref: str) -> Order:
        """The order.

        Raises:
            UnprocessableOrder: a part that must be there is missing or impossible.
        """
        fields = self.fields
        external_id = order_number_of(fields, "id")
        placed_at = fields.required("created_at", fields.moment("created_at") or fields.moment("processed_at"))
        agreed = fields.required("total_price", self.money("total_price"))
        if agreed.amount_minor < 0:
            raise fields.refuse("total_price", "is a negative amount")
        shipping, shipping_tax = self._shipping()
        tax = self.money("total_tax") or tax_of(fields, self.currency, self.issues)
        lines = self._lines(shipping_tax, tax)
        net = sum_of([line.unit_price * line.quantity - line.discount for line in lines], self.currency)
        self._check_totals(net, lines, shipping=shipping, tax=tax, agreed=agreed)
        ship_to = self._ship_to(lines)
        bill_to = read_address(fields.object("billing_address"))
        standing = self._standing(lines)
        return Order(
            order_id=OrderId(f"shopify-{external_id}"),
            tenant=TenantId(tenant),
            channel=Channel.SHOPIFY,
            shop=shop,
            external_id=external_id,
            external_number=fields.text("name") or fields.text("order_number"),
            placed_at=placed_at,
            updated_at=fields.moment("updated_at") or placed_at,
            currency=self.currency,
            locale=locale_of(fields.text("customer_locale"), ship_to.country or (bill_to.country if bill_to else "")),
            lines=lines,
            subtotal=net,
            discount=sum_of([line.discount for line in lines], self.currency),
            shipping=shipping,
            tax=tax,
            tax_included=fields.flag("taxes_included"),
            total=agreed,
            presented_total=self._presented(),
            ship_to=ship_to,
            bill_to=bill_to,
            customer=read_customer(fields),
            device=read_device(fields),
            shipping_option=self._shipping_option(),
            note=self._note(),
            payload_ref=payload_ref,
            payment=standing.payment,
            state=standing.state,
            platform_status=standing.platform_status,
            total_open=self._total_open(agreed, standing.payment.state),
            issues=tuple(issue for issue in OrderIssue if issue in self.issues),
        )

    def _lines(self, shipping_tax: Money, tax: Money) -> tuple[OrderLine, ...]:
        """The lines, with a discount code that older versions do not allocate spread over them."""
        raw = read_lines(self.fields, self.currency, self.issues, cancelled=self.cancelled_at is not None)
        allocated = sum_of([line.discount for line in raw], self.currency)
        unallocated = (self.money("total_discounts") or self.zero) - allocated - self._shipping_discount()
        gross = sum_of([line.net for line in raw], self.currency)
        if allocated.amount_minor or unallocated.amount_minor < 0 or unallocated > gross:
            unallocated = self.zero
        if any(line.requires_shipping and not line.sku for line in raw):
            self.issues.add(OrderIssue.NO_SKU)
        goods_tax = tax - shipping_tax
        return finished(raw, unallocated, goods_tax if goods_tax.amount_minor >= 0 else tax)

    def _shipping(self) -> tuple[Money, Money]:
        """What the buyer pays for shipping after discounts, and the tax on it."""
        chosen = [line for line in self.fields.objects("shipping_lines") if not line.flag("is_removed")]
        if not chosen:
            return self.money("total_shipping_price") or self.zero, self.zero
        prices = []
        for line in chosen:
            price = shop_money(line, "discounted_price", self.currency, self.issues)
            prices.append(shop_money(line, "price", self.currency, self.issues) if price is None else price)
        return sum_of(prices, self.currency), sum_of(
            [tax_of(line, self.currency, self.issues) for line in chosen], self.currency
        )

    def _shipping_discount(self) -> Money:
        off = self.zero
        for line in self.fields.objects("shipping_lines"):
            full = shop_money(line, "price", self.currency, self.issues)
            paid = shop_money(line, "discounted_price", self.currency, self.issues)
            if full is not None and paid is not None:
                off = off + (full - paid)
        return off

    def _check_totals(
        self, net: Money, lines: tuple[OrderLine, ...], *, shipping: Money, tax: Money, agreed: Money
    ) -> None:
        """Totals of the platform against the sum of its parts.

        ``subtotal_price`` is after discounts by its documentation and before them in Shopify's own published answers:
        either is taken as agreement.
        """
        gross = sum_of([line.unit_price * line.quantity for line in lines], self.currency)
        said = self.money("subtotal_price")
        extras = sum_of([self.money(key) for key in _EXTRAS], self.currency)
        due = net + shipping + extras
        if not self.fields.flag("taxes_included"):
            due = due + tax
        if agreed != due or (said is not None and said not in (net, gross)):
            self.issues.add(OrderIssue.TOTALS_DISAGREE)

    def _standing(self, lines: tuple[OrderLine, ...]) -> "Standing":
        """State and payment, and the issues that follow from them."""
        fields = self.fields
        financial = fields.text("financial_status").lower()
        fulfilment = fields.text("fulfillment_status").lower()
        paid = shopify_status.PAYMENT_STATE.get(financial)
        payment = read_payment(fields, paid or PaymentState.PENDING)
        open_units = any(line.quantity_open for line in lines)
        state = shopify_status.order_state(
            fulfilment if paid is not None else "?",
            payment.state,
            cancelled=self.cancelled_at is not None,
            cash_on_delivery=payment.method is PaymentMethod.COD,
            open_units=open_units,
        )
        if fulfilment not in shopify_status.FULFILMENT_STATE or paid is None:
            self.issues.add(OrderIssue.UNKNOWN_STATUS)
        money_back = payment.state in (PaymentState.PARTLY_REFUNDED, PaymentState.REFUNDED)
        if open_units and (money_back or any(True for _ in fields.objects("refunds"))):
            self.issues.add(OrderIssue.PARTLY_REFUNDED)
        if fields.flag("test"):
            self.issues.add(OrderIssue.TEST_ORDER)
        words = f"{financial or 'pending'}/{fulfilment or 'unfulfilled'}"
        return Standing(state, f"cancelled/{words}" if self.cancelled_at else words, payment)

    def _total_open(self, agreed: Money, state: PaymentState) -> Money:
        """``current_total_price`` where the version has it; else the total less refunded lines with their tax.

        Money movements are not used: Shopify's refunded lines and refund transactions need not agree.
        """
        current = self.money("current_total_price")
        if current is not None and self.cancelled_at is None:
            return current
        if self.cancelled_at is not None or state in (PaymentState.REFUNDED, PaymentState.VOIDED):
            return self.zero
        back = [
            shop_money(line, key, self.currency, self.issues)
            for refund in self.fields.objects("refunds")
            for line in refund.objects("refund_line_items")
            for key in ("subtotal", "total_tax")
        ]
        return max(self.zero, agreed - sum_of(back, self.currency))

    def _ship_to(self, lines: tuple[OrderLine, ...]) -> Address:
        """The delivery address; a billing address is never taken for one."""
        ship_to = read_address(self.fields.object("shipping_address")) or Address()
        if any(line.requires_shipping for line in lines):
            if not (ship_to.line1 or ship_to.city or ship_to.district):
                self.issues.add(OrderIssue.NO_ADDRESS)
            elif not ship_to.country:
                self.issues.add(OrderIssue.NO_COUNTRY)
        return ship_to

    def _presented(self) -> Money | None:
        """The total in the buyer's currency, when it is another one than the shop's."""
        both = self.fields.object("total_price_set")
        shown = both.object("presentment_money") if both else None
        if shown is None or (code := shown.currency("currency_code")) == self.currency:
            return None
        return shown.money("amount", code)

    def _shipping_option(self) -> str:
        for line in self.fields.objects("shipping_lines"):
            if not line.flag("is_removed"):
                return line.text("title") or line.text("code")
        return ""

    def _note(self) -> str:
        """The buyer's note, then cart attributes, which shops use for gift texts and delivery wishes."""
        parts = [self.fields.note("note")]
        parts += [f"{item.text('name')}: {item.text('value')}" for item in self.fields.objects("note_attributes")]
        return "\n".join(part for part in parts if part)[:5_000]


def order_number_of(fields: Fields, key: str) -> str:
    """An order id in any of Shopify's forms: a number, digits in text, or ``gid://shopify/Order/<digits>``."""
    value = fields.raw(key)
    if isinstance(value, str):
        value = value.removeprefix("gid://shopify/Order/").partition("?")[0]
        digits = value if value.isascii() and value.isdigit() else ""
    else:
        digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
    if not digits.isdigit() or not 0 < len(digits) <= 20:
        raise fields.refuse(key, "is not a Shopify order id (digits)")
    return str(int(digits))
