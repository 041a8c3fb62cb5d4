"""Carrier truth: nine statuses, sub-reasons, right zones, and logs that contradict themselves."""

import json
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
import yaml

from domain.errors import MalformedPayload
from domain.tracking import Doubt, Scan, SubReason, TrackingStatus, consolidate
from tests.support.payloads import payload
from tools.tracking.aftership import read_aftership
from tools.tracking.easypost import read_easypost, read_easypost_list
from tools.tracking.reading import in_words, instant

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)


def test_a_real_parcel_from_china_to_japan_is_dated_in_the_right_zones() -> None:
    """F39, issue 8.6: picked up 16:58 in Dongguan, delivered 10:10 in Sapporo: instants, not wall clocks."""
    found = read_aftership(payload("carriers/aftership/GetTrackingResult.json"), now=NOW)
    assert found.status is TrackingStatus.DELIVERED
    assert len(found.scans) == 14
    assert found.picked_up_at == datetime(2018, 7, 23, 8, 58, tzinfo=UTC)
    assert found.delivered_at == datetime(2018, 7, 25, 1, 10, tzinfo=UTC)
    assert found.doubts == ()
    assert [scan.at for scan in found.scans] == sorted(scan.at for scan in found.scans)


def test_a_carriers_error_answer_is_a_refusal() -> None:
    """F39: an error is not an empty log."""
    with pytest.raises(MalformedPayload):
        read_aftership(payload("carriers/aftership/Error.json"), now=NOW)


@pytest.mark.parametrize("name", ["test_tracker_retrieve", "test_tracker_create", "test_tracker_all"])
def test_recorded_trackers_are_read(name: str) -> None:
    """F39: every recorded answer of the aggregator becomes one of the nine statuses."""
    seen = 0
    for exchange in yaml.safe_load(payload(f"carriers/easypost/{name}.yaml"))["interactions"]:
        body = exchange["response"]["body"]["string"]
        document = json.loads(body)
        found = read_easypost_list(body, now=NOW) if "trackers" in document else [read_easypost(body, now=NOW)]
        for tracking in found:
            seen += 1
            assert tracking.tracking_number
            assert tracking.status in set(TrackingStatus)
    assert seen
    first = json.loads(
        yaml.safe_load(payload("carriers/easypost/test_tracker_retrieve.yaml"))["interactions"][0]["response"]["body"][
            "string"
        ]
    )
    assert read_easypost(json.dumps(first), now=NOW).status is TrackingStatus.INFO_RECEIVED


def easypost(status: str, detail: str = "status_update", message: str = "", **more: Any) -> str:
    entry = {"status": status, "status_detail": detail, "message": message, "datetime": "2026-11-20T03:00:00Z"}
    document = {"object": "Tracker", "tracking_code": "T1", "carrier": "X", "status": status, "status_detail": detail,
                "tracking_details": [entry]}  # fmt: skip
    return json.dumps(document | more)


@pytest.mark.parametrize(
    ("status", "detail", "message", "wanted", "reason"),
    [
        ("unknown", "unknown", "", "Pending", ""),
        ("pre_transit", "label_created", "", "InfoReceived", ""),
        ("in_transit", "departed_facility", "", "InTransit", ""),
        ("in_transit", "weather_delay", "", "InTransit", "delayed"),
        ("in_transit", "transit_exception", "Held in customs", "Exception", "customs"),
        ("out_for_delivery", "out_for_delivery", "", "OutForDelivery", ""),
        ("available_for_pickup", "arrived_at_pickup_location", "", "AvailableForPickup", ""),
        ("delivered", "arrived_at_destination", "", "Delivered", ""),
        ("return_to_sender", "return", "", "Exception", "returning"),
        ("failure", "lost", "", "Exception", "lost"),
        ("failure", "damaged", "", "Exception", "damaged"),
        ("failure", "refused", "", "Exception", "refused"),
        ("failure", "address_correction", "", "Exception", "address"),
        ("failure", "failure", "Import duties payment pending", "Exception", "held_for_payment"),
        ("cancelled", "cancelled", "", "Exception", "cancelled"),
        ("unknown", "expired", "", "Expired", ""),
        ("teleported", "whatever", "", "Exception", ""),
    ],
)
def test_every_word_of_the_aggregator_has_its_place(
    status: str, detail: str, message: str, wanted: str, reason: str
) -> None:
    """F39: nine statuses and sub-reasons; a word nobody knows is an exception for a person."""
    found = read_easypost(easypost(status, detail, message), now=NOW)
    assert (found.status.value, found.sub_reason.value) == (wanted, reason)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"object":"Tracker"}', '{"error":{"code":"X","message":"no"}}', "x"])
def test_what_is_no_tracker_is_refused(text: str) -> None:
    """F39: by both readers, with a reason."""
    for read in (read_easypost, read_aftership):
        with pytest.raises(MalformedPayload):
            read(text, now=NOW)


def test_a_time_without_an_offset_is_the_clock_of_its_place() -> None:
    """Issue 8.6: 09:00 in Taipei is 01:00 UTC; where the place has no zone we know, the time is doubted."""
    assert instant("2026-11-20T09:00:00", "TW") == (datetime(2026, 11, 20, 1, tzinfo=UTC), True)
    assert instant("2026-11-20T09:00:00", "") == (datetime(2026, 11, 20, 9, tzinfo=UTC), False)
    assert instant("2026-11-20T09:00:00+08:00", "JP") == (datetime(2026, 11, 20, 1, tzinfo=UTC), True)
    assert instant("yesterday", "TW") is None
    found = consolidate("T", "c", [scan(0, "InTransit", zone_known=False)], now=NOW)
    assert Doubt.ZONE_UNKNOWN in found.doubts
    assert found.confidence < 0.7


