"""Triggers become chains: what needs ordering is grouped by supplier, each SKU is worked on by one chain at a time.

A need that open orders cover starts nothing; the same trigger told again leads to the same chain.
"""

from collections.abc import Sequence
from hashlib import sha256

from agents.supply_case import SupplyPorts
from agents.supply_outlook import SupplyNow, choice_of, read_supply
from domain.errors import InputError, MissingRate
from domain.ids import Sku
from domain.supply_case import SupplyTrigger
from domain.values import Document, Plain
from graph.runtime import crash
from graph.runtime.purchase_orders import PurchaseOrders
from graph.runtime.store import Store
from graph.runtime.supply_cases import WORKFLOW, SupplyCases, fields_of, thread_of
from graph.supplier.controller import START

LARGEST_ORDER = 40
"""Lines of one purchase order; more make a second one."""


class Started(Document):
    """One chain a trigger led to."""

    number: str
    vendor_id: str
    skus: tuple[Sku, ...]
    known: bool
    """The same trigger had started it before."""


class Outcome(Document):
    """What became of a trigger."""

    started: tuple[Started, ...] = ()
    covered: dict[str, str] = {}
    """Why nothing is ordered, by SKU."""
    refused: dict[str, str] = {}
    """Why nothing can be ordered, by SKU: a person has to see to it."""


class SupplyChains:
    """Starts chains."""

    def __init__(self, store: Store, cases: SupplyCases, orders: PurchaseOrders, ports: SupplyPorts) -> None:
        """All are shared with the rest of the workflow."""
        self._store = store
        self._cases = cases
        self._orders = orders
        self._ports = ports

    async def begin(self, trigger: SupplyTrigger) -> Outcome:
        """Look at every SKU of a trigger and start what is needed.

        Raises:
            Transient: something could not be read; nothing is lost by telling the trigger again.
        """
        supply = await read_supply(self._ports, trigger.skus, tenant=trigger.tenant, now=trigger.at)
        groups: dict[str, list[Sku]] = {}
        covered: dict[str, str] = {}
        refused: dict[str, str] = {}
        for sku in dict.fromkeys(trigger.skus):
            try:
                choice = choice_of(self._ports, supply, sku)
            except (InputError, MissingRate) as impossible:
                refused[sku] = str(impossible)
                continue
            if choice is None:
                covered[sku] = _covered(supply, sku)
            else:
                groups.setdefault(choice.best.supplier_id, []).append(sku)
        started = []
        for vendor_id, skus in groups.items():
            for at in range(0, len(skus), LARGEST_ORDER):
                chain = await self._chain(trigger, vendor_id, skus[at : at + LARGEST_ORDER], covered)
                started += [chain] if chain else []
        return Outcome(started=tuple(started), covered=covered, refused=refused)

    async def _chain(
        self, trigger: SupplyTrigger, vendor_id: str, skus: Sequence[Sku], covered: dict[str, str]
    ) -> Started | None:
        """Start one chain for the SKUs no other chain works on."""
        name = _name(trigger, skus)
        mine = []
        for sku in skus:
            holder = await self._cases.claim(trigger.tenant, sku, name)
            if holder == name:
                mine.append(sku)
            else:
                covered[sku] = "another chain is at work on it"
        if not mine:
            return None
        number, fresh = await self._orders.begin(trigger.tenant, name, at=trigger.at)
        crash.point("supply.numbered")
        known = None if fresh else await self._cases.find(trigger.tenant, number)
        if known is not None:
            for sku in mine if known.progress.over else ():
                await self._cases.let_go(trigger.tenant, sku, name)
            return Started(number=number, vendor_id=vendor_id, skus=tuple(mine), known=True)
        own = trigger.model_copy(update={"skus": tuple(mine)})
        await self._enter(own, number, name)
        return Started(number=number, vendor_id=vendor_id, skus=tuple(mine), known=not fresh)

    async def _enter(self, trigger: SupplyTrigger, number: str, name: str) -> None:
        """Write the chain's document, then queue its work once; a crash in between is mended by the trigger's repetition."""
        thread = thread_of(trigger.tenant, number)
        fields = fields_of(trigger, number=number, chain=name, correlation_id=self._store.clock.new_id())
        await self._store.journal.advance(thread, fields, [], token=0, at=trigger.at)
        record = await self._cases.find(trigger.tenant, number)
        if record is None:
            return
        facts: dict[str, Plain] = {
            "kind": trigger.kind.value,
            "by": trigger.by,
            "skus": [*trigger.skus],
            "trigger": trigger.key,
        }
        event = record.event("triggered", facts, at=trigger.at, part=name)
        headers = {"workflow": WORKFLOW, "work": START, "tenant": trigger.tenant, "order_id": number}
        await self._store.intake.push(thread, headers, at=trigger.at, once=("queued", "1"), event=event)


def _name(trigger: SupplyTrigger, skus: Sequence[Sku]) -> str:
    """The chain's key: the same trigger about the same SKUs is the same chain, whichever supplier is cheapest by then."""
    told = sha256("\x00".join(sorted(skus)).encode()).hexdigest()[:12]
    return f"{trigger.kind.value}:{trigger.key}:{told}"


def _covered(supply: SupplyNow, sku: Sku) -> str:
    coming = ", ".join(f"{one.units} on {one.reference}" for one in supply.inbound.get(sku, ()))
    return f"{supply.free[sku]} free" + (f" and {coming} under way" if coming else "") + " cover the need"
