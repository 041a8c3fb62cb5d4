"""From confirmed opinions of a model to a free rule, on the whole running system: proposed, tested, adopted, free, retired."""

from pathlib import Path

import pytest

from api.rules import RuleDesk, as_yaml
from domain.errors import Conflict, Forbidden, InputError
from domain.promoted_rule import LEAST_CASES, Confirmation, RuleState
from domain.review import ReviewAction
from graph.runtime.cost_ledger import CostFilter
from tests.integration.test_injection_system import grey, with_models
from tests.support.language import TOKEN, provider
from tests.support.system import TENANT, Rig, fast_settings, order_id_of, running
from tests.support.waiting import wait_until
from tools.sandbox.models import ModelStandIn

NOTE = "it is my friend's card"
QUIET = "leave it with the guard"


async def confirmed(rig: Rig, count: int) -> list[Confirmation]:
    """Wait until the book has heard so many answers."""

    async def look() -> list[Confirmation] | None:
        found = await rig.box.promotion.book.confirmations(TENANT, agent="fraud_detection")
        return found if len(found) >= count else None

    return await wait_until(look, f"{count} answers are in the book", within_s=20)


async def answered(rig: Rig, action: ReviewAction) -> str:
    """An order the model doubts, answered by a person."""
    record = await rig.reviewed(grey(note=NOTE))
    await rig.decide(record.review_id, action)
    return str(record.order_id)


async def test_a_confirmed_opinion_becomes_a_free_rule_and_is_retired(tmp_path: Path) -> None:
    """P23: a person's answer confirms; thirty make a proposal; adoption takes a passed shadow test and a person; then no call."""
    stand_in = ModelStandIn()
    async with provider(stand_in) as url:
        settings = fast_settings(
            tmp_path,
            topology_file=with_models(tmp_path),
            llm_base_url=f"{url}/v1",
            llm_api_key=TOKEN,
            llm_model="standin-small",
        )
        async with running(settings) as rig:
            desk, book = RuleDesk(rig.box), rig.box.promotion.book
            first = await answered(rig, ReviewAction.REJECT)
            await rig.settled(await rig.submit(grey(note=QUIET)))
            (heard,) = await confirmed(rig, 1)
            assert (heard.entity_id, heard.answer, heard.agreed) == (first, "concern", True)
            assert heard.features["note.card_not_own"] is True
            assert await desk.proposed(TENANT) == []
            await _more(rig, heard)

            (proposal, *others) = await desk.proposed(TENANT)
            assert not others
            rule_id = str(proposal["rule_id"])
            assert "note.card_not_own: true" in as_yaml(await book.find(TENANT, rule_id))
            with pytest.raises(InputError, match="no shadow report"):
                await desk.adopt(TENANT, rule_id, by="user:mei", reason="seen often enough")
            report = await desk.test(TENANT, rule_id, by="user:mei", last=50, tell=lambda _done, _total: None)
            assert report.passed, [gate for gate in report.gates if not gate.passed]
            with pytest.raises(Forbidden):
                await desk.adopt(TENANT, rule_id, by="agent:fraud_detection", reason="me")
            await desk.adopt(TENANT, rule_id, by="user:mei", reason="seen often enough")

            hits, rows = stand_in.hits, await _calls(rig)
            ruled = await rig.reviewed(grey(note=NOTE))
            fraud = (await rig.box.store.journal.latest(ruled.thread))["fraud_detection"]
            assert "promoted_rule" in fraud.flags
            assert (fraud.decision, fraud.cost.usd_micro) == ("review", 0)
            assert fraud.reasons[-1].evidence == f"rule:{rule_id}#1"
            assert (stand_in.hits, await _calls(rig)) == (hits, rows)

            await rig.decide(ruled.review_id, ReviewAction.APPROVE)

            async def retired() -> bool:
                return (await book.find(TENANT, rule_id)).state is RuleState.RETIRED

            await wait_until(retired, "the rule is retired", within_s=20)
            with pytest.raises(Conflict):
                await desk.retire(TENANT, rule_id, by="user:mei", reason="again")
            await rig.reviewed(grey(note=NOTE))
            assert stand_in.hits > hits


async def _more(rig: Rig, like: Confirmation) -> None:
    """As many more answers as a rule needs: the same kind of case, and others the same people said otherwise about."""
    for number in range(LEAST_CASES):
        again = {"decision_id": f"like-{number}", "entity_id": order_id_of(grey())}
        await rig.box.promotion.book.confirm(like.model_copy(update=again))
        quiet = {name: value for name, value in like.features.items() if not name.startswith("note.")}
        other = {"decision_id": f"other-{number}", "answer": "no_concern", "agreed": number % 2 == 0, "features": quiet}
        await rig.box.promotion.book.confirm(like.model_copy(update=again | other))


async def _calls(rig: Rig) -> int:
    await rig.box.models.costs.step()
    return len(await rig.box.models.ledger.calls(CostFilter(), limit=1_000))


async def test_a_tenant_sees_its_own_rules_only(tmp_path: Path) -> None:
    """P16: another tenant's rules neither answer nor are listed."""
    async with running(fast_settings(tmp_path)) as rig:
        book = rig.box.promotion.book
        assert list(await book.adopted("other", "fraud_detection")) == []
        assert await RuleDesk(rig.box).listed("other") == []
