"""A Shopee order detail (Open Platform v2) as a canonical order.

Shopee tells what each item costs and what the buyer paid in all; vouchers, coins and the buyer's share of shipping stay
inside that total and are only broken down in the escrow statement after completion. The difference is therefore known,
its parts are not: a lower total is taken as discount, a higher one as shipping.
"""

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from domain.address import Address
from domain.ids import OrderId, Sku, TenantId
from domain.money import Money
from domain.order import (
    Channel,
    Customer,
    Order,
    OrderIssue,
    OrderLine,
    OrderState,
    Payment,
    PaymentMethod,
    PaymentState,
)
from tools.channels import shopee_status
from tools.channels.payments import method_of
from tools.channels.places import country_code, locale_of
from tools.channels.reading import Fields, sum_of

_NOTHING_LEFT = frozenset(
    state for state in OrderState if state.left_our_hands and state is not OrderState.READY_TO_SHIP
)
"""States in which no unit waits for us. READY_TO_SHIP parcels are arranged but still on our shelf."""


class Item(NamedTuple):
    """One item of the order, before the order's discount is spread over it."""

    line_id: str
    sku: str
    title: str
    quantity: int
    remaining: int
    """Units not cancelled or returned."""
    unit_price: Money
    original: Money
    weight_g: int | None


