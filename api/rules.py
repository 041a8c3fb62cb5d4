"""Promoted rules as the command line shows them: proposed, shadow-tested, adopted by a person, retired."""

from collections.abc import Sequence
from dataclasses import replace

import yaml

from agents import AgentPorts
from agents.published import replayed
from api.services import Json
from api.shadow import record_of
from domain.errors import InputError
from domain.ids import TenantId
from domain.ports import Agent, RulePort
from domain.promoted_rule import PromotedRule, RuleState
from evals.shadow_pairs import Tell
from evals.shadow_report import ShadowReport
from evals.shadow_test import Question, last_orders, shadow_test, shipped_hard_set
from graph.bootstrap.system import Signalbox
from graph.order.candidates import topology_with
from graph.runtime.tapes import TapeQuery


class RuleDesk:
    """The acts on one system's promoted rules."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is the running system."""
        self._box = box
        self._book = box.promotion.book

    async def proposed(self, tenant: str) -> list[Json]:
        """Look for rules among what people have confirmed, and list those that wait for a person.

        Raises:
            StoreUnavailable: no answer.
        """
        for node in self._box.workflow.agents:
            await self._book.propose(tenant, node.name, at=self._box.clock.now())
        return [told(rule) for rule in await self._book.listed(tenant, state=RuleState.PROPOSED)]

    async def listed(self, tenant: str) -> list[Json]:
        """Every rule there ever was, newest change first.

        Raises:
            StoreUnavailable: no answer.
        """
        return [told(rule) for rule in await self._book.listed(tenant)]

    async def show(self, tenant: str, rule_id: str) -> Json:
        """One rule with what people have said of it since it was adopted.

        Raises:
            NotFound: there is none.
        """
        rule = await self._book.find(tenant, rule_id)
        since = [one.agreed for one in await self._book.confirmations(tenant, rule_id=rule_id)]
        return told(rule) | {"yaml": as_yaml(rule), "answered_since": len(since), "disagreed_since": since.count(False)}

    async def test(self, tenant: TenantId, rule_id: str, *, by: str, last: int, tell: Tell) -> ShadowReport:
        """Play the agent's last decisions with and without the rule, and keep the report.

        Raises:
            NotFound: there is no such rule.
            InputError: the workflow does not ask the rule's agent.
        """
        rule, box = await self._book.find(tenant, rule_id), self._box
        version, label = self._versions(rule)
        await box.governance.keeper.drain()
        await box.relay.drain()

        def make(name: str, wanted: str, ports: AgentPorts) -> Agent:
            if wanted != label:
                return replayed(name, wanted, ports)
            return replayed(name, version, replace(ports, rules=_With(rule, ports.rules)))

        query = TapeQuery(tenant=tenant, agent=rule.agent, limit=last)
        question = Question(
            tenant=tenant, agent=rule.agent, old_version=version, new_version=label, made_by=by, at=box.clock.now(),
            report_id=f"st-{box.clock.new_id()}", workflow=box.workflow,
        )  # fmt: skip
        hard = [found for found in (shipped_hard_set(rule.agent),) if found is not None]
        sampled = await last_orders(box.governance.tapes, query, {}, make)
        report = await shadow_test(question, sampled, hard, make, tell)
        await box.governance.reports.keep(record_of(report))
        return report

    async def adopt(self, tenant: str, rule_id: str, *, by: str, reason: str) -> Json:
        """Put a rule in force, on its newest shadow report for the agent, topology and code that run.

        Raises:
            NotFound: there is no such rule.
            InputError: no report has passed, or no reason is given.
            Conflict: it is not a proposal any more.
        """
        rule, box = await self._book.find(tenant, rule_id), self._box
        _, label = self._versions(rule)
        topology = topology_with(box.workflow, rule.agent, label)
        report = await box.governance.reports.newest(agent=rule.agent, version=label, topology=topology)
        if report is None or report.tenant != tenant:
            raise InputError(
                f"rule {rule_id} has no shadow report on what runs now; run signalbox rules test {rule_id}"
            )
        if not report.passed:
            raise InputError(f"rule {rule_id} did not pass its shadow test {report.report_id}; it cannot be adopted")
        adopted = await self._book.adopt(rule, by=by, reason=reason, report_id=report.report_id, at=box.clock.now())
        return told(adopted)

    async def retire(self, tenant: str, rule_id: str, *, by: str, reason: str) -> Json:
        """Take a rule out of force at once.

        Raises:
            NotFound: there is no such rule.
            Conflict: it is not in force.
        """
        rule = await self._book.find(tenant, rule_id)
        return told(await self._book.retire(rule, by=by, reason=reason, at=self._box.clock.now()))

    def _versions(self, rule: PromotedRule) -> tuple[str, str]:
        """The agent's version in force, and the name of the same with the rule."""
        node = next((node for node in self._box.workflow.agents if node.name == rule.agent), None)
        if node is None:
            raise InputError(f"the workflow does not ask {rule.agent}, so rule {rule.rule_id} would never be met")
        return node.version, f"{node.version}+{rule.rule_id}"


class _With(RulePort):
    """The rules of a tape, and one more as if it were in force."""

    def __init__(self, rule: PromotedRule, others: RulePort) -> None:
        self._rule = rule.model_copy(update={"state": RuleState.ADOPTED})
        self._others = others

    async def adopted(self, tenant: str, agent: str) -> Sequence[PromotedRule]:
        return (*await self._others.adopted(tenant, agent), self._rule)


def as_yaml(rule: PromotedRule) -> str:
    """The rule as a person reads it."""
    told_as = {
        "rule": rule.rule_id,
        "agent": rule.agent,
        "when": {one.feature: one.equals for one in rule.conditions},
        "then": rule.answer,
        "support": {"cases": rule.cases, "agreed": rule.agreed, "precision_above": rule.bound},
        "counterexamples": list(rule.counterexamples),
        "from": list(rule.sources),
        "state": rule.state.value,
        "version": rule.version,
    }
    text: str = yaml.safe_dump(told_as, sort_keys=False, allow_unicode=True)
    return text


def told(rule: PromotedRule) -> Json:
    """The rule as plain data."""
    plain: Json = rule.model_dump(mode="json")
    return plain
