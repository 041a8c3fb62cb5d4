"""The declared fallbacks several agents share. They read nothing, so they cannot fail when everything else does."""

from domain.decision import Outcome, Reason, Verdict
from domain.errors import ConfigError


def manual_review_queue(agent: str, why: str) -> Verdict:
    """A person decides, because the agent could not."""
    return Verdict(
        decision="review",
        outcome=Outcome.REVIEW,
        confidence=None,
        flags=("fallback",),
        reasons=(Reason(code="AGENT_UNAVAILABLE", text=f"{agent} gave no answer ({why}); a person decides"),),
        facts={"fallback": "manual_review_queue", "why": why},
    )


def retry_queue(agent: str, why: str) -> Verdict:
    """Nothing is done now; the work is taken up again later and never holds the order."""
    return Verdict(
        decision="retry_later",
        outcome=Outcome.PROCEED,
        confidence=None,
        flags=("fallback", "retry"),
        reasons=(Reason(code="AGENT_UNAVAILABLE", text=f"{agent} gave no answer ({why}); it is tried again later"),),
        facts={"fallback": "retry_queue", "why": why},
    )


def undeclared(agent: str, name: str, declared: tuple[str, ...]) -> ConfigError:
    """The error for a topology that names a fallback this agent does not have."""
    return ConfigError(f"{agent} has no fallback {name!r}; declare one of {', '.join(declared)} in the topology file")
