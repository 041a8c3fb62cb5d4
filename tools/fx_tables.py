"""Published rate files read in place: the ECB's euro reference rates and the Federal Reserve's Taiwan dollar.

A file is read again when it changes on disk. A row that cannot be right (no date, no number, dated in the future) is
refused and listed; the rest of the file stands. ``N/A`` and blank cells are days without a rate.
"""

import asyncio
import csv
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from domain.errors import ConfigError, ConnectorUnavailable
from domain.fx import LOOK_BACK, Rate
from tools.fx_calendars import ECB, FED_TAIWAN, Publisher

NO_RATE = frozenset({"", "N/A", "ND", "."})
"""How publishers write that a day has no rate."""


@dataclass(frozen=True, kw_only=True)
class RefusedRow:
    """A row that was not taken, and why."""

    line: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Row:
    line: int
    day: date
    cells: dict[str, str]


class PublishedTable:
    """One file of daily rates; the publisher's calendar says how fresh each is."""

    columns: frozenset[str] = frozenset()
    """Columns without which the file is not this table."""

    def __init__(self, path: Path, now: Callable[[], datetime], *, publisher: Publisher) -> None:
        """``now`` tells a future row from a present one.

        Raises:
            ConfigError: there is no such file, or it is not this table.
        """
        self._path = path
        self._now = now
        self._publisher = publisher
        self._read_at: tuple[int, int] = (0, 0)
        self._rows: list[_Row] = []
        self._days: list[date] = []
        self._unreadable: tuple[RefusedRow, ...] = ()
        try:
            self._refresh()
        except OSError as missing:
            raise ConfigError(f"rate file {path} cannot be read ({missing.strerror}); name another") from None

    async def rates(self, currencies: Sequence[str]) -> Sequence[Rate]:
        """Rates per US dollar of the last 30 days for the currencies the file has; the others are absent.

        Raises:
            ConnectorUnavailable: the file has gone or is being replaced.
        """
        try:
            await asyncio.to_thread(self._refresh)
        except (OSError, ConfigError) as gone:
            raise ConnectorUnavailable(f"rate file {self._path.name} cannot be read now: {gone}") from None
        today = self._today()
        return [
            rate
            for currency in dict.fromkeys(currencies)
            for row in self._between(today - LOOK_BACK, today)
            if (rate := self._rate(row, currency)) is not None
        ]

    def on(self, currency: str, day: date) -> Rate | None:
        """The rate of a transaction's day: the newest up to it, within 30 days; None when there is none."""
        for row in reversed(self._between(day - LOOK_BACK, min(day, self._today()))):
            rate = self._rate(row, currency)
            if rate is not None:
                return rate
        return None

    @property
    def refused(self) -> tuple[RefusedRow, ...]:
        """The rows not taken, with the future ones as of now."""
        ahead = self._rows[bisect_right(self._days, self._today()) :]
        future = (RefusedRow(line=row.line, reason=f"{row.day} is in the future") for row in ahead)
        return (*self._unreadable, *future)

    def value(self, row: dict[str, str], currency: str) -> Decimal | None:
        """Units of the currency per US dollar in one row, or None when the row has none."""
        raise NotImplementedError

    def _today(self) -> date:
        return self._now().astimezone(self._publisher.zone).date()

    def _between(self, first: date, last: date) -> list[_Row]:
        return self._rows[bisect_left(self._days, first) : bisect_right(self._days, last)]

    def _rate(self, row: _Row, currency: str) -> Rate | None:
        value = self.value(row.cells, currency)
        if value is None:
            return None
        observed = self._publisher.observed(row.day)
        return Rate(
            base="USD",
            quote=currency,
            day=row.day,
            value=value,
            source=self._publisher.name,
            observed=observed,
            fresh_until=self._publisher.fresh_until(observed),
        )

    def _refresh(self) -> None:
        stat = self._path.stat()
        if (stat.st_mtime_ns, stat.st_size) == self._read_at:
            return
        refused: list[RefusedRow] = []
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            lacking = self.columns - set(reader.fieldnames or ())
            if lacking:
                raise ConfigError(
                    f"rate file {self._path} lacks the columns {', '.join(sorted(lacking))}; name another"
                )
            rows: dict[date, _Row] = {}
            for row in _rows(reader, refused):
                if rows.setdefault(row.day, row).cells != row.cells:
                    refused.append(RefusedRow(line=row.line, reason=f"{row.day} has another row before it"))
        self._rows = [rows[day] for day in sorted(rows)]
        self._days = [row.day for row in self._rows]
        self._unreadable = tuple(refused)
        self._read_at = (stat.st_mtime_ns, stat.st_size)


