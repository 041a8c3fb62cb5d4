"""Slowing sales over weeks, in a simulated shop."""

from evals.merchandising_simulation import compare


def test_fewer_days_without_goods_for_less_than_they_cost() -> None:
    """domain/M5: at least 30 % fewer stock-out days, hidden days counted, for less margin than the shortages cost."""
    plain, slowed = compare(60)
    assert slowed.stockout_days <= 0.7 * plain.stockout_days
    assert slowed.slowed <= plain.unmet - slowed.unmet
