"""EasyPost's trackers: a status and a detail on the parcel and on every entry of its log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.errors import MalformedPayload
from domain.tracking import Scan, SubReason, Tracking, TrackingStatus, consolidate
from tools.channels.strict_json import load_json
from tools.tracking.reading import alpha2, in_words, instant, items, mapping, words

_STATUSES = {
    "unknown": TrackingStatus.PENDING, "pre_transit": TrackingStatus.INFO_RECEIVED, "in_transit": TrackingStatus.IN_TRANSIT,
    "out_for_delivery": TrackingStatus.OUT_FOR_DELIVERY, "available_for_pickup": TrackingStatus.AVAILABLE_FOR_PICKUP,
    "delivered": TrackingStatus.DELIVERED, "return_to_sender": TrackingStatus.EXCEPTION,
    "failure": TrackingStatus.EXCEPTION, "cancelled": TrackingStatus.EXCEPTION, "error": TrackingStatus.EXCEPTION,
}  # fmt: skip
_DETAILS = {
    "address_correction": SubReason.ADDRESS, "awaiting_information": SubReason.ADDRESS, "cancelled": SubReason.CANCELLED,
    "damaged": SubReason.DAMAGED, "delayed": SubReason.DELAYED, "weather_delay": SubReason.DELAYED, "lost": SubReason.LOST,
    "refused": SubReason.REFUSED, "return": SubReason.RETURNING,
}  # fmt: skip
_TROUBLE = frozenset({"delivery_exception", "transit_exception", "failure", "lost", "damaged", "refused"})
"""Details of an entry that is still called in transit and is an exception all the same."""


def read_easypost(text: str | bytes, *, now: datetime) -> Tracking:
    """A tracker, or the event of one, of EasyPost.

    A status we do not know is an exception for a person to look at, never a guess.

    Raises:
        MalformedPayload: it is no tracker, or reports an error.
    """
    return _tracking(mapping(load_json(text), "object"), now)


def read_easypost_list(text: str | bytes, *, now: datetime) -> list[Tracking]:
    """The trackers of a list answer.

    Raises:
        MalformedPayload: it is not one.
    """
    return [_tracking(one, now) for one in items(mapping(load_json(text), "object").get("trackers"))]


def _tracking(root: Mapping[str, Any], now: datetime) -> Tracking:
    if "error" in root:
        error = root["error"] if isinstance(root["error"], dict) else {}
        raise MalformedPayload(f"EasyPost answered {words(error.get('code'))}: {words(error.get('message'))}")
    tracker = mapping(root.get("result"), "result") if root.get("object") == "Event" else root
    number = words(tracker.get("tracking_code"))
    if tracker.get("object") != "Tracker" or not number:
        raise MalformedPayload("the EasyPost answer is no tracker with a tracking_code")
    scans = [scan for one in items(tracker.get("tracking_details")) if (scan := _scan(one)) is not None]
    expected = instant(tracker.get("est_delivery_date"), "")
    return consolidate(
        number,
        words(tracker.get("carrier")),
        scans,
        now=now,
        summary=_status(tracker),
        expected=expected[0] if expected else None,
    )


def _scan(one: Mapping[str, Any]) -> Scan | None:
    place = one.get("tracking_location")
    place = place if isinstance(place, dict) else {}
    country = alpha2(place.get("country"))
    when = instant(one.get("datetime"), country)
    if when is None:
        return None
    status, reason = _status(one)
    return Scan(
        at=when[0],
        zone_known=when[1],
        status=status,
        sub_reason=reason,
        message=words(one.get("message")),
        city=words(place.get("city"), 100),
        country=country,
    )


def _status(one: Mapping[str, Any]) -> tuple[TrackingStatus, SubReason]:
    word, detail = str(one.get("status") or ""), str(one.get("status_detail") or "")
    status = _STATUSES.get(word, TrackingStatus.EXCEPTION if word else TrackingStatus.PENDING)
    if word == "return_to_sender":
        return status, SubReason.RETURNING
    if detail == "expired":
        return TrackingStatus.EXPIRED, SubReason.NONE
    if detail in _TROUBLE and status is TrackingStatus.IN_TRANSIT:
        status = TrackingStatus.EXCEPTION
    reason = _DETAILS.get(detail, SubReason.NONE)
    if reason is SubReason.NONE and status is TrackingStatus.EXCEPTION:
        reason = in_words(words(one.get("message")))
    return status, reason
