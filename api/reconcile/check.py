"""Reconciliation: nothing lost, nothing done twice, every unit and every cent accounted for, over what the stores hold now.

A system at work moves between two reads; what does not add up is looked at again, and counts when it stays.
"""

import asyncio

from api.reconcile.effects import EffectBooks
from api.reconcile.evidence import gather_evidence
from api.reconcile.orders import OrderEquation
from api.reconcile.report import Balance, Chains, Effects, Mismatch, Report
from graph.bootstrap.system import Signalbox
from graph.runtime.audit_verify import BrokenChain
from tools.sandbox import Sandbox

LOOKS = 3
PAUSE_S = 0.4
_OVER_HTTP = (
    "The back ends are reached over HTTP, which offers no list of applied effects: an effect they applied that we do not "
    "know of would not be seen.",
    "Stock, holds and payment balances are in the back ends' own books and were not compared.",
)


async def reconcile(box: Signalbox, *, tenant: str | None = None, pause_s: float = PAUSE_S) -> Report:
    """Compare every store with every other, for one tenant or all; ``pause_s`` lies between two looks.

    Raises:
        StoreUnavailable: Redis or the database does not answer.
        ConnectorUnavailable: a back end cannot be read now.
    """
    report = await _look(box, tenant)
    for _ in range(LOOKS - 1):
        if report.ok:
            break
        await asyncio.sleep(pause_s)
        again = await _look(box, tenant)
        seen = {(one.check, one.id) for one in report.mismatches}
        stayed = tuple(one for one in again.mismatches if (one.check, one.id) in seen)
        report = again.model_copy(update={"mismatches": stayed, "ok": not stayed})
    return report


async def _look(box: Signalbox, tenant: str | None) -> Report:
    found = await gather_evidence(box, tenant)
    orders = OrderEquation(found)
    books = EffectBooks(found, orders.terminal)
    mismatches = [*orders.mismatches(), *books.ours_alone()]
    money: dict[str, Balance] = {}
    balanced: bool | None = None
    if box.sandbox is None:
        mismatches += await books.look_up(box.systems)
    else:
        books.take(await box.sandbox.applied(), tenant)
        mismatches += [*books.against_theirs(), *await books.holds(box.sandbox)]
        money, off = await books.money(box.sandbox)
        mismatches += [*off, *(uneven := await _stock(box.sandbox))]
        balanced = not uneven
    chains = await box.audit.verify(tenant=tenant)
    mismatches += [_broken(chain) for chain in chains.broken]
    return Report(
        ok=not mismatches,
        tenant=tenant,
        accepted=len(found.audit.accepted),
        terminal=orders.outcomes,
        in_review=len(orders.in_review),
        dead_letter=len(orders.dead_letter),
        given_up=len(orders.given_up),
        in_flight=len(orders.in_flight),
        effects=Effects(
            applied=None if box.sandbox is None else sum(map(len, books.theirs.values())),
            recorded=len(books.done),
            audited=sum(found.audit.effects.values()),
            unsettled=books.unsettled,
        ),
        money=money,
        stock_balanced=balanced,
        audit=Chains(chains=chains.chains, rows=chains.rows, intact=chains.intact),
        mismatches=tuple(mismatches),
        not_checked=_OVER_HTTP if box.sandbox is None else (),
    )


async def _stock(sandbox: Sandbox) -> list[Mismatch]:
    """Opening + counted = on hand + consumed, and held = what the holds claim, in every place."""
    totals = await sandbox.stock_totals()
    text = "units on the shelf, held and gone do not add up to what there was"
    uneven = [Mismatch(check="stock", id=place, text=text) for place in totals.violations]
    began = sum(row.on_hand for row in sandbox.world.opening)
    if began != totals.opening or (not totals.balanced and not uneven):
        uneven.append(Mismatch(check="stock", id="network", text=f"{text}: {began} units at the beginning"))
    return uneven


def _broken(chain: BrokenChain) -> Mismatch:
    text = f"row {chain.position} is {chain.tampering}: {chain.detail}"
    return Mismatch(check="audit", id=chain.entity_id, text=text)
