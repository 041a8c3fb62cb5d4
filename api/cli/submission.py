"""A file of a channel's raw payload as one delivery: the same bytes are the same delivery, however often they are sent."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from api.services import Submission
from api.tenants import Tenant
from domain.errors import MalformedPayload
from tools.channels import DeliveryKind, adapter


@dataclass(frozen=True, kw_only=True)
class RawFile:
    """A payload that was read, and the orders in it."""

    submission: Submission
    order_ids: tuple[str, ...]


def read_payload(raw: bytes, tenant: Tenant, channel: str, shop: str | None, *, now: datetime) -> RawFile:
    """Read a webhook body, an answer of the channel's order API (one or many orders) or a native order.

    Raises:
        UnknownChannel: no adapter carries the channel.
        InputError: the payload cannot be orders; says what and where.
    """
    reader = adapter(channel)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedPayload(f"the file is not UTF-8 text: byte {error.start} does not belong") from None
    of_shop = shop or next((each.shop for each in tenant.shops if each.channel == channel), channel)
    orders = reader.normalise(text, tenant=tenant.tenant, shop=of_shop, payload_ref="")
    if not orders:
        raise MalformedPayload(f"the file holds no {channel} order")
    hint = orders[0].order_id.removeprefix(f"{channel}-") if len(orders) == 1 else ""
    submission = Submission(
        tenant=tenant.tenant,
        channel=channel,
        shop=of_shop,
        topic="file",
        kind=DeliveryKind.ORDER,
        raw=text.encode(),
        dedupe_id=f"file:{hashlib.sha256(raw).hexdigest()}",
        order_hint=hint,
        source="cli",
        source_time=orders[0].updated_at,
        received_at=now,
        currency=orders[0].currency,
        locale=orders[0].locale,
    )
    return RawFile(submission=submission, order_ids=tuple(order.order_id for order in orders))
