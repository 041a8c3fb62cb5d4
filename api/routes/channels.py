"""Deliveries from sales channels: proved on the raw bytes, made durable, and only then answered."""

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated

import orjson
from fastapi import Path
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext, context_of
from api.routing import new_router
from api.services import Submission
from domain.errors import BadSignature, MalformedPayload
from tools.channels import ChannelAdapter, DeliveryKind, ShopSecret, adapter

router = new_router("channels")


class DeliveryAnswer(BaseModel):
    """What the channel is told; channels read no more than the status."""

    status: str
    """``accepted``, ``duplicate``, or ``ignored`` when it is not about an order."""
    handle: str | None
    """What was made of it: an order id, or the delivery's own id until it has been read."""


_BODY = {
    "required": True,
    "description": "The channel's own document, signed as the channel signs (Shopify: `X-Shopify-Hmac-Sha256`; "
    "Shopee: `Authorization`). The signature is checked on the bytes as sent.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


@router.post(
    "/v1/channels/{channel}/webhooks",
    status_code=202,
    responses={202: {"model": DeliveryAnswer}},
    openapi_extra={"requestBody": _BODY},
    summary="Receive a channel's webhook or push",
)
async def receive(request: Request, channel: Annotated[str, Path(max_length=40, examples=["shopify"])]) -> Response:
    """Accept a signed delivery: 202 once it is durable, also when it is a repeat. Needs no key; the signature is the proof."""
    context = context_of(request)
    speaker, secrets = adapter(channel), context.tenants.secrets(channel)
    raw, now = await request.body(), context.now()
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    try:
        delivery = speaker.verify(raw, headers, secrets, now=now)
    except MalformedPayload as error:
        await _keep_unreadable(context, speaker, raw, headers=headers, error=error)
        raise
    context.guard.take(delivery.tenant)
    if delivery.kind is DeliveryKind.IGNORED:
        return _answer("ignored", None)
    owner = context.tenants.get(delivery.tenant)
    accepted = await context.desk.submit(
        Submission(
            tenant=delivery.tenant,
            channel=channel,
            shop=delivery.shop,
            topic=delivery.topic,
            kind=delivery.kind,
            raw=raw,
            dedupe_id=delivery.dedupe_id,
            order_hint=delivery.external_id or "",
            fetch=delivery.fetch,
            source="webhook",
            source_time=delivery.source_time,
            received_at=now,
            currency=owner.settlement_currency,
            locale=owner.locale,
        )
    )
    return _answer("duplicate" if accepted.duplicate else "accepted", accepted.handle)


async def _keep_unreadable(
    context: ApiContext,
    speaker: ChannelAdapter,
    raw: bytes,
    *,
    headers: Sequence[tuple[str, str]],
    error: MalformedPayload,
) -> None:
    """Keep a delivery that is authentic and unreadable, for the tenant whose secret signed it."""
    owners = [
        (tenant, tuple(secrets))
        for tenant, secrets in groupby(context.tenants.secrets(speaker.channel), key=lambda secret: secret.tenant)
    ]
    for tenant, secrets in owners:
        if len(owners) == 1 or _signed_by(speaker, raw, headers, secrets, context):
            await context.desk.dead_letter(tenant, speaker.channel, raw, str(error))
            return


def _signed_by(
    speaker: ChannelAdapter,
    raw: bytes,
    headers: Sequence[tuple[str, str]],
    secrets: Sequence[ShopSecret],
    context: ApiContext,
) -> bool:
    try:
        speaker.verify(raw, headers, secrets, now=context.now())
    except BadSignature:
        return False
    except MalformedPayload:
        return True
    return False


def _answer(status: str, handle: str | None) -> Response:
    return Response(orjson.dumps({"status": status, "handle": handle}), 202, media_type="application/json")
