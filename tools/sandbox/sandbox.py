"""All stand-in systems over one SQLite file, and the books that prove nothing was done twice."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from domain.errors import ConfigError
from domain.personal import Person
from tools.sandbox.books import StockTotals, ledger, stock_totals
from tools.sandbox.carrier import CarrierSystem, lanes_by_country
from tools.sandbox.channel import ChannelSystem
from tools.sandbox.crm import CustomerSystem
from tools.sandbox.customer_service import (
    CustomerData,
    HistorySystem,
    ProfileSystem,
    TrackingSystem,
    VariantSystem,
    put,
)
from tools.sandbox.erp import ErpSystem
from tools.sandbox.faults import Faults
from tools.sandbox.forgetting import forget
from tools.sandbox.geography import CARRIER_CODES
from tools.sandbox.listings import ListingSystem
from tools.sandbox.messages import MessageSystem
from tools.sandbox.oms import OrderManagementSystem
from tools.sandbox.payment import PaymentSystem
from tools.sandbox.purchasing import PurchasingSystem
from tools.sandbox.store import Store
from tools.sandbox.system import AppliedEffect, Clock
from tools.sandbox.wms import WarehouseSystem
from tools.sandbox.world import World, build_world


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Desks:
    """The systems themselves."""

    wms: WarehouseSystem
    carriers: Mapping[str, CarrierSystem]
    payment: PaymentSystem
    oms: OrderManagementSystem
    crm: CustomerSystem
    erp: ErpSystem
    channels: ChannelSystem
    messages: MessageSystem
    profiles: ProfileSystem
    history: HistorySystem
    tracking: TrackingSystem
    variants: VariantSystem
    purchasing: PurchasingSystem
    listings: ListingSystem


class Sandbox:
    """The stand-in for every outside system: ``async with Sandbox(path) as sandbox``.

    Several processes may open the same file; the seed is fixed when the file is created.
    """

    def __init__(self, path: Path | str, *, seed: int = 1, clock: Clock = _utc_now) -> None:
        """Prepare the systems; nothing is opened before ``async with``."""
        self.seed = seed
        self.clock = clock
        self.world: World = build_world(seed)
        self.store = Store(path)
        self.faults = Faults(self.store)
        self.desks = self._build(self.faults)
        self.wms = self.desks.wms
        self.carriers = self.desks.carriers
        self.payment = self.desks.payment
        self.oms = self.desks.oms
        self.crm = self.desks.crm
        self.erp = self.desks.erp
        self.channels = self.desks.channels
        self.messages = self.desks.messages
        self.purchasing = self.desks.purchasing
        self.listings = self.desks.listings

    async def __aenter__(self) -> Self:
        await self.store.open()
        try:
            await self.store.write(self._begin)
        except BaseException:
            await self.store.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    def faultless(self) -> Desks:
        """The same systems without scripted faults: for the HTTP server, which realises faults itself."""
        return self._build(None)

    async def put_customer_data(self, tenant: str, data: CustomerData) -> None:
        """Load profiles, orders, parcels and products of one tenant; the same ids again replace what was there."""
        await self.store.write(lambda connection: put(connection, tenant, data))

    async def applied(self, order_id: str | None = None) -> list[AppliedEffect]:
        """Every effect that was really applied, oldest first; of one order when named."""
        return await self.store.read(lambda connection: ledger(connection, order_id))

    async def forget(self, person: Person) -> int:
        """Rid every record of a person, and the file of what stood there; how many records changed."""
        changed = await self.store.write(lambda connection: forget(connection, person))
        await self.store.read(lambda connection: connection.executescript("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);"))
        return changed

    async def stock_totals(self) -> StockTotals:
        """The stock equation now, holds past their time expired first."""
        await self.wms.sweep()
        return await self.store.write(stock_totals)

    def _build(self, faults: Faults | None) -> Desks:
        store, clock, world = self.store, self.clock, self.world
        carriers = {
            code: CarrierSystem(f"carriers/{code}", store, clock, faults, code, lanes_by_country(world.lanes, code))
            for code in CARRIER_CODES
        }
        return Desks(
            wms=WarehouseSystem("wms", store, clock, faults, world),
            carriers=carriers,
            payment=PaymentSystem("payment", store, clock, faults),
            oms=OrderManagementSystem("oms", store, clock, faults),
            crm=CustomerSystem("crm", store, clock, faults, world),
            erp=ErpSystem("erp", store, clock, faults, world),
            channels=ChannelSystem("channels", store, clock, faults),
            messages=MessageSystem("messages", store, clock, faults),
            profiles=ProfileSystem("crm", store, clock, faults),
            history=HistorySystem("oms", store, clock, faults),
            tracking=TrackingSystem("tracking", store, clock, faults),
            variants=VariantSystem("erp", store, clock, faults),
            purchasing=PurchasingSystem("purchasing", store, clock, faults, world),
            listings=ListingSystem("listings", store, clock, faults, world),
        )

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Put the opening stock on the shelves of a new file.

        Raises:
            ConfigError: the file was created with another seed.
        """
        found = connection.execute("SELECT value FROM meta WHERE name = 'seed'").fetchone()
        if found is not None:
            if found[0] != str(self.seed):
                raise ConfigError(
                    f"{self.store.path} holds the world of seed {found[0]}, not {self.seed}; use another file"
                )
            return
        connection.execute("INSERT INTO meta (name, value) VALUES ('seed', ?)", (str(self.seed),))
        connection.executemany(
            "INSERT INTO stock (sku, warehouse, opening, on_hand, safety, quarantine) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (row.sku, row.warehouse, row.on_hand, row.on_hand, row.safety, row.quarantine)
                for row in self.world.opening
            ],
        )
