"""What people and time have found out about orders, from a file: JSON lines, or CSV with a head."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from domain.errors import InputError

_MEANS = {
    "fraud": ("review", "hold", "reject"),
    "bad": ("review", "hold", "reject"),
    "good": ("approve", "proceed"),
}
"""Labels that say what an order was, and the decisions that are right then."""


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """The right decisions by order id: ``{"order_id": ..., "label": "fraud"}``, or ``"right": "review,hold"``.

    Raises:
        InputError: the file cannot be read as labels; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as failure:
        raise InputError(f"the labels {path} cannot be read: {failure}") from None
    found = {}
    for number, row in _rows(text, path):
        order_id = row.get("order_id")
        if not isinstance(order_id, str) or not order_id:
            raise InputError(f"{path}:{number}: a label needs an order_id")
        found[order_id] = _right(row, path, number)
    return found


def _rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if not text.lstrip().startswith("{"):
        yield from enumerate(csv.DictReader(io.StringIO(text)), start=2)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as bad:
            raise InputError(f"{path}:{number}: not JSON: {bad}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: a label is an object")
        yield number, row


def _right(row: Mapping[str, Any], path: Path, number: int) -> tuple[str, ...]:
    stated = row.get("right")
    if isinstance(stated, str) and stated.strip():
        return tuple(part.strip() for part in stated.split(",") if part.strip())
    if isinstance(stated, list) and stated and all(isinstance(part, str) for part in stated):
        return tuple(stated)
    label = row.get("label")
    if isinstance(label, str) and label in _MEANS:
        return _MEANS[label]
    raise InputError(f"{path}:{number}: give label ({', '.join(_MEANS)}) or right, the decisions that are right")
