"""Calibrations: every draft ever proposed, in SQL, and the adoption that puts one in force. None takes force by itself."""

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.calibration import ConfidenceCalibration
from domain.errors import Conflict, NotFound, StoreUnavailable
from graph.runtime.audit_reviews import insert_into
from graph.runtime.autonomy_book import AutonomyBook
from graph.runtime.autonomy_judge import agent_event
from graph.runtime.autonomy_schema import calibrations
from graph.runtime.clock import Clock

_RACES = 5


class CalibrationBook:
    """Keeps drafts and adopts them."""

    def __init__(self, engine: AsyncEngine, book: AutonomyBook, clock: Clock) -> None:
        """``book`` holds what is in force."""
        self._engine = engine
        self._book = book
        self._clock = clock

    async def propose(self, draft: ConfidenceCalibration) -> None:
        """Keep a draft; the same one again changes nothing.

        Raises:
            StoreUnavailable: it was not kept.
        """
        row = {
            "tenant": draft.tenant, "calibration_id": draft.calibration_id, "agent": draft.agent,
            "made_at": draft.made_at, "body": draft.to_json(),
        }  # fmt: skip
        try:
            async with self._engine.begin() as connection:
                statement = insert_into(calibrations, connection).values(**row)
                await connection.execute(statement.on_conflict_do_nothing())
        except DBAPIError as away:
            raise StoreUnavailable(f"the calibrations do not answer: {away.orig}") from away

    async def find(self, tenant: str, calibration_id: str) -> ConfidenceCalibration:
        """A draft by its id.

        Raises:
            NotFound: this tenant has none of that id.
            StoreUnavailable: it cannot be read now.
        """
        wanted = select(calibrations.c.body).where(
            calibrations.c.tenant == tenant, calibrations.c.calibration_id == calibration_id
        )
        try:
            async with self._engine.connect() as connection:
                body = (await connection.execute(wanted)).scalar()
        except DBAPIError as away:
            raise StoreUnavailable(f"the calibrations do not answer: {away.orig}") from away
        if body is None:
            raise NotFound(f"there is no calibration {calibration_id!r}; `agents calibration` proposes one")
        return ConfidenceCalibration.from_json(body)

    async def adopt(self, draft: ConfidenceCalibration, *, by: str, reason: str) -> None:
        """Put a draft in force for its agent, with an event that names who did it and why.

        Raises:
            Conflict: somebody else adopted another one meanwhile.
            StoreUnavailable: it may not be in force; adopting it again is safe.
        """
        now = self._clock.now()
        for _ in range(_RACES):
            before = await self._book.fresh(draft.tenant, draft.agent)
            was = before.calibration.calibration_id if before.calibration else None
            if was == draft.calibration_id:
                return
            facts: dict[str, object] = {
                "calibration_id": draft.calibration_id,
                "was": was,
                "reason": reason,
                "version": draft.version,
                "thresholds": {
                    f"{c.action}/{c.market_group}": None if c.threshold is None else f"{c.threshold:.2f}"
                    for c in draft.curves
                },
            }
            event = agent_event(
                "agent.calibration.adopted", facts, tenant=draft.tenant, agent=draft.agent,
                part=draft.calibration_id, by=by, at=now,
            )  # fmt: skip
            if await self._book.adopt(before, draft, event):
                await self._mark(draft, by)
                return
        raise Conflict(f"the calibration of {draft.agent} was changed by somebody else meanwhile; look again")

    async def _mark(self, draft: ConfidenceCalibration, by: str) -> None:
        about = (calibrations.c.tenant == draft.tenant, calibrations.c.calibration_id == draft.calibration_id)
        try:
            async with self._engine.begin() as connection:
                made = update(calibrations).where(*about).values(adopted_at=self._clock.now(), adopted_by=by)
                await connection.execute(made)
        except DBAPIError as away:
            raise StoreUnavailable(f"the calibrations do not answer: {away.orig}") from away
