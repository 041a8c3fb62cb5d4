"""Typed reading of one YAML mapping: what does not fit becomes a problem with its line, and reading goes on."""

import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import TypeVar

import yaml

from graph.topology.problems import Report, suggestion
from graph.topology.source import line_of

_STR = "tag:yaml.org,2002:str"
_WHOLE = re.compile(r"0|[1-9][0-9]{0,8}")

Word = TypeVar("Word", bound=StrEnum)


class Fields:
    """The entries of one mapping, by name."""

    def __init__(self, node: yaml.Node, report: Report, *, what: str, known: Collection[str] | None = None) -> None:
        """``what`` names the mapping in sentences; ``known`` are the only keys allowed, any when None."""
        self.report = report
        self.what = what
        self.line = line_of(node)
        self.entries: dict[str, tuple[int, yaml.Node]] = {}
        if not isinstance(node, yaml.MappingNode):
            report.add(self.line, f"{what} must be a mapping of keys to values, {_shape(node)} stands here")
            return
        for key, value in node.value:
            self._enter(key, value, known)

    def _enter(self, key: yaml.Node, value: yaml.Node, known: Collection[str] | None) -> None:
        if not isinstance(key, yaml.ScalarNode):
            self.report.add(line_of(key), f"{self.what} has a key that is not a word; use a plain word")
        elif known is not None and key.value not in known:
            glued = key.value.partition(":")[0] in known and ":" in key.value
            hint = "put a space after the colon" if glued else suggestion(key.value, known)
            self.report.add(line_of(key), f"{self.what} has the unknown key {key.value[:60]!r}; {hint}")
        elif key.value in self.entries:
            first = self.entries[key.value][0]
            self.report.add(
                line_of(key), f"{self.what} has the key {key.value!r} twice (first on line {first}); keep one"
            )
        else:
            self.entries[key.value] = (line_of(key), value)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def line_of(self, key: str) -> int:
        """The key's line, or the mapping's when the key is absent."""
        return self.entries[key][0] if key in self.entries else self.line

    def wrong(self, key: str, text: str) -> None:
        """Note a problem at the key's value."""
        line = line_of(self.entries[key][1]) if key in self.entries else self.line
        self.report.add(line, f"{self.what}: {text}")

    def require(self, key: str, example: str) -> None:
        """Note a problem when the key is absent."""
        if key not in self.entries:
            self.report.add(self.line, f"{self.what} lacks {key!r}; add {key}: {example}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None, *, shape: str = "") -> str | None:
        """The value as text, None when it is absent or refused."""
        if key not in self.entries:
            return None
        return self._scalar(key, self.entries[key][1], pattern, shape)

    def texts(self, key: str, pattern: re.Pattern[str], *, shape: str) -> tuple[str, ...]:
        """The value as a list of distinct texts."""
        found: list[str] = []
        for item in self.items(key):
            value = self._scalar(key, item, pattern, shape)
            if value in found:
                self.report.add(line_of(item), f"{self.what}: {key} names {value} twice; keep one")
            elif value is not None:
                found.append(value)
        return tuple(found)

    def items(self, key: str) -> Iterator[yaml.Node]:
        """The nodes of a list value, none when it is absent or no list."""
        if key not in self.entries:
            return
        node = self.entries[key][1]
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        else:
            self.wrong(key, f"{key} must be a list, {_shape(node)} stands here; write [..] or lines starting with -")

    def whole(self, key: str, *, low: int, high: int) -> int | None:
        """The value as a whole number within bounds."""
        if key not in self.entries:
            return None
        node = self.entries[key][1]
        plain = isinstance(node, yaml.ScalarNode) and node.style is None and bool(_WHOLE.fullmatch(node.value))
        value = int(node.value) if plain else -1
        if low <= value <= high:
            return value
        self.wrong(key, f"{key} must be a whole number from {low} to {high}, {_shape(node)} stands here")
        return None

    def truth(self, key: str) -> bool | None:
        """The value as true or false."""
        if key not in self.entries:
            return None
        node = self.entries[key][1]
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("true", "false"):
            return bool(node.value == "true")
        self.wrong(key, f"{key} must be true or false, {_shape(node)} stands here")
        return None

    def word(self, key: str, words: type[Word]) -> Word | None:
        """The value as one of the enumeration's words."""
        value = self.text(key)
        if value is None:
            return None
        if value in list(words):
            return words(value)
        self.wrong(key, f"{key} {value[:60]!r} is unknown; {suggestion(value, [str(each) for each in words])}")
        return None

    def _scalar(self, key: str, node: yaml.Node, pattern: re.Pattern[str] | None, shape: str) -> str | None:
        if not isinstance(node, yaml.ScalarNode) or (node.style is None and not node.value):
            problem = f"{key} must be text, {_shape(node)} stands here"
        elif node.tag != _STR:
            problem = (
                f'{key} must be text, but YAML reads {node.value[:60]} as {_kind(node)}; write "{node.value[:60]}"'
            )
        elif not node.value.strip() or len(node.value) > 120 or not node.value.isprintable():
            problem = f"{key} must be 1 to 120 printable characters"
        elif pattern is not None and not pattern.fullmatch(node.value):
            problem = f"{key} {node.value[:60]!r} is not allowed; use {shape}"
        else:
            return str(node.value)
        self.report.add(line_of(node), f"{self.what}: {problem}")
        return None


def _kind(node: yaml.ScalarNode) -> str:
    names = {"int": "a number", "float": "a number", "bool": "true or false", "timestamp": "a date", "null": "nothing"}
    return names.get(node.tag.rpartition(":")[2], f"the type {node.tag}")


def _shape(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return repr(node.value[:60]) if node.value else "nothing"
