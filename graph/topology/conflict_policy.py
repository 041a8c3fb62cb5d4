"""The conflict policy's file: either the whole is right, or every problem is reported with its file and line."""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import yaml

from domain.conflict import Clash, ConflictPolicy, Stance
from graph.topology.fields import Fields
from graph.topology.problems import Problem, Report, TopologyError, suggestion
from graph.topology.source import compose, line_of, read

POLICY_FILE = Path(__file__).with_name("conflicts.yaml")

_KEYS = (
    "version", "confidence", "calibration_days", "exposure", "answer", "provisional_h", "legal", "safer", "facets",
    "within_a_facet", "exclusive", "between_facets",
)  # fmt: skip
_STANCES = tuple(str(stance) for stance in Stance)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]*")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_FACET = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_EFFECT = re.compile(rf"{_FACET.pattern}/[a-z][a-z0-9_]*")
_SHARE = re.compile(r"0\.[0-9]{1,4}|1|1\.0{1,4}")
_AMOUNT = re.compile(r"[0-9]{1,9}(\.[0-9]{1,4})?")


@cache
def shipped_policy() -> ConflictPolicy:
    """The policy that ships with this version."""
    return load_policy(POLICY_FILE)


def load_policy(source: Path | str) -> ConflictPolicy:
    """Read a policy. A ``Path`` is read from disk, a ``str`` is the YAML text itself.

    Raises:
        TopologyError: something is wrong; it carries every problem found, with file and line.
    """
    name = str(source) if isinstance(source, Path) else "<text>"
    text = read(source) if isinstance(source, Path) else source
    report = Report(name)
    try:
        root = compose(text, name)
    except TopologyError as wrong:
        said = [p.model_copy(update={"text": p.text.replace("agent_topology", "version")}) for p in wrong.problems]
        raise TopologyError(said) from None
    top = Fields(root, report, what="the conflict policy", known=set(_KEYS))
    for key in _KEYS:
        top.require(key, "as in the shipped conflicts.yaml")
    policy = _policy(top) if not report.problems else None
    if policy is None or report.problems:
        raise TopologyError(report.problems or [Problem(source=name, line=1, text="the policy cannot be read")])
    return policy


def _policy(top: Fields) -> ConflictPolicy | None:
    sure = _numbers(top, "confidence", ("act", "difference", "irreversible"), _SHARE)
    money = _numbers(top, "exposure", ("person_from_usd", "stale_rate_factor"), _AMOUNT)
    answer = Fields(top.entries["answer"][1], top.report, what="answer", known={"at_most_min", "share_of_slack"})
    for key, example in (("at_most_min", "240"), ("share_of_slack", '"0.50"')):
        answer.require(key, example)
    at_most = answer.whole("at_most_min", low=1, high=10_080)
    share = answer.text("share_of_slack", _SHARE, shape="a share such as 0.50")
    days = top.whole("calibration_days", low=1, high=3650)
    hours = top.whole("provisional_h", low=1, high=720)
    version = top.text("version", _VERSION, shape="letters, digits and . _ + : -")
    if "stale_rate_factor" in money and money["stale_rate_factor"] < 1:
        top.wrong("exposure", "stale_rate_factor below 1 would make a stale amount smaller; use 1 or more")
    facets = _facets(top)
    safer, within = _safer(top), _within(top)
    exclusive, clashes = _exclusive(top, facets), _clashes(top, facets)
    legal = top.texts("legal", _NAME, shape="agent names such as compliance")
    if top.report.problems or not (version and days and hours and at_most and share):
        return None
    return ConflictPolicy(
        version=version,
        act=sure["act"],
        difference=sure["difference"],
        irreversible=sure["irreversible"],
        calibration_age=timedelta(days=days),
        exposure_usd=money["person_from_usd"],
        stale_factor=money["stale_rate_factor"],
        answer_at_most=timedelta(minutes=at_most),
        answer_share=Decimal(share),
        provisional=timedelta(hours=hours),
        legal=frozenset(legal),
        safer=safer,
        within=within,
        exclusive=exclusive,
        clashes=clashes,
        facets=facets,
    )


def _numbers(top: Fields, key: str, names: tuple[str, ...], pattern: re.Pattern[str]) -> dict[str, Decimal]:
    fields = Fields(top.entries[key][1], top.report, what=key, known=set(names))
    found: dict[str, Decimal] = {}
    for name in names:
        fields.require(name, '"0.70"' if pattern is _SHARE else '"500.00"')
        said = fields.text(name, pattern, shape='a number in quotes such as "0.70"')
        if said is not None:
            found[name] = Decimal(said)
    return found


