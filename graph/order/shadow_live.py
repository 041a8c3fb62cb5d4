"""Live shadow: candidates answer the questions production's agents were asked, from the same tapes, after them.

A consumer group of its own: no order ever waits for a candidate, and a candidate reads nothing but the tape.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

import structlog
from pydantic import ValidationError

from agents import SPECS
from agents.playback_ports import playback_ports
from agents.published import replayed
from domain.errors import MalformedPayload, StoreUnavailable, Transient
from domain.ports import Agent, Delivery
from domain.tape import Tape
from graph.order.replaying import Played, TapeDeck, shared
from graph.runtime.clock import Clock
from graph.runtime.journal import TAPES
from graph.runtime.shadow_live import CandidateBook, CandidateRecord, ShadowAnswer
from graph.runtime.tapes import TapeBook

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 2.0
LONGEST_S = 10.0
"""A candidate that has not answered by then has not answered."""
GIVEN_UP_AFTER = timedelta(minutes=2)
"""What a tape names is kept within seconds; after this the candidate's answer is that it is not."""
REBUILT_AFTER = 2_000
"""Answers after which a candidate is built anew, so that what it has kept of old tapes goes."""


class LiveShadow:
    """Lets candidates answer; one instance serves every tenant."""

    topic = TAPES
    group = "shadow"

    def __init__(self, candidates: CandidateBook, tapes: TapeBook, clock: Clock) -> None:
        """Nobody runs before the first ``look``."""
        self._candidates = candidates
        self._tapes = tapes
        self._clock = clock
        self._running: dict[tuple[str, str], list[CandidateRecord]] = {}
        self._built: dict[tuple[str, str], tuple[Agent, int]] = {}

    async def look(self) -> None:
        """Read which candidates run.

        Raises:
            StoreUnavailable: the database is away; those known go on.
        """
        running: dict[tuple[str, str], list[CandidateRecord]] = {}
        for one in await self._candidates.listed(running=True):
            if (one.agent, one.version) in SPECS:
                running.setdefault((one.tenant, one.agent), []).append(one)
        self._running = running

    async def watch(self, stop: asyncio.Event) -> None:
        """Look again and again until stopped."""
        while not stop.is_set():
            try:
                await self.look()
            except StoreUnavailable as away:
                log.warning("shadow.not_read", why=str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await stop.wait()

    def concerns(self, _delivery: Delivery) -> bool:
        """Whether any candidate runs at all."""
        return bool(self._running)

    async def handle(self, delivery: Delivery) -> None:
        """Let every candidate for this agent and tenant answer, and keep what they say.

        Raises:
            MalformedPayload: it is no tape.
            Transient: what the tape names is not kept yet; it should be delivered again.
        """
        try:
            tape = Tape.from_json(delivery.message.body)
        except ValidationError:
            raise MalformedPayload("not a tape of a decision") from None
        wanted = [one for one in self._running.get((tape.tenant, tape.agent), []) if tape.asked_at >= one.started_at]
        if not wanted:
            return
        deck = await self._deck(tape)
        for one in wanted:
            await self._candidates.note(await self._answer(deck, tape, one))

    async def _deck(self, tape: Tape) -> TapeDeck:
        needed = ({tape.order} | shared(tape)) - tape.values.keys()
        texts = tape.values | (await self._tapes.values(tape.tenant, needed) if needed else {})
        decisions = await self._tapes.decisions(tape.tenant, tape.seen.values()) if tape.seen else {}
        lacking = needed - texts.keys() or set(tape.seen.values()) - decisions.keys()
        if lacking and self._clock.now() - tape.asked_at < GIVEN_UP_AFTER:
            raise Transient(f"the tape of {tape.decision_id} names what is not kept yet; it comes again")
        return TapeDeck(texts, decisions)

    async def _answer(self, deck: TapeDeck, tape: Tape, candidate: CandidateRecord) -> ShadowAnswer:
        agent = self._agent(candidate.agent, candidate.version)
        asked = tape.model_copy(update={"fallback": "", "why": ""})
        try:
            async with asyncio.timeout(LONGEST_S):
                played = await deck.play(agent, asked)
        except TimeoutError:
            played = Played(verdict=None, failure=f"no answer within {LONGEST_S:.0f} s")
        return ShadowAnswer(
            tenant=tape.tenant,
            decision_id=tape.decision_id,
            version=candidate.version,
            entity_id=tape.entity_id,
            agent=tape.agent,
            verdict=played.verdict,
            failure=played.failure,
            missing=played.missing,
            took_ms=played.took_ms,
            answered_at=self._clock.now(),
        )

    def _agent(self, name: str, version: str) -> Agent:
        agent, answers = self._built.get((name, version), (None, 0))
        if agent is None or answers >= REBUILT_AFTER:
            agent, answers = replayed(name, version, playback_ports()), 0
        self._built[name, version] = agent, answers + 1
        return agent
