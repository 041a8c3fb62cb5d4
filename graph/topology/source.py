"""YAML text as nodes with line numbers. Plain data only: no aliases, tags, tabs, second documents or deep nesting."""

from pathlib import Path

import yaml

from graph.topology.problems import Problem, TopologyError

MAX_BYTES = 128 * 1024
MAX_DEPTH = 16


def read(path: Path) -> str:
    """The text of a topology file.

    Raises:
        TopologyError: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _refuse(str(path), 1, f"the file cannot be read ({error.strerror}); check the path") from error
    _limit(raw, str(path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _refuse(str(path), line, "the text is not UTF-8; save the file as UTF-8") from error


def compose(text: str, source: str) -> yaml.MappingNode:
    """Parse text into the top mapping's node.

    Raises:
        TopologyError: it is not one plain YAML mapping within the limits.
    """
    _limit(text.encode("utf-8", errors="replace"), source)
    try:
        _check_events(text, source)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _refuse(source, line, "the text holds a character YAML forbids; remove it") from error
    except yaml.MarkedYAMLError as error:
        raise _syntax(text, source, error) from error
    if root is None:
        raise _refuse(source, 1, "the file is empty; it must start with 'agent_topology:'")
    if not isinstance(root, yaml.MappingNode):
        raise _refuse(source, line_of(root), "the file is not a mapping; it must start with 'agent_topology:'")
    return root


def line_of(part: yaml.Node | yaml.Event) -> int:
    """The line a part of the text starts on, counted from 1."""
    return int(part.start_mark.line) + 1 if part.start_mark else 1


def _check_events(text: str, source: str) -> None:
    """Refuse what could grow without bound, before anything recursive walks the text."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = line_of(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refuse(source, line, "YAML anchors and aliases are not allowed; write the value out")
        if getattr(event, "tag", None):
            raise _refuse(source, line, "YAML tags are not allowed; write the plain value")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _refuse(source, line, f"the values nest deeper than {MAX_DEPTH} levels; flatten them")


def _syntax(text: str, source: str, error: yaml.MarkedYAMLError) -> TopologyError:
    at_the_end = "end of stream" in (error.problem or "")
    mark = (error.context_mark if at_the_end else None) or error.problem_mark or error.context_mark
    number = mark.line if mark else 0
    lines = text.split("\n")
    line = lines[number] if number < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in (error.problem or ""):
        return _refuse(source, number + 1, "the line is indented with a tab; use spaces")
    if "single document" in (error.context or ""):
        return _refuse(source, number + 1, "a second YAML document starts here; use one document per file")
    what = " ".join(part for part in (error.context, error.problem) if part)
    return _refuse(source, number + 1, f"not valid YAML ({what}); mend the syntax here or just above")


def _limit(raw: bytes, source: str) -> None:
    if len(raw) > MAX_BYTES:
        raise _refuse(source, 1, f"the file is larger than {MAX_BYTES // 1024} KiB; split it into several files")


def _refuse(source: str, line: int, text: str) -> TopologyError:
    return TopologyError([Problem(source=source, line=line, text=text)])
