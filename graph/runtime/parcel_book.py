"""What carriers last said of each parcel, and whose parcel it is. Older news never replaces newer."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.tracking import Doubt, SubReason, Tracking, TrackingStatus
from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.contact_schema import tracked_parcels
from graph.runtime.sql import transaction

_P = tracked_parcels.c


class KnownParcel(Document):
    """One parcel as last heard of."""

    tracking_number: str
    order_id: str
    """Empty while we do not know whose it is."""
    carrier: str
    status: TrackingStatus | None
    """None while its carrier has said nothing."""
    sub_reason: SubReason
    scanned_at: AwareDatetime | None
    delivered_at: AwareDatetime | None
    expected_at: AwareDatetime | None
    doubts: tuple[Doubt, ...]
    confidence: float
    seen_at: AwareDatetime


class ParcelBook:
    """Keeps parcels; the same news in any order and number leaves the same book."""

    def __init__(self, engine: AsyncEngine) -> None:
        """``engine`` is the installation's database."""
        self._engine = engine

    async def heard(self, tenant: str, tracking: Tracking, *, order_id: str, at: datetime) -> KnownParcel | None:
        """Keep what a carrier said; None when something newer is known. An order once known is never replaced.

        Raises:
            StoreUnavailable: it was not kept.
        """
        said = _said(tracking, at)
        async with transaction(self._engine, "the book of parcels") as connection:
            blank = _blank(tenant, tracking.tracking_number, at)
            await connection.execute(insert_into(tracked_parcels, connection).values(**blank).on_conflict_do_nothing())
            if order_id:
                await _owned(connection, tenant, tracking.tracking_number, order_id)
            last = tracking.last_scan.at if tracking.last_scan else None
            where = [_P.tenant == tenant, _P.tracking_number == tracking.tracking_number]
            newer = _P.scanned_at.is_(None) if last is None else (_P.scanned_at.is_(None)) | (_P.scanned_at <= last)
            changed = await connection.execute(update(tracked_parcels).where(*where, newer).values(**said))
            if not changed.rowcount:
                return None
            return (await _find(connection, *where))[0]

    async def booked(self, tenant: str, order_id: str, numbers: Iterable[str], *, at: datetime) -> list[KnownParcel]:
        """Note whose parcels these are; gives them with what was heard of them before.

        Raises:
            StoreUnavailable: it was not noted.
        """
        found = []
        async with transaction(self._engine, "the book of parcels") as connection:
            for number in numbers:
                blank = _blank(tenant, number, at)
                await connection.execute(
                    insert_into(tracked_parcels, connection).values(**blank).on_conflict_do_nothing()
                )
                await _owned(connection, tenant, number, order_id)
                found += await _find(connection, _P.tenant == tenant, _P.tracking_number == number)
        return found

    async def of_order(self, tenant: str, order_id: str) -> list[KnownParcel]:
        """The parcels of an order.

        Raises:
            StoreUnavailable: no answer.
        """
        async with transaction(self._engine, "the book of parcels") as connection:
            return await _find(connection, _P.tenant == tenant, _P.order_id == order_id)

    async def named(self, tenant: str, numbers: Iterable[str]) -> list[KnownParcel]:
        """The parcels of these numbers that are known.

        Raises:
            StoreUnavailable: no answer.
        """
        async with transaction(self._engine, "the book of parcels") as connection:
            return await _find(connection, _P.tenant == tenant, _P.tracking_number.in_(list(numbers)))


def _blank(tenant: str, number: str, at: datetime) -> dict[str, Any]:
    return {"tenant": tenant, "tracking_number": number, "order_id": "", "carrier": "", "status": "", "sub_reason": "",
            "doubts": "", "confidence": 0.0, "seen_at": at}  # fmt: skip


def _said(tracking: Tracking, at: datetime) -> dict[str, Any]:
    return {
        "carrier": tracking.carrier,
        "status": tracking.status.value,
        "sub_reason": tracking.sub_reason.value,
        "scanned_at": tracking.last_scan.at if tracking.last_scan else None,
        "delivered_at": tracking.delivered_at,
        "expected_at": tracking.expected,
        "doubts": " ".join(tracking.doubts),
        "confidence": tracking.confidence,
        "seen_at": at,
    }


async def _owned(connection: AsyncConnection, tenant: str, number: str, order_id: str) -> None:
    mine = (_P.tenant == tenant, _P.tracking_number == number, _P.order_id == "")
    await connection.execute(update(tracked_parcels).where(*mine).values(order_id=order_id))


async def _find(connection: AsyncConnection, *conditions: Any) -> list[KnownParcel]:
    rows = await connection.execute(select(tracked_parcels).where(*conditions).order_by(_P.tracking_number))
    return [_parcel(row) for row in rows]


def _parcel(row: Any) -> KnownParcel:
    return KnownParcel(
        tracking_number=row.tracking_number,
        order_id=row.order_id,
        carrier=row.carrier,
        status=TrackingStatus(row.status) if row.status else None,
        sub_reason=SubReason(row.sub_reason),
        scanned_at=row.scanned_at,
        delivered_at=row.delivered_at,
        expected_at=row.expected_at,
        doubts=tuple(Doubt(one) for one in row.doubts.split()),
        confidence=row.confidence,
        seen_at=row.seen_at,
    )
