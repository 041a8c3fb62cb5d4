"""What an agent may do about one order because of what it has earned, and what is taken back from it on the way."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from agents import SPECS
from domain.autonomy import (
    NOTE,
    POLICY,
    UNCALIBRATED,
    AutonomyPolicy,
    Level,
    Note,
    Segment,
    band_of,
    note_of,
    roll,
    segment_of,
    version_of,
)
from domain.calibration import Said, heard
from domain.decision import Mode, Outcome, Verdict
from domain.effect import EffectKind
from domain.errors import Refused
from graph.effects import Effects
from graph.gate import WITHDRAWN, Ground
from graph.order.run import OrderRun
from graph.runtime.autonomy_book import AutonomyBook
from graph.runtime.clock import Clock
from graph.topology.model import AgentNode, Autonomy

UNKNOWN_MARKET = "ZZ"
_NEVER = 2.0
"""Above every confidence."""
_ACTED_UNASKED = frozenset({Mode.NORMAL, Mode.DEGRADED})


class AutonomyWithdrawn(Refused):
    """An agent the order was about to be released on lost its autonomy; a person decides."""

    code = "refused.autonomy_withdrawn"

    def __init__(self, grounds: Sequence[Ground]) -> None:
        """``grounds`` are what the person is asked about."""
        super().__init__("; ".join(ground.sentence for ground in grounds))
        self.grounds = tuple(grounds)


class Earning:
    """Narrows what the topology allows to what the agents have earned; never widens it."""

    def __init__(self, book: AutonomyBook, clock: Clock, *, policy: AutonomyPolicy = POLICY) -> None:
        """``book`` is what agents have earned."""
        self._book = book
        self._clock = clock
        self._policy = policy

    async def weigh(self, run: OrderRun, node: AgentNode, verdict: Verdict, mode: Mode) -> tuple[Verdict, Mode]:
        """The verdict with its confidence as people have measured it and a note of what it may do, and its mode.

        Raises:
            StoreUnavailable: what the agent has earned cannot be read.
        """
        if node.mode is Autonomy.SHADOW:
            return verdict, mode
        earned = await self._book.earned(run.tenant, node.name)
        spec = SPECS.get((node.name, node.version))
        market = market_of(run)
        version = version_of(node.version, verdict.versions.get("model"))
        # What a fallback says is a rule's word; no reviewer has measured it.
        said = Said(value=verdict.confidence) if mode is Mode.FALLBACK else heard(
            verdict.confidence, earned.calibration, version=version, action=verdict.decision, market=market,
            learned=spec is not None and spec.learned, now=self._clock.now(),
        )  # fmt: skip
        if node.mode is Autonomy.AUTONOMOUS and not (said.calibrated or said.capped):
            return verdict, mode
        segment = Segment(
            tenant=run.tenant, agent=node.name, version=version, action=verdict.decision, outcome=verdict.outcome,
            market=market, band=band_of(run.exposure_usd),
        )  # fmt: skip
        standing = earned.standing(segment)
        level = (standing.level if standing else Level.SUGGESTION) if node.mode is Autonomy.EARNED else None
        note = self._note(run, node, verdict, said, segment, level)
        flags = (*verdict.flags, UNCALIBRATED) if note.capped else verdict.flags
        noted = verdict.model_copy(
            update={"confidence": said.value, "flags": flags, "inputs": verdict.inputs | {NOTE: note.to_plain()}}
        )
        return noted, mode if note.acts or mode not in _ACTED_UNASKED else Mode.SUGGESTION

    def _note(
        self, run: OrderRun, node: AgentNode, verdict: Verdict, said: Said, segment: Segment, level: Level | None
    ) -> Note:
        drawn = roll("ramp", run.tenant, node.name, run.order_id)
        sampled = roll("sample", run.tenant, node.name, run.order_id) < self._policy.sample
        why = _why(level, drawn, sampled=sampled, node=node, segment=segment)
        if not why and said.calibrated and said.value is not None and said.value < (said.threshold or _NEVER):
            asked = "no confidence is proven safe" if said.threshold is None else f"{said.threshold:.2f} is asked"
            why = f"is {said.value:.2f} sure where by the adopted calibration {asked}"
        return Note(
            acts=not why,
            level=level,
            roll=drawn,
            sampled=sampled and level not in {None, Level.SUGGESTION},
            market=segment.market,
            band=segment.band,
            usd_minor=run.usd_minor,
            channel=run.order.channel.value,
            calibrated_at=said.calibrated_at,
            stated=None if verdict.confidence is None else repr(verdict.confidence),
            capped=said.capped and UNCALIBRATED not in verdict.flags,
            why=why,
        )

    async def withdrawn(self, run: OrderRun, nodes: Sequence[AgentNode], approved: frozenset[str]) -> list[Ground]:
        """Grounds for a person where an agent decided on autonomy it no longer has; those ``approved`` are settled.

        Raises:
            StoreUnavailable: what the agents have earned cannot be read.
        """
        grounds = []
        for node in nodes:
            decision = run.decisions.get(node.name) if node.mode is Autonomy.EARNED else None
            note = None if decision is None else note_of(decision)
            if decision is None or note is None or not note.acts or decision.outcome is Outcome.REVIEW:
                continue
            earned = await self._book.earned(run.tenant, node.name)
            standing = earned.standing(segment_of(decision, note))
            if standing is not None and standing.level is not Level.SUGGESTION:
                continue
            why = standing.why if standing else "its record is gone"
            sentence = f"{node.name} decided {decision.decision} on an autonomy it has lost since: {why}"
            ground = Ground(agent=node.name, code=WITHDRAWN, sentence=sentence)
            if ground.key not in approved:
                grounds.append(ground)
        return grounds

    def permit(
        self, run: OrderRun, nodes: Sequence[AgentNode], approved: frozenset[str], effects: Effects
    ) -> Callable[[], Awaitable[None]]:
        """A question to ask before each step of a release that cannot be taken back.

        It raises ``AutonomyWithdrawn`` until goods are being packed: from then on stopping would only leave a parcel
        nobody has announced.
        """

        async def permitted() -> None:
            grounds = await self.withdrawn(run, nodes, approved)
            if grounds and not await effects.has_begun(run.holder, EffectKind.CREATE_FULFILMENT):
                raise AutonomyWithdrawn(grounds)

        return permitted


def market_of(run: OrderRun) -> str:
    """The market an order belongs to: where its goods go."""
    return run.order.ship_to.country or UNKNOWN_MARKET


def usd_of(usd_minor: int | None) -> Decimal | None:
    """US cents as dollars."""
    return None if usd_minor is None else Decimal(usd_minor).scaleb(-2)


def _why(level: Level | None, drawn: int, *, sampled: bool, node: AgentNode, segment: Segment) -> str:
    """Why a decision does not act by itself; empty when it does."""
    if node.mode is Autonomy.SUGGESTION:
        return "is in suggestion mode"
    if level is None:
        return ""
    if level is Level.SUGGESTION:
        return f"has not earned {segment.action} in {segment.market}, {segment.band.value}"
    if sampled:
        return "is checked by a person in a fixed share of cases, this is one"
    if drawn >= level.share:
        return f"decides {level.share // 100} % of such cases by itself, this is not one"
    return ""
