"""Claims of the order workflow: what another workflow may contradict is claimed around the release and a cancellation.

The order's lease is held, so release and cancellation never meet here; support, refunds and tier 3 do.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from domain.claim import Claim, ClaimState, Entity
from domain.conflict import Party, Side, Stance
from domain.errors import Refused, SignalboxError
from domain.ids import stable_id
from graph.gate import Ground
from graph.order.asking import OURS
from graph.order.run import OrderRun
from graph.runtime.claims import Claims
from graph.runtime.clock import Clock
from graph.runtime.orders import WORKFLOW

RELEASE, CANCEL = "order.release", "order.cancel"
AGENT = "order_workflow"
_CERTAIN = Decimal("1.00")
"""The gate has let it through, or a person has."""


class Contested(Refused):
    """Another decision about the order stands against this one; a person decides between them."""

    code = "refused.contested"

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim.why or f"{claim.side.facet} is claimed elsewhere")
        self.ground = Ground(agent="signalbox", code="CONTESTED", sentence=str(self))

    def asked(self, last_stage: int) -> dict[str, Any]:
        """Ask as the last gate would have: an approval releases all the same, a rejection cancels."""
        return {
            "grounds": [asdict(self.ground)],
            "recommendation": "look",
            "resume_to": ["fulfil"],
            "stage": last_stage,
            "detail": str(self),
        }


class Claiming:
    """Occupies a facet while something irreversible is done. A crash leaves it occupied until the order goes on."""

    def __init__(self, claims: Claims, clock: Clock) -> None:
        """``claims`` are those every workflow asks."""
        self._claims = claims
        self._clock = clock

    @asynccontextmanager
    async def releasing(self, run: OrderRun, approved: frozenset[str]) -> AsyncIterator[None]:
        """Release within the block.

        Raises:
            Contested: another decision stands against it, and no person has approved the release since.
            StoreUnavailable: no answer.
        """
        by = Party.PERSON if "signalbox:CONTESTED" in approved else Party.AGENT
        async with self._occupied(run, RELEASE, "release", Stance.PROCEED, by=by, part=str(run.attempt_group)):
            yield

    @asynccontextmanager
    async def cancelling(self, run: OrderRun, *, reason: str, by: Party = Party.PERSON) -> AsyncIterator[None]:
        """Cancel within the block; the gate's or a person's word unless ``by`` says otherwise.

        Raises:
            Contested: what cannot be called back stands against it.
            StoreUnavailable: no answer.
        """
        async with self._occupied(run, CANCEL, "cancel", Stance.CANCEL, by=by, part=reason):
            yield

    @asynccontextmanager
    async def _occupied(
        self, run: OrderRun, facet: str, action: str, stance: Stance, *, by: Party, part: str
    ) -> AsyncIterator[None]:
        entity = Entity(
            tenant=run.tenant, entity_type=WORKFLOW, entity_id=run.order_id, correlation_id=run.correlation_id,
            currency=run.order.currency, locale=run.order.locale,
        )  # fmt: skip
        side = Side.model_construct(
            decision_id=stable_id(run.thread, facet, part),
            agent=AGENT,
            facet=facet,
            action=action,
            stance=stance,
            tier=2 if by is Party.AGENT else 0,
            party=by,
            confidence=_CERTAIN,
            exposure_usd=run.exposure_usd,
            state_version=run.version,
        )
        claim = await self._claims.occupy(entity, side, at=self._clock.now())
        if claim.state is not ClaimState.BEGUN and by is not Party.PERSON:
            await self._claims.vacate(entity, side)
            raise Contested(claim)
        try:
            yield
        except OURS:
            # The same step is taken again; until then nobody else may think that nothing has begun.
            raise
        except SignalboxError:
            await self._claims.vacate(entity, side)
            raise
        await self._claims.vacate(entity, side)
