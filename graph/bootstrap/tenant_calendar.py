"""Which calendar day it is for a tenant: by the time zone in the tenants file, read again when the file changes."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml


class TenantCalendar:
    """Tells tenants' local days. A tenant nobody knows lives in UTC."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        """``path`` is the tenants file; it may come into being later."""
        self._path = path
        self._now = now
        self._read_at: int | None = None
        self._zones: dict[str, tzinfo] = {}

    def day(self, tenant: str) -> str:
        """The tenant's calendar day now (``2026-11-11``)."""
        return self._now().astimezone(self.zone(tenant)).date().isoformat()

    def zone(self, tenant: str) -> tzinfo:
        """The tenant's time zone."""
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return UTC
        if changed != self._read_at:
            self._read_at, self._zones = changed, _zones(self._path)
        return self._zones.get(tenant, UTC)


def _zones(path: Path) -> dict[str, tzinfo]:
    """What the file says; a broken file is reported by whoever needs all of it."""
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))["tenants"]
        return {str(each["tenant"]): ZoneInfo(str(each["timezone"])) for each in listed}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError, ZoneInfoNotFoundError):
        return {}
