"""Replays: an agent asked again exactly as it was asked, or a newer one asked in its place.

Replayed agents answer from the tape alone. Nothing here has a lease, a journal or an effect, so nothing can happen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

from pydantic import ValidationError

from agents import AgentPorts
from agents.playback_ports import playback_ports
from agents.published import replayed
from agents.recording import Playback, Values, on_tape
from domain.autonomy import as_said
from domain.decision import Decision, Mode, Verdict
from domain.errors import NotFound, SignalboxError
from domain.order import Order
from domain.ports import Agent, AgentCase
from domain.tape import Tape
from domain.values import Plain, digest
from graph.order.asking import NO_FALLBACK, fallback_verdict, marked
from graph.runtime.tapes import TapeBook

SAID = ("decision", "outcome", "confidence", "flags", "reasons", "counterfactual", "proposals", "facts", "inputs")
"""What of a decision must come out the same: everything the agent said, nothing about when it was asked."""

MakeAgent = Callable[[str, str, AgentPorts], Agent]
"""Builds one version of an agent on ports."""


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of playing one tape to one agent."""

    verdict: Verdict | None
    """None when the agent could not answer from the tape."""
    missing: tuple[str, ...] = ()
    """Reads it made that are not on the tape."""
    failure: str = ""
    """Why there is no verdict."""
    took_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One part of a decision that came out otherwise."""

    part: str
    was: str
    now: str


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One past decision, made again from its record."""

    decision_id: str
    order_id: str
    agent: str
    version: str
    recorded: str
    """The decision's own word then."""
    repeated: str
    """And now; empty when it could not be made."""
    recorded_digest: str
    repeated_digest: str
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]
    failure: str
    code: str
    """Version of the code that made it."""

    @property
    def same(self) -> bool:
        """Whether the very same decision came out."""
        return self.recorded_digest == self.repeated_digest


class TapeDeck:
    """Plays tapes to agents of any version; each version is built once."""

    def __init__(
        self, values: Mapping[str, str], decisions: Mapping[str, Decision], *, make: MakeAgent = replayed
    ) -> None:
        """``values`` and ``decisions`` are what the tapes name; both may grow. ``make`` builds a version."""
        self._make = make
        self._texts = values
        self._values = Values(values)
        self._decisions = decisions
        self._ports = playback_ports()
        self._agents: dict[tuple[str, str], Agent] = {}
        self._orders: dict[str, Order] = {}

    def agent(self, name: str, version: str) -> Agent:
        """The agent, on ports that answer from tapes.

        Raises:
            ConfigError: there is no such version.
        """
        if (name, version) not in self._agents:
            self._agents[name, version] = self._make(name, version, self._ports)
        return self._agents[name, version]

    def order(self, tape: Tape) -> Order:
        """The order document the decision was made on.

        Raises:
            NotFound: it is not kept any more.
        """
        if tape.order not in self._orders:
            if tape.order not in self._texts:
                raise NotFound(
                    f"the document of order {tape.entity_id} is not kept any more, so nothing can be replayed"
                )
            self._orders[tape.order] = Order.from_json(self._texts[tape.order])
        return self._orders[tape.order]

    def case(self, tape: Tape) -> AgentCase:
        """The case the agent was given.

        Raises:
            NotFound: the order's document or a decision it was shown is not kept any more.
        """
        if lost := sorted(name for name, known in tape.seen.items() if known not in self._decisions):
            raise NotFound(f"the decision of {', '.join(lost)} that was shown is not in the audit")
        return AgentCase(
            order=self.order(tape),
            order_version=tape.order_version,
            decisions={name: self._decisions[known] for name, known in tape.seen.items()},
            now=tape.asked_at,
            accepted_at=tape.accepted_at,
            attempt_group=tape.attempt_group,
            hints={} if tape.fallback else tape.hints,
        )

    async def play(self, agent: Agent, tape: Tape, *, case: AgentCase | None = None) -> Played:
        """Ask the agent; ``case`` other than the recorded one may be given. Whatever fails is part of the answer."""
        playback = Playback(tape.reads, self._values, without=tape.without)
        started_s = perf_counter()
        try:
            with on_tape(playback):
                verdict = await _asked(agent, tape, case or self.case(tape))
        except (SignalboxError, ArithmeticError, LookupError, TypeError, ValueError, ValidationError) as failure:
            why = str(failure) if isinstance(failure, SignalboxError) else f"{type(failure).__name__}: {failure}"
            took_ms = (perf_counter() - started_s) * 1000
            return Played(verdict=None, missing=tuple(playback.missing), failure=why, took_ms=took_ms)
        took_ms = (perf_counter() - started_s) * 1000
        if tape.hints.get("mode") == "degraded":
            verdict, _ = marked(verdict, Mode.NORMAL)
        return Played(verdict=verdict, missing=tuple(playback.missing), took_ms=took_ms)


