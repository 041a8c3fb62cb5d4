"""Webhooks of tracking aggregators, already proved authentic, read into what is known of one parcel."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.errors import MalformedPayload
from domain.tracking import Tracking
from domain.values import Document
from tools.channels.strict_json import load_json
from tools.senders import Sender
from tools.tracking.aftership import read_aftership
from tools.tracking.easypost import read_easypost
from tools.tracking.reading import mapping, words


class ParcelNews(Document):
    """One webhook about a parcel."""

    event_id: str
    """The sender's; empty when the webhook is about no parcel (a test, another kind of event)."""
    tracking: Tracking | None
    order: str = ""
    """The order's number or id, when the sender was told it."""


def read_news(sender: Sender, raw: bytes, *, now: datetime) -> ParcelNews:
    """The news in a webhook; a kind of event that is not about a parcel has no tracking.

    Raises:
        MalformedPayload: it cannot be read.
    """
    root = mapping(load_json(raw), "object")
    return _aftership(root, raw, now) if sender is Sender.AFTERSHIP else _easypost(root, raw, now)


def _aftership(root: Mapping[str, Any], raw: bytes, now: datetime) -> ParcelNews:
    event_id = _event_id(root.get("event_id"))
    if str(root.get("event") or "tracking_update") != "tracking_update":
        return ParcelNews(event_id=event_id, tracking=None)
    parcel = mapping(root.get("msg"), "msg")
    order = words(parcel.get("order_id") or parcel.get("order_number"), 200)
    return ParcelNews(event_id=event_id, tracking=read_aftership(raw, now=now), order=order)


def _easypost(root: Mapping[str, Any], raw: bytes, now: datetime) -> ParcelNews:
    event_id = _event_id(root.get("id"))
    if root.get("object") != "Event":
        raise MalformedPayload("the EasyPost webhook is no event")
    if not str(root.get("description") or "").startswith("tracker."):
        return ParcelNews(event_id=event_id, tracking=None)
    return ParcelNews(event_id=event_id, tracking=read_easypost(raw, now=now))


def _event_id(value: object) -> str:
    found = words(value, 200)
    if not found:
        raise MalformedPayload("the webhook has no event id; repeats could not be told apart")
    return found
