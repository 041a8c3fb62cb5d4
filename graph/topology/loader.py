"""Topology files into workflows: either the whole is right, or every problem is reported with its file and line."""

import re
from pathlib import Path

import yaml

from graph.topology import rules
from graph.topology.fields import Fields
from graph.topology.model import (
    FALLBACK_GRACE_MS,
    MAX_RETRIES,
    NAME,
    AgentNode,
    Autonomy,
    ConflictRule,
    Rule,
    Topology,
    Workflow,
    worst_case_ms,
)
from graph.topology.problems import Problem, Report, TopologyError
from graph.topology.source import compose, line_of, read

ASYNC_TIMEOUT_MS = 10_000
"""Deadline of a tier-3 agent whose entry names none."""
ASYNC_FALLBACK = "retry_queue"
"""The only fallback of tier 3: nothing waits for the agent, so it is simply asked again later."""
MAX_TIMEOUT_MS = 600_000
MAX_HARD_KILL_MS = 3_600_000

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")
_FACET = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_NAME_SHAPE = "lower-case letters, digits and _, starting with a letter, at most 48"
_FACET_SHAPE = "lower-case words joined by dots such as order.release"
_WORKFLOW_KEYS = frozenset({"version", "enabled", "tier_1", "tier_2", "tier_3", "conflict_rules"})
_RULE_KEYS = frozenset({"facet", "rule"})
_AGENT_KEYS = frozenset(
    {
        "name",
        "version",
        "timeout_ms",
        "hard_kill_ms",
        "fallback",
        "mode",
        "reads",
        "writes",
        "depends_on",
        "async",
        "retries",
    }
)


def load(*sources: Path | str) -> Topology:
    """Read workflow files. A ``Path`` is read from disk, a ``str`` is the YAML text itself.

    Raises:
        TopologyError: something is wrong; it carries every problem found in every source.
    """
    problems: list[Problem] = []
    workflows: list[Workflow] = []
    for number, source in enumerate(sources, start=1):
        name = str(source) if isinstance(source, Path) else f"<text {number}>" if len(sources) > 1 else "<text>"
        report = Report(name)
        try:
            text = read(source) if isinstance(source, Path) else source
            workflows += _workflows(compose(text, name), report)
        except TopologyError as error:
            problems += error.problems
        problems += report.problems
    problems += _named_twice(workflows)
    if problems or not workflows:
        raise TopologyError(problems or [Problem(source="topology", line=1, text="no file was given; name one")])
    return Topology(workflows=tuple(workflows))


def _named_twice(workflows: list[Workflow]) -> list[Problem]:
    first: dict[str, Workflow] = {}
    problems = []
    for workflow in workflows:
        other = first.setdefault(workflow.name, workflow)
        if other is not workflow:
            text = f"workflow {workflow.name} already stands in {other.source}:{other.line}; keep one"
            problems.append(Problem(source=workflow.source, line=workflow.line, text=text))
    return problems


def _workflows(root: yaml.Node, report: Report) -> list[Workflow]:
    top = Fields(root, report, what="the file", known={"agent_topology"})
    top.require("agent_topology", "{order_workflow: ..}")
    if "agent_topology" not in top:
        return []
    named = Fields(top.entries["agent_topology"][1], report, what="agent_topology")
    if not named.entries and not report.problems:
        report.add(named.line, "agent_topology names no workflow; add order_workflow with its tier_1")
    found = []
    for name, (line, node) in named.entries.items():
        if not NAME.fullmatch(name):
            report.add(line, f"workflow name {name[:60]!r} is not allowed; use {_NAME_SHAPE}")
            continue
        found.append(_workflow(name, line, node, report))
    return found


def _workflow(name: str, line: int, node: yaml.Node, report: Report) -> Workflow:
    before = len(report.problems)
    fields = Fields(node, report, what=f"workflow {name}", known=_WORKFLOW_KEYS)
    tiers = [_tier(fields, number) for number in (1, 2, 3)]
    if len(report.problems) == before and not tiers[0]:
        fields.wrong("tier_1", "tier_1 is empty; name at least one agent that must agree before an order goes on")
    version = fields.text("version", _VERSION, shape="letters, digits and . _ + : -")
    enabled = fields.truth("enabled")
    workflow = Workflow(
        name=name,
        version=version or "",
        enabled=enabled is not False,
        tier_1=tiers[0],
        tier_2=tiers[1],
        tier_3=tiers[2],
        conflict_rules=_conflict_rules(fields),
        source=report.source,
        line=line,
    )
    rules.inspect(workflow, report)
    return workflow if workflow.version else workflow.model_copy(update={"version": f"sha-{workflow.digest[:12]}"})