def _facets(top: Fields) -> Mapping[str, Mapping[str, Stance]]:
    found: dict[str, Mapping[str, Stance]] = {}
    named = Fields(top.entries["facets"][1], top.report, what="facets")
    for facet, (line, node) in named.entries.items():
        if not _FACET.fullmatch(facet):
            top.report.add(line, f"facet {facet[:60]!r} is not allowed; use lower-case words joined by dots")
            continue
        fields = Fields(node, top.report, what=f"facet {facet}", known=set(_STANCES))
        actions: dict[str, Stance] = {}
        for stance in fields.entries:
            for action in fields.texts(stance, _NAME, shape="a lower-case word"):
                if action in actions:
                    fields.wrong(stance, f"{action} is {actions[action]} already; keep one")
                actions[action] = Stance(stance)
        found[facet] = actions
    return found


def _safer(top: Fields) -> tuple[frozenset[Stance], ...]:
    groups: list[frozenset[Stance]] = []
    for node in top.items("safer"):
        group = [stance for word in _words(node, top, "safer") if (stance := _stance(word, node, top.report))]
        for stance in group:
            if any(stance in earlier for earlier in groups):
                top.report.add(line_of(node), f"safer names {stance} twice; keep one")
        groups.append(frozenset(group))
    missing = [word for word in _STANCES if not any(Stance(word) in group for group in groups)]
    if missing and not top.report.problems:
        top.wrong("safer", f"safer lacks {', '.join(missing)}; every stance needs a place")
    return tuple(groups)


def _within(top: Fields) -> frozenset[frozenset[Stance]]:
    pairs: set[frozenset[Stance]] = set()
    for node in top.items("within_a_facet"):
        fields = Fields(node, top.report, what="within_a_facet", known={"stance", "excludes"})
        fields.require("stance", "hold")
        fields.require("excludes", "[proceed]")
        stance = fields.word("stance", Stance)
        for word in fields.texts("excludes", _NAME, shape="a stance"):
            other = _stance(word, node, top.report)
            if stance and other is stance:
                fields.wrong("excludes", f"{stance} cannot exclude itself; name the facet under exclusive instead")
            elif stance and other:
                pairs.add(frozenset((stance, other)))
    return frozenset(pairs)


def _exclusive(top: Fields, facets: Mapping[str, object]) -> frozenset[str]:
    named = top.texts("exclusive", _FACET, shape="a facet")
    for facet in named:
        if facet not in facets:
            top.wrong("exclusive", f"exclusive names {facet}, which is no facet; {suggestion(facet, list(facets))}")
    return frozenset(named)


def _clashes(top: Fields, facets: Mapping[str, Mapping[str, Stance]]) -> tuple[Clash, ...]:
    known = [f"{facet}/{action}" for facet, actions in facets.items() for action in actions]
    found: list[Clash] = []
    for node in top.items("between_facets"):
        fields = Fields(node, top.report, what="between_facets", known={"one", "other", "by_state", "late"})
        sides: list[frozenset[str]] = []
        for key in ("one", "other"):
            fields.require(key, "[po.send/send]")
            effects = fields.texts(key, _EFFECT, shape="a facet and an action such as po.send/send")
            for effect in effects:
                if effect not in known:
                    fields.wrong(key, f"{effect} is no action of a facet; {suggestion(effect, known)}")
            sides.append(frozenset(effects))
        late = fields.text("late", _NAME, shape="a lower-case word") or ""
        found.append(Clash(one=sides[0], other=sides[1], by_state=bool(fields.truth("by_state")), late=late))
    return tuple(found)


def _words(node: yaml.Node, top: Fields, key: str) -> list[str]:
    if isinstance(node, yaml.SequenceNode) and all(isinstance(part, yaml.ScalarNode) for part in node.value):
        return [part.value for part in node.value]
    top.report.add(line_of(node), f"{key} holds lists of stances; write - [hold]")
    return []


def _stance(word: str, node: yaml.Node, report: Report) -> Stance | None:
    if word in _STANCES:
        return Stance(word)
    report.add(line_of(node), f"{word[:60]!r} is no stance; {suggestion(word, list(_STANCES))}")
    return None
