"""Topology files: what a right one means, and the sentence each wrong one gets."""

from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import ConfigError
from graph.topology.catalogue import check
from graph.topology.conflicts import conflicts
from graph.topology.loader import load
from graph.topology.model import Autonomy, Rule, Workflow
from graph.topology.problems import Problem, TopologyError

ORDER = Path(__file__).parents[2] / "graph" / "order" / "order.yaml"
GOOD = """agent_topology:
  w:
    tier_1:
      - {name: a, version: a-1, timeout_ms: 100, fallback: f}
"""
"""Line 4 holds the only agent; additions start on line 5."""
B = "      - {name: b, version: b-1, timeout_ms: 100, fallback: f"
WRITER = GOOD.replace("fallback: f", "fallback: f, writes: [o.r]")


class Registry:
    """The agents of the shipped order file."""

    versions = {agent.name: agent.version for agent in load(ORDER).workflow("order_workflow").agents}

    def has(self, name: str, version: str) -> bool:
        return self.versions.get(name) == version

    def fallbacks(self, name: str) -> Collection[str]:
        known = {"fraud_detection": {"manual_review_queue"}, "compliance": {"manual_review_queue"}}
        known |= {"inventory_reservation": {"backorder_flag"}, "order_routing": {"cheapest_route"}}
        return (known | {"tax": {"cached_rule_table"}, "shipping_method": {"lane_default"}}).get(name, set())


def refusal(text: str) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        load(text)
    return [f"{problem.line}: {problem.text}" for problem in caught.value.problems]


def outcome(text: str) -> tuple[Problem, ...]:
    """What is wrong with a text; nothing when it loads."""
    try:
        load(text)
    except TopologyError as error:
        return error.problems
    return ()


def test_the_shipped_order_file_is_right() -> None:
    """F9: the mission's three tiers; each tier-1 agent has a fallback, each deadline lies below its hard kill."""
    workflow = load(ORDER).workflow("order_workflow")
    assert [[agent.name for agent in stage] for stage in workflow.stages] == [
        ["fraud_detection", "compliance", "inventory_reservation"],
        ["order_routing"],
        ["tax", "shipping_method"],
    ]
    assert [agent.name for agent in workflow.tier_3] == ["customer_notification", "loyalty", "analytics_tagging"]
    assert all(agent.fallback for agent in workflow.agents)
    assert all(agent.worst_case_ms < agent.hard_kill_ms for agent in workflow.agents)
    assert workflow.version == "2026-11-22"
    assert check(load(ORDER), Registry()) == []


def test_what_a_short_entry_leaves_out_has_safe_values() -> None:
    """F30: an agent nobody gave autonomy to only suggests; a missing hard kill leaves room for the fallback."""
    workflow = load(GOOD).workflow("w")
    agent = workflow.agent("a")
    assert (agent.mode, agent.retries, agent.hard_kill_ms, agent.reads) == (Autonomy.SUGGESTION, 0, 600, ())
    assert workflow.enabled
    assert workflow.version == f"sha-{load(GOOD).workflow('w').model_copy(update={'version': ''}).digest[:12]}"


def test_a_disabled_workflow_is_kept_but_need_not_be_ready() -> None:
    """F3: workflows are switched one by one."""
    disabled = GOOD.replace("  w:\n", "  w:\n    enabled: false\n")
    assert not load(disabled).workflow("w").enabled
    assert check(load(disabled), Registry()) == []
    assert [str(problem) for problem in check(load(GOOD), Registry())] == [
        "<text>:4: there is no agent a in version a-1; correct the name or version, or register it"
    ]


def test_a_fallback_the_agent_does_not_have_is_named() -> None:
    wrong = load(ORDER.read_text().replace("fallback: backorder_flag", "fallback: backorder_flg"))
    [problem] = check(wrong, Registry())
    assert problem.line == 30
    assert problem.text == (
        "agent inventory_reservation has no fallback 'backorder_flg'; did you mean 'backorder_flag'?"
    )


def test_digests_follow_content_not_layout() -> None:
    one = load(GOOD).workflow("w")
    commented = load("# a comment\n" + GOOD.replace("version: a-1, timeout_ms: 100", "timeout_ms: 100, version: a-1"))
    assert commented.workflow("w").digest == one.digest
    assert load(GOOD.replace("timeout_ms: 100", "timeout_ms: 101")).workflow("w").digest != one.digest


