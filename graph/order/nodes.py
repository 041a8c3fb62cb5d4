"""The nodes of the order graph: asking agents, gates, review, release, cancellation, close."""

from dataclasses import asdict
from typing import Any

import structlog
from langgraph.errors import NodeError
from langgraph.runtime import Runtime
from langgraph.types import Command, interrupt

from domain.conflict import ConflictPolicy
from domain.decision import Outcome
from domain.errors import ConnectorRejected, InsufficientStock, TooLate, Transient
from domain.order import OrderProgress, OrderState
from graph.effects import CancelRequested, Effects
from graph.gate import GateAction, Ground, Judgement, Policy, judge
from graph.order.amending import LateAmendment
from graph.order.asking import OURS, Asking
from graph.order.claiming import Claiming, Contested
from graph.order.earning import AutonomyWithdrawn, Earning
from graph.order.parking import Parking
from graph.order.release import give_back, release, take_back
from graph.order.reviewing import RELEASE_STAGE, Reviewing, stage_name
from graph.order.run import OrderRun
from graph.order.state import OrderGraphState, Resumption
from graph.runtime import crash
from graph.runtime.clock import Clock
from graph.runtime.journal import Journal
from graph.runtime.metrics import Metrics
from graph.topology.compile import NodeFunction
from graph.topology.model import AgentNode, Workflow

log = structlog.get_logger(__name__)