async def _asked(agent: Agent, tape: Tape, case: AgentCase) -> Verdict:
    if not tape.fallback:
        return await agent.decide(case)
    return fallback_verdict(agent, None if tape.fallback == NO_FALLBACK else tape.fallback, case, tape.why)


class Replays:
    """Makes past decisions again from their records."""

    def __init__(self, book: TapeBook) -> None:
        """``book`` has the tapes; the decisions come from the audit beside it."""
        self._book = book

    async def deck(self, tapes: Sequence[Tape], *, make: MakeAgent = replayed) -> TapeDeck:
        """A deck with everything these tapes name; they must be of one tenant."""
        if not tapes:
            return TapeDeck({}, {}, make=make)
        tenant = tapes[0].tenant
        named = {tape.order for tape in tapes} | {d for tape in tapes for d in shared(tape)}
        shown = {known for tape in tapes for known in tape.seen.values()}
        texts, decisions = await self._book.values(tenant, named), await self._book.decisions(tenant, shown)
        return TapeDeck(texts, decisions, make=make)

    async def decision(self, tenant: str, decision_id: str) -> Replayed:
        """One decision made again.

        Raises:
            NotFound: there is no tape of it, or it is not audited.
        """
        return (await self._replayed(tenant, [await self._book.find(tenant, decision_id)]))[0]

    async def order(self, tenant: str, order_id: str) -> list[Replayed]:
        """Every decision on an order made again, oldest first.

        Raises:
            NotFound: there is no tape of this order.
        """
        tapes = await self._book.of_order(tenant, order_id)
        if not tapes:
            raise NotFound(f"there is no tape of order {order_id!r}: it was erased, or never judged in this tenant")
        return await self._replayed(tenant, tapes)

    async def _replayed(self, tenant: str, tapes: list[Tape]) -> list[Replayed]:
        recorded = await self._book.decisions(tenant, [tape.decision_id for tape in tapes])
        deck = await self.deck(tapes)
        found = []
        for tape in tapes:
            decision = recorded.get(tape.decision_id)
            if decision is None:
                raise NotFound(f"decision {tape.decision_id} is not in the audit yet; try again in a moment")
            try:
                played = await deck.play(deck.agent(tape.agent, tape.version), tape)
            except SignalboxError as gone:
                played = Played(verdict=None, failure=str(gone))
            found.append(compared(tape, decision, played))
        return found


def shared(tape: Tape) -> set[str]:
    """The digests a tape's reads name."""
    return {entry[1:] for entries in tape.reads.values() for entry in entries if entry.startswith("@")}


def compared(tape: Tape, recorded: Decision, played: Played) -> Replayed:
    """A recorded decision beside what came of playing its tape."""
    was = said(as_said(recorded))
    now = said(played.verdict) if played.verdict is not None else {}
    differences = tuple(
        Difference(part=part, was=_short(was[part]), now=_short(now.get(part)))
        for part in SAID
        if played.verdict is not None and was[part] != now[part]
    )
    return Replayed(
        decision_id=tape.decision_id,
        order_id=tape.entity_id,
        agent=tape.agent,
        version=tape.version,
        recorded=recorded.decision,
        repeated=played.verdict.decision if played.verdict is not None else "",
        recorded_digest=digest(was),
        repeated_digest=digest(now) if now else "",
        differences=differences,
        missing=played.missing,
        failure=played.failure,
        code=recorded.versions.code,
    )


def said(answer: Decision | Verdict) -> dict[str, Plain]:
    """What an agent said, as plain data."""
    kept: dict[str, Plain] = answer.model_dump(mode="json", include=set(SAID))
    return kept


def said_digest(answer: Decision | Verdict) -> str:
    """Digest of what an agent said."""
    return digest(said(answer))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]} ..."
