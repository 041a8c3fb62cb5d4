"""Questions to procurement about a purchase order, with everything a decision needs side by side; and the end of a run."""

from typing import Any

from domain.decision import Decision
from domain.review import Review
from domain.review_policy import ReviewPolicy, Topic
from domain.supply_case import SupplyProgress
from domain.values import Plain, digest
from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.clock import Clock
from graph.runtime.journal import Journal
from graph.runtime.keys import Keyspace
from graph.runtime.metrics import Metrics
from graph.runtime.reviews import ReviewDesk, review_id
from graph.runtime.supply_cases import ENTITY, WORKFLOW, SupplyCases
from graph.supplier.asking import DRAFT
from graph.supplier.run import SupplyRun, Worth
from graph.supplier.state import SupplyGraphState

RELEASE_STAGE = "release"
"""The stage name of questions about an approval that became void."""
EDITABLE = ("quantities", "deliver_until", "notes", "vendor_id")


class SupplyReviewing:
    """Writes review records and the final summary of a chain."""

    def __init__(
        self,
        desk: ReviewDesk,
        journal: Journal,
        checkpointer: RedisCheckpointer,
        keys: Keyspace,
        cases: SupplyCases,
        *,
        policy: ReviewPolicy,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """All collaborators are shared by every run."""
        self._desk = desk
        self._journal = journal
        self._checkpointer = checkpointer
        self._keys = keys
        self._cases = cases
        self._policy = policy
        self._clock = clock
        self._metrics = metrics

    async def request(self, state: SupplyGraphState, run: SupplyRun, worth: Worth) -> Review:
        """Put the question on the desk, once, and keep the thread from expiring while it is open.

        Raises:
            StaleFence: a newer worker holds the chain.
        """
        review = self._review(state, run, worth)
        facts: dict[str, Plain] = {
            "review_id": review.review_id,
            "stage": review.stage,
            "queue": review.queue,
            "rule": state.get("rule", ""),
            "recommendation": review.recommendation,
            "reasons": [*review.reasons],
            "deadline": review.deadline.isoformat(),
            "blind": False,
            "exposure_usd_minor": review.exposure_usd_minor,
            "second_roles": [*review.second_roles],
            "agents": [*sorted(run.decisions)],
        }
        event = run.event("review.requested", facts, at=review.created_at, part=review.review_id)
        await self._checkpointer.pin(run.thread)
        detail = "; ".join(review.reasons)[:500]
        stored = await self._desk.open(run.thread, review, event, token=run.token, detail=detail)
        self._metrics.reviewed("requested")
        return stored

    def _review(self, state: SupplyGraphState, run: SupplyRun, worth: Worth) -> Review:
        now, order = self._clock.now(), run.order
        stage = f"gate_{state['stage']}" if state.get("stage") else RELEASE_STAGE
        grounds = state.get("grounds", [])
        topic = Topic(
            entity_type=ENTITY,
            stage=stage,
            agents=tuple(sorted({str(g["agent"]) for g in grounds})),
            market=order.ship_to.country if order else "",
            exposure_usd_minor=worth.usd_minor,
        )
        queue = self._policy.queue_for(topic)
        shard = self._keys.shard_of(run.thread)
        confidences = [d.confidence for d in run.decisions.values() if d.confidence is not None]
        return Review(
            review_id=review_id(run.thread, stage, run.record.attempt_group, state.get("round", 0), shard=shard),
            tenant=run.tenant,
            workflow=WORKFLOW,
            entity_type=ENTITY,
            entity_id=run.number,
            stage=stage,
            recommendation=state.get("recommendation", "look"),
            confidence=min(confidences, default=None),
            reasons=tuple(str(g["sentence"]) for g in grounds),
            facts=shown_facts(run, worth) | {"grounds": [f"{g['agent']}:{g['code']}" for g in grounds]},
            editable=EDITABLE if order else ("vendor_id",),
            content_digest=order.content_digest if order else digest(run.number),
            allowed_roles=queue.roles,
            second_roles=self._policy.second_roles(topic),
            queue=queue.name,
            exposure_usd_minor=worth.usd_minor,
            correlation_id=run.record.correlation_id,
            currency=order.currency if order else "",
            locale=order.vendor.language if order else "",
            proposed_by=tuple(sorted({f"agent:{name}" for name in run.decisions} | {run.record.trigger.by})),
            created_at=now,
            deadline=queue.deadline(now, None),
            thread_id=run.thread,
        )

    def payload(self, state: SupplyGraphState, run: SupplyRun) -> dict[str, Any]:
        """What the thread's interrupt shows: a human-in-the-loop request that common inboxes can render."""
        args = {"number": run.number, "resume_to": list(state.get("resume_to", []))}
        sentences = [str(g["sentence"]) for g in state.get("grounds", [])]
        request = {"name": "send_purchase_order", "args": args, "arguments": args, "description": "\n".join(sentences)}
        allowed = {"action_name": "send_purchase_order", "allowed_decisions": ["approve", "edit", "reject"]}
        return {"action_requests": [request], "review_configs": [allowed], "stage": state.get("stage", 0)}

    async def finish(self, run: SupplyRun, progress: SupplyProgress, detail: str) -> None:
        """Write where the chain ended; it may expire with the working state, and its SKUs are free for the next one."""
        now, order = self._clock.now(), run.order
        facts: dict[str, Plain] = {
            "progress": progress.value,
            "detail": detail,
            "total": order.total.model_dump(mode="json") if order else None,
            "vendor_id": order.vendor.vendor_id if order else None,
            "skus": [*run.record.trigger.skus],
            "version": run.record.version,
        }
        fields = {"progress": progress.value, "detail": detail[:500], "changed_at": now.isoformat(), "review": ""}
        event = run.event(progress.value, facts, at=now, part=progress.value)
        await self._journal.advance(run.thread, fields, [event], token=run.token, at=now, pin=False)
        for sku in run.record.trigger.skus:
            await self._cases.let_go(run.tenant, sku, run.record.chain)


def shown_facts(run: SupplyRun, worth: Worth) -> dict[str, Plain]:
    """What the decider is shown: order, letter, English rendering, checks, comparison, cost, and the stock-out range."""
    draft = run.decisions.get(DRAFT)
    drafted: dict[str, Plain] = dict(draft.facts) if draft is not None else {}
    chosen = _facts(run, "supplier_choice")
    checked = _facts(run, "purchase_order_verification")
    stock = run.decisions.get("stockout_date")
    return {
        "purchase_order": drafted.get("order"),
        "letter": drafted.get("letter"),
        "gloss": drafted.get("gloss"),
        "checks_passed": [] if checked.get("findings") else checked.get("checks", []),
        "findings": checked.get("findings", []),
        "comparison": chosen.get("table", {}),
        "left_out": chosen.get("left_out", []),
        "usd_equivalent": None if worth.usd is None else f"{worth.usd:.2f}",
        "forecasts": _facts(run, "demand_forecast").get("forecasts", {}),
        "weeks": _facts(run, "demand_forecast").get("weeks", {}),
        "stockout": _facts(run, "stockout_date").get("estimates", {}),
        "stock": dict(stock.inputs) if stock is not None else {},
        "trigger": run.record.trigger.model_dump(mode="json", exclude={"tenant"}),
        "model_cost_usd_micro": sum(d.cost.usd_micro for d in run.decisions.values()),
        "decisions": {name: _told(d) for name, d in sorted(run.decisions.items())},
    }


def _facts(run: SupplyRun, agent: str) -> dict[str, Plain]:
    decision = run.decisions.get(agent)
    return dict(decision.facts) if decision is not None else {}


def _told(decision: Decision) -> dict[str, Plain]:
    confidence = None if decision.confidence is None else f"{decision.confidence:.2f}"
    return {
        "decision": decision.decision,
        "outcome": decision.outcome.value,
        "confidence": confidence,
        "mode": decision.mode.value,
        "reasons": [reason.text for reason in decision.reasons[:20]],
    }
