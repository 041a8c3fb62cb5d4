"""A workflow as a plain table, for ``topology show``: one row per agent, in the order they run."""

from graph.topology.model import AgentNode, Workflow

COLUMNS = (
    "stage",
    "agent",
    "version",
    "mode",
    "timeout_ms",
    "hard_kill_ms",
    "attempts",
    "fallback",
    "depends_on",
    "reads",
    "writes",
)


def rows(workflow: Workflow) -> list[dict[str, str]]:
    """One mapping per agent with the keys of ``COLUMNS``, everything as text."""
    numbered = [(str(number), agent) for number, stage in enumerate(workflow.stages, start=1) for agent in stage]
    return [_row(stage, agent) for stage, agent in [*numbered, *(("async", agent) for agent in workflow.tier_3)]]


def text_lines(workflow: Workflow) -> list[str]:
    """The table as aligned lines of text under a line about the workflow."""
    body = [list(COLUMNS), *([row[column] for column in COLUMNS] for row in rows(workflow))]
    widths = [max(len(line[column]) for line in body) for column in range(len(COLUMNS))]
    state = "enabled" if workflow.enabled else "not enabled"
    head = f"{workflow.name} {workflow.version} ({state}, digest {workflow.digest[:12]})"
    rules = [f"conflict rule: {declared.facet} {declared.rule}" for declared in workflow.conflict_rules]
    table = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in body]
    return [head, *table, *rules]


def _row(stage: str, agent: AgentNode) -> dict[str, str]:
    return {
        "stage": stage,
        "agent": agent.name,
        "version": agent.version,
        "mode": agent.mode.value,
        "timeout_ms": str(agent.timeout_ms),
        "hard_kill_ms": str(agent.hard_kill_ms),
        "attempts": str(agent.attempts),
        "fallback": agent.fallback or "a person",
        "depends_on": ", ".join(agent.depends_on),
        "reads": ", ".join(agent.reads),
        "writes": ", ".join(agent.writes),
    }
