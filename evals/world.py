"""Seeded raw orders as the platforms would send them: the material of the demo, the tests and the benchmarks.

Markets HK 25, TW 25, SG 15, AU 15, MY 10, VN 10 %. Channels without an adapter yet (Lazada, Amazon, Rakuten, SHOPLINE,
Adobe Commerce) are not generated: until they arrive their weight is shared among Shopify, Shopee (where it has a
marketplace), storefront and B2B. Everybody in it is invented; the same seed gives the same bytes, and a longer series
begins with the shorter one.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from domain.order import Channel
from evals.world_common import shops
from evals.world_desk import Catalogue, Desk
from evals.world_draft import Draft, Label, RawOrder
from evals.world_native import native_order
from evals.world_shopee import shopee_push
from evals.world_shopify import shopify_webhook

__all__ = ("Catalogue", "Label", "RawOrder", "generate", "shops")

_WRITE: dict[Channel, Callable[[Draft], RawOrder]] = {
    Channel.SHOPIFY: shopify_webhook,
    Channel.SHOPEE: shopee_push,
    Channel.STOREFRONT: native_order,
    Channel.B2B: native_order,
}


def generate(n: int, seed: int, *, start: datetime, catalogue: Catalogue, per_hour: int = 200) -> Iterator[RawOrder]:
    """``n`` orders from ``start`` (zone-aware) on, ``per_hour`` on average.

    Raises:
        ValueError: the catalogue has no product that could be ordered.
    """
    desk = Desk(seed, catalogue)
    at = start
    for number in range(1, n + 1):
        at += timedelta(seconds=desk.random.expovariate(per_hour / 3600))
        draft = desk.draft(number, at.replace(microsecond=0))
        yield _WRITE[draft.channel](draft)
