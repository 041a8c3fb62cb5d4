"""Sides of conflicts for tests, by one line each."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from domain.conflict import Party, Phase, Side
from graph.topology.conflict_policy import shipped_policy

NOW = datetime(2026, 11, 11, 3, 0, tzinfo=UTC)
POLICY = shipped_policy()


def side(
    agent: str, effect: str, tier: int, confidence: str | None, usd: str | None = "120", **changes: object
) -> Side:
    """``effect`` is ``facet/action`` of the shipped policy; a calibrator of last week stands behind the confidence."""
    facet, _, action = effect.partition("/")
    given: dict[str, object] = {
        "decision_id": f"d-{agent}",
        "agent": agent,
        "facet": facet,
        "action": action,
        "stance": POLICY.stance(facet, action),
        "tier": tier,
        "party": Party.LEGAL if agent in POLICY.legal else Party.AGENT,
        "confidence": confidence,
        "calibrated_at": NOW - timedelta(days=7),
        "exposure_usd": None if usd is None else Decimal(usd),
        "state_version": 1,
        "phase": Phase.PROPOSED,
    }
    return Side.model_validate(given | changes)
