"""The tax and duty tables: hand-computed values, dates, rounding, and carts whose lines add up to the minor unit."""

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from random import Random

import pytest

from agents.tax_basis import discounted
from agents.tax_duties import parse_duties, shipped_duties
from agents.tax_rules import Collector, assess, parse_rules, shipped_rules
from domain.errors import ConfigError
from domain.money import CASH_EXPONENT, Money, exponent, total
from tests.support.agent_world import money

TABLE = shipped_rules()


@pytest.mark.parametrize(
    ("rule", "currency", "goods", "shipping", "included", "duties", "taxes", "shipping_tax"),
    [
        # 9 % of 33.33, 33.33, 33.34 and 5.00: 2.9997, 2.9997, 3.0006, 0.45
        ("SG-GST", "SGD", (3333, 3333, 3334), 500, False, (0, 0, 0), (300, 300, 300), 45),
        # 9/109 of 10.95: 0.9041...; of 2.00: 0.1651...
        ("SG-GST", "SGD", (1095,), 200, True, (0,), (90,), 17),
        # exactly half a cent goes up: 9 % of 0.50 is 0.045
        ("SG-OVR", "SGD", (50,), 0, False, (0,), (5,), 0),
        # 10 % of 19.95 is 1.995, of 0.05 is 0.005, of 9.95 shipping is 0.995
        ("AU-LVG", "AUD", (1995, 5), 995, False, (0, 0), (200, 1), 100),
        # duty 5 % FOB of 1,234.56 = 61.728; GST on goods and duty, freight its own: 129.629 and 2.00
        ("AU-IMPORT", "AUD", (123_456,), 2_000, False, (6_173,), (12_963,), 200),
        # freight is outside the Malaysian low-value base: 10 % of 120.05 = 12.005
        ("MY-LVG", "MYR", (12_005,), 1_000, False, (0,), (1_201,), 0),
        # whole dollars: duty 5 % of 2,010 = 100.5, tax 5 % of 2,111 = 105.55
        ("TW-IMPORT", "TWD", (201_000,), 0, False, (10_100,), (10_600,), 0),
        # landed value: 300 freight falls 200 to 100; duty 5 % of 2,200 and 1,100; tax of 2,110 and 1,055, freight 15
        ("TW-IMPORT", "TWD", (200_000, 100_000), 30_000, False, (11_000, 5_500), (10_600, 5_300), 1_500),
        # inside the price: 5/105 of 1,049 = 49.95
        ("TW-BT", "TWD", (104_900,), 0, True, (0,), (5_000,), 0),
        # no minor unit: 8 % of 12,506 dong = 1,000.48
        ("VN-VAT-8", "VND", (12_506,), 0, False, (0,), (1_000,), 0),
        # duty 5 % of 12,345 yen = 617.25; tax 10 % of 12,962 = 1,296.2
        ("JP-IMPORT", "JPY", (12_345,), 0, False, (617,), (1_296,), 0),
        ("NZ-LVG", "NZD", (3_333,), 0, False, (0,), (500,), 0),
    ],
)
def test_hand_computed_taxes(
    rule: str,
    currency: str,
    goods: tuple[int, ...],
    shipping: int,
    included: bool,
    duties: tuple[int, ...],
    taxes: tuple[int, ...],
    shipping_tax: int,
) -> None:
    """F15, domain/X2: duty first, tax on the sum, half up on each line to the unit people pay in."""
    owed = assess(
        TABLE.rules[rule], [money(value, currency) for value in goods], money(shipping, currency), tax_included=included
    )
    assert tuple(duty.amount_minor for duty in owed.duties) == duties
    assert tuple(tax.amount_minor for tax in owed.taxes) == taxes
    assert owed.shipping_tax.amount_minor == shipping_tax


CURRENCIES = ("HKD", "SGD", "TWD", "AUD", "MYR", "VND", "JPY", "THB")


@pytest.mark.parametrize("currency", CURRENCIES)
def test_ten_thousand_carts_add_up(currency: str) -> None:
    """domain/X3: lines less discount, duties and taxes are the order's totals exactly, in payable units."""
    random = Random(currency)  # noqa: S311 - repeatable carts
    rules = sorted(TABLE.rules)
    unit = 10 ** (exponent(currency) - CASH_EXPONENT[currency])
    for _ in range(10_000):
        prices = [money(random.randint(1, 10**6), currency) for _ in range(random.randint(1, 3))]
        whole = total(prices, currency)
        discount = money(random.randint(0, whole.amount_minor), currency)
        nets = discounted(prices, discount)
        assert sum(net.amount_minor for net in nets) == whole.amount_minor - discount.amount_minor
        shipping = money(random.randint(0, 5_000), currency)
        rule = TABLE.rules[rules[random.randrange(len(rules))]]
        owed = assess(rule, nets, shipping, tax_included=random.random() < 0.5)
        parts = [*owed.taxes, owed.shipping_tax]
        assert owed.tax.amount_minor == sum(part.amount_minor for part in parts)
        assert owed.duty.amount_minor == sum(duty.amount_minor for duty in owed.duties)
        assert not any(part.amount_minor % unit for part in (*parts, *owed.duties))


def test_whole_number_rounding_is_decimal_half_up() -> None:
    """domain/X3: the arithmetic on whole numbers is that of Decimal's ROUND_HALF_UP, below zero too."""
    random = Random(5)  # noqa: S311 - repeatable amounts
    for _ in range(2_000):
        currency = random.choice(CURRENCIES)
        value = money(random.randint(-(10**7), 10**7), currency)
        rule = TABLE.rules[random.choice(sorted(TABLE.rules))]
        included = random.random() < 0.5 and rule.collector is Collector.SELLER
        owed = assess(rule, [value], money(0, currency), tax_included=included)
        duty = value.decimal * rule.duty_bp / 10_000
        places = Decimal(1).scaleb(-CASH_EXPONENT[currency])
        duty = duty.quantize(places, ROUND_HALF_UP)
        tax = (value.decimal + duty) * rule.tax_bp / (10_000 + rule.tax_bp * included)
        assert owed.duties[0].decimal == duty
        assert owed.taxes[0].decimal == tax.quantize(places, ROUND_HALF_UP)