def _tier(workflow: Fields, tier: int) -> tuple[AgentNode, ...]:
    agents = [_agent(node, tier, workflow.report) for node in workflow.items(f"tier_{tier}")]
    return tuple(agent for agent in agents if agent is not None)


def _agent(node: yaml.Node, tier: int, report: Report) -> AgentNode | None:
    fields = Fields(node, report, what=_title(node, tier), known=_AGENT_KEYS)
    if not isinstance(node, yaml.MappingNode):
        return None
    fields.require("name", "fraud_detection")
    fields.require("version", "fd-1.0")
    name = fields.text("name", NAME, shape=_NAME_SHAPE)
    version = fields.text("version", _VERSION, shape="letters, digits and . _ + : -")
    timeout_ms, hard_kill_ms, retries = _deadlines(fields, tier)
    fallback, is_async, mode = _fallback(fields, tier), _is_async(fields, tier), fields.word("mode", Autonomy)
    reads = fields.texts("reads", _FACET, shape=_FACET_SHAPE)
    writes = fields.texts("writes", _FACET, shape=_FACET_SHAPE)
    depends_on = fields.texts("depends_on", NAME, shape=_NAME_SHAPE)
    if name is None:
        return None
    return AgentNode(
        name=name,
        version=version or "",
        tier=tier,
        timeout_ms=timeout_ms,
        hard_kill_ms=hard_kill_ms,
        fallback=fallback,
        mode=mode or Autonomy.SUGGESTION,
        reads=reads,
        writes=writes,
        depends_on=depends_on,
        is_async=is_async,
        retries=retries,
        line=line_of(node),
        lines={key: line for key, (line, _) in fields.entries.items()},
    )


def _title(node: yaml.Node, tier: int) -> str:
    """How sentences call the entry: by its name when it has one."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "name" and isinstance(value, yaml.ScalarNode) and NAME.fullmatch(value.value):
                return f"agent {value.value}"
    return f"an entry of tier_{tier}"


def _deadlines(fields: Fields, tier: int) -> tuple[int, int, int]:
    """Timeout, hard kill and retries; the kill lies above everything the attempts can take."""
    if tier < 3:
        fields.require("timeout_ms", "3000")
    retries = fields.whole("retries", low=0, high=MAX_RETRIES) or 0
    given_ms = fields.whole("timeout_ms", low=1, high=MAX_TIMEOUT_MS)
    timeout_ms = given_ms or ASYNC_TIMEOUT_MS
    worst = worst_case_ms(timeout_ms, retries)
    hard_kill_ms = fields.whole("hard_kill_ms", low=1, high=MAX_HARD_KILL_MS)
    if hard_kill_ms is None:
        return timeout_ms, worst + FALLBACK_GRACE_MS, retries
    if hard_kill_ms <= worst and (given_ms or "timeout_ms" not in fields):
        spent = f"timeout_ms {timeout_ms}" if not retries else f"the {worst} ms that {retries + 1} attempts can take"
        text = f"hard_kill_ms {hard_kill_ms} is not above {spent}; raise hard_kill_ms or lower timeout_ms"
        fields.wrong("hard_kill_ms", text)
    return timeout_ms, hard_kill_ms, retries


def _fallback(fields: Fields, tier: int) -> str | None:
    if tier == 1:
        fields.require("fallback", "manual_review_queue")
    fallback = fields.text("fallback", NAME, shape=_NAME_SHAPE)
    if tier < 3:
        return fallback
    if fallback not in (None, ASYNC_FALLBACK):
        fields.wrong("fallback", f"nothing waits for a tier_3 agent; its fallback can only be {ASYNC_FALLBACK}")
    return ASYNC_FALLBACK


def _is_async(fields: Fields, tier: int) -> bool:
    given = fields.truth("async")
    if tier == 3 and "async" not in fields:
        fields.report.add(fields.line, f"{fields.what} is in tier_3 and lacks 'async'; add async: true")
    elif tier == 3 and given is False:
        fields.wrong("async", "tier_3 agents never hold an order; write async: true or move it to tier_2")
    elif tier < 3 and given:
        fields.wrong("async", f"tier_{tier} agents hold the order; remove async or move it to tier_3")
    return tier == 3


def _conflict_rules(workflow: Fields) -> tuple[ConflictRule, ...]:
    found = []
    for node in workflow.items("conflict_rules"):
        fields = Fields(node, workflow.report, what="a conflict rule", known=_RULE_KEYS)
        if isinstance(node, yaml.MappingNode):
            fields.require("facet", "order.release")
            fields.require("rule", "most_severe")
        facet, rule = fields.text("facet", _FACET, shape=_FACET_SHAPE), fields.word("rule", Rule)
        if facet and rule:
            found.append(ConflictRule(facet=facet, rule=rule, line=line_of(node)))
    return tuple(found)