def _rows(reader: "csv.DictReader[str]", refused: list[RefusedRow]) -> Iterator[_Row]:
    for cells in reader:
        text = (cells.get("Date") or "").strip()
        kept = {name: (cell or "").strip() for name, cell in cells.items() if name and not isinstance(cell, list)}
        try:
            day = date.fromisoformat(text)
        except ValueError:
            if any(kept.values()):
                refused.append(RefusedRow(line=reader.line_num, reason=f"{text!r} is not a date"))
            continue
        wrong = next((name for name, cell in kept.items() if _is_wrong(name, cell)), None)
        if wrong is None:
            yield _Row(line=reader.line_num, day=day, cells=kept)
        else:
            refused.append(RefusedRow(line=reader.line_num, reason=f"{wrong} of {day} is not a rate: {kept[wrong]!r}"))


def _is_wrong(name: str, cell: str) -> bool:
    if name in {"Date", "Country"} or cell in NO_RATE:
        return False
    try:
        value = Decimal(cell)
    except InvalidOperation:
        return True
    return not value.is_finite() or value <= 0


def _number(cell: str | None) -> Decimal | None:
    return None if cell is None or cell in NO_RATE else Decimal(cell)


class EcbTable(PublishedTable):
    """``eurofxref-hist.csv``: units per euro. Rates per US dollar are crossed through the euro."""

    columns = frozenset({"Date", "USD"})

    def __init__(self, path: Path, now: Callable[[], datetime], *, publisher: Publisher = ECB) -> None:
        """``now`` tells a future row from a present one.

        Raises:
            ConfigError: there is no such file, or it is not this table.
        """
        super().__init__(path, now, publisher=publisher)

    def value(self, row: dict[str, str], currency: str) -> Decimal | None:
        """Units of the currency per US dollar: its units per euro, by the dollars per euro."""
        dollars = _number(row.get("USD"))
        units = Decimal(1) if currency == "EUR" else _number(row.get(currency))
        return None if dollars is None or units is None or currency == "USD" else units / dollars


class FedTable(PublishedTable):
    """``Date,Country,Exchange rate`` rows of the H.10 release for one country; shipped use: New Taiwan dollars."""

    columns = frozenset({"Date", "Country", "Exchange rate"})

    def __init__(
        self, path: Path, now: Callable[[], datetime], *, currency: str = "TWD", publisher: Publisher = FED_TAIWAN
    ) -> None:
        """``now`` tells a future row from a present one; the file holds one country's rows.

        Raises:
            ConfigError: there is no such file, or it is not this table.
        """
        self._currency = currency
        super().__init__(path, now, publisher=publisher)

    def value(self, row: dict[str, str], currency: str) -> Decimal | None:
        """Units of the currency per US dollar, as printed."""
        return _number(row.get("Exchange rate")) if currency == self._currency else None


def published_tables(folder: Path, now: Callable[[], datetime]) -> tuple[PublishedTable, ...]:
    """The rate files of a folder: the last by name of ``ecb*.csv`` or ``eurofxref*.csv``, and of ``fed*twd*.csv``.

    Raises:
        ConfigError: the folder holds neither, or a file is not the table its name says.
    """
    euro = sorted([*folder.glob("ecb*.csv"), *folder.glob("eurofxref*.csv")], key=lambda path: path.name)
    taiwan = sorted(folder.glob("fed*twd*.csv"), key=lambda path: path.name)
    if not euro and not taiwan:
        raise ConfigError(f"{folder} holds no ecb*.csv, eurofxref*.csv or fed*twd*.csv; name the folder of rate files")
    found: list[PublishedTable] = [EcbTable(euro[-1], now)] if euro else []
    return (*found, *([FedTable(taiwan[-1], now)] if taiwan else []))
