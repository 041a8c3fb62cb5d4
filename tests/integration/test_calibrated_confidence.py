"""Confidence measured by people's answers: drafts move with outcomes, what is in force moves only by somebody's word."""

from pathlib import Path
from random import Random

import orjson
import pytest

from api.autonomy import drafts, standings
from domain.autonomy import Level, note_of
from domain.calibration import UNCALIBRATED_CAP, heard
from domain.errors import Conflict
from graph.runtime.autonomy_ledger import Suggestion
from tests.support.autonomy import AGENT, answered, approving, earning_settings, segment, stands
from tests.support.staff import staffed
from tests.support.system import TENANT, native_order, running


def judged(count: int, *, seed: int, overconfident: float = 0.0, start: int = 0) -> list[Suggestion]:
    """Answers to recommendations of every confidence, right as often as said, less the overconfidence."""
    random = Random(seed)  # noqa: S311  # repeatable
    made = []
    for one in answered(count, start=start):
        stated = round(0.7 + 0.3 * random.random(), 4)
        right = random.random() < stated - overconfident
        made.append(one.model_copy(update={"stated": stated, "answer": "agree" if right else "override"}))
    return made


async def test_the_suggested_threshold_moves_with_outcomes_and_nothing_in_force_does(tmp_path: Path) -> None:
    """P22: more errors, a higher threshold in the draft; in force is what somebody adopted, until somebody adopts another."""
    async with running(earning_settings(tmp_path), staff=staffed({AGENT: approving(0.97)})) as rig:
        area = rig.box.autonomy
        await area.ledger.record(answered(400, wrong=4))
        [first] = await drafts(rig.box, TENANT)
        [curve] = first["curves"]
        assert (curve["labels"], curve["method"], curve["suggested_threshold"]) == (400, "platt", 0.7)
        assert (await area.book.fresh(TENANT, AGENT)).calibration is None, "a draft is not in force"
        draft = await area.calibrations.find(TENANT, first["draft"])
        await area.calibrations.adopt(draft, by="person:mei", reason="looks right")
        await area.ledger.record(judged(1200, seed=4, start=1000))
        [second] = await drafts(rig.box, TENANT)
        [worse] = second["curves"]
        assert worse["method"] == "isotonic"
        assert worse["suggested_threshold"] is None or worse["suggested_threshold"] > 0.7
        assert second["in_force"] == first["draft"]
        assert worse["threshold_in_force"] == 0.7
        record = await rig.reviewed(native_order())
        in_force = (await area.book.fresh(TENANT, AGENT)).calibration
        assert in_force is not None
        assert in_force.calibration_id == first["draft"]
        await rig.idle()
        await rig.history(record.order_id)
        told = [e for e in await rig.box.audit.entity(TENANT, "agent", AGENT) if "calibration" in e.event_type]
        assert [(e.event_type, e.actor) for e in told] == [("agent.calibration.adopted", "person:mei")]
        assert orjson.loads(told[0].payload)["result"]["reason"] == "looks right"


async def test_the_reliability_table_shows_who_says_too_much(tmp_path: Path) -> None:
    """P22, F54: error beside its noise floor, accuracy with sample size and interval."""
    async with running(earning_settings(tmp_path)) as rig:
        await rig.box.autonomy.ledger.record(judged(900, seed=9, overconfident=0.15))
        [found] = await drafts(rig.box, TENANT, AGENT)
        [curve] = found["curves"]
        assert curve["calibration_error"] > 0.10 > curve["noise_floor"]
        assert not curve["holds"]
        assert len(curve["bins"]) == 10
        told = await standings(rig.box, TENANT, AGENT)
        [accuracy] = told["agents"]
        assert accuracy["answers"] == 900
        low, high = accuracy["interval"]
        assert low < accuracy["agreement"] < high
        assert high - low < 0.06
        assert accuracy["blind"]["answers"] + accuracy["visible"]["answers"] == 900
        [where] = told["segments"]
        assert where["level"] == "suggestion"
        assert any("disagreements" in sentence for sentence in where["needs"])


async def test_an_adopted_calibration_says_what_people_would_do(tmp_path: Path) -> None:
    """P22: under it 0.97 means what it was worth; below the adopted threshold a person decides."""
    async with running(earning_settings(tmp_path), staff=staffed({AGENT: approving(0.97)})) as rig:
        area = rig.box.autonomy
        await area.ledger.record(answered(400, wrong=80))
        [draft] = await drafts(rig.box, TENANT)
        assert draft["curves"][0]["suggested_threshold"] is None
        found = await area.calibrations.find(TENANT, draft["draft"])
        await area.calibrations.adopt(found, by="person:mei", reason="measured")
        await area.calibrations.adopt(found, by="person:mei", reason="again")
        record = await rig.reviewed(native_order())
        decision = (await rig.box.store.journal.latest(record.thread))[AGENT]
        note = note_of(decision)
        assert decision.confidence == pytest.approx(0.80, abs=0.02)
        assert note is not None
        assert note.stated == "0.97"
        await stands(rig, Level.FULL)
        kept = await rig.reviewed(native_order())
        review = await rig.box.store.reviews.find(TENANT, kept.review_id)
        note = note_of((await rig.box.store.journal.latest(kept.thread))[AGENT])
        assert note is not None
        assert review.blind or "by the adopted calibration" in review.reasons[0] or note.sampled
        assert not note.acts


async def test_nobody_is_promoted_by_hand_against_the_record(tmp_path: Path) -> None:
    """P22, F30: the refusal names what is missing."""
    async with running(earning_settings(tmp_path)) as rig:
        await rig.box.autonomy.ledger.record(answered(400, wrong=80))
        with pytest.raises(Conflict, match="80 disagreements in 400"):
            await rig.box.autonomy.judge.promote(segment(), "please", by="person:mei")


async def test_few_labels_another_version_or_old_ones_calibrate_nobody(tmp_path: Path) -> None:
    """domain/F4, P22: a model's word is capped at 0.69 until 200 people's answers of its version have measured it."""
    async with running(earning_settings(tmp_path)) as rig:
        area, now = rig.box.autonomy, rig.box.clock.now()
        asked = {"action": "approve", "market": "HK", "now": now}
        assert heard(0.99, None, version="fd-1.0", learned=True, **asked).value == UNCALIBRATED_CAP  # type: ignore[arg-type]
        assert heard(0.99, None, version="fd-1.0", learned=False, **asked).value == 0.99  # type: ignore[arg-type]
        await area.ledger.record(answered(199))
        [few] = await drafts(rig.box, TENANT)
        thin = await area.calibrations.find(TENANT, few["draft"])
        assert heard(0.99, thin, version="fd-1.0", learned=True, **asked).capped  # type: ignore[arg-type]
        await area.ledger.record(answered(1, start=199))
        [enough] = await drafts(rig.box, TENANT)
        full = await area.calibrations.find(TENANT, enough["draft"])
        assert heard(0.99, full, version="fd-1.0", learned=True, **asked).value > 0.9  # type: ignore[arg-type, operator]
        assert heard(0.99, full, version="fd-2.0", learned=True, **asked).value == UNCALIBRATED_CAP  # type: ignore[arg-type]
        assert heard(None, full, version="fd-1.0", learned=True, **asked).value is None  # type: ignore[arg-type]