class OrderNodes:
    """Makes the nodes of the order workflow."""

    def __init__(
        self,
        workflow: Workflow,
        asking: Asking,
        reviewing: Reviewing,
        effects: Effects,
        journal: Journal,
        *,
        parking: Parking,
        earning: Earning,
        clock: Clock,
        metrics: Metrics,
        conflicts: ConflictPolicy,
        claiming: Claiming,
    ) -> None:
        """All collaborators are shared by every run; ``conflicts`` settles what agents contradict each other in."""
        self._earning = earning
        self._claiming = claiming
        self._workflow = workflow
        self._parking = parking
        self._asking = asking
        self._reviewing = reviewing
        self._effects = effects
        self._journal = journal
        self._clock = clock
        self._metrics = metrics
        self._policy = Policy.of(workflow, conflicts)

    def agent(self, node: AgentNode) -> NodeFunction:
        """The node that asks one agent."""

        async def ask(state: OrderGraphState, runtime: Runtime[OrderRun]) -> dict[str, Any]:
            return await self._asking.ask(node, state, runtime)

        return ask

    def on_failure(self, node: AgentNode, goto: str) -> NodeFunction:
        """The node's error handler: the declared fallback."""

        async def recover(state: OrderGraphState, runtime: Runtime[OrderRun], error: NodeError) -> Command[Any]:
            return await self._asking.recover(node, goto, runtime, error)

        return recover

    def gate(self, stage: int, next_nodes: list[str]) -> NodeFunction:
        """The node that joins a stage and says where the order goes."""
        stages = self._workflow.stages
        here = stages[stage - 1]
        earlier = [node for before in stages[: stage - 1] for node in before]

        async def join(state: OrderGraphState, runtime: Runtime[OrderRun]) -> Command[Any]:
            run, approved = runtime.context, frozenset(state.get("approved", ()))
            lost = await self._earning.withdrawn(run, [*earlier, *here], approved)
            judgement = judge(
                here,
                run.decisions,
                exposure_usd=run.exposure_usd,
                earlier=earlier,
                policy=self._policy,
                approved=approved,
                standing=(*_standing(run), *lost),
            )
            await self._publish_conflicts(run, stage, judgement)
            return self._onward(state, stage, judgement, next_nodes)

        return join

    async def _publish_conflicts(self, run: OrderRun, stage: int, judgement: Judgement) -> None:
        at = self._clock.now()
        events = [
            run.event(
                "order.conflict.recorded",
                c.facts() | {"usd_minor": run.usd_minor, "exchange_rate": run.exposure_rate or None},
                at=at,
                part=f"{stage}:{c.facet}:{c.resolution.winner.agent}:{c.resolution.loser.agent}",
            )
            for c in judgement.conflicts
        ]
        if events:
            await self._journal.advance(run.thread, {}, events, token=run.token, at=at)

    def _onward(self, state: OrderGraphState, stage: int, judgement: Judgement, next_nodes: list[str]) -> Command[Any]:
        match judgement.action:
            case GateAction.PROCEED:
                return Command(goto=next_nodes, update={"stage": stage})
            case GateAction.PARK:
                return Command(goto="park", update={"stage": stage, "detail": ""})
            case GateAction.CANCEL:
                detail = "; ".join(g.sentence for g in judgement.grounds)
                return Command(goto="cancel", update={"stage": stage, "detail": detail})
            case GateAction.REVIEW:
                onward = ["park"] if judgement.after_approval is GateAction.PARK else next_nodes
                update = {
                    "stage": stage,
                    "grounds": [asdict(g) for g in judgement.grounds],
                    "recommendation": judgement.recommendation,
                    "resume_to": onward,
                }
                return Command(goto="request_review", update=update)

    @property
    def request_review(self) -> NodeFunction:
        """Writes the question; a crash before the interrupt asks the same question again."""

        async def request(state: OrderGraphState, runtime: Runtime[OrderRun]) -> dict[str, Any]:
            if stage_name(state) == RELEASE_STAGE:
                await give_back(runtime.context, self._effects, reason=state.get("detail", "the release failed"))
            await self._reviewing.request(state, runtime.context)
            crash.point("review.requested")
            return {}

        return request

    @property
    def await_review(self) -> NodeFunction:
        """Does nothing but wait: on resumption its body runs again from the top."""
        first = [node.name for node in self._workflow.stages[0]]

        async def wait(state: OrderGraphState, runtime: Runtime[OrderRun]) -> Command[Any]:
            answer = Resumption.model_validate(
                interrupt(self._reviewing.payload(state, runtime.context), response_schema=Resumption)
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
                    update |= {"attempt_group": runtime.context.attempt_group, "stage": 0}
                    return Command(goto=first, update=update)
                case "reject":
                    return Command(goto="cancel", update=update)

        return wait

    @property
    def fulfil(self) -> NodeFunction:
        """Releases the order, or says where it goes instead; what was done is undone there.

        That the release is over is written before anything of it is taken back: a release repeated after a crash
        inside the undo would build on what is no longer there.
        """

        async def fulfil(state: OrderGraphState, runtime: Runtime[OrderRun]) -> Command[Any]:
            run, approved = runtime.context, frozenset(state.get("approved", ()))
            blocking = [node for stage in self._workflow.stages for node in stage]
            run.permitted = self._earning.permit(run, blocking, approved, self._effects)
            try:
                async with self._claiming.releasing(run, approved):
                    detail = await release(run, self._effects)
            except Contested as against:
                return Command(goto="request_review", update=against.asked(len(self._workflow.stages)))
            except AutonomyWithdrawn as lost:
                return Command(goto="request_review", update=_withdrawn(lost, len(self._workflow.stages)))
            except CancelRequested as asked:
                return await self._heed(run, asked)
            except InsufficientStock as short:
                return Command(goto="park", update={"detail": str(short)})
            except OURS:
                raise
            except (ConnectorRejected, TooLate, Transient) as failure:
                return Command(goto="request_review", update=_failed(failure))
            return Command(goto="close", update={"outcome": OrderProgress.FULFILLED.value, "detail": detail})

        return fulfil

    async def _heed(self, run: OrderRun, asked: CancelRequested) -> Command[Any]:
        """A cancellation that came during the release: followed, unless a parcel has left meanwhile."""
        gone = await self._effects.gone(run.holder)
        if not gone:
            return Command(goto="cancel", update={"detail": str(asked)})
        at, parcels = self._clock.now(), ", ".join(gone)
        event = run.event("order.cancel.refused", {"detail": f"the carrier has parcel {parcels}"}, at=at, part=parcels)
        await self._journal.advance(run.thread, {"cancel": ""}, [event], token=run.token, at=at)
        return Command(goto="fulfil")

    @property
    def cancel(self) -> NodeFunction:
        """Compensates in reverse and tells channel and OMS."""

        async def cancel(state: OrderGraphState, runtime: Runtime[OrderRun]) -> dict[str, Any]:
            detail = state.get("detail", "cancelled")
            async with self._claiming.cancelling(runtime.context, reason=detail):
                await take_back(runtime.context, self._effects, reason=detail)
            return {"outcome": OrderProgress.CANCELLED.value, "detail": detail}

        return cancel

    @property
    def park(self) -> NodeFunction:
        """Gives back whatever is held and puts the order aside until stock arrives."""

        async def park(state: OrderGraphState, runtime: Runtime[OrderRun]) -> dict[str, Any]:
            run = runtime.context
            detail = state.get("detail") or _waits(run)
            # Entered before anything is given back: what arrives from now on finds the order.
            before = await self._parking.put(run)
            await give_back(run, self._effects, reason=detail)
            return {"outcome": OrderProgress.BACKORDERED.value, "detail": detail, "parked_before": before}

        return park

    @property
    def close(self) -> NodeFunction:
        """Writes the summary; the last thing a run does."""

        async def close(state: OrderGraphState, runtime: Runtime[OrderRun]) -> dict[str, Any]:
            progress = OrderProgress(state["outcome"])
            again = state.get("parked_before", False)
            await self._reviewing.finish(runtime.context, progress, state.get("detail", ""), again=again)
            crash.point("progress.written")
            self._metrics.reached(progress)
            return {}

        return close


def _waits(run: OrderRun) -> str:
    """Why the order is put aside, in the words of the agents that say so."""
    reasons = [r.text for d in run.decisions.values() if d.outcome is Outcome.LIMIT for r in d.reasons]
    return "; ".join(dict.fromkeys(reasons)) or "stock is short"


def _standing(run: OrderRun) -> tuple[Ground, ...]:
    grounds = []
    if run.order.state is OrderState.CANCEL_REQUESTED:
        sentence = f"the buyer asked {run.order.channel} to cancel; approve to ship all the same, reject to cancel"
        grounds.append(Ground(agent="signalbox", code="CANCEL_REQUESTED", sentence=sentence))
    if run.late:
        late = LateAmendment.from_json(run.late)
        grounds.append(Ground(agent="signalbox", code=late.code, sentence=late.sentence))
    return tuple(grounds)


def _withdrawn(lost: AutonomyWithdrawn, last_stage: int) -> dict[str, Any]:
    """Ask as the last gate would have: what was begun stays, an approval goes on with it, a rejection takes it back."""
    return {
        "grounds": [asdict(ground) for ground in lost.grounds],
        "recommendation": "look",
        "resume_to": ["fulfil"],
        "stage": last_stage,
        "detail": str(lost),
    }


def _failed(failure: Exception) -> dict[str, Any]:
    code = getattr(failure, "code", "failed").rpartition(".")[2].upper()
    ground = Ground(agent="signalbox", code=f"RELEASE_{code}", sentence=f"the release was undone: {failure}")
    return {
        "grounds": [asdict(ground)],
        "recommendation": "try again",
        "resume_to": ["cancel"],
        "stage": 0,
        "detail": ground.sentence,
    }