@pytest.mark.parametrize("country", ["SG", "AU", "MY", "TW", "VN", "TH", "JP", "NZ"])
@pytest.mark.parametrize("domestic", [True, False])
@pytest.mark.parametrize("day", [date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1), date(2029, 6, 30)])
def test_exactly_one_row_covers_every_value(country: str, domestic: bool, day: date) -> None:
    """F15: in each country's table, on each day, no value is without a row and none has two."""
    rows = TABLE.candidates(country, domestic=domestic, day=day)
    limits = {row.limit.decimal for row in rows if row.limit}
    assert len({row.limit.currency for row in rows if row.limit}) <= 1
    for value in {Decimal(0), Decimal(10**9), *limits, *(limit + Decimal("0.01") for limit in limits)}:
        assert len([row for row in rows if row.covers(value)]) == 1


@pytest.mark.parametrize(
    ("country", "instant", "day"),
    [
        ("VN", "2026-12-31T16:59:59", date(2026, 12, 31)),
        ("VN", "2026-12-31T17:00:00", date(2027, 1, 1)),
        ("NZ", "2026-12-31T11:00:00", date(2027, 1, 1)),
        ("XX", "2026-12-31T23:59:59", date(2026, 12, 31)),
    ],
)
def test_a_rate_changes_at_the_destinations_midnight(country: str, instant: str, day: date) -> None:
    """F15: the day of a row is a day at the destination, not in UTC."""
    assert TABLE.day(country, datetime.fromisoformat(f"{instant}+00:00")) == day


@pytest.mark.parametrize(
    ("country", "code", "row"),
    [
        ("TW", "8517.13", "ITA-PHONES"),
        ("TW", "6109.10.00", "TW-KNITWEAR"),
        ("JP", "610910", "JP-KNITWEAR"),
        ("TW", "3304", None),
        ("TW", "", None),
        ("HK", "610910", None),
    ],
)
def test_duty_is_by_tariff_code(country: str, code: str, row: str | None) -> None:
    """F15: written with or without dots; without a row the default of the tax table applies."""
    duty = shipped_duties().duty(country, code, date(2026, 11, 11))
    assert (duty.duty_id if duty else None) == row
    assert duty is None or duty.source


def test_the_longest_code_in_force_wins() -> None:
    """F15: a later, narrower row takes over on its day."""
    rows = [
        {"id": "WIDE", "countries": ["TW"], "prefix": "61", "duty_bp": 1200, "from": date(2018, 1, 1), "source": "s"},
        {"id": "NARROW", "countries": ["TW"], "prefix": "6109", "duty_bp": 0, "from": date(2027, 1, 1), "source": "s"},
    ]
    duties = parse_duties({"version": "x", "rows": rows})
    found = [duties.duty("TW", "610910", day) for day in (date(2026, 12, 31), date(2027, 1, 1), date(2017, 1, 1))]
    assert [duty.duty_id if duty else None for duty in found] == ["WIDE", "NARROW", None]


def test_platform_laws_have_dates() -> None:
    """F15: Japan's platforms account for the tax from 1 April 2028, Singapore's already do, Hong Kong's never."""
    assert TABLE.platform("JP", date(2028, 3, 31)) is None
    starts = TABLE.platform("JP", date(2028, 4, 1))
    assert starts is not None
    assert starts.rule_id == "JP-PLATFORM"
    assert TABLE.platform("SG", date(2026, 11, 11)) is not None
    assert TABLE.platform("HK", date(2026, 11, 11)) is None


def test_a_table_is_old_a_day_after_its_last_check() -> None:
    """F15: 24 hours from the end of the day on which somebody checked it."""
    assert not TABLE.over_a_day_old(datetime(2026, 11, 2, 23, 59, tzinfo=UTC))
    assert TABLE.over_a_day_old(datetime(2026, 11, 3, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize("part", ["as_of", "zones", "platforms", "rules", "no_tax"])
def test_a_table_that_lacks_a_part_is_refused(part: str) -> None:
    """F15: a broken file stops the start, not an order."""
    whole = {
        "version": "x", "as_of": date(2026, 1, 1), "zones": {}, "platforms": [], "no_tax": [], "rules": [],
        "tolerance": {"percent_bp": 1, "units": 1},
    }  # fmt: skip
    assert parse_rules(whole).version == "x"
    with pytest.raises(ConfigError, match=part):
        parse_rules({name: value for name, value in whole.items() if name != part})


def test_a_duty_row_without_a_code_is_refused() -> None:
    """F15: an unquoted or wordy tariff code is an operator's to mend."""
    row = {"id": "A", "countries": ["TW"], "prefix": "shoes", "duty_bp": 1, "from": date(2026, 1, 1), "source": "s"}
    with pytest.raises(ConfigError, match="no tariff code"):
        parse_duties({"version": "x", "rows": [row]})
    with pytest.raises(ConfigError, match="source"):
        parse_duties(
            {"version": "x", "rows": [{name: row[name] for name in row if name != "source"} | {"prefix": "64"}]}
        )


def test_sums_of_one_currency_only() -> None:
    """domain/X3: a foreign amount among the parts is refused, not added."""
    with pytest.raises(Exception, match="cannot be combined"):
        total([money(1, "SGD"), money(1, "HKD")], "SGD")
    assert total([], "SGD") == Money.zero("SGD")
