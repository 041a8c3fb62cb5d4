"""The file of plain automations: either the whole is right, or every problem is reported with its file and line."""

import re
from pathlib import Path

import yaml

from domain.automation import NAME, Automation, AutomationBook, Settled, reserved
from graph.topology.fields import Fields
from graph.topology.problems import Report, TopologyError
from graph.topology.source import compose, line_of, read

_KEYS = frozenset({"name", "version", "owner", "trigger", "reads", "writes", "actions", "events"})
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:-]{0,47}")
_FACET = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_EVENT = re.compile(r"[a-z_]+(\.[a-z0-9_]+)+")
_ANY = re.compile(r".+")


def load_automations(source: Path | str | None) -> AutomationBook:
    """Read the file; without one there are no automations. A ``str`` is the YAML text itself.

    Raises:
        TopologyError: something is wrong; it carries every problem found, with file and line.
    """
    if source is None:
        return AutomationBook()
    name = str(source) if isinstance(source, Path) else "<text>"
    report = Report(name)
    root = _root(read(source) if isinstance(source, Path) else source, name)
    top = Fields(root, report, what="the automations file", known={"automations", "settled"})
    top.require("automations", "[]")
    automations = tuple(found for node in top.items("automations") if (found := _automation(node, report)))
    settled = tuple(one for node in top.items("settled") if (one := _settled(node, report)))
    first: dict[str, int] = {}
    for each in automations:
        if each.name in first:
            report.add(each.line, f"automation {each.name} is there twice (first on line {first[each.name]}); keep one")
        first.setdefault(each.name, each.line)
    if report.problems:
        raise TopologyError(report.problems)
    return AutomationBook(automations=automations, settled=settled)


def _root(text: str, name: str) -> yaml.MappingNode:
    try:
        return compose(text, name)
    except TopologyError as wrong:
        said = [p.model_copy(update={"text": p.text.replace("agent_topology", "automations")}) for p in wrong.problems]
        raise TopologyError(said) from None


def _automation(node: yaml.Node, report: Report) -> Automation | None:
    before = len(report.problems)
    fields = Fields(node, report, what="automation", known=_KEYS)
    for key, example in (
        ("name", "gift_notes"), ("version", "gn-3"), ("owner", "storefront team"), ("trigger", "an order is paid"),
        ("events", "[order.gift_note.added]"),
    ):  # fmt: skip
        fields.require(key, example)
    name = fields.text("name", NAME, shape="lower-case letters, digits and _")
    version = fields.text("version", _VERSION, shape="letters, digits and . _ + : -")
    owner, trigger = fields.text("owner"), fields.text("trigger")
    reads = fields.texts("reads", _FACET, shape="data such as order.tags")
    writes = fields.texts("writes", _FACET, shape="data such as order.tags")
    actions = fields.texts("actions", _ANY, shape="text")
    events = fields.texts("events", _EVENT, shape="event types such as order.gift_note.added")
    for kind in events:
        if taken := reserved(kind):
            fields.wrong("events", f"{kind} uses {taken!r}, a word of Signalbox's own events; choose another")
    if len(report.problems) > before or not (name and version and owner and trigger):
        return None
    return Automation(
        name=name, version=version, owner=owner, trigger=trigger, reads=reads, writes=writes, actions=actions,
        events=events, line=line_of(node),
    )  # fmt: skip


def _settled(node: yaml.Node, report: Report) -> Settled | None:
    fields = Fields(node, report, what="settled", known={"data", "how"})
    fields.require("data", "order.tags")
    fields.require("how", '"tags are a set: both only add"')
    facet, how = fields.text("data", _FACET, shape="data such as order.tags"), fields.text("how")
    return Settled(facet=facet, how=how, line=line_of(node)) if facet and how else None
