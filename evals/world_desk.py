"""Who orders what: draws one draft after the other from one stream of randomness, good ones and labelled bad ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple, TypeVar

from domain.catalogue import DangerousGoods, Product
from domain.ids import Sku
from domain.money import Money
from domain.order import Channel, PaymentMethod
from evals.world_draft import CardFacts, Draft, DraftLine, Label
from evals.world_markets import MARKETS, Buyer, Market, new_buyer, price_in, returning_buyer
from tools.sandbox.world import World

T = TypeVar("T")

BIG_TICKET_CENTS = 50_000
"""US cents from which an order counts as a big ticket."""
_COD_LIMIT_CENTS = 15_000
_BURST = 4
"""Orders on one stolen card."""

LABEL_PER_MILLE: dict[Label, int] = {
    Label.STOLEN_CARD_VELOCITY: 3,
    Label.STOLEN_CARD_BIN: 4,
    Label.STOLEN_CARD_CVV: 4,
    Label.RESTRICTED: 8,
    Label.UNKNOWN_SKU: 6,
    Label.NO_ADDRESS: 6,
    Label.NO_LANE: 5,
    Label.BIG_TICKET: 25,
    Label.BACKORDER: 15,
}
"""Orders per thousand that are made to be this; a velocity is a burst of four. Card fraud is 2 % in all, the world's
figure for flash sales. Refusers follow from cash on delivery and the market's refusal rate; the rest is good."""

_WITH_SHOPEE = ((Channel.SHOPIFY, 35), (Channel.SHOPEE, 50), (Channel.STOREFRONT, 12), (Channel.B2B, 3))
_WITHOUT_SHOPEE = ((Channel.SHOPIFY, 80), (Channel.STOREFRONT, 15), (Channel.B2B, 5))
_OUR_CHECKOUT = ((Channel.SHOPIFY, 70), (Channel.STOREFRONT, 30))
_CHANNELS_OF: dict[Label, tuple[tuple[Channel, int], ...]] = {
    Label.STOLEN_CARD_VELOCITY: _OUR_CHECKOUT,
    Label.STOLEN_CARD_BIN: ((Channel.STOREFRONT, 1),),
    Label.STOLEN_CARD_CVV: _OUR_CHECKOUT,
    Label.NO_LANE: _OUR_CHECKOUT,
}
"""Labels that only some channels can show: marketplaces screen cards themselves, Shopify names no issuing country."""

