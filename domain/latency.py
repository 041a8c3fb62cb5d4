"""How long agents take: percentiles by nearest rank, so that each is a time that was really measured."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import orjson

from domain.errors import MalformedPayload

RANKS = (50, 95, 99)
_AGENT = ("agent", "agent_name", "name")
_MS = ("processing_time_ms", "latency_ms", "duration_ms", "took_ms", "ms")


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """One agent's decisions."""

    agent: str
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def percentile(values: Sequence[float], rank: float) -> float:
    """The smallest value that ``rank`` per cent of the values do not exceed (nearest rank); 0 of no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return float(ordered[max(1, math.ceil(len(ordered) * rank / 100)) - 1])


def latencies(taken: Iterable[tuple[str, float]]) -> list[Latency]:
    """By agent, in the order of their names."""
    by_agent: dict[str, list[float]] = defaultdict(list)
    for agent, ms in taken:
        by_agent[agent].append(ms)
    found = []
    for agent in sorted(by_agent):
        times = by_agent[agent]
        p50, p95, p99 = (percentile(times, rank) for rank in RANKS)
        found.append(Latency(agent=agent, count=len(times), p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=max(times)))
    return found


def read_times(text: str) -> list[tuple[str, float]]:
    """Agent and milliseconds of each line: CSV with a heading, JSON lines of events or decisions, or one JSON list of them.

    Raises:
        MalformedPayload: a line has no agent or no time; says which.
    """
    first = text.lstrip("\ufeff \t\r\n")[:1]
    if first == "[":
        return [_time(row, f"entry {n}") for n, row in enumerate(_json(text, "the file"), start=1)]
    if first == "{":
        lines = [(n, line) for n, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1) if line.strip()]
        return [_time(_json(line, f"line {n}"), f"line {n}") for n, line in lines]
    return _of_csv(text.lstrip("\ufeff"))


def _of_csv(text: str) -> list[tuple[str, float]]:
    reader = csv.DictReader(StringIO(text))
    heading = [name.strip() for name in reader.fieldnames or ()]
    if not set(heading) & set(_AGENT) or not set(heading) & set(_MS):
        raise MalformedPayload(f"line 1: name a column of {', '.join(_AGENT)} and one of {', '.join(_MS)}")
    reader.fieldnames = heading
    return [_time(row, f"line {n}") for n, row in enumerate(reader, start=2)]


def _json(text: str, where: str) -> Any:
    try:
        return orjson.loads(text.lstrip("\ufeff"))
    except orjson.JSONDecodeError as error:
        raise MalformedPayload(f"{where} is not JSON: {error}") from None


def _time(row: Any, where: str) -> tuple[str, float]:
    if not isinstance(row, Mapping):
        raise MalformedPayload(f"{where} is no object with an agent and a time")
    inner = row.get("metadata")
    agent = next((row[name] for name in _AGENT if row.get(name)), None)
    told = next((part[name] for part in (row, inner or {}) for name in _MS if part.get(name) is not None), None)
    try:
        ms = float(str(told).strip())
    except ValueError:
        ms = math.nan
    if not isinstance(agent, str) or not math.isfinite(ms) or ms < 0:
        raise MalformedPayload(f"{where}: an agent's name and a time in milliseconds of 0 or more are needed")
    return agent.strip(), ms
