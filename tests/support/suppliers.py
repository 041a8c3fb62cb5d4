"""The supplier workflow for tests: invented SKUs with known needs, chains started and followed, reviews answered."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from api.desk import Desk
from domain.ids import ReviewId, Sku
from domain.review import Review, ReviewAction, ReviewAnswer
from domain.supply import PriceBreak, SupplierOffer
from domain.supply_case import SupplyTrigger, TriggerKind
from domain.supply_ports import SalesHistory
from graph.bootstrap.system import Signalbox
from graph.runtime.purchase_orders import StoredOrder
from graph.runtime.supply_cases import SupplyRecord
from graph.supplier.chains import Outcome
from tests.support.system import TENANT
from tests.support.waiting import wait_until
from tools.sandbox.sales_history import monday

_SKUS = count(1)
_TRIGGERS = count(1)


def offer(sku: str, supplier: str = "V-CN-01", price: str = "10.00", **changes: Any) -> SupplierOffer:
    """An offer in yuan of a supplier in China who delivers in two weeks."""
    plain: dict[str, Any] = {
        "supplier_id": supplier, "sku": sku, "currency": "CNY", "moq": 10, "pack": 10, "lead_days": 14, "lead_sd_days": 2,
        "on_time": 0.9, "freight": Decimal(20), "prices": (PriceBreak(from_quantity=0, unit_price=Decimal(price)),),
    }  # fmt: skip
    return SupplierOffer(**plain | changes)


@dataclass
class Shop:
    """A running system, seen from procurement."""

    box: Signalbox

    async def sells(self, *, per_week: int = 20, stock: int = 5, offers: list[SupplierOffer] | None = None) -> Sku:
        """An SKU that sells steadily; with so little stock it needs ordering at once."""
        assert self.box.sandbox is not None
        sku = Sku(f"SUP-{next(_SKUS):04d}")
        weeks = tuple(per_week + (n % 3) - 1 for n in range(60))
        history = SalesHistory(
            sku=sku, category="home", until=monday(datetime.now(UTC).date()), weeks=weeks, margin_usd_minor=300
        )
        await self.box.sandbox.purchasing.put_sales(history)
        for one in offers or [offer(sku)]:
            await self.box.sandbox.purchasing.put_offer(one.model_copy(update={"sku": sku}))
        await self.box.sandbox.wms.count_stock("HKG", sku, stock)
        self.box.suppliers.ports.assortment.forget()
        return sku

    async def alert(self, *skus: Sku, key: str = "") -> Outcome:
        """An inventory alert."""
        trigger = SupplyTrigger(
            key=key or f"alert-{next(_TRIGGERS)}", tenant=TENANT, kind=TriggerKind.ALERT, skus=skus, by="key:feed",
            at=self.box.clock.now(),
        )  # fmt: skip
        return await self.box.suppliers.chains.begin(trigger)

    async def asked(self, number: str, *, besides: str = "") -> Review:
        """Wait until procurement is asked about an order and its thread waits."""

        async def look() -> Review | None:
            record = await self.record(number)
            if not record.review_id or record.review_id == besides:
                return None
            review = await self.box.store.reviews.find(TENANT, record.review_id)
            return review if review.interrupt_id else None

        return await wait_until(look, f"procurement is asked about {number}")

    async def record(self, number: str) -> SupplyRecord:
        """The chain as stored."""
        found = await self.box.suppliers.cases.find(TENANT, number)
        assert found is not None, f"{number} has no chain"
        return found

    async def over(self, number: str) -> SupplyRecord:
        """Wait until the chain has ended."""

        async def look() -> SupplyRecord | None:
            record = await self.record(number)
            return record if record.progress.over else None

        return await wait_until(look, f"the chain of {number} has ended")

    async def order(self, number: str) -> StoredOrder:
        """The order in the version that stands."""
        return await self.box.suppliers.orders.find(TENANT, number)

    async def answer(
        self, review: Review, action: ReviewAction, *, by: str = "user:mei", edits: dict[str, Any] | None = None,
        role: str = "procurement", seen: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        """Answer as procurement."""
        answer = ReviewAnswer(
            action=action, decided_by=by, decided_at=self.box.clock.now(), via="test", reason="looked at it",
            edits=edits or {}, seen_digest=seen,
        )  # fmt: skip
        return await Desk(self.box).decide(TENANT, ReviewId(review.review_id), answer, frozenset({role}))

    async def letters(self, number: str) -> int:
        """How many letters went out under the number."""
        assert self.box.sandbox is not None
        return len(await self.box.sandbox.messages.letters(number, tenant=TENANT))
