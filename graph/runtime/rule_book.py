"""The book of promoted rules in SQL: confirmed answers in, rules proposed, adopted by a person, retired when people disagree."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Conflict, Forbidden, InputError, NotFound
from domain.event import Event
from domain.ids import EventId, TenantId, stable_id, thread_id
from domain.promoted_rule import Confirmation, PromotedRule, RuleState, propose, should_retire
from graph.runtime.audit_reviews import insert_into
from graph.runtime.journal import Journal
from graph.runtime.promoted_schema import model_confirmations, promoted_rules
from graph.runtime.sql import transaction

_WHAT = "the book of promoted rules"
MOST_CONFIRMATIONS = 5_000
"""Newest answers a proposal looks at."""


class RuleBook:
    """Promoted rules of every tenant. Implements ``RulePort``."""

    def __init__(self, engine: AsyncEngine, journal: Journal) -> None:
        """The schema is up to date; what changes is told in ``journal``."""
        self._engine = engine
        self._journal = journal

    async def adopted(self, tenant: str, agent: str) -> Sequence[PromotedRule]:
        """The rules in force; read anew each time, so that a retired one is out at once.

        Raises:
            StoreUnavailable: no answer.
        """
        return await self.listed(tenant, agent=agent, state=RuleState.ADOPTED)

    async def listed(
        self, tenant: str, *, agent: str | None = None, state: RuleState | None = None
    ) -> list[PromotedRule]:
        """A tenant's rules, newest change first.

        Raises:
            StoreUnavailable: no answer.
        """
        wanted = select(promoted_rules.c.body).where(promoted_rules.c.tenant == tenant)
        if agent is not None:
            wanted = wanted.where(promoted_rules.c.agent == agent)
        if state is not None:
            wanted = wanted.where(promoted_rules.c.state == state)
        async with transaction(self._engine, _WHAT) as connection:
            rows = await connection.execute(
                wanted.order_by(promoted_rules.c.changed_at.desc(), promoted_rules.c.rule_id)
            )
            return [PromotedRule.from_json(row.body) for row in rows]

    async def find(self, tenant: str, rule_id: str) -> PromotedRule:
        """One rule.

        Raises:
            NotFound: this tenant has none of that id.
            StoreUnavailable: no answer.
        """
        wanted = select(promoted_rules.c.body).where(
            promoted_rules.c.tenant == tenant, promoted_rules.c.rule_id == rule_id
        )
        async with transaction(self._engine, _WHAT) as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            raise NotFound(f"there is no rule {rule_id!r}; list the proposed ones to see which there are")
        return PromotedRule.from_json(row.body)

    async def confirmations(self, tenant: str, *, agent: str = "", rule_id: str = "") -> list[Confirmation]:
        """What people said about an agent's answers, or about one rule's, oldest first.

        Raises:
            StoreUnavailable: no answer.
        """
        rows = model_confirmations.c
        wanted = select(rows.body).where(rows.tenant == tenant)
        wanted = wanted.where(rows.rule_id == rule_id) if rule_id else wanted.where(rows.agent == agent)
        wanted = wanted.order_by(rows.at_utc.desc(), rows.decision_id).limit(MOST_CONFIRMATIONS)
        async with transaction(self._engine, _WHAT) as connection:
            found = [Confirmation.from_json(row.body) for row in await connection.execute(wanted)]
        return found[::-1]

    async def confirm(self, said: Confirmation) -> PromotedRule | None:
        """Keep what a person said, once; the rule this retires, if it does.

        Raises:
            StoreUnavailable: nothing was kept; saying it again is safe.
        """
        row = {
            "tenant": said.tenant,
            "decision_id": said.decision_id,
            "agent": said.agent,
            "rule_id": said.rule_id,
            "agreed": said.agreed,
            "at_utc": said.at,
            "body": said.to_json(),
        }
        async with transaction(self._engine, _WHAT) as connection:
            await connection.execute(
                insert_into(model_confirmations, connection).values(**row).on_conflict_do_nothing()
            )
        return await self._reconsider(said) if said.rule_id else None

    async def propose(self, tenant: str, agent: str, *, at: datetime) -> list[PromotedRule]:
        """Look for rules among an agent's confirmed answers and keep those that are not in force already.

        Raises:
            StoreUnavailable: no answer.
        """
        found = propose(await self.confirmations(tenant, agent=agent), at=at)
        known = {rule.rule_id: rule for rule in await self.listed(tenant, agent=agent)}
        kept = []
        for rule in found:
            before = known.get(rule.rule_id)
            if before is not None and before.state is RuleState.ADOPTED:
                continue
            if before is not None:
                rule = rule.model_copy(update={"version": before.version})
            await self._keep(rule, at=at)
            if before is None:
                await self._tell(rule, "proposed", by="signalbox", reason=f"{rule.agreed} of {rule.cases}", at=at)
            kept.append(rule)
        return kept

    async def adopt(self, rule: PromotedRule, *, by: str, reason: str, report_id: str, at: datetime) -> PromotedRule:
        """Put a proposed rule in force. The caller has seen that its shadow test passed.

        Raises:
            Forbidden: ``by`` is no person.
            InputError: no reason is given.
            Conflict: it is not a proposal any more.
            StoreUnavailable: nothing was changed.
        """
        if not by.startswith("user:"):
            raise Forbidden(f"{by} is no person; only people adopt rules")
        if not reason.strip():
            raise InputError("adopting a rule takes a reason; say why it holds")
        changed = rule.model_copy(
            update={
                "state": RuleState.ADOPTED, "report_id": report_id, "decided_by": by, "decided_at": at, "reason": reason,
                "version": rule.version + (1 if rule.report_id else 0),
            }
        )  # fmt: skip
        await self._move(changed, RuleState.PROPOSED, at=at)
        await self._tell(changed, "adopted", by=by, reason=reason, at=at)
        return changed

    async def retire(self, rule: PromotedRule, *, by: str, reason: str, at: datetime) -> PromotedRule:
        """Take a rule out of force, from the next decision on.

        Raises:
            Conflict: it is not in force.
            StoreUnavailable: nothing was changed.
        """
        changed = rule.model_copy(
            update={"state": RuleState.RETIRED, "decided_by": by, "decided_at": at, "reason": reason}
        )
        await self._move(changed, RuleState.ADOPTED, at=at)
        await self._tell(changed, "retired", by=by, reason=reason, at=at)
        return changed

    async def _reconsider(self, said: Confirmation) -> PromotedRule | None:
        rule = await self.find(said.tenant, said.rule_id)
        if rule.state is not RuleState.ADOPTED or rule.decided_at is None:
            return None
        later = [
            one.agreed
            for one in await self.confirmations(said.tenant, rule_id=rule.rule_id)
            if one.at >= rule.decided_at
        ]
        why = should_retire(rule, later)
        return await self.retire(rule, by="signalbox", reason=why, at=said.at) if why else None

    async def _move(self, rule: PromotedRule, was: RuleState, *, at: datetime) -> None:
        here = (promoted_rules.c.tenant == rule.tenant) & (promoted_rules.c.rule_id == rule.rule_id)
        change = update(promoted_rules).where(here & (promoted_rules.c.state == was))
        async with transaction(self._engine, _WHAT) as connection:
            done = await connection.execute(change.values(state=rule.state, changed_at=at, body=rule.to_json()))
        if not done.rowcount:
            now = await self.find(rule.tenant, rule.rule_id)
            raise Conflict(
                f"rule {rule.rule_id} is {now.state}, decided by {now.decided_by or 'nobody'}; it was not {was}"
            )

    async def _keep(self, rule: PromotedRule, *, at: datetime) -> None:
        row = {
            "tenant": rule.tenant, "rule_id": rule.rule_id, "agent": rule.agent, "state": rule.state, "changed_at": at,
            "body": rule.to_json(),
        }  # fmt: skip
        async with transaction(self._engine, _WHAT) as connection:
            statement = insert_into(promoted_rules, connection).values(**row)
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[promoted_rules.c.tenant, promoted_rules.c.rule_id],
                    set_={name: row[name] for name in ("state", "changed_at", "body")},
                    where=promoted_rules.c.state != RuleState.ADOPTED,
                )
            )

    async def _tell(self, rule: PromotedRule, what: str, *, by: str, reason: str, at: datetime) -> None:
        event = Event(
            event_id=EventId(stable_id(rule.tenant, rule.rule_id, what, at.isoformat())),
            event_type=f"rule.{what}",
            entity_type="rule",
            entity_id=rule.rule_id,
            agent_name=by if by.startswith("user:") else "rules",
            timestamp=at,
            result={
                "agent": rule.agent, "answer": rule.answer, "by": by, "reason": reason, "report": rule.report_id,
                "conditions": [one.model_dump(mode="json") for one in rule.conditions],
            },
            metadata={"actor": by},
            tenant=TenantId(rule.tenant),
            sequence=0,
            correlation_id=rule.rule_id,
            currency="",
            locale="",
        )  # fmt: skip
        await self._journal.publish(thread_id(rule.tenant, "rule", rule.rule_id), [event], at=at)
