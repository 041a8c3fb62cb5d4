"""The nodes of the supplier graph: asking agents, gates, review, sending, rejection, close."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from langgraph.errors import NodeError
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from domain.conflict import ConflictPolicy
from domain.decision import Outcome
from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected, MissingRate, NotFound, TooLate, Transient
from domain.purchasing import PurchaseOrder, PurchaseOrderState
from domain.supply_case import SupplyProgress
from graph.effects import Effects, effect_key
from graph.gate import GateAction, Ground, Judgement, Policy, judge
from graph.runtime import crash
from graph.runtime.clock import Clock
from graph.runtime.purchase_orders import PurchaseOrders
from graph.supplier.asking import DRAFT, OURS, SupplyAsking
from graph.supplier.reviewing import SupplyReviewing
from graph.supplier.run import SupplyRun, Worth
from graph.supplier.standing import StandingTerms
from graph.supplier.state import SupplyGraphState, SupplyResumption
from graph.topology.compile import NodeFunction
from graph.topology.model import AgentNode, Workflow
from tools.fx import Rates

EXPOSURE_USD = Decimal(500)
"""From here on no order goes out by itself, however sure its agents are (rule R5)."""
CHANGED = "TERMS_CHANGED"
_BEFORE_SENT = (PurchaseOrderState.DRAFT, PurchaseOrderState.IN_REVIEW, PurchaseOrderState.APPROVED)


class SupplyNodes:
    """Makes the nodes of the supplier workflow."""

    def __init__(
        self,
        workflow: Workflow,
        asking: SupplyAsking,
        reviewing: SupplyReviewing,
        effects: Effects,
        orders: PurchaseOrders,
        *,
        standing: StandingTerms,
        rates: Rates,
        clock: Clock,
        conflicts: ConflictPolicy,
    ) -> None:
        """All collaborators are shared by every run."""
        self._workflow = workflow
        self._asking = asking
        self._reviewing = reviewing
        self._effects = effects
        self._orders = orders
        self._standing = standing
        self._rates = rates
        self._clock = clock
        self._policy = Policy(
            conflicts=conflicts, rules={declared.facet: declared.rule for declared in workflow.conflict_rules}
        )

    def agent(self, node: AgentNode) -> NodeFunction:
        """The node that asks one agent."""

        async def ask(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> dict[str, Any]:
            return await self._asking.ask(node, state, runtime)

        return ask

    def on_failure(self, node: AgentNode, goto: str) -> NodeFunction:
        """The node's error handler: the declared fallback."""

        async def recover(state: SupplyGraphState, runtime: Runtime[SupplyRun], error: NodeError) -> Command[Any]:
            return await self._asking.recover(node, goto, runtime, error)

        return recover

    def gate(self, stage: int, next_nodes: list[str]) -> NodeFunction:
        """The node that joins a stage: doubts are gathered and asked about once, with the whole order to look at."""
        stages = self._workflow.stages
        here, last = stages[stage - 1], stage == len(stages)
        earlier = [node for before in stages[: stage - 1] for node in before]

        async def join(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> Command[Any]:
            run, approved = runtime.context, frozenset(state.get("approved", ()))
            worth = await self._worth(run.order)
            judgement = judge(
                here,
                run.decisions,
                exposure_usd=worth.usd,
                earlier=earlier,
                policy=self._policy,
                approved=approved,
                standing=_large(worth) if last else (),
            )
            stuck = any(run.decisions[n.name].outcome is Outcome.HOLD for n in here if n.name in run.decisions)
            return self._onward(state, stage, judgement, next_nodes, ask_now=last or stuck)

        return join

    def _onward(
        self, state: SupplyGraphState, stage: int, judgement: Judgement, next_nodes: list[str], *, ask_now: bool
    ) -> Command[Any]:
        grounds = [*state.get("grounds", []), *(asdict(ground) for ground in judgement.grounds)]
        update: dict[str, Any] = {"stage": stage, "grounds": grounds}
        match judgement.action:
            case GateAction.PARK:
                return Command(goto="park", update=update)
            case GateAction.CANCEL:
                return Command(
                    goto="cancel", update=update | {"detail": "; ".join(g.sentence for g in judgement.grounds)}
                )
            case _ if ask_now and grounds:
                verdict = "approve" if judgement.recommendation == "look" and _only_asked(grounds) else "look"
                asked = {"recommendation": verdict, "rule": judgement.rule, "resume_to": next_nodes}
                return Command(goto="request_review", update=update | asked)
            case _:
                return Command(goto=next_nodes, update=update)

    @property
    def request_review(self) -> NodeFunction:
        """Writes the question; a crash before the interrupt asks the same question again."""

        async def request(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> dict[str, Any]:
            run = runtime.context
            await self._reviewing.request(state, run, await self._worth(run.order))
            order = run.order
            if order is not None and run.decisions[DRAFT].outcome is Outcome.PROCEED:
                await self._orders.move(
                    run.tenant, run.number, to=PurchaseOrderState.IN_REVIEW, expected=_BEFORE_SENT, at=self._clock.now()
                )
            crash.point("review.requested")
            return {}

        return request

    @property
    def await_review(self) -> NodeFunction:
        """Does nothing but wait: on resumption its body runs again from the top."""
        first = [node.name for node in self._workflow.stages[0]]

        async def wait(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> Command[Any]:
            answer = SupplyResumption.model_validate(
                interrupt(self._reviewing.payload(state, runtime.context), response_schema=SupplyResumption)
            )
            update: dict[str, Any] = {
                "round": state.get("round", 0) + 1,
                "detail": answer.detail,
                "grounds": [],
                "approved": sorted({*state.get("approved", ()), *answer.approved}),
            }
            match answer.action:
                case "approve":
                    return Command(goto=state["resume_to"], update=update)
                case "recheck":
                    update |= {"attempt_group": runtime.context.record.attempt_group, "stage": 0, "approved": []}
                    return Command(goto=first, update=update)
                case "reject":
                    return Command(goto="cancel", update=update)

        return wait

    @property
    def fulfil(self) -> NodeFunction:
        """Sends the approved version, unless its terms no longer stand: then the approval is void and a person is asked."""

        async def send(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> Command[Any]:
            run, now = runtime.context, self._clock.now()
            draft = run.decisions[DRAFT]
            order = run.order
            if order is None or not draft.proposals:
                return Command(goto="request_review", update=_void("there is no order to send"))
            key = effect_key(run.tenant, run.number, EffectKind.SEND_PURCHASE_ORDER, str(order.version), 0)
            if not await self._effects.has_begun(run.holder, EffectKind.SEND_PURCHASE_ORDER):
                changed = await self._standing.findings(order, today=now.date())
                if changed:
                    return Command(goto="request_review", update=_void("; ".join(text for _, text in changed)))
            await self._orders.move(
                run.tenant, run.number, to=PurchaseOrderState.APPROVED, expected=_BEFORE_SENT, at=now,
                detail=state.get("detail", ""),
            )  # fmt: skip
            crash.point("purchase_order.approved")
            effect = Effect(
                key=key, kind=EffectKind.SEND_PURCHASE_ORDER, tenant=run.tenant, entity_id=run.number,
                args=draft.proposals[0].args, decision_id=draft.decision_id,
            )  # fmt: skip
            try:
                receipt = await self._effects.apply(run.holder, effect, heed_cancel=False)
            except OURS:
                raise
            except (ConnectorRejected, TooLate, Transient) as failure:
                return Command(goto="request_review", update=_void(f"it could not be sent: {failure}"))
            await self._orders.move(
                run.tenant, run.number, to=PurchaseOrderState.SENT, expected=_BEFORE_SENT, at=receipt.applied_at,
                detail=f"sent as {receipt.reference}",
            )  # fmt: skip
            detail = f"version {order.version} sent to {order.vendor.legal_name} as {receipt.reference}"
            return Command(goto="close", update={"outcome": SupplyProgress.SENT.value, "detail": detail})

        return send

    @property
    def cancel(self) -> NodeFunction:
        """A person said no, or something forbids it: the order is rejected and its SKUs are free again."""

        async def reject(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> dict[str, Any]:
            run, detail = runtime.context, state.get("detail", "rejected")
            await self._drop(run, PurchaseOrderState.REJECTED, detail)
            return {"outcome": SupplyProgress.REJECTED.value, "detail": detail}

        return reject

    @property
    def park(self) -> NodeFunction:
        """Nothing has to be ordered."""

        async def leave(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> dict[str, Any]:
            decisions = runtime.context.decisions.values()
            why = "; ".join(r.text for d in decisions if d.outcome is Outcome.LIMIT for r in d.reasons)
            detail = why or "nothing has to be ordered"
            await self._drop(runtime.context, PurchaseOrderState.CANCELLED, detail)
            return {"outcome": SupplyProgress.NOT_NEEDED.value, "detail": detail}

        return leave

    @property
    def close(self) -> NodeFunction:
        """Writes where the chain ended; the last thing a run does."""

        async def close(state: SupplyGraphState, runtime: Runtime[SupplyRun]) -> dict[str, Any]:
            progress = SupplyProgress(state["outcome"])
            await self._reviewing.finish(runtime.context, progress, state.get("detail", ""))
            crash.point("progress.written")
            return {}

        return close

    async def _drop(self, run: SupplyRun, to: PurchaseOrderState, detail: str) -> None:
        """Close an order that was drafted and will not be sent."""
        with suppress(NotFound):
            await self._orders.move(
                run.tenant, run.number, to=to, expected=_BEFORE_SENT, at=self._clock.now(), detail=detail
            )

    async def _worth(self, order: PurchaseOrder | None) -> Worth:
        if order is None:
            return Worth(usd=None)
        try:
            return Worth(usd=(await self._rates.usd_equivalent(order.total)).amount)
        except MissingRate:
            return Worth(usd=None)


def _large(worth: Worth) -> Sequence[Ground]:
    if worth.usd is not None and worth.usd < EXPOSURE_USD:
        return ()
    told = "of unknown value (no exchange rate)" if worth.usd is None else f"worth {worth.usd:.2f} USD"
    sentence = f"the order is {told}; from {EXPOSURE_USD} USD on a person approves it"
    return (Ground(agent="signalbox", code="EXPOSURE", sentence=sentence),)


def _only_asked(grounds: Sequence[dict[str, Any]]) -> bool:
    """Whether a person is asked only because that is the rule, not because something is wrong."""
    return all(ground["code"] in {"SUGGESTION", "EXPOSURE"} for ground in grounds)


def _void(why: str) -> dict[str, Any]:
    ground = Ground(agent="signalbox", code=CHANGED, sentence=f"the approval is void: {why}")
    return {
        "grounds": [asdict(ground)],
        "recommendation": "try again",
        "resume_to": ["cancel"],
        "stage": 0,
        "detail": why,
    }