_STOLEN = frozenset({Label.STOLEN_CARD_VELOCITY, Label.STOLEN_CARD_BIN, Label.STOLEN_CARD_CVV})
_AWKWARD = frozenset({DangerousGoods.LITHIUM_LOOSE, DangerousGoods.FLAMMABLE, DangerousGoods.AEROSOL})
_UNSERVED = ("US", "BR", "ZA")
_NOTES = (
    "請放管理室，謝謝 🙏", "Please leave at the door", "Giao giờ hành chính giúp mình nhé", "生日禮物，請不要放發票 🎁",
    "Ring twice, the dog is friendly 🐶", "Tolong hubungi sebelum hantar", "周末送货，谢谢",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """What can be ordered, and by whom, as far as the receiving side knows."""

    products: tuple[Product, ...]
    sold_out: frozenset[Sku] = frozenset()
    """SKUs no warehouse has."""
    accounts: tuple[str, ...] = ()
    """Accounts in good standing at our own storefront."""
    refusers: tuple[str, ...] = ()
    """Accounts that refuse cash-on-delivery parcels."""

    @classmethod
    def of_sandbox(cls, world: World) -> "Catalogue":
        """The sandbox world's products, empty shelves and customers."""
        stocked = world.stocked()
        refused = {h.customer_id for h in world.customers.values() if h.orders_refused >= 3}
        doubtful = {h.customer_id for h in world.customers.values() if h.known_bad or h.disputed or h.orders_refused}
        return cls(
            products=tuple(world.products.values()),
            sold_out=frozenset(sku for sku in world.products if sku not in stocked),
            accounts=tuple(name for name in world.customers if name not in doubtful),
            refusers=tuple(sorted(refused)),
        )


class Choice(NamedTuple):
    """Where an order is placed, by whom, and how it is paid."""

    market: Market
    channel: Channel
    buyer: Buyer
    method: PaymentMethod
    card: CardFacts | None


class Desk:
    """Draws the orders of one seed."""

    def __init__(self, seed: int, catalogue: Catalogue) -> None:
        self.random = Random(f"orders:{seed}")
        self._seed = seed
        self._catalogue = catalogue
        self._burst: list[Choice] = []
        self._plain = [p for p in catalogue.products if p.sku not in catalogue.sold_out and p.dangerous not in _AWKWARD]
        if not self._plain:
            raise ValueError("the catalogue needs at least one product in stock that every carrier takes")
        self._costly = [p for p in self._plain if p.list_price.amount_minor >= BIG_TICKET_CENTS] or self._plain
        self._sold_out = [p for p in catalogue.products if p.sku in catalogue.sold_out]
        self._restricted = {
            market.country: [p for p in catalogue.products if market.country in p.restricted_in] for market in MARKETS
        }

    def draft(self, number: int, at: datetime) -> Draft:
        """The next order."""
        random = self.random
        if self._burst and random.random() < 0.6:
            used = self._burst.pop()
            return self._drafted(
                number, at, Label.STOLEN_CARD_VELOCITY, used._replace(buyer=new_buyer(used.market, number))
            )
        label = self._label()
        market = self._market(label)
        channels = _CHANNELS_OF.get(label) or (_WITH_SHOPEE if market.shopee_shop else _WITHOUT_SHOPEE)
        channel = self._weighted(channels)
        buyer = new_buyer(market, number) if label in _STOLEN else returning_buyer(market, random)
        method = self._method(label, market, channel)
        card = None
        if method is PaymentMethod.CARD and channel is not Channel.SHOPEE:
            card = self._card(label, market, buyer)
        choice = Choice(market, channel, buyer, method, card)
        if label is Label.STOLEN_CARD_VELOCITY:
            self._burst = [choice] * (_BURST - 1)
        if label is Label.GOOD and method is PaymentMethod.COD and random.random() * 100 < market.refusal_percent:
            label = Label.COD_REFUSER
        return self._drafted(number, at, label, choice)

    def _drafted(self, number: int, at: datetime, label: Label, choice: Choice) -> Draft:
        random, market = self.random, choice.market
        age = timedelta(hours=random.randint(1, 20)) if label in _STOLEN else timedelta(days=random.randint(30, 900))
        chosen = self._lines(label, choice)
        if label is Label.GOOD and _cents(chosen) >= BIG_TICKET_CENTS:
            label = Label.BIG_TICKET
        return Draft(
            number=number,
            seed=self._seed,
            market=market,
            channel=choice.channel,
            placed_at=at,
            language=self._weighted(market.languages),
            buyer=choice.buyer,
            buyer_since=at - age,
            account=self._account(label, choice.channel),
            lines=tuple(_line(market, product, quantity, label) for product, quantity in chosen),
            shipping=_shipping(market, random.choice((0, 0, 300, 300, 500, 800))),
            method=choice.method,
            card=choice.card,
            country=random.choice(_UNSERVED) if label is Label.NO_LANE else market.country,
            addressed=label is not Label.NO_ADDRESS,
            hosted=label is Label.STOLEN_CARD_BIN,
            note=random.choice(_NOTES) if random.random() < 0.08 else "",
            label=label,
        )

    def _label(self) -> Label:
        """A label by its share; one the catalogue cannot show is a good order instead."""
        drawn = self.random.randrange(1_000)
        for label, per_mille in LABEL_PER_MILLE.items():
            drawn -= per_mille
            if drawn < 0:
                impossible = (label is Label.BACKORDER and not self._sold_out) or (
                    label is Label.RESTRICTED and not any(self._restricted.values())
                )
                return Label.GOOD if impossible else label
        return Label.GOOD

    def _market(self, label: Label) -> Market:
        possible = [m for m in MARKETS if label is not Label.RESTRICTED or self._restricted[m.country]]
        return self._weighted([(market, market.share) for market in possible])

    def _method(self, label: Label, market: Market, channel: Channel) -> PaymentMethod:
        if channel is Channel.B2B:
            return PaymentMethod.BANK_TRANSFER
        if label in _STOLEN:
            return PaymentMethod.CARD
        return self._weighted(market.payments)

    def _card(self, label: Label, market: Market, buyer: Buyer) -> CardFacts:
        if label is Label.STOLEN_CARD_BIN:
            return CardFacts(bin_digits="405071", last4=buyer.card_last4, country="BR")
        return CardFacts(
            bin_digits=buyer.card_bin,
            last4=buyer.card_last4,
            country=market.country,
            cvv="N" if label is Label.STOLEN_CARD_CVV else "M",
            avs="Y" if market.country == "AU" else "U",
        )

    def _account(self, label: Label, channel: Channel) -> str:
        known = self._catalogue.refusers if label is Label.COD_REFUSER else self._catalogue.accounts
        if channel is not Channel.STOREFRONT or label in _STOLEN or not known:
            return ""
        return self.random.choice(known)

    def _lines(self, label: Label, choice: Choice) -> list[tuple[Product, int]]:
        """Products with units. A good order of a person stays below the big ticket, one to be paid at the door lower."""
        random = self.random
        if label is Label.RESTRICTED:
            return [(random.choice(self._restricted[choice.market.country]), 1)]
        if label is Label.BACKORDER:
            return [(random.choice(self._sold_out), random.randint(1, 2))]
        if label is Label.BIG_TICKET or label in _STOLEN:
            product = random.choice(self._costly)
            return [(product, max(1, -(-BIG_TICKET_CENTS // max(1, product.list_price.amount_minor))))]
        if choice.channel is Channel.B2B:
            return [(self._popular(choice.market), random.randint(6, 40)) for _ in range(random.randint(1, 4))]
        limit = _COD_LIMIT_CENTS if choice.method is PaymentMethod.COD else BIG_TICKET_CENTS * 9 // 10
        return self._basket(choice.market, limit)

    def _basket(self, market: Market, limit_cents: int) -> list[tuple[Product, int]]:
        """One to four products within a limit; the cheapest of several looks when nothing else fits."""
        random = self.random
        wanted = self._weighted(((1, 55), (2, 27), (3, 12), (4, 6)))
        looks = [self._popular(market) for _ in range(wanted * 4)]
        basket: dict[Sku, tuple[Product, int]] = {}
        for product in looks:
            quantity = 1 if product.high_resale else self._weighted(((1, 75), (2, 18), (3, 7)))
            spent = _cents(list(basket.values())) + product.list_price.amount_minor * quantity
            if len(basket) < wanted and product.sku not in basket and spent <= limit_cents:
                basket[product.sku] = (product, quantity)
        if not basket:
            cheapest = min((random.choice(self._plain) for _ in range(30)), key=lambda p: p.list_price.amount_minor)
            return [(cheapest, 1)]
        return list(basket.values())

    def _popular(self, market: Market) -> Product:
        """A product that may be sent to the market; earlier ones in the catalogue sell better."""
        for _ in range(20):
            product = self._plain[int(len(self._plain) * self.random.random() ** 1.5)]
            if market.country not in product.restricted_in:
                return product
        return self._plain[0]

    def _weighted(self, choices: Sequence[tuple[T, int]]) -> T:
        drawn = self.random.randrange(sum(weight for _, weight in choices))
        for choice, weight in choices:
            drawn -= weight
            if drawn < 0:
                return choice
        raise ValueError("weights must not be negative")


def _line(market: Market, product: Product, quantity: int, label: Label) -> DraftLine:
    sku = Sku(f"OLD-{product.sku}") if label is Label.UNKNOWN_SKU else product.sku
    return DraftLine(
        sku=sku,
        title=product.title,
        quantity=quantity,
        unit_price=price_in(market, product.list_price.amount_minor),
        weight_g=product.weight_g or 0,
    )


def _cents(chosen: Sequence[tuple[Product, int]]) -> int:
    return sum(product.list_price.amount_minor * quantity for product, quantity in chosen)


def _shipping(market: Market, usd_cents: int) -> Money:
    return price_in(market, usd_cents) if usd_cents else Money.zero(market.currency)