def scan(hours: float, status: str, reason: str = "", **more: Any) -> Scan:
    at = NOW - timedelta(hours=48) + timedelta(hours=hours)
    return Scan(at=at, status=TrackingStatus(status), sub_reason=SubReason(reason), **more)


LOG = [scan(0, "InfoReceived"), scan(2, "InTransit", country="CN"), scan(20, "InTransit", country="JP"),
       scan(30, "OutForDelivery", country="JP"), scan(33, "Delivered", country="JP")]  # fmt: skip


def test_order_and_repetition_do_not_matter() -> None:
    """Issue 8.6: any arrival order, with repeats, from other zones, gives the same truth."""
    first = consolidate("T", "c", LOG, now=NOW)
    assert (first.status, first.delivered_at) == (TrackingStatus.DELIVERED, LOG[-1].at)
    for seed in range(30):
        shuffled = [*LOG, LOG[2], LOG[0].model_copy(update={"at": LOG[0].at.astimezone(timezone(timedelta(hours=9)))})]
        Random(seed).shuffle(shuffled)  # noqa: S311
        again = consolidate("T", "c", shuffled, now=NOW)
        assert (again.status, again.delivered_at, again.picked_up_at) == (
            first.status,
            first.delivered_at,
            first.picked_up_at,
        )
        assert len(again.scans) == len(LOG)


def test_scans_of_one_minute_follow_a_parcels_life() -> None:
    """Issue 8.6: out for delivery and delivered in one minute is delivered, whichever the carrier lists first."""
    both = [scan(33, "Delivered"), scan(33, "OutForDelivery"), scan(33, "InTransit")]
    assert consolidate("T", "c", both, now=NOW).status is TrackingStatus.DELIVERED


def test_movement_after_a_delivery_is_doubted_and_a_return_is_believed() -> None:
    """Issue 8.6: a late entry changes nothing, a second journey is doubted, a return is what happened."""
    late = consolidate("T", "c", [*LOG, scan(34, "InTransit")], now=NOW)
    assert (late.status, late.doubts) == (TrackingStatus.DELIVERED, ())
    odd = consolidate("T", "c", [*LOG, scan(44, "InTransit")], now=NOW)
    assert (odd.status, odd.doubts) == (TrackingStatus.DELIVERED, (Doubt.SCANNED_AFTER_DELIVERY,))
    assert odd.confidence <= 0.69
    back = consolidate("T", "c", [*LOG, scan(44, "Exception", "returning")], now=NOW)
    assert (back.status, back.sub_reason, back.delivered_at) == (TrackingStatus.EXCEPTION, SubReason.RETURNING, None)


def test_the_future_two_places_and_another_summary_are_doubts() -> None:
    """Issue 8.6: a scan of tomorrow is left out, two countries in an hour and a differing summary are told."""
    future = consolidate("T", "c", [LOG[1], scan(80, "Delivered")], now=NOW)
    assert (future.status, future.doubts) == (TrackingStatus.IN_TRANSIT, (Doubt.FROM_THE_FUTURE,))
    places = consolidate("T", "c", [LOG[1], scan(2.5, "InTransit", country="JP")], now=NOW)
    assert Doubt.TWO_PLACES_AT_ONCE in places.doubts
    summary = (TrackingStatus.DELIVERED, SubReason.NONE)
    differs = consolidate("T", "c", LOG[:3], now=NOW, summary=summary)
    assert (differs.status, differs.doubts) == (TrackingStatus.IN_TRANSIT, (Doubt.SUMMARY_DIFFERS,))
    assert consolidate("T", "c", [], now=NOW, summary=summary).status is TrackingStatus.DELIVERED
    assert consolidate("T", "c", [], now=NOW).status is TrackingStatus.PENDING


def test_the_convenience_store_is_a_way_of_delivery() -> None:
    """Issue 8.6: waiting at the counter is no failure; not collected in time is."""
    waiting = consolidate("T", "c", [*LOG[:3], scan(30, "AvailableForPickup")], now=NOW)
    assert (waiting.status, waiting.sub_reason) == (TrackingStatus.AVAILABLE_FOR_PICKUP, SubReason.NONE)
    assert in_words("包裹逾期未取，退回中") is SubReason.RETURNING
    assert in_words("逾期未取") is SubReason.NOT_COLLECTED


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Customs clearance delay", "customs"), ("Released from customs", ""), ("Recipient refused delivery", "refused"),
        ("Incorrect address", "address"), ("Package returned to sender", "returned"), ("Returning to shipper", "returning"),
        ("Parcel damaged in sorting", "damaged"), ("海關查驗中", "customs"), ("客户拒收", "refused"),
        ("Hàng bị hư hỏng", "damaged"), ("Arrived at facility", ""),
    ],
)  # fmt: skip
def test_reasons_in_carriers_own_words(message: str, reason: str) -> None:
    """Issue 8.6: customs, address, refused, payment, lost, damaged, returned, in the languages of our markets."""
    assert in_words(message).value == reason
