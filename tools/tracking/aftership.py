"""AfterShip's tracking: a status tag and sub-tag on the parcel and on every checkpoint."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain.errors import MalformedPayload
from domain.tracking import Scan, SubReason, Tracking, TrackingStatus, consolidate
from tools.channels.strict_json import load_json
from tools.tracking.reading import alpha2, in_words, instant, items, mapping, words

_TAGS = {status.value: status for status in TrackingStatus}
_SUBTAGS = {
    "AttemptFail_002": SubReason.NOT_HOME, "AttemptFail_003": SubReason.NOT_HOME, "Exception_002": SubReason.ADDRESS,
    "Exception_003": SubReason.REFUSED, "Exception_004": SubReason.CUSTOMS, "Exception_005": SubReason.DELAYED,
    "Exception_006": SubReason.HELD_FOR_PAYMENT, "Exception_007": SubReason.ADDRESS, "Exception_008": SubReason.NOT_COLLECTED,
    "Exception_010": SubReason.RETURNING, "Exception_011": SubReason.RETURNED, "Exception_012": SubReason.DAMAGED,
    "Exception_013": SubReason.LOST, "InTransit_006": SubReason.CUSTOMS,
}  # fmt: skip
"""Sub-tags that say why (AfterShip, list of sub-statuses); the others only say where."""


def read_aftership(text: str | bytes, *, now: datetime) -> Tracking:
    """A tracking answer or webhook of AfterShip.

    A tag we do not know is an exception for a person to look at, never a guess. Summary dates come without an offset
    and are in UTC; the checkpoints carry their own, so dates are taken from those.

    Raises:
        MalformedPayload: it is not such an answer, or reports an error.
    """
    root = mapping(load_json(text), "object")
    meta = root.get("meta")
    if isinstance(meta, dict) and meta.get("code") not in {None, 200, 201}:
        raise MalformedPayload(f"AfterShip answered {meta.get('code')}: {words(meta.get('message'))}")
    data = root.get("data", root.get("msg", root))
    parcel = mapping(data.get("tracking", data) if isinstance(data, dict) else None, "tracking")
    number = words(parcel.get("tracking_number"))
    if not number:
        raise MalformedPayload("the AfterShip answer has no tracking_number")
    scans = [scan for one in items(parcel.get("checkpoints")) if (scan := _scan(one)) is not None]
    expected = instant(parcel.get("expected_delivery"), alpha2(parcel.get("destination_country_iso3")))
    return consolidate(
        number,
        words(parcel.get("slug")),
        scans,
        now=now,
        summary=_status(parcel),
        expected=expected[0] if expected else None,
    )


def _scan(one: Mapping[str, Any]) -> Scan | None:
    country = alpha2(one.get("country_iso3") or one.get("country_region"))
    when = instant(one.get("checkpoint_time"), country)
    if when is None:
        return None
    status, reason = _status(one)
    return Scan(
        at=when[0],
        zone_known=when[1],
        status=status,
        sub_reason=reason,
        message=words(one.get("message")),
        city=words(one.get("city") or one.get("location"), 100),
        country=country,
    )


def _status(one: Mapping[str, Any]) -> tuple[TrackingStatus, SubReason]:
    tag, subtag, message = str(one.get("tag") or ""), str(one.get("subtag") or ""), words(one.get("message"))
    status = _TAGS.get(tag, TrackingStatus.EXCEPTION if tag else TrackingStatus.PENDING)
    if subtag in _SUBTAGS:
        return status, _SUBTAGS[subtag]
    troubled = status in {TrackingStatus.EXCEPTION, TrackingStatus.ATTEMPT_FAIL}
    return status, in_words(f"{message} {words(one.get('subtag_message'))}") if troubled else SubReason.NONE
