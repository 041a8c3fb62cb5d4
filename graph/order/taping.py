"""Tapes of live decisions: the agent is asked under a tape, and the tape goes into the journal with the decision.

A value that many decisions share travels once for each process: later tapes only name it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agents.recording import Recorder
from domain.decision import Decision
from domain.tape import Tape
from domain.values import Plain
from graph.order.run import OrderRun

REMEMBERED = 20_000
"""Values a process remembers to have sent; one forgotten is sent again."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How one decision was asked for."""

    at: datetime
    recorder: Recorder
    hints: Mapping[str, Plain]
    seen: Mapping[str, str]
    """The decisions the agent was shown, by agent."""
    fallback: str = ""
    why: str = ""


class Tapes:
    """Writes tapes for one process."""

    def __init__(self, *, without: tuple[str, ...] = ()) -> None:
        """``without`` names the sources its agents do not have."""
        self._without = without
        self._sent: OrderedDict[tuple[str, str], None] = OrderedDict()

    def tape(self, run: OrderRun, decision: Decision, asked: Asked) -> Tape:
        """The tape of a decision, with the values that nobody has sent yet."""
        digest, document = run.document
        values = asked.recorder.values | {digest: document}
        return Tape(
            decision_id=decision.decision_id,
            tenant=decision.tenant,
            entity_id=decision.entity_id,
            agent=decision.agent,
            version=decision.versions.agent,
            asked_at=asked.at,
            accepted_at=run.accepted_at,
            order=digest,
            order_version=run.version,
            attempt_group=run.attempt_group,
            hints=dict(asked.hints),
            seen=dict(asked.seen),
            reads=asked.recorder.reads,
            without=self._without,
            fallback=asked.fallback,
            why=asked.why,
            values={name: text for name, text in values.items() if (run.tenant, name) not in self._sent},
        )

    def sent(self, tape: Tape) -> None:
        """Remember that the tape is in the journal."""
        for name in tape.values:
            self._sent[tape.tenant, name] = None
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
