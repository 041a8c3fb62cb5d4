"""What must hold between the agents of one workflow, beyond each entry being well formed."""

from graph.topology.conflicts import conflicts
from graph.topology.model import GATE, RESERVED, AgentNode, Autonomy, Rule, Workflow, covers
from graph.topology.problems import Report, suggestion

MAX_AGENTS = 200
"""More than that is a mistake, and the checks below grow with the square of it."""


def inspect(workflow: Workflow, report: Report) -> None:
    """Note every broken rule of the workflow."""
    if len(workflow.agents) > MAX_AGENTS:
        text = f"workflow {workflow.name} has {len(workflow.agents)} agents, more than {MAX_AGENTS}; split it"
        report.add(workflow.line, text)
        return
    _names(workflow, report)
    for agent in workflow.agents:
        _dependencies(agent, workflow, report)
    for agent in workflow.tier_3:
        if agent.mode is Autonomy.EARNED:
            text = f"agent {agent.name} is in tier_3, where nobody reviews it, so it can earn nothing"
            report.add(agent.line_of("mode"), f"{text}; use autonomous or suggestion")
    _circles(workflow.tier_2, report)
    _contradictions(workflow, report)
    _declared_rules(workflow, report)


def _names(workflow: Workflow, report: Report) -> None:
    first: dict[str, int] = {}
    for agent in workflow.agents:
        if agent.name in first:
            seen = first[agent.name]
            report.add(agent.line, f"agent {agent.name} stands twice (first on line {seen}); rename or remove one")
        elif agent.name in RESERVED or GATE.fullmatch(agent.name):
            report.add(agent.line, f"agent {agent.name} has the name of a fixed step of every workflow; rename it")
        first.setdefault(agent.name, agent.line)


def _dependencies(agent: AgentNode, workflow: Workflow, report: Report) -> None:
    tier_of = {other.name: other.tier for other in workflow.agents}
    if agent.tier == 1 and agent.depends_on:
        text = f"agent {agent.name} is in tier_1, where all run at once; remove depends_on or move it to tier_2"
        report.add(agent.line_of("depends_on"), text)
        return
    for need in agent.depends_on:
        if need not in tier_of:
            hint = suggestion(need, tier_of.keys() - {agent.name})
            report.add(agent.line_of("depends_on"), f"agent {agent.name} depends on the unknown agent {need!r}; {hint}")
        elif tier_of[need] > agent.tier:
            text = f"agent {agent.name} (tier {agent.tier}) depends on {need} in the later tier {tier_of[need]}"
            report.add(agent.line_of("depends_on"), f"{text}; move one of them or remove the dependency")
        elif tier_of[need] == 3:
            text = f"agent {agent.name} depends on {need}, but tier_3 agents run independently; remove the dependency"
            report.add(agent.line_of("depends_on"), text)


def _circles(agents: tuple[AgentNode, ...], report: Report) -> None:
    """Name each circle once, at its first agent in the file."""
    needs = {agent.name: agent.depends_on for agent in agents}
    named: set[str] = set()
    for agent in agents:
        circle = _way_back(agent.name, needs)
        if circle and agent.name not in named:
            named.update(circle)
            way = " -> ".join([*circle, agent.name])
            report.add(
                agent.line_of("depends_on"), f"the dependencies form a circle: {way}; remove one depends_on entry of it"
            )


def _way_back(start: str, needs: dict[str, tuple[str, ...]]) -> list[str]:
    """The shortest path from an agent over dependencies back to itself, empty when there is none."""
    came_from: dict[str, str] = {}
    frontier = [start]
    while frontier:
        reached = []
        for name in frontier:
            for need in needs.get(name, ()):
                if need == start:
                    return _path(name, start, came_from)
                if need not in came_from:
                    came_from[need] = name
                    reached.append(need)
        frontier = reached
    return []


def _path(end: str, start: str, came_from: dict[str, str]) -> list[str]:
    path = [end]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def _contradictions(workflow: Workflow, report: Report) -> None:
    agents = {agent.name: agent for agent in workflow.agents}
    for facet, names, rule in conflicts(workflow):
        first, second = agents[names[0]], agents[names[1]]
        if rule is None:
            add = f"add {{facet: {facet}, rule: most_severe}} to conflict_rules, or another rule"
            report.add(
                second.line_of("writes"), f"agents {_listed(names)} write {facet} without a conflict rule; {add}"
            )
        elif rule is Rule.HIGHEST_TIER and first.tier == second.tier:
            tied = _listed(tuple(name for name in names if agents[name].tier == first.tier))
            text = f"highest_tier cannot settle {facet} between {tied}, all in tier {first.tier}"
            report.add(second.line_of("writes"), f"{text}; use most_severe or ask_person")


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]])


def _declared_rules(workflow: Workflow, report: Report) -> None:
    written = {facet for agent in workflow.agents for facet in agent.writes}
    first: dict[str, int] = {}
    for declared in workflow.conflict_rules:
        if declared.facet in first:
            seen = first[declared.facet]
            report.add(declared.line, f"{declared.facet} has two conflict rules (first on line {seen}); keep one")
        elif not any(covers(declared.facet, facet) or covers(facet, declared.facet) for facet in written):
            hint = suggestion(declared.facet, written)
            report.add(declared.line, f"conflict rule for {declared.facet}, which no agent writes; {hint}")
        first.setdefault(declared.facet, declared.line)
