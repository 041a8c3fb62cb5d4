"""Questions to people about an order, and the summary that ends a run."""

from datetime import datetime
from typing import Any

from domain.autonomy import is_blind
from domain.decision import Decision
from domain.ids import ReviewId
from domain.order import OrderProgress
from domain.review import Review
from domain.review_policy import ReviewPolicy, Topic
from domain.values import Plain
from graph.order.inbox import inbox_request
from graph.order.run import OrderRun
from graph.order.state import OrderGraphState
from graph.order.suggesting import only_suggestions, proposed
from graph.runtime.checkpoint import RedisCheckpointer
from graph.runtime.clock import Clock
from graph.runtime.journal import Journal
from graph.runtime.keys import Keyspace
from graph.runtime.metrics import Metrics
from graph.runtime.reviews import ReviewDesk, review_id

BLIND = "waits for a person, who decides without seeing what was recommended"
RELEASE_STAGE = "release"
"""The stage name of reviews that ask about a release that failed."""
EDITABLE = ("ship_to", "lines", "deliver_by", "shipping_option")


class Reviewing:
    """Writes review records and the final summary of a run."""

    def __init__(
        self,
        desk: ReviewDesk,
        journal: Journal,
        checkpointer: RedisCheckpointer,
        keys: Keyspace,
        *,
        policy: ReviewPolicy,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """All collaborators are shared by every run; ``policy`` says which queue asks whom, and how soon."""
        self._policy = policy
        self._desk = desk
        self._journal = journal
        self._checkpointer = checkpointer
        self._keys = keys
        self._clock = clock
        self._metrics = metrics

    async def request(self, state: OrderGraphState, run: OrderRun) -> Review:
        """Put the question on the desk, once, and keep order and thread from expiring while it is open.

        Raises:
            StaleFence: a newer worker holds the order.
        """
        review = self._review(state, run, self._clock.now())
        event = run.event(
            "order.review.requested",
            {
                "review_id": review.review_id,
                "stage": review.stage,
                "queue": review.queue,
                "recommendation": "" if review.blind else review.recommendation,
                "reasons": [] if review.blind else list(review.reasons),
                "deadline": review.deadline.isoformat(),
                "blind": review.blind,
                "exposure_usd_minor": review.exposure_usd_minor,
                "second_roles": [*review.second_roles],
                "agents": [*sorted(run.decisions)],
            },
            at=review.created_at,
            part=review.review_id,
        )
        await self._checkpointer.pin(run.thread)
        detail = BLIND if review.blind else "; ".join(review.reasons)[:500]
        stored = await self._desk.open(run.thread, review, event, token=run.token, detail=detail)
        self._metrics.reviewed("requested")
        return stored

    def _review(self, state: OrderGraphState, run: OrderRun, now: datetime) -> Review:
        stage = stage_name(state)
        grounds = state.get("grounds", [])
        topic = Topic(
            entity_type="order",
            stage=stage,
            agents=tuple(sorted({str(g["agent"]) for g in grounds})),
            market=run.order.ship_to.country or "",
            exposure_usd_minor=run.usd_minor,
        )
        queue = self._policy.queue_for(topic)
        asked = self._asked(state, run)
        confidences = [d.confidence for d in run.decisions.values() if d.confidence is not None]
        return Review(
            review_id=asked,
            tenant=run.tenant,
            entity_type="order",
            entity_id=run.order_id,
            stage=stage,
            recommendation=state.get("recommendation", "look"),
            confidence=min(confidences, default=None),
            reasons=tuple(str(g["sentence"]) for g in grounds),
            facts=facts_of(run) | {"grounds": _keys(state), "suggestions": proposed(state, run)},
            editable=EDITABLE,
            content_digest=run.content_digest,
            allowed_roles=queue.roles,
            second_roles=self._policy.second_roles(topic),
            queue=queue.name,
            exposure_usd_minor=run.usd_minor,
            ship_by=run.order.ship_by,
            correlation_id=run.correlation_id,
            currency=run.order.currency,
            locale=run.order.locale,
            blind=_blind(state, run, asked),
            proposed_by=tuple(sorted(f"agent:{name}" for name in run.decisions)),
            created_at=now,
            deadline=queue.deadline(now, run.order.ship_by),
            thread_id=run.thread,
        )

    def _asked(self, state: OrderGraphState, run: OrderRun) -> ReviewId:
        shard = self._keys.shard_of(run.thread)
        return review_id(run.thread, stage_name(state), run.attempt_group, state.get("round", 0), shard=shard)

    def payload(self, state: OrderGraphState, run: OrderRun) -> dict[str, Any]:
        """What the thread's interrupt shows: a human-in-the-loop request that common inboxes can render."""
        blind = _blind(state, run, self._asked(state, run))
        args: dict[str, Plain] = {"order_id": run.order_id}
        if not blind:
            args["resume_to"] = list(state.get("resume_to", []))
        description = BLIND if blind else "\n".join(str(g["sentence"]) for g in state.get("grounds", []))
        return {**inbox_request("release_order", args, description), "stage": stage_name(state)}

    async def finish(self, run: OrderRun, progress: OrderProgress, detail: str, *, again: bool = False) -> None:
        """Write where the order ended; it may expire with the working state from now on.

        ``again``: it ended there before, and whoever follows the order knows.
        """
        now = self._clock.now()
        facts: dict[str, Plain] = {
            "progress": progress.value,
            "detail": detail,
            "total": run.order.total.model_dump(mode="json"),
            "usd_minor": run.usd_minor,
            "channel": run.order.channel.value,
            "attempt_group": run.attempt_group,
            "again": again,
        }
        fields = {"progress": progress.value, "detail": detail[:500], "changed_at": now.isoformat(), "review": ""}
        event = run.event(f"order.progress.{progress.value}", facts, at=now, part=progress.value)
        await self._journal.advance(
            run.thread,
            fields,
            [event],
            token=run.token,
            at=now,
            tenant=run.tenant,
            entity_id=run.order_id,
            pin=False,
        )


def _keys(state: OrderGraphState) -> list[Plain]:
    """The grounds an approval covers; a failed release is tried again, not approved."""
    return [f"{g['agent']}:{g['code']}" for g in state.get("grounds", [])] if state.get("stage") else []


def _blind(state: OrderGraphState, run: OrderRun, asked: ReviewId) -> bool:
    return only_suggestions(state) and is_blind(run.tenant, asked)


def stage_name(state: OrderGraphState) -> str:
    """The name of the gate that asks, or ``release``."""
    stage = state.get("stage", 0)
    return f"gate_{stage}" if stage else RELEASE_STAGE


def facts_of(run: OrderRun) -> dict[str, Plain]:
    """What the decider is shown. No full address, no contact: who may see those opens the order."""
    order = run.order
    return {
        "channel": order.channel.value,
        "number": order.external_number or order.external_id,
        "total": order.total.model_dump(mode="json"),
        "usd_equivalent": None if run.exposure_usd is None else f"{run.exposure_usd:.2f}",
        "exchange_rate": run.exposure_rate or None,
        "payment": order.payment.method.value,
        "ship_to": ", ".join(part for part in (order.ship_to.city, order.ship_to.country) if part),
        "lines": [
            {"line_id": line.line_id, "sku": line.sku, "title": line.title[:120], "quantity": line.quantity_open}
            for line in order.lines[:50]
        ],
        "issues": [issue.value for issue in order.issues],
        "decisions": {name: _told(d) for name, d in sorted(run.decisions.items())},
        "ship_by": order.ship_by.isoformat() if order.ship_by else None,
    }


def _told(decision: Decision) -> dict[str, Plain]:
    confidence = None if decision.confidence is None else f"{decision.confidence:.2f}"
    return {
        "decision": decision.decision,
        "outcome": decision.outcome.value,
        "confidence": confidence,
        "mode": decision.mode.value,
    }
