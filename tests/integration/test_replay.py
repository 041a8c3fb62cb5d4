"""Replays: any past decision made again from its record, whatever has changed since."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from domain.errors import NotFound
from graph.order.replaying import Replays
from graph.runtime.journal import TAPES
from graph.runtime.tape_keeper import GROUP
from tests.support.system import TENANT, Rig, fast_settings, line, native_order, opened, running, working
from tests.support.waiting import wait_until
from tests.support.world_orders import deliver, world_orders
from tools.sandbox.faults import Fault, FaultMode

SAMPLE = 100


async def test_a_hundred_of_a_hundred_sampled_decisions_come_out_the_same(tmp_path: Path) -> None:
    """E6, P28: every agent, every channel; the decision is made again from its tape alone, with the same digest."""
    async with opened(fast_settings(tmp_path)) as rig:
        async with working(rig):
            ids = await deliver(rig, world_orders(rig, 24))
            for order_id in ids:
                await rig.settled(order_id, within_s=30)
            await rig.idle()
            await rig.history(ids[0])
        await rig.box.governance.keeper.drain()
        assert rig.box.sandbox is not None
        for sku in rig.box.sandbox.world.products:
            await rig.stock(sku, 0)  # what could be read now is not what was read then
        replays = Replays(rig.box.governance.tapes)
        found = [replayed for order_id in ids for replayed in await replays.order(TENANT, order_id)]
        sample = Random(1).sample(found, SAMPLE)  # noqa: S311  # a repeatable sample
        assert not [(one.agent, one.failure, one.differences, one.missing) for one in sample if not one.same]
        assert len({one.agent for one in sample}) == 9
        one = await replays.decision(TENANT, sample[0].decision_id)
        assert one == sample[0]
        with pytest.raises(NotFound, match="no tape"):
            await replays.decision("somebody_else", sample[0].decision_id)  # type: ignore[arg-type]


async def test_a_fallback_is_repeated_as_a_fallback(tmp_path: Path) -> None:
    """E6: what stood in for an agent that failed is part of the record too."""
    async with running(fast_settings(tmp_path)) as rig:
        assert rig.box.sandbox is not None
        await rig.settled(await rig.submit(native_order()))
        for call in ("products", "stock", "history"):
            await rig.box.sandbox.faults.set(Fault(call=call, mode=FaultMode.UNAVAILABLE, times=6))
        order_id = await rig.submit(native_order(lines=[line(cents=1999)]))
        await rig.settled(order_id)
        await rig.history(order_id)

        async def kept() -> bool:
            lag = await rig.box.bus.lag(TAPES, GROUP)
            return not lag.undelivered + lag.pending

        await wait_until(kept, "the book has every tape")
        found = await Replays(rig.box.governance.tapes).order(TENANT, order_id)
        assert not [(one.agent, one.failure, one.differences, one.missing) for one in found if not one.same]
        tapes = await rig.box.governance.tapes.of_order(TENANT, order_id)
        assert Counter(bool(tape.fallback) for tape in tapes)[True] >= 1


async def test_erased_tapes_are_gone(tmp_path: Path) -> None:
    """An order's tapes and documents can be erased; the audit is not touched."""
    async with running(fast_settings(tmp_path)) as rig:
        order_id = await rig.submit(native_order())
        await rig.settled(order_id)
        await rig.idle()
        await rig.history(order_id)
        book = rig.box.governance.tapes
        await wait_until(lambda: _all_tapes(rig, order_id), "the book has the tapes")
        digest = (await book.of_order(TENANT, order_id))[0].order
        assert await book.values(TENANT, [digest])
        assert await book.erase(TENANT, [order_id]) >= 6
        assert await book.of_order(TENANT, order_id) == []
        assert await book.values(TENANT, [digest]) == {}
        with pytest.raises(NotFound, match="erased"):
            await Replays(book).order(TENANT, order_id)


async def _all_tapes(rig: Rig, order_id: str) -> bool:
    return len(await rig.box.governance.tapes.of_order(TENANT, order_id)) >= 6
