"""Erasing a person: every store rid of them, the audit kept and still checkable.

The plan is written down first and every step may be repeated, so an erasure that a crash stopped goes on where it was
when the same command is given again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import orjson

from agents.fraud_activity import activity_keys, decline_keys
from domain.errors import Conflict, NotFound, StoreUnavailable
from domain.ids import thread_id
from domain.order import Order
from domain.personal import Person
from graph.order.person import PersonalStores, PersonFinder
from graph.runtime.audit_chain import ChainKey
from graph.runtime.audit_erasure import AuditErasure, ErasedBy
from graph.runtime.consignments import Consignments
from graph.runtime.erasure_sql import compact, drop_shared_values, scrub, taped_orders
from graph.runtime.erasures import Erasure, ErasurePlan, ErasureReport, ErasureState
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.journal import OCCASIONS, TAPES
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.orders import WORKFLOW, thread_of

_WAIT_S = 30.0


class StandIns(Protocol):
    """Outside systems that forget a person when told to."""

    async def forget(self, person: Person) -> int:
        """Remove the person from every record; how many changed."""


class CustomerErasure:
    """Erases people."""

    def __init__(self, stores: PersonalStores, *, stand_ins: StandIns | None) -> None:
        """``stand_ins`` are the outside systems that can be told to forget."""
        self._at = stores
        self._finder = PersonFinder(stores)
        self._audited = AuditErasure(stores.engine)
        self._stand_ins = stand_ins

    async def dry_run(self, tenant: str, customer_id: str) -> ErasureReport:
        """What an erasure would meet; nothing is changed."""
        found = await self._finder.find(tenant, customer_id)
        if found.running:
            raise _still_running(found.running)
        rows = sum(len(rows) for rows in found.rows.values())
        return ErasureReport(
            dry_run=True, orders=len(found.orders), audit_rows=rows, dead_letters=len(found.letters), ask=self._at.outside,
            export_again=found.months,
        )  # fmt: skip

    async def erase(self, tenant: str, customer_id: str, *, by: str, reason: str) -> ErasureReport:
        """Erase the person; what an earlier attempt left half done is finished first.

        Raises:
            Conflict: an order of theirs is still running; nothing was changed.
            StoreUnavailable: a store was away, or a consumer was behind; the same call again goes on from there.
        """
        finished = [
            await self._run(earlier)
            for earlier in await self._at.book.unfinished(tenant)
            if earlier.plan is None or earlier.plan.customer_id == customer_id
        ]
        found = await self._finder.find(tenant, customer_id)
        if finished and found.nothing:
            return finished[-1]
        if found.running:
            raise _still_running(found.running)
        erasure = Erasure(
            tenant=tenant,
            erasure_id=self._at.store.clock.new_id(),
            state=ErasureState.RUNNING,
            by=by,
            reason=found.person.without_anybody(reason),
            requested_at=self._at.store.clock.now(),
            plan=ErasurePlan(
                customer_id=customer_id,
                orders=tuple(found.order_ids),
                ids=tuple(sorted(found.person.ids)),
                values=tuple(sorted(found.person.values)),
                raw=tuple(found.raw),
            ),
            report=ErasureReport(orders=len(found.orders), ask=self._at.outside, export_again=found.months),
        )
        erasure = erasure.model_copy(
            update={"report": erasure.report.model_copy(update={"erasure_id": erasure.erasure_id})}
        )
        await self._at.book.open(erasure)
        return await self._run(erasure)

    async def _run(self, erasure: Erasure) -> ErasureReport:
        if erasure.plan is not None:
            report = await self._remove(erasure, erasure.plan)
            await self._at.book.forget(erasure.tenant, erasure.plan.customer_id)
            erasure = erasure.model_copy(update={"state": ErasureState.COMPACTING, "plan": None, "report": report})
            await self._at.book.note(erasure, at=self._at.store.clock.now())
        left = list(erasure.report.remaining)
        if not await self._at.working.rewrite():
            left.append("the log of Redis: let its operator run BGREWRITEAOF")
        report = erasure.report.model_copy(update={"remaining": tuple(dict.fromkeys(left))})
        done = erasure.model_copy(update={"state": ErasureState.DONE, "report": report})
        await compact(self._at.engine)
        await self._at.book.note(done, at=self._at.store.clock.now())
        return report

    async def _remove(self, erasure: Erasure, plan: ErasurePlan) -> ErasureReport:
        """Take the person out of every record; each step finds nothing to do when it was done before."""
        tenant = erasure.tenant
        person = Person(ids=frozenset(plan.ids), values=frozenset(plan.values))
        documents = await self._documents(tenant, plan)
        letters = await self._drop_letters(erasure, plan, person)
        threads = [thread_of(tenant, order_id) for order_id in plan.orders]
        reference = await self._at.book.known_reference(tenant, plan.customer_id)
        threads += [thread_id(tenant, "customer", reference)] if reference else []
        await self._settled(threads)
        rows = await self._redact(erasure, plan, person, reference)
        tapes = await self._at.tapes.erase(tenant, plan.orders) if plan.orders else 0
        tapes += await drop_shared_values(self._at.engine, tenant, person)
        changed, left = await scrub(self._at.engine, tenant, person, plan.orders)
        keys, entries, seen = await self._forget(tenant, plan, person, threads, documents)
        told = await self._stand_ins.forget(person) if self._stand_ins else 0
        return erasure.report.model_copy(
            update={
                "audit_rows": erasure.report.audit_rows + rows, "tapes": erasure.report.tapes + tapes,
                "sql_rows": erasure.report.sql_rows + changed, "redis_keys": erasure.report.redis_keys + keys,
                "stream_entries": erasure.report.stream_entries + entries, "stand_in_rows": told,
                "dead_letters": erasure.report.dead_letters + letters, "remaining": (*left, *seen),
            }
        )  # fmt: skip

    async def _documents(self, tenant: str, plan: ErasurePlan) -> list[Order]:
        records = [await self._at.store.orders.find(tenant, order_id) for order_id in plan.orders]
        working = [record.order for record in records if record is not None and record.order is not None]
        return working + await taped_orders(self._at.engine, tenant, plan.customer_id)

    async def _drop_letters(self, erasure: Erasure, plan: ErasurePlan, person: Person) -> int:
        dropped = 0
        for letter in await self._at.letters.all():
            if await self._finder.is_about(letter, erasure.tenant, plan.orders, person):
                try:
                    await self._at.letters.drop(
                        letter, by=erasure.by, reason=erasure.reason, at=self._at.store.clock.now()
                    )
                except NotFound:
                    continue
                dropped += 1
        return dropped

    async def _settled(self, threads: Sequence[str]) -> None:
        """Wait until everybody has read what there is about the person: it is deleted next."""
        until = asyncio.get_running_loop().time() + _WAIT_S
        while unread := await self._at.working.unread(threads):
            if asyncio.get_running_loop().time() > until:
                raise StoreUnavailable(
                    f"events of this person still wait on {', '.join(sorted(set(unread)))}; "
                    "start a worker, then run the same command again: it goes on from here"
                )
            await asyncio.sleep(0.2)

    async def _redact(self, erasure: Erasure, plan: ErasurePlan, person: Person, reference: str) -> int:
        tenant, said = erasure.tenant, ErasedBy(
            erasure_id=erasure.erasure_id, by=erasure.by, reason=erasure.reason, at=self._at.store.clock.now()
        )  # fmt: skip
        own: set[ChainKey] = {(tenant, WORKFLOW, order_id) for order_id in plan.orders}
        own |= {(tenant, "customer", reference)} if reference else set()
        others = set(await self._audited.entities(tenant, [orjson.dumps(one).decode() for one in plan.ids])) - own
        others |= set(await self._audited.entities(tenant, [one for one in plan.ids if len(one) > 5])) - own
        changed = sum([await self._audited.erase(key, person.without_person, said) for key in sorted(own)])
        return changed + sum([await self._audited.erase(key, person.without_ids, said) for key in sorted(others)])

    async def _forget(
        self, tenant: str, plan: ErasurePlan, person: Person, threads: Sequence[str], documents: list[Order]
    ) -> tuple[int, int, list[str]]:
        """Keys and entries that went, and keys that name the person and stayed."""
        keys = self._at.store.keys
        counted = [{**activity_keys(order), **decline_keys(order)} for order in documents]
        names = {keys.activity(tenant, name, value) for found in counted for name, value in found.items()}
        gone = await self._at.working.drop_keys([*sorted(names), keys.exceptions(tenant, plan.customer_id)])
        gone += await self._at.working.drop_raw(plan.raw)
        entries = await self._at.working.drop_entries(threads, person)
        for topic in (INTAKE, JOURNAL, OCCASIONS, TAPES):
            await self._at.bus.trim(topic)  # a deleted entry stands in its block until the whole block goes
        await self._at.working.renew_letters()
        reviews = await self._reviews(tenant, plan.orders)
        for order_id in plan.orders:
            await Consignments(self._at.store.batcher, keys).drop(tenant, order_id)
            await self._at.working.drop_order(tenant, order_id, thread_of(tenant, order_id))
        swept, left = await self._at.working.sweep(threads, reviews, person)
        return gone + swept, entries, left

    async def _reviews(self, tenant: str, orders: Iterable[str]) -> list[str]:
        asked: set[str] = set()
        for order_id in orders:
            rows = await self._at.audit.entity(tenant, WORKFLOW, order_id)
            asked |= {str(row.event.result.get("review_id", "")) for row in rows}
        return sorted(asked - {""})


def _still_running(order_ids: Sequence[str]) -> Conflict:
    some = ", ".join(order_ids[:5]) + (" and more" if len(order_ids) > 5 else "")
    return Conflict(
        f"nothing was erased: {some} of this customer still run; let them end or cancel them, then ask again"
    )
