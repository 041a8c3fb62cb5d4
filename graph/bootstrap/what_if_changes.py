"""What a dry run makes otherwise: fields of the order, thresholds, the version of an agent in a topology file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml
from pydantic import ValidationError

from agents.policies import SUBJECTS, parsed, shipped_text
from domain.errors import ConfigError, InputError
from domain.order import Order
from graph.bootstrap.order_graphs import ORDER_WORKFLOW
from graph.topology.loader import load


def changed_order(text: str, changes: Mapping[str, str]) -> Order:
    """The order with some of its fields otherwise.

    Raises:
        InputError: a path names nothing, or the result is no order.
    """
    document = orjson.loads(text)
    for path, value in changes.items():
        _put(document, path, value, of="the order")
    try:
        return Order.model_validate_json(orjson.dumps(document))
    except ValidationError as bad:
        first = bad.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the changed order is none: {where}: {first['msg']}") from None


def changed_tables(in_force: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """The tables in force, with some thresholds otherwise.

    Raises:
        InputError: a path names nothing, or the result is no such table.
    """
    texts = dict(in_force)
    for path, value in changes.items():
        table, _, within = path.partition(".")
        if table not in SUBJECTS or not within:
            raise InputError(f"--threshold {path}: begin with one of {', '.join(SUBJECTS)}, then the path in the table")
        raw = yaml.safe_load(texts.get(table) or shipped_text(table))
        entry = raw[-1] if isinstance(raw, list) else raw
        _put(entry, within, value, of=table)
        entry["version"] = f"{str(entry['version']).removesuffix('-what-if')}-what-if"
        texts[table] = yaml.safe_dump(raw, allow_unicode=True)
        try:
            parsed(table, texts[table])
        except ConfigError as wrong:
            raise InputError(f"--threshold {path}={value}: {wrong}") from None
    return texts


def _put(document: Any, path: str, value: str, *, of: str) -> None:
    """Set what a dotted path names; it must be there already, or be an optional field of an object."""
    *way, last = path.split(".")
    at = document
    for step in way:
        at = _step(at, step, path, of)
    if isinstance(at, list):
        if not last.isdigit() or int(last) >= len(at):
            raise InputError(f"{path}: {of} has no such place")
        at[int(last)] = _value(value)
    elif isinstance(at, dict) and last in at:
        at[last] = _value(value)
    else:
        raise InputError(f"{path}: {of} has no {last!r}")


def _step(at: Any, step: str, path: str, of: str) -> Any:
    if isinstance(at, list) and step.isdigit() and int(step) < len(at):
        return at[int(step)]
    if isinstance(at, dict) and at.get(step) is not None:
        return at[step]
    raise InputError(f"{path}: {of} has no {step!r}")


def _value(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def with_version(file: Path, agent: str, version: str) -> str:
    """A topology file's text with one agent in another version.

    Raises:
        InputError: the workflow does not ask this agent.
    """
    try:
        line = load(file).workflow(ORDER_WORKFLOW).agent(agent).line_of("version")
    except ConfigError as wrong:
        raise InputError(str(wrong)) from None
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[line - 1] = re.sub(r"(version:\s*)[^\s,}#]+", rf"\g<1>{version}", lines[line - 1], count=1)
    return "".join(lines)
