"""Sales channels, in and out: one adapter each, found by channel name."""

from domain.errors import UnknownChannel
from domain.order import Channel
from tools.channels.native_order import OrderIn, parse_order
from tools.channels.protocol import (
    ChannelAdapter,
    ChannelRequest,
    DeliveryKind,
    HeaderLines,
    ShopSecret,
    VerifiedDelivery,
)
from tools.channels.shopee import ShopeeAdapter
from tools.channels.shopify import ShopifyAdapter
from tools.channels.storefront import StorefrontAdapter
from tools.channels.strict_json import ParseLimits, load_json, load_object

__all__ = (
    "ChannelAdapter",
    "ChannelRequest",
    "DeliveryKind",
    "HeaderLines",
    "OrderIn",
    "ParseLimits",
    "ShopSecret",
    "VerifiedDelivery",
    "adapter",
    "known_channels",
    "load_json",
    "load_object",
    "parse_order",
)

_ADAPTERS: dict[str, ChannelAdapter] = {
    Channel.SHOPIFY.value: ShopifyAdapter(),
    Channel.SHOPEE.value: ShopeeAdapter(),
    Channel.STOREFRONT.value: StorefrontAdapter(Channel.STOREFRONT),
    Channel.B2B.value: StorefrontAdapter(Channel.B2B),
}


def known_channels() -> tuple[str, ...]:
    """Names of the channels that have an adapter, in alphabetical order."""
    return tuple(sorted(_ADAPTERS))


def adapter(channel_name: str) -> ChannelAdapter:
    """The adapter of a channel.

    Raises:
        UnknownChannel: no adapter carries this name.
    """
    found = _ADAPTERS.get(channel_name)
    if found is None:
        known = ", ".join(known_channels())
        raise UnknownChannel(f"channel {channel_name[:40]!r} has no adapter; known are {known}")
    return found
