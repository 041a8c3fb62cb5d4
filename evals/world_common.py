"""What the platforms' documents have in common: shops, placeholder secrets, and amounts in each form."""

import hashlib
from typing import Any

from domain.ids import OrderId, TenantId
from domain.money import Money
from domain.order import Channel, PaymentMethod
from evals.world_draft import Draft, RawOrder
from evals.world_markets import MARKETS, Market
from tools.channels import ShopSecret

CALLBACK_URL = "https://signalbox.example.com/v1/channels/shopee/webhooks"

GATEWAYS = {
    PaymentMethod.CARD: "shopify_payments",
    PaymentMethod.WALLET: "paypal",
    PaymentMethod.COD: "Cash on Delivery (COD)",
    PaymentMethod.CONVENIENCE_STORE: "ECPay CVS",
    PaymentMethod.BANK_TRANSFER: "Bank Deposit",
}
COUNTRY_NAMES = {
    "HK": "Hong Kong", "TW": "Taiwan", "SG": "Singapore", "AU": "Australia", "MY": "Malaysia", "VN": "Vietnam",
    "BR": "Brazil", "US": "United States", "ZA": "South Africa",
}  # fmt: skip


def shops(tenant: TenantId) -> dict[Channel, tuple[ShopSecret, ...]]:
    """The shops of the seeded world with placeholder secrets, for whoever receives its deliveries."""
    shopify = tuple(
        ShopSecret(tenant=tenant, shop=shopify_shop(market), secret=placeholder(f"shopify:{market.country}"))
        for market in MARKETS
    )
    shopee = tuple(
        ShopSecret(
            tenant=tenant,
            shop=market.shopee_shop,
            secret=placeholder("shopee"),
            callback_url=CALLBACK_URL,
            partner_id="2000001",
            access_token=placeholder(f"shopee-token:{market.country}"),
        )
        for market in MARKETS
        if market.shopee_shop
    )
    return {Channel.SHOPIFY: shopify, Channel.SHOPEE: shopee}


def shopify_shop(market: Market) -> str:
    """The market's Shopify domain."""
    return f"signalbox-demo-{market.country.lower()}.myshopify.com"


def placeholder(name: str) -> str:
    """A placeholder that is the same everywhere: it protects nothing but a generated world."""
    return hashlib.sha256(f"signalbox seeded world {name}".encode()).hexdigest()[:32]


def finished(
    draft: Draft, external_id: str, *, shop: str, topic: str, body: bytes, headers: dict[str, str]
) -> RawOrder:
    """The draft with its document; ``delivery`` is the document itself unless the platform only announces."""
    return RawOrder(
        channel=draft.channel,
        shop=shop,
        topic=topic,
        body=body,
        delivery=body,
        headers=headers,
        external_id=external_id,
        order_id=OrderId(f"{draft.channel.value}-{external_id}"),
        market=draft.market.country,
        placed_at=draft.placed_at,
        total=draft.total,
        label=draft.label,
    )


def tax_inside(draft: Draft, amount: Money) -> Money:
    """The tax inside an amount, rounded half up."""
    percent = draft.market.tax_percent
    inside = (2 * amount.amount_minor * percent + 100 + percent) // (2 * (100 + percent))
    return Money(amount_minor=inside, currency=amount.currency)


def ip_of(draft: Draft) -> str:
    """The buyer's address, or a hosting provider's."""
    return "198.51.100.66" if draft.hosted else draft.buyer.ip


def decimal_of(money: Money) -> str:
    """An amount as decimal text."""
    return format(money.decimal, "f")


def number_of(money: Money) -> int | float:
    """Shopee writes amounts as JSON numbers; two digits survive a float unharmed."""
    whole = money.decimal
    return int(whole) if whole == whole.to_integral_value() else float(whole)


def minor_of(money: Money) -> dict[str, Any]:
    """An amount as minor units with its currency."""
    return {"amount_minor": money.amount_minor, "currency": money.currency}
