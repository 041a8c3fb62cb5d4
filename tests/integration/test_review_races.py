"""Two people at once: approve and reject for the same case from two processes, and how fast an answer resumes its order."""

import asyncio
import time
from pathlib import Path

import pytest

from domain.order import OrderProgress
from domain.review import ReviewAction
from tests.support.answering import answerer
from tests.support.system import Rig, fast_settings, for_review, opened, running, working


@pytest.mark.parametrize("rounds", [8, pytest.param(100, marks=pytest.mark.chaos)])
async def test_two_answers_from_two_processes_have_one_outcome(tmp_path: Path, rounds: int) -> None:
    """reliability/U02, P3: every round, approve against reject at the same instant: one decision; the loser learns whose."""
    async with (
        opened(fast_settings(tmp_path)) as rig,
        answerer(tmp_path, "mei", "approve") as mei,
        answerer(tmp_path, "tan", "reject") as tan,
        working(rig),
    ):
        ids = [await rig.submit(for_review()) for _ in range(rounds)]
        waiting = [await rig.waiting(order_id) for order_id in ids]
        won: list[str] = []
        for record in waiting:
            at = time.time() + 0.01
            told = await asyncio.gather(*(who.answer(record.review_id, at) for who in (mei, tan)))
            winner, loser = (told[0], told[1]) if told[0]["done"] else (told[1], told[0])
            assert winner["done"]
            assert not loser["done"]
            assert f"user:{winner['who']}" in loser["said"]
            assert loser["took_s"] < 3
            won.append(winner["who"])
        for record, who in zip(waiting, won, strict=True):
            end = {OrderProgress.CANCELLED} if who == "tan" else {OrderProgress.FULFILLED, OrderProgress.BACKORDERED}
            await rig.settled(record.order_id, at=end, within_s=60)
        rows = await rig.history(waiting[0].order_id)
        kinds = [row.event_type for row in rows if ".review." in row.event_type]
        assert kinds.count("order.review.decided") == 1
        assert kinds.count("order.review.answer_refused") == 1, "the audit has both answers"


@pytest.mark.bench
async def test_from_decision_to_resumed_graph(tmp_path: Path) -> None:
    """Figure: 95 of 100 answers have their order moving again within 500 ms."""
    async with running(fast_settings(tmp_path)) as rig:
        took = sorted([await _resumed_s(rig) for _ in range(60)])
    p95 = took[int(len(took) * 0.95)]
    assert p95 < 0.5, f"decision to resumed graph: median {took[len(took) // 2] * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms"


async def _resumed_s(rig: Rig) -> float:
    record = await rig.reviewed(for_review())
    start = time.perf_counter()
    await rig.decide(record.review_id, ReviewAction.APPROVE)
    while await rig.progress(record.order_id) is OrderProgress.IN_REVIEW:
        assert time.perf_counter() - start < 10, "never resumed"
        await asyncio.sleep(0.002)
    moving = time.perf_counter() - start
    await rig.settled(record.order_id)
    return moving
