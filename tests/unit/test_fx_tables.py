"""Published rate files: the shared ECB and Federal Reserve tables, holes and closures included, and files gone wrong."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from domain.errors import ConfigError, ConnectorUnavailable, MissingRate
from domain.fx import Freshness, RateTable
from domain.money import Money
from tests.support.payloads import data_root
from tools.fx import FirstSource, Rates
from tools.fx_calendars import ECB, FED_TAIWAN
from tools.fx_tables import EcbTable, FedTable, published_tables

SHARED = (data_root() or Path("absent")) / "fx"
ECB_FILE = SHARED / "ecb_eurofxref_2023-01_2026-04.csv"
FED_FILE = SHARED / "fed_h10_twd_per_usd_2025-07_2026-04.csv"
shared = pytest.mark.skipif(not ECB_FILE.exists() or not FED_FILE.exists(), reason="the shared rate files are absent")


def at(text: str) -> Callable[[], datetime]:
    return lambda: datetime.fromisoformat(f"{text}:00+00:00")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "ecb.csv"
    path.write_text(
        "Date,USD,HKD,TRL,\n2026-04-30,1.25,9.75,N/A,\n2026-04-29,1.25,9.7,N/A,\n2026-04-28,N/A,9.7,N/A,\n"
        "not-a-day,1,1,1,\n2026-04-27,1.2,oops,N/A,\n2026-04-24,1.2,-3,N/A,\n,,,,\n2026-04-29,1.3,9.7,N/A,\n"
        "2031-01-02,1.2,9.6,N/A,\n",
        encoding="utf-8",
    )
    return path


@shared
async def test_real_rates_cross_through_the_euro() -> None:
    """F49: HKD per dollar is the ECB's HKD per euro by its dollars per euro, on the newest day there is."""
    table = EcbTable(ECB_FILE, at("2026-04-30T20:00"))
    rates = await table.rates(["HKD", "EUR", "VND", "USD"])
    assert {rate.quote for rate in rates} == {"HKD", "EUR"}
    newest = [rate for rate in rates if rate.quote == "HKD"][-1]
    assert (newest.day, newest.value, newest.rate_id) == (
        date(2026, 4, 30), Decimal("9.1662") / Decimal("1.1702"), "ecb:USDHKD:2026-04-30",
    )  # fmt: skip
    assert min(rate.day for rate in rates) >= date(2026, 3, 31)
    assert table.refused == tuple(r for r in table.refused if "future" in r.reason) == ()