def test_several_files_make_one_topology(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(GOOD)
    topology = load(ORDER, other)
    assert [workflow.name for workflow in topology.workflows] == ["order_workflow", "w"]
    assert topology.digest == load(other, ORDER).digest
    with pytest.raises(ConfigError, match="no workflow x; it has order_workflow, w"):
        topology.workflow("x")
    with pytest.raises(ConfigError, match="w has no agent x; it has a"):
        topology.workflow("w").agent("x")
    with pytest.raises(TopologyError, match=r"other\.yaml:2: workflow w already stands in .*; keep one"):
        load(other, other)


BROKEN: dict[str, tuple[str, list[str]]] = {
    "unknown key of an agent": (
        GOOD.replace("timeout_ms", "timeout"),
        [
            "4: agent a has the unknown key 'timeout'; did you mean 'timeout_ms'?",
            "4: agent a lacks 'timeout_ms'; add timeout_ms: 3000",
        ],
    ),
    "no space after a colon": (
        GOOD.replace("fallback: f", "fallback: f, retries:1"),
        ["4: agent a has the unknown key 'retries:1'; put a space after the colon"],
    ),
    "unknown key of a workflow": (
        GOOD + "    tier_4: []\n",
        ["5: workflow w has the unknown key 'tier_4'; did you mean 'tier_3'?"],
    ),
    "unknown key of the file": (
        GOOD + "extra: 1\n",
        ["5: the file has the unknown key 'extra'; use one of: agent_topology"],
    ),
    "duplicate key": (GOOD + B + ", name: c}\n", ["5: agent b has the key 'name' twice (first on line 5); keep one"]),
    "duplicate workflow": (
        GOOD + "  w: {}\n",
        ["5: agent_topology has the key 'w' twice (first on line 2); keep one"],
    ),
    "duplicate agent": (
        GOOD + B.replace("name: b", "name: a") + "}\n",
        ["5: agent a stands twice (first on line 4); rename or remove one"],
    ),
    "name of a fixed step": (
        GOOD.replace("name: a", "name: gate_2"),
        ["4: agent gate_2 has the name of a fixed step of every workflow; rename it"],
    ),
    "bad name": (
        GOOD.replace("name: a", "name: A-1"),
        [
            "4: an entry of tier_1: name 'A-1' is not allowed; use lower-case letters, digits and _, "
            "starting with a letter, at most 48"
        ],
    ),
    "tier 1 without fallback": (
        GOOD.replace(", fallback: f", ""),
        ["4: agent a lacks 'fallback'; add fallback: manual_review_queue"],
    ),
    "deadline not below the hard kill": (
        GOOD.replace("fallback", "hard_kill_ms: 100, fallback"),
        ["4: agent a: hard_kill_ms 100 is not above timeout_ms 100; raise hard_kill_ms or lower timeout_ms"],
    ),
    "attempts not below the hard kill": (
        GOOD.replace("fallback", "retries: 2, hard_kill_ms: 600, fallback"),
        [
            "4: agent a: hard_kill_ms 600 is not above the 600 ms that 3 attempts can take; "
            "raise hard_kill_ms or lower timeout_ms"
        ],
    ),
    "wrong types, all at once": (
        GOOD + "      - {name: b, version: 1.0, timeout_ms: soon, fallback: [f], mode: auto, reads: order}\n",
        [
            "5: agent b: fallback must be text, a list stands here",
            "5: agent b: mode 'auto' is unknown; use one of: autonomous, earned, shadow, suggestion",
            "5: agent b: reads must be a list, 'order' stands here; write [..] or lines starting with -",
            "5: agent b: timeout_ms must be a whole number from 1 to 600000, 'soon' stands here",
            '5: agent b: version must be text, but YAML reads 1.0 as a number; write "1.0"',
        ],
    ),
    "number in another notation": (
        GOOD.replace("100", "0100"),
        ["4: agent a: timeout_ms must be a whole number from 1 to 600000, '0100' stands here"],
    ),
    "date and yes": (
        GOOD.replace("  w:", "  w:\n    version: 2026-11-22\n    enabled: yes"),
        [
            '3: workflow w: version must be text, but YAML reads 2026-11-22 as a date; write "2026-11-22"',
            "4: workflow w: enabled must be true or false, 'yes' stands here",
        ],
    ),
    "dependency in tier 1": (
        GOOD + B + ", depends_on: [a]}\n",
        ["5: agent b is in tier_1, where all run at once; remove depends_on or move it to tier_2"],
    ),
    "unknown dependency": (
        GOOD + "    tier_2:\n" + B + ", depends_on: [aa]}\n",
        ["6: agent b depends on the unknown agent 'aa'; did you mean 'a'?"],
    ),
    "dependency on a later tier": (
        GOOD + "    tier_2:\n" + B + ", depends_on: [c]}\n    tier_3: [{name: c, version: c-1, async: true}]\n",
        ["6: agent b (tier 2) depends on c in the later tier 3; move one of them or remove the dependency"],
    ),
    "circle": (
        GOOD + "    tier_2:\n" + B + ", depends_on: [c]}\n" + B.replace("name: b", "name: c") + ", depends_on: [b]}\n",
        ["6: the dependencies form a circle: b -> c -> b; remove one depends_on entry of it"],
    ),
    "async outside tier 3": (
        GOOD + B + ", async: true}\n",
        ["5: agent b: tier_1 agents hold the order; remove async or move it to tier_3"],
    ),
    "tier 3": (
        GOOD
        + "    tier_3:\n      - {name: c, version: c-1}\n      - {name: d, version: c-1, async: false}\n"
        + "      - {name: e, version: c-1, async: true, fallback: f}\n"
        + "      - {name: g, version: c-1, async: true, depends_on: [e]}\n",
        [
            "6: agent c is in tier_3 and lacks 'async'; add async: true",
            "7: agent d: tier_3 agents never hold an order; write async: true or move it to tier_2",
            "8: agent e: nothing waits for a tier_3 agent; its fallback can only be retry_queue",
            "9: agent g depends on e, but tier_3 agents run independently; remove the dependency",
        ],
    ),
    "highest tier in one tier": (
        WRITER + B + ", writes: [o.r]}\n    conflict_rules:\n      - {facet: o.r, rule: highest_tier}\n",
        ["5: highest_tier cannot settle o.r between a and b, all in tier 1; use most_severe or ask_person"],
    ),
    "conflict rules": (
        WRITER + "    conflict_rules:\n      - {facet: o.x, rule: most_severe}\n      - {facet: o.r, rule: newest}\n"
        "      - {facet: o.r, rule: ask_person}\n      - {facet: o.r, rule: ask_person}\n      - nonsense\n",
        [
            "6: conflict rule for o.x, which no agent writes; did you mean 'o.r'?",
            "7: a conflict rule: rule 'newest' is unknown; use one of: ask_person, highest_tier, most_severe",
            "9: o.r has two conflict rules (first on line 8); keep one",
            "10: a conflict rule must be a mapping of keys to values, 'nonsense' stands here",
        ],
    ),
    "empty tier 1": (
        "agent_topology:\n  w:\n    tier_1: []\n",
        ["3: workflow w: tier_1 is empty; name at least one agent that must agree before an order goes on"],
    ),
    "no workflow": (
        "agent_topology: {}\n",
        ["1: agent_topology names no workflow; add order_workflow with its tier_1"],
    ),
    "empty file": ("# nothing\n", ["1: the file is empty; it must start with 'agent_topology:'"]),
    "a list": ("- a\n", ["1: the file is not a mapping; it must start with 'agent_topology:'"]),
    "tab": ("agent_topology:\n\tw: {}\n", ["2: the line is indented with a tab; use spaces"]),
    "unclosed quote": (
        "a: 1\nagent_topology: 'open\n",
        [
            "2: not valid YAML (while scanning a quoted scalar found unexpected end of stream); "
            "mend the syntax here or just above"
        ],
    ),
    "second document": (GOOD + "---\na: 1\n", ["5: a second YAML document starts here; use one document per file"]),
    "alias": ("a: &x [1]\nb: *x\n", ["1: YAML anchors and aliases are not allowed; write the value out"]),
    "tag": (
        "agent_topology: !!python/object/apply:os.system [id]\n",
        ["1: YAML tags are not allowed; write the plain value"],
    ),
    "deep nesting": (
        "agent_topology: " + "[" * 5000 + "]" * 5000,
        ["1: the values nest deeper than 16 levels; flatten them"],
    ),
    "control character": ("a: 1\nb: \x00\n", ["2: the text holds a character YAML forbids; remove it"]),
    "too large": ("# " + "x" * 200_000, ["1: the file is larger than 128 KiB; split it into several files"]),
    "too many agents": (
        GOOD + "".join(B.replace("name: b", f"name: b{number}") + "}\n" for number in range(200)),
        ["2: workflow w has 201 agents, more than 200; split it"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_file_is_refused_with_its_lines(case: str) -> None:
    """F7: every problem at once, each one sentence with the line and how to mend it."""
    text, expected = BROKEN[case]
    assert refusal(text) == expected


def test_two_writers_without_a_rule_are_both_named() -> None:
    """F5: the sentence names both agents; any rule on the facet, or on what contains it, settles it."""
    two = WRITER + B + ", writes: [o.r]}\n"
    assert refusal(two) == [
        "5: agents a and b write o.r without a conflict rule; "
        "add {facet: o.r, rule: most_severe} to conflict_rules, or another rule"
    ]
    for facet in ("o.r", "o"):
        ruled = load(two + f"    conflict_rules: [{{facet: {facet}, rule: ask_person}}]\n").workflow("w")
        assert conflicts(ruled) == [("o.r", ("a", "b"), Rule.ASK_PERSON)]


def test_a_writer_of_the_whole_also_writes_the_part() -> None:
    """F5: ``o`` and ``o.r`` overlap, ``o.r`` and ``o.rs`` do not."""
    assert refusal(WRITER + B + ", writes: [o]}\n")[0].startswith("5: agents a and b write o.r without")
    assert conflicts(load(WRITER + B + ", writes: [o.rs]}\n").workflow("w")) == []


def test_a_removed_rule_of_the_shipped_file_is_missed() -> None:
    """F5: on the real workflow."""
    text = ORDER.read_text().replace("      - {facet: order.release, rule: most_severe}\n", "").rstrip()
    [problem] = refusal(text.removesuffix("conflict_rules:"))
    assert "agents fraud_detection and compliance write order.release without a conflict rule" in problem


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    for path, expected in (
        (
            tmp_path / "none.yaml",
            r"none\.yaml:1: the file cannot be read \(No such file or directory\); check the path",
        ),
        (tmp_path, r":1: the file cannot be read \(Is a directory\); check the path"),
        (latin, r"latin\.yaml:2: the text is not UTF-8; save the file as UTF-8"),
    ):
        with pytest.raises(TopologyError, match=expected):
            load(path)
    with pytest.raises(TopologyError, match="no file was given"):
        load()


def test_a_byte_order_mark_and_windows_lines_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path).digest == load(GOOD).digest


def tier_2_text(needs: dict[str, set[str]]) -> str:
    lines = [
        f"      - {{name: {name}, version: v, timeout_ms: 10, depends_on: [{', '.join(sorted(before))}]}}\n"
        for name, before in needs.items()
    ]
    return GOOD + "    tier_2:\n" + "".join(lines)


@st.composite
def orders(draw: st.DrawFn) -> dict[str, set[str]]:
    count = draw(st.integers(2, 9))
    needs = {
        f"n{i}": {f"n{j}" for j in draw(st.sets(st.integers(0, max(0, i - 1)), max_size=3)) if j < i}
        for i in range(count)
    }
    return {name: needs[name] for name in draw(st.permutations(sorted(needs)))}


@given(orders())
@settings(max_examples=60, deadline=None)
def test_every_dependency_stands_in_an_earlier_stage(needs: dict[str, set[str]]) -> None:
    """F6: for any acyclic dependencies in any order of the file; as early as possible; the same every time."""
    workflow: Workflow = load(tier_2_text(needs)).workflow("w")
    stage_of = {agent.name: number for number, stage in enumerate(workflow.stages) for agent in stage}
    for name, before in needs.items():
        assert stage_of[name] == 1 + max((stage_of[need] for need in before), default=0)
    assert workflow.stages == load(tier_2_text(needs)).workflow("w").stages


@given(orders(), st.data())
@settings(max_examples=60, deadline=None)
def test_every_circle_is_refused(needs: dict[str, set[str]], data: st.DataObject) -> None:
    """F7: a ring closed through random agents of a random order is named with its members."""
    ring = data.draw(st.permutations(sorted(needs)))[: data.draw(st.integers(1, len(needs)))]
    for name, need in zip(ring, [*ring[1:], ring[0]], strict=True):
        needs[name].add(need)
    problems = refusal(tier_2_text(needs))
    assert all("the dependencies form a circle: " in problem for problem in problems)
    assert problems


@given(st.integers(0, len(ORDER.read_text())), st.integers(0, 8), st.text(max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_edit_loads_or_is_refused_in_sentences(at: int, cut: int, put: str) -> None:
    """F7: no edit of the shipped file crashes the loader."""
    text = ORDER.read_text()
    lines = text.count("\n") + put.count("\n") + 1
    problems = outcome(text[:at] + put + text[at + cut :])
    assert all(1 <= problem.line <= lines + 1 for problem in problems)
    assert all("\n" not in str(problem) for problem in problems)
