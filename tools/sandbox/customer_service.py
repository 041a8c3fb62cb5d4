"""What support reads of the stand-ins: CRM profiles, order history, parcels, variants. Loaded, then only read."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from domain.shipment import plain_postcode
from domain.support import ProductVariants, ShipmentStatus, ShipmentView
from domain.support_identity import Subject, email_key, name_key, order_key, phone_key, same_phone
from domain.support_sources import HistoryOrder, Profile, TrackedParcel
from domain.values import Document
from tools.sandbox.system import System

D = TypeVar("D", bound=Document)
Row = tuple[str, str, str]
"""Kind of key, key, id of the document."""

_TAIL = 8
"""Phones are indexed by their last digits and compared in full."""
MOST = 500


@dataclass(frozen=True, kw_only=True)
class CustomerData:
    """What one load brings."""

    profiles: Sequence[Profile] = ()
    orders: Sequence[HistoryOrder] = ()
    parcels: Sequence[TrackedParcel] = ()
    products: Sequence[ProductVariants] = ()


@dataclass(frozen=True)
class ProfileSystem(System):
    """``ProfilePort`` of the stand-in CRM."""

    async def profiles(self, tenant: str, asked: Subject) -> Sequence[Profile]:
        """Everybody the subject fits."""
        keys = [("customer", asked.customer), *_personal(asked)]
        keys += [("order", order_key(asked.order)), ("tracking", order_key(asked.tracking))]
        fault = await self._meet("profiles")
        found = await self.store.read(lambda connection: _find(connection, tenant, "profile", keys, Profile))
        await self._leave(fault, "profiles")
        return [one for one in found if _fits(asked, one)]


@dataclass(frozen=True)
class HistorySystem(System):
    """``HistoryPort`` of the stand-in order management."""

    async def orders(self, tenant: str, asked: Subject) -> Sequence[HistoryOrder]:
        """All orders of whoever the subject fits, the newest first."""
        keys = [("order", order_key(asked.order)), ("tracking", order_key(asked.tracking))]
        keys += [("customer", asked.customer), *_personal(asked)]
        fault = await self._meet("orders")

        def read(connection: sqlite3.Connection) -> list[HistoryOrder]:
            named = _find(connection, tenant, "order", keys, HistoryOrder)
            whose = list(dict.fromkeys(one.customer_id for one in named if one.customer_id))
            theirs = _find(connection, tenant, "order", [("customer", one) for one in whose], HistoryOrder)
            return list({one.order_id: one for one in (*named, *theirs)}.values())

        found = await self.store.read(read)
        await self._leave(fault, "orders")
        return sorted(found, key=lambda one: one.placed_at.isoformat() if one.placed_at else "", reverse=True)


@dataclass(frozen=True)
class TrackingSystem(System):
    """``TrackingPort`` of a stand-in aggregator over all carriers."""

    async def parcels(self, tenant: str, *, order_number: str, tracking: Sequence[str]) -> Sequence[TrackedParcel]:
        """The parcels with these numbers, and those booked for the order number."""
        keys = [("order", order_key(order_number)), *(("tracking", order_key(one)) for one in tracking)]
        fault = await self._meet("parcels")
        wanted = list(tracking)

        def read(connection: sqlite3.Connection) -> list[TrackedParcel]:
            loaded = _find(connection, tenant, "parcel", keys, TrackedParcel)
            return loaded + _booked(connection, tenant, wanted)

        found = await self.store.read(read)
        await self._leave(fault, "parcels")
        return found


@dataclass(frozen=True)
class VariantSystem(System):
    """``VariantPort`` of the stand-in catalogue."""

    async def variants(self, tenant: str, product_ids: Sequence[str]) -> Sequence[ProductVariants]:
        """The variants of these products."""
        keys = [("product", one) for one in product_ids]
        fault = await self._meet("variants")
        found = await self.store.read(lambda connection: _find(connection, tenant, "product", keys, ProductVariants))
        await self._leave(fault, "variants")
        return found


def _booked(connection: sqlite3.Connection, tenant: str, tracking: Sequence[str]) -> list[TrackedParcel]:
    """Parcels of labels the stand-in carriers have sold."""
    found = []
    for number in tracking[:MOST]:
        row = connection.execute(
            "SELECT carrier, order_id, state FROM labels WHERE tracking = ? AND tenant = ? AND state != 'voided'",
            (number, tenant),
        ).fetchone()
        if row is not None:
            status = ShipmentStatus.IN_TRANSIT if row[2] == "scanned" else ShipmentStatus.INFO_RECEIVED
            shipment = ShipmentView(tracking_number=number, carrier=row[0], status=status)
            found.append(TrackedParcel(shipment=shipment, order_number=row[1]))
    return found


def put(connection: sqlite3.Connection, tenant: str, data: CustomerData) -> None:
    """Write profiles, orders, parcels and products; the same ids again replace what was there."""
    for profile in data.profiles:
        linked = [("order", order_key(number)) for number in profile.order_numbers]
        personal = _personal_keys(profile.email, profile.phone, profile.name, profile.address.postcode)
        _write(
            connection,
            tenant,
            "profile",
            profile.customer_id,
            profile,
            [("customer", profile.customer_id), *personal, *linked],
        )
    for order in data.orders:
        numbers = {order_key(one) for one in (order.order_id, order.number)}
        keys = [("customer", order.customer_id), *(("order", one) for one in numbers)]
        keys += [("tracking", order_key(one)) for one in order.tracking]
        keys += _personal_keys(order.email, order.phone, order.ship_to.name, order.ship_to.postcode)
        _write(connection, tenant, "order", order.order_id, order, keys)
    for parcel in data.parcels:
        number = parcel.shipment.tracking_number
        keys = [("tracking", order_key(number)), ("order", order_key(parcel.order_number))]
        _write(connection, tenant, "parcel", number, parcel, keys)
    for product in data.products:
        _write(connection, tenant, "product", product.product_id, product, [("product", product.product_id)])


def _write(
    connection: sqlite3.Connection,
    tenant: str,
    kind: str,
    name: str,
    document: Document,
    keys: Iterable[tuple[str, str]],
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO service_documents (tenant, kind, name, document) VALUES (?, ?, ?, ?)",
        (tenant, kind, name, document.to_json()),
    )
    connection.execute("DELETE FROM service_keys WHERE tenant = ? AND kind = ? AND name = ?", (tenant, kind, name))
    connection.executemany(
        "INSERT OR IGNORE INTO service_keys (tenant, kind, way, key, name) VALUES (?, ?, ?, ?, ?)",
        [(tenant, kind, way, key, name) for way, key in keys if key],
    )


def _find(
    connection: sqlite3.Connection, tenant: str, kind: str, keys: Iterable[tuple[str, str]], shape: type[D]
) -> list[D]:
    found: dict[str, D] = {}
    for way, key in keys:
        if not key:
            continue
        rows = connection.execute(
            "SELECT d.name, d.document FROM service_keys k JOIN service_documents d "
            "ON d.tenant = k.tenant AND d.kind = k.kind AND d.name = k.name "
            "WHERE k.tenant = ? AND k.kind = ? AND k.way = ? AND k.key = ? LIMIT ?",
            (tenant, kind, way, key, MOST),
        )
        for name, document in rows:
            found.setdefault(name, shape.from_json(document))
    return list(found.values())


def _personal_keys(email: str, phone: str, name: str, postcode: str) -> list[tuple[str, str]]:
    named = f"{name_key(name)}\x00{plain_postcode(postcode)}" if name_key(name) and postcode else ""
    return [("email", email_key(email)), ("phone", phone_key(phone)[-_TAIL:]), ("name_postcode", named)]


def _personal(asked: Subject) -> list[tuple[str, str]]:
    return _personal_keys(asked.email, asked.phone, asked.name, asked.postcode)


def _fits(asked: Subject, profile: Profile) -> bool:
    if asked.phone and set(asked.ways) == {"phone"}:
        return same_phone(phone_key(profile.phone), phone_key(asked.phone))
    return True
