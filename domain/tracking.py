"""Where a parcel is, in one language for every carrier: nine statuses with sub-reasons, and what contradicts what.

The status keys are those of the AfterShip delivery statuses, which carriers and aggregators map to most often.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from pydantic import AwareDatetime, Field

from domain.values import Document


class TrackingStatus(StrEnum):
    """How far a parcel is."""

    PENDING = "Pending"
    INFO_RECEIVED = "InfoReceived"
    IN_TRANSIT = "InTransit"
    OUT_FOR_DELIVERY = "OutForDelivery"
    ATTEMPT_FAIL = "AttemptFail"
    AVAILABLE_FOR_PICKUP = "AvailableForPickup"
    """At a counter or convenience store: a way of delivery like any other, not a failure."""
    DELIVERED = "Delivered"
    EXCEPTION = "Exception"
    EXPIRED = "Expired"

    @property
    def stage(self) -> int:
        """Orders scans of the same minute: what comes later in a parcel's life counts."""
        return _STAGES[self]


_STAGES = {
    TrackingStatus.PENDING: 0,
    TrackingStatus.INFO_RECEIVED: 1,
    TrackingStatus.IN_TRANSIT: 2,
    TrackingStatus.EXCEPTION: 3,
    TrackingStatus.OUT_FOR_DELIVERY: 4,
    TrackingStatus.ATTEMPT_FAIL: 5,
    TrackingStatus.AVAILABLE_FOR_PICKUP: 6,
    TrackingStatus.DELIVERED: 7,
    TrackingStatus.EXPIRED: 8,
}


class SubReason(StrEnum):
    """Why a parcel stands where it stands."""

    NONE = ""
    CUSTOMS = "customs"
    ADDRESS = "address"
    NOT_HOME = "not_home"
    REFUSED = "refused"
    HELD_FOR_PAYMENT = "held_for_payment"
    NOT_COLLECTED = "not_collected"
    LOST = "lost"
    DAMAGED = "damaged"
    RETURNING = "returning"
    RETURNED = "returned"
    DELAYED = "delayed"
    CANCELLED = "cancelled"


RETURN = frozenset({SubReason.RETURNING, SubReason.RETURNED})


class Scan(Document):
    """One entry of a carrier's log."""

    at: AwareDatetime
    zone_known: bool = True
    """Whether the carrier said which zone its time is in; otherwise the time may be hours off."""
    status: TrackingStatus
    sub_reason: SubReason = SubReason.NONE
    message: str = ""
    """The carrier's words: data, never shown as ours."""
    city: str = ""
    country: str = ""
    """ISO 3166-1 alpha-2."""


class Doubt(StrEnum):
    """What makes a log less than certain."""

    SCANNED_AFTER_DELIVERY = "scanned_after_delivery"
    TWO_PLACES_AT_ONCE = "two_places_at_once"
    FROM_THE_FUTURE = "from_the_future"
    ZONE_UNKNOWN = "zone_unknown"
    SUMMARY_DIFFERS = "summary_differs"
    """The carrier's summary says something else than its log."""


class Tracking(Document):
    """What is known of one parcel."""

    tracking_number: str
    carrier: str
    status: TrackingStatus
    sub_reason: SubReason
    last_scan: Scan | None
    picked_up_at: AwareDatetime | None
    delivered_at: AwareDatetime | None
    expected: AwareDatetime | None
    """The carrier's own estimate."""
    scans: tuple[Scan, ...]
    """Oldest first, each once."""
    doubts: tuple[Doubt, ...]
    confidence: float = Field(ge=0, le=1)


AHEAD = timedelta(minutes=5)
"""A carrier's clock may be this far ahead of ours."""
LATE_ENTRY = timedelta(hours=2)
"""A movement logged this long after the delivery is a scan that was entered late, not a second journey."""
TRAVEL = timedelta(hours=1)
"""Within this a parcel is not in two countries."""
SURE, DOUBTED = 0.95, 0.69


def consolidate(
    tracking_number: str,
    carrier: str,
    scans: Sequence[Scan],
    *,
    now: datetime,
    summary: tuple[TrackingStatus, SubReason] | None = None,
    expected: datetime | None = None,
) -> Tracking:
    """One truth from a log whose entries may come twice, out of order, from other zones and against each other.

    The newest scan decides; of one minute the one furthest in a parcel's life. A delivery stays a delivery unless the
    parcel starts on its way back. ``summary`` is the carrier's own conclusion: used where there is no log.
    """
    doubts: list[Doubt] = []
    past = [scan for scan in scans if scan.at <= now + AHEAD]
    if len(past) < len(scans):
        doubts.append(Doubt.FROM_THE_FUTURE)
    ordered = _ordered(past)
    if any(not scan.zone_known for scan in ordered):
        doubts.append(Doubt.ZONE_UNKNOWN)
    if _two_places(ordered):
        doubts.append(Doubt.TWO_PLACES_AT_ONCE)
    last, delivered, again = _last(ordered)
    if again:
        doubts.append(Doubt.SCANNED_AFTER_DELIVERY)
    status, sub_reason = (
        (last.status, last.sub_reason) if last else (summary or (TrackingStatus.PENDING, SubReason.NONE))
    )
    if last is not None and summary is not None and summary[0] is not status:
        if summary[0] is TrackingStatus.EXPIRED:
            status, sub_reason = summary
        elif _more_than_a_word(summary, status):
            doubts.append(Doubt.SUMMARY_DIFFERS)
    moved = [scan.at for scan in ordered if scan.status.stage >= TrackingStatus.IN_TRANSIT.stage]
    return Tracking(
        tracking_number=tracking_number,
        carrier=carrier,
        status=status,
        sub_reason=sub_reason,
        last_scan=last,
        picked_up_at=moved[0] if moved else None,
        delivered_at=delivered.at if delivered is not None and status is TrackingStatus.DELIVERED else None,
        expected=expected,
        scans=tuple(ordered),
        doubts=tuple(doubts),
        confidence=DOUBTED if doubts or last is None else SURE,
    )


def _ordered(scans: Sequence[Scan]) -> list[Scan]:
    """Each scan once, by minute and then by stage."""
    unique = {(scan.at, scan.status, scan.sub_reason, scan.message, scan.city): scan for scan in scans}
    return sorted(
        unique.values(), key=lambda scan: (scan.at.replace(second=0, microsecond=0), scan.status.stage, scan.at)
    )


def _last(scans: Sequence[Scan]) -> tuple[Scan | None, Scan | None, bool]:
    """The scan that tells where the parcel is, the delivery if there was one, and whether something contradicts it."""
    delivered = next((scan for scan in scans if scan.status is TrackingStatus.DELIVERED), None)
    if delivered is None:
        return (scans[-1] if scans else None), None, False
    later = [scan for scan in scans if scan.at > delivered.at and scan.status is not TrackingStatus.DELIVERED]
    back = [scan for scan in later if scan.sub_reason in RETURN]
    if back:
        return back[-1], delivered, False
    again = any(scan.at - delivered.at > LATE_ENTRY for scan in later)
    return delivered, delivered, again


def _two_places(scans: Sequence[Scan]) -> bool:
    placed = [scan for scan in scans if scan.country and scan.zone_known]
    return any(one.country != two.country and abs(two.at - one.at) < TRAVEL for one, two in pairwise(placed))


def _more_than_a_word(summary: tuple[TrackingStatus, SubReason], status: TrackingStatus) -> bool:
    """Whether a summary really contradicts: a parcel that failed an attempt may be in transit again in the log."""
    ended = {TrackingStatus.DELIVERED, TrackingStatus.EXCEPTION}
    return summary[0] in ended or status in ended