class ShopeeOrder:
    """One order of an order detail answer, read step by step; ``canonical`` puts the steps together."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.currency = fields.currency("currency")
        self.status = fields.text("order_status").upper()
        self.packages = [*fields.objects("package_list")]
        self.state = shopee_status.order_state(
            self.status, [package.text("logistics_status").upper() for package in self.packages]
        )
        self.issues: set[OrderIssue] = set()

    def canonical(self, *, tenant: str, shop: str, payload_ref: str) -> Order:
        """The order.

        Raises:
            UnprocessableOrder: a part that must be there is missing or impossible.
        """
        fields = self.fields
        external_id = fields.identifier("order_sn")
        placed_at = fields.required("create_time", fields.unix("create_time"))
        items = self._items()
        agreed = fields.money("total_amount", self.currency)
        lines, shipping = self._lines(items, agreed)
        net = sum_of([line.unit_price * line.quantity - line.discount for line in lines], self.currency)
        ship_to = self._ship_to()
        if self.state is OrderState.UNKNOWN:
            self.issues.add(OrderIssue.UNKNOWN_STATUS)
        return Order(
            order_id=OrderId(f"shopee-{external_id}"),
            tenant=TenantId(tenant),
            channel=Channel.SHOPEE,
            shop=shop,
            external_id=external_id,
            external_number=external_id,
            placed_at=placed_at,
            updated_at=fields.unix("update_time") or placed_at,
            currency=self.currency,
            locale=locale_of("", country_code(fields.text("region")) or ship_to.country),
            state=self.state,
            platform_status=fields.text("order_status"),
            lines=lines,
            subtotal=net,
            discount=sum_of([line.discount for line in lines], self.currency),
            shipping=shipping,
            tax=Money.zero(self.currency),
            tax_included=True,
            total=net + shipping,
            total_open=self._total_open(lines, items, shipping),
            ship_to=ship_to,
            customer=Customer(
                customer_id=fields.identifier("buyer_user_id") if "buyer_user_id" in fields else "",
                name=fields.text("buyer_username"),
            ),
            payment=self._payment(),
            shipping_option=fields.text("checkout_shipping_carrier") or fields.text("shipping_carrier"),
            ship_by=fields.unix("ship_by_date"),
            deliver_by=fields.unix("edt_to"),
            note=fields.note("message_to_seller"),
            issues=tuple(issue for issue in OrderIssue if issue in self.issues),
            payload_ref=payload_ref,
        )

    def _items(self) -> list[Item]:
        items: list[Item] = []
        repeats: Counter[str] = Counter()
        for fields in self.fields.objects("item_list"):
            item = self._item(fields)
            repeats[item.line_id] += 1
            if repeats[item.line_id] > 1:
                item = item._replace(line_id=f"{item.line_id}#{repeats[item.line_id]}")
            items.append(item)
        if not items:
            raise self.fields.refuse("item_list", "holds no items; ask for item_list in response_optional_fields")
        if any(not item.sku for item in items):
            self.issues.add(OrderIssue.NO_SKU)
        return items

    def _item(self, fields: Fields) -> Item:
        """One item. A bundle deal's discounted price is 0 by Shopee's design; its original price is used instead."""
        quantity = fields.required("model_quantity_purchased", fields.count("model_quantity_purchased"))
        original = fields.money("model_original_price", self.currency)
        price = fields.required(
            "model_discounted_price", fields.money("model_discounted_price", self.currency) or original
        )
        if original is not None and not price.amount_minor and fields.text("promotion_type") == "bundle_deal":
            price = original
        active = fields.count("active_qty")
        gone = (fields.count("cancelled_qty") or 0) + (fields.count("returned_qty") or 0)
        remaining = max(0, quantity - gone) if active is None else active
        names = (fields.text("item_name"), fields.text("model_name"))
        return Item(
            line_id=line_id_of(fields),
            sku=fields.text("model_sku") or fields.text("item_sku"),
            title=" / ".join(name for name in names if name)[:500],
            quantity=quantity,
            remaining=min(quantity, remaining),
            unit_price=price,
            original=original or price,
            weight_g=_grams(fields.number("weight")),
        )

    def _lines(self, items: list[Item], agreed: Money | None) -> tuple[tuple[OrderLine, ...], Money]:
        """The lines with the voucher spread over them, and what the buyer paid for shipping.

        ``total_amount`` is only there once the buyer has paid; before that the items alone make the total.
        """
        zero = Money.zero(self.currency)
        goods = sum_of([item.unit_price * item.quantity for item in items], self.currency)
        voucher = max(zero, goods - agreed) if agreed is not None else zero
        shipping = max(zero, agreed - goods) if agreed is not None else zero
        self._check_total(items, agreed)
        weights = [item.unit_price.amount_minor * item.quantity for item in items]
        shares = voucher.allocate(weights) if any(weights) else [zero] * len(items)
        left = self._units_left()
        lines = tuple(
            OrderLine(
                line_id=item.line_id,
                sku=Sku(item.sku),
                title=item.title,
                quantity=item.quantity,
                quantity_open=max(0, min(item.remaining, item.quantity - left[_model_of(item.line_id)])),
                unit_price=item.unit_price,
                discount=share,
                tax=zero,
                weight_g=item.weight_g,
            )
            for item, share in zip(items, shares, strict=True)
        )
        if self._not_ours_to_ship():
            lines = tuple(line.model_copy(update={"quantity_open": 0}) for line in lines)
        return lines, shipping

    def _not_ours_to_ship(self) -> bool:
        """Whether the order is over, or Shopee ships it from its own or advance stock."""
        by_shopee = self.fields.text("fulfillment_flag") == "fulfilled_by_shopee" or self.fields.flag("advance_package")
        return by_shopee or self.state in _NOTHING_LEFT

    def _units_left(self) -> Counter[tuple[str, str]]:
        """Units per item and model in packages that have left, for orders that travel in several packages."""
        left: Counter[tuple[str, str]] = Counter()
        for package in self.packages:
            if package.text("logistics_status").upper() in shopee_status.PACKAGE_LEFT:
                for item in package.objects("item_list"):
                    key = (item.identifier("item_id"), item.identifier("model_id"))
                    left[key] += item.count("model_quantity") or 0
        return left

    def _check_total(self, items: list[Item], agreed: Money | None) -> None:
        """A total above the undiscounted goods and every known shipping fee is explained by nothing Shopee documents.

        Without a known fee the buyer's share of shipping has no bound, so nothing is concluded.
        """
        fees = [self.fields.money(key, self.currency) for key in ("estimated_shipping_fee", "actual_shipping_fee")]
        known = sum_of(fees, self.currency)
        undiscounted = sum_of([max(item.original, item.unit_price) * item.quantity for item in items], self.currency)
        if agreed is not None and known.amount_minor and agreed > undiscounted + known:
            self.issues.add(OrderIssue.TOTALS_DISAGREE)

    def _total_open(self, lines: tuple[OrderLine, ...], items: list[Item], shipping: Money) -> Money:
        """The total less cancelled and returned units; nothing once the whole order is cancelled."""
        zero = Money.zero(self.currency)
        if self.state is OrderState.CANCELLED or not any(item.remaining for item in items):
            return zero
        kept = shipping
        for line, item in zip(lines, items, strict=True):
            net = line.unit_price * line.quantity - line.discount
            kept = kept + (net.allocate([item.remaining, item.quantity - item.remaining])[0] if item.quantity else zero)
        return kept

    def _ship_to(self) -> Address:
        """The recipient, masked as Shopee masks it: the carrier's label, not we, knows the rest."""
        fields = self.fields.object("recipient_address")
        address = Address()
        if fields is not None:
            address = Address(
                name=fields.text("name"),
                line1=fields.text("full_address"),
                line2=fields.text("town"),
                district=fields.text("district"),
                city=fields.text("city"),
                region=fields.text("state"),
                postcode=fields.text("zipcode"),
                country=country_code(fields.text("region")) or country_code(self.fields.text("region")),
                phone=fields.text("phone"),
            )
        if not (address.line1 or address.city or address.district):
            self.issues.add(OrderIssue.NO_ADDRESS)
        elif not address.country:
            self.issues.add(OrderIssue.NO_COUNTRY)
        return address

    def _payment(self) -> Payment:
        """Cash is paid at the door; everything else Shopee collects and screens before the order is ready to ship."""
        words = self.fields.text("payment_method")
        cash = self.fields.flag("cod") or method_of(words) is PaymentMethod.COD
        if self.fields.unix("pay_time") is not None:
            state = PaymentState.PAID
        elif self.state is OrderState.CANCELLED:
            state = PaymentState.VOIDED
        elif cash or self.state in (OrderState.CREATED, OrderState.UNKNOWN):
            state = PaymentState.PENDING
        else:
            state = PaymentState.PAID
        return Payment(method=PaymentMethod.COD if cash else PaymentMethod.PLATFORM, state=state, gateway=words)


def line_id_of(item: Fields) -> str:
    """``item:model:order item:promotion group``: everything Shopee needs to name the item in a cancellation."""
    keys = ("item_id", "model_id", "order_item_id", "promotion_group_id")
    return ":".join(item.identifier(key) if key in item else "0" for key in keys)


def _model_of(line_id: str) -> tuple[str, str]:
    item_id, model_id, *_ = line_id.split(":")
    return item_id, model_id


def _grams(kilograms: Decimal | None) -> int | None:
    """Shopee gives kilograms (0.01 beside a parcel of 10 g); 0 means not given."""
    if kilograms is None or not 0 < kilograms < 10_000:
        return None
    return max(1, int((kilograms * 1000).to_integral_value(rounding=ROUND_HALF_UP)))