@shared
@pytest.mark.parametrize("currency", ["HKD", "SGD", "AUD", "MYR", "USD"])
async def test_the_500_dollar_rule_on_real_rates(currency: str) -> None:
    """domain/X1, F49: with the published rates, the smallest amount at or above 500 dollars is found exactly."""
    rates = Rates(EcbTable(ECB_FILE, at("2026-04-30T20:00")), at("2026-04-30T20:00"))
    units = {"HKD": "9.1662", "SGD": "1.4934", "AUD": "1.6371", "MYR": "4.6457", "USD": "1.1702"}
    scaled = 500 * 100 * int(Decimal(units[currency]) * 10_000)
    limit = -(-scaled // int(Decimal("1.1702") * 10_000))
    for minor, high in ((limit - 1, False), (limit, True), (limit + 1, True)):
        worth = await rates.usd_equivalent(Money(amount_minor=minor, currency=currency))
        assert (worth.amount >= 500) is high


@shared
async def test_a_weekend_and_easter_use_the_last_working_day() -> None:
    """domain/X5: Friday's rate is fresh on Sunday; Maundy Thursday's until Tuesday evening, never stale."""
    for moment, day, freshness in (
        ("2026-04-26T12:00", date(2026, 4, 24), Freshness.FRESH),
        ("2026-04-06T12:00", date(2026, 4, 2), Freshness.FRESH),
        ("2026-04-07T09:00", date(2026, 4, 7), Freshness.FRESH),
    ):
        newest = (await EcbTable(ECB_FILE, at(moment)).rates(["SGD"]))[-1]
        assert (newest.day, newest.freshness(at(moment)())) == (day, freshness)
    thursday = ECB.fresh_until(date(2026, 4, 2))
    assert thursday == datetime.fromisoformat("2026-04-07T18:00:00+02:00")


@shared
async def test_taiwans_new_year_rates_are_not_fresh_because_they_are_printed() -> None:
    """domain/X5: 31.44 is printed from 17 to 20 February 2026 while Taipei is closed; it was last seen on the 13th."""
    seen = {}
    for day in (13, 15, 17, 18, 19, 20, 22, 23):
        moment = at(f"2026-02-{day}T20:00")
        rates = await FedTable(FED_FILE, moment).rates(["TWD"])
        worth = RateTable(rates).usd_equivalent(Money.parse("15700", "TWD"), at=moment())
        seen[day] = (rates[-1].day.day, rates[-1].market_day.day, worth.freshness.value, worth.amount >= 500)
    assert seen == {
        13: (13, 13, "fresh", False),
        15: (13, 13, "fresh", False),
        17: (17, 13, "late", False),
        18: (18, 13, "late", False),
        19: (19, 13, "stale", True),
        20: (20, 13, "stale", True),
        22: (20, 13, "stale", True),
        23: (23, 23, "fresh", False),
    }


@shared
async def test_blank_rows_are_days_without_a_rate() -> None:
    """F49: the Federal Reserve prints no value on US holidays; the rate of the day before serves."""
    table = FedTable(FED_FILE, at("2026-01-01T20:00"))
    rates = await table.rates(["TWD", "HKD"])
    assert date(2025, 12, 25) not in {rate.day for rate in rates}
    assert rates[-1].day == date(2025, 12, 31)
    assert {rate.quote for rate in rates} == {"TWD"}


@shared
async def test_two_files_serve_every_currency_but_dong() -> None:
    """F49: TWD comes from one file, the rest from the other, VND from neither: stop and ask."""
    now = at("2026-04-30T20:00")
    rates = Rates(FirstSource(*published_tables(SHARED, now)), now)
    for currency in ("HKD", "SGD", "TWD", "AUD", "MYR", "JPY", "THB", "PHP", "IDR", "CNY", "NZD"):
        assert (await rates.usd_equivalent(Money.parse(100, currency))).amount > 0
    with pytest.raises(MissingRate, match="VND"):
        await rates.usd_equivalent(Money.parse(100_000, "VND"))


@shared
def test_a_transactions_own_day_has_its_own_rate() -> None:
    """F49: audit and lifetime value use the rate of the transaction's date, also across gaps."""
    table = EcbTable(ECB_FILE, at("2026-04-30T20:00"))
    sunday = table.on("AUD", date(2024, 3, 31))
    assert sunday is not None
    assert sunday.day == date(2024, 3, 28)
    assert table.on("HRK", date(2026, 4, 1)) is None
    assert table.on("AUD", date(2022, 1, 1)) is None


async def test_rows_that_cannot_be_right_are_refused_and_listed(small: Path) -> None:
    """F49: a future row, no date, no number, a negative rate and a second row of a day are left out, with the reason."""
    table = EcbTable(small, at("2026-04-30T12:00"))
    rates = await table.rates(["HKD", "TRL"])
    assert [(rate.day.day, rate.value) for rate in rates] == [(29, Decimal("7.76")), (30, Decimal("7.8"))]
    assert [(row.line, row.reason.split(" ")[-3:]) for row in table.refused] == [
        (5, ["not", "a", "date"]), (6, ["a", "rate:", "'oops'"]), (7, ["a", "rate:", "'-3'"]),
        (9, ["row", "before", "it"]), (10, ["in", "the", "future"]),
    ]  # fmt: skip


def test_a_new_file_is_taken_up_and_a_lost_one_said(small: Path) -> None:
    """F49: the file is read where it lies; when it goes away the source is unavailable, not wrong."""
    table = EcbTable(small, at("2026-05-04T17:00"))
    assert asyncio.run(table.rates(["HKD"]))[-1].day == date(2026, 4, 30)
    small.write_text("Date,USD,HKD\n2026-05-04,1.2,9.36\n", encoding="utf-8")
    os.utime(small, ns=(1, 1))
    assert [(rate.day.day, rate.value) for rate in asyncio.run(table.rates(["HKD"]))] == [(4, Decimal("7.8"))]
    small.unlink()
    with pytest.raises(ConnectorUnavailable, match="cannot be read now"):
        asyncio.run(table.rates(["HKD"]))


def test_a_file_that_is_not_the_table_stops_the_start(tmp_path: Path) -> None:
    """F49: a missing or foreign file is an operator's to mend, before the first order."""
    foreign = tmp_path / "other.csv"
    foreign.write_text("day;rate\n", encoding="utf-8")
    for path, said in ((foreign, "lacks the columns"), (tmp_path / "none.csv", "cannot be read")):
        with pytest.raises(ConfigError, match=said):
            FedTable(path, at("2026-04-30T12:00"))


def test_a_typhoon_day_can_be_added() -> None:
    """domain/X5: closures no calendar foresees are data."""
    day = date(2026, 4, 14)
    assert FED_TAIWAN.observed(day) == day
    struck = type(FED_TAIWAN)(
        name="x", zone=FED_TAIWAN.zone, at=FED_TAIWAN.at, closed=FED_TAIWAN.closed,
        market_closed=FED_TAIWAN.market_closed, extra=frozenset({day}),
    )  # fmt: skip
    assert struck.observed(day) == day - timedelta(days=1)
    assert struck.fresh_until(day).astimezone(UTC) > datetime(2026, 4, 15, tzinfo=UTC)


def test_a_folder_of_rate_files_is_read_by_name(small: Path, tmp_path: Path) -> None:
    """F49: the newest name of each publisher counts; a folder without any is an operator's to mend."""
    (tmp_path / "eurofxref-hist.csv").write_text("Date,USD\n", encoding="utf-8")
    (table,) = published_tables(tmp_path, at("2026-04-30T12:00"))
    assert isinstance(table, EcbTable)
    (tmp_path / "fed_h10_twd.csv").write_text("Date,Country,Exchange rate\n", encoding="utf-8")
    assert [type(found) for found in published_tables(tmp_path, at("2026-04-30T12:00"))] == [EcbTable, FedTable]
    with pytest.raises(ConfigError, match="holds no"):
        published_tables(tmp_path / "empty", at("2026-04-30T12:00"))
