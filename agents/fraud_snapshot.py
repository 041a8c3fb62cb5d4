"""The signals of a decision as plain data and back, so that the very same decision can be made again later."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from agents.fraud_segments import Segment
from agents.fraud_signals import QuantityOutlier, Signals
from domain.values import Plain

_DEFAULTS: dict[str, Any] = {spot.name: spot.default if spot.default is not MISSING else {} for spot in fields(Signals)}
_NESTED: dict[str, Any] = {"segment": Segment, "quantity_outlier": QuantityOutlier}


def snapshot(signals: Signals) -> dict[str, Plain]:
    """What differs from knowing nothing, as plain data."""
    kept: dict[str, Plain] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(signals, name)
        if value == default:
            continue
        if name in _NESTED:
            kept[name] = {spot: getattr(value, spot) for spot in value.__slots__}
        elif isinstance(value, tuple):
            kept[name] = list(value)
        else:
            kept[name] = dict(value) if isinstance(value, Mapping) else value
    return kept


def restored(kept: Mapping[str, Plain]) -> Signals:
    """The signals a snapshot was taken of.

    Raises:
        TypeError: it is a snapshot of something else.
    """
    given: dict[str, Any] = dict(kept)
    for name, kind in _NESTED.items():
        if isinstance(given.get(name), Mapping):
            given[name] = kind(**given[name])
    if "known_bad_by" in given:
        given["known_bad_by"] = tuple(given["known_bad_by"])
    return Signals(**given)
