"""Earned autonomy in tests: a topology whose fraud agent earns it, answered suggestions, standings set by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from domain.autonomy import Band, Level, Segment, Standing, is_blind
from domain.decision import Outcome, Verdict
from domain.ports import Agent, AgentCase
from domain.promotion import Change, tally
from graph.bootstrap.settings import ORDER_TOPOLOGY, Settings
from graph.runtime.autonomy_judge import event_of
from graph.runtime.autonomy_ledger import AGREED, Suggestion
from graph.runtime.orders import thread_of
from graph.runtime.reviews import review_id
from tests.support.staff import Script
from tests.support.system import TENANT, Rig, fast_settings, native_order, order_id_of

AGENT = "fraud_detection"
BIG = {"lines": [{"sku": "SB-00023", "quantity": 1, "unit_price": {"amount_minor": 61000, "currency": "USD"}}]}
"""An order of more than 500 dollars."""


def approving(confidence: float) -> Script:
    """Approves whatever comes, this sure."""

    async def script(real: Agent, case: AgentCase) -> Verdict:
        verdict = await real.decide(case)
        made = {"decision": "approve", "outcome": Outcome.PROCEED, "confidence": confidence}
        return Verdict.model_validate(verdict.model_dump() | made)

    return script


def earning_settings(home: Path, *, agent: str = AGENT, **changes: object) -> Settings:
    """Settings with a topology in which one agent earns its autonomy."""
    text = ORDER_TOPOLOGY.read_text(encoding="utf-8")
    head, name, rest = text.partition(f"- name: {agent}\n")
    assert name
    file = home / "earned.yaml"
    home.mkdir(parents=True, exist_ok=True)
    file.write_text(head + name + rest.replace("mode: autonomous", "mode: earned", 1), encoding="utf-8")
    return fast_settings(home, topology_file=file, **changes)


def suggestion_order(rig: Rig, *, blind: bool, **changes: Any) -> dict[str, Any]:
    """An order whose first question, should one agent merely suggest, is a blind sample or is none."""
    while True:
        payload = native_order(**changes)
        thread = thread_of(TENANT, order_id_of(payload))
        asked = review_id(thread, "gate_1", 1, 0, shard=rig.box.keys.shard_of(thread))
        later = (review_id(thread, "gate_1", 1, n, shard=rig.box.keys.shard_of(thread)) for n in (1, 2))
        if is_blind(TENANT, asked) is blind and (blind or not any(is_blind(TENANT, one) for one in later)):
            return payload


def segment(**changes: Any) -> Segment:
    """The segment of a small order to Hong Kong."""
    given: dict[str, Any] = {
        "tenant": TENANT, "agent": AGENT, "version": "fd-1.0", "action": "approve", "outcome": Outcome.PROCEED,
        "market": "HK", "band": Band.LOW,
    }  # fmt: skip
    return Segment.model_validate(given | changes)


def answered(
    count: int, wrong: int = 0, *, of: Segment | None = None, start: int = 0, **changes: Any
) -> list[Suggestion]:
    """So many answered recommendations of the last day, the first ones disagreed with."""
    of, now = of or segment(), datetime.now(UTC)
    made = []
    for n in range(start, start + count):
        given: dict[str, Any] = {
            **of.model_dump(), "review_id": f"seed-{of.market}-{of.band.value}-{of.version}-{n}",
            "decision_id": f"d-{n}", "entity_type": "order", "entity_id": f"seed-{of.market}-{n}",
            "channel": "storefront", "usd_minor": 1210, "stated": 0.97, "confidence": 0.97, "eligible": True,
            "sampled": False, "blind": n % 10 == 0, "answer": "override" if n - start < wrong else AGREED,
            "edit_distance": 0, "seconds": 20, "decided_by": "user:mei",
            "decided_at": now - timedelta(hours=20) + timedelta(seconds=n),
        }  # fmt: skip
        made.append(Suggestion.model_validate(given | changes))
    return made


async def stands(rig: Rig, level: Level, *, of: Segment | None = None) -> Standing:
    """Put a segment at a level, as if it had been earned."""
    of, area = of or segment(), rig.box.autonomy
    now = rig.box.clock.now()
    earned = await area.book.fresh(of.tenant, of.agent)
    made = Standing(
        segment=of, level=level, since=now - timedelta(days=30), stepped_at=now, promoted=True, baseline=0.02,
        why="set by a test",
    )  # fmt: skip
    record = await area.judge.record(of)
    assert tally(record.cases).cases >= 0
    event = event_of(Change(standing=made, kind="promoted"), record, now)
    assert await area.book.put(earned, made, event)
    return made
