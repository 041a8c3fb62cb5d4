"""The shared labelled transactions as orders, and two ways of ranking them: the fraud agent's and a plain regression's.

The data is synthetic. Amounts look like dollars whatever the payment currency says, and are taken as US dollars; rows
without a label are left out. The earlier part in time is for fitting, the later one for measuring.
"""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agents.fraud_calibration import Calibration, sigmoid
from agents.fraud_contact import phone_finding, throwaway_domain
from agents.fraud_costs import expected_costs
from agents.fraud_detection import Edition
from agents.fraud_policy import Policy
from agents.fraud_sales import Sale, measured
from agents.fraud_segments import SegmentTable
from agents.fraud_signals import Signals
from domain.errors import MalformedPayload
from domain.money import Money
from evals.fraud_calibration import MEASURED_AT
from evals.fraud_fitting import logistic
from evals.fraud_measures import recall_at

FILE = "fraud/transactions_before_cut.csv"
FITTED_SHARE = 0.6
REVIEW_SHARE = 0.10
_HOUR_S, _DAY_S = 3_600, 86_400


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """One labelled row. Judged by today's thresholds: the data is older than any."""

    at: datetime
    account: str
    card: str
    country: str
    email: str
    phone: str
    category: str
    usd_cents: int
    bad: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Recall at the review share, for the later transactions."""

    fitted: int
    measured: int
    bad: int
    agent: Mapping[str, float]
    """By version of the agent."""
    regression: float


def read_transactions(folder: Path) -> list[Transaction]:
    """The labelled rows in order of time.

    Raises:
        MalformedPayload: a row is not what the data's description says.
    """
    with (folder / FILE).open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["EVENT_LABEL"] in {"0", "1"}]
    try:
        found = [_transaction(row) for row in rows]
    except (KeyError, ValueError) as wrong:
        raise MalformedPayload(f"{FILE} has a row that cannot be read: {wrong}") from wrong
    return sorted(found, key=lambda one: one.at)


def _transaction(row: Mapping[str, str]) -> Transaction:
    return Transaction(
        at=datetime.fromisoformat(row["EVENT_TIMESTAMP"]),
        account=row["ENTITY_ID"],
        card=row["card_bin"],
        country=row["billing_country"],
        email=row["customer_email"],
        phone=row["billing_phone"],
        category=row["product_category"],
        usd_cents=Money.parse(row["order_price"], "USD").amount_minor,
        bad=row["EVENT_LABEL"] == "1",
    )


def compare(found: Sequence[Transaction], editions: Sequence[Edition]) -> Comparison:
    """Both rankings on the later transactions; only the regression has seen labels of this data."""
    split = round(len(found) * FITTED_SHARE)
    earlier, later = found[:split], found[split:]
    bads = [one.bad for one in later]
    sales = [
        Sale(placed_at=one.at, country=one.country, category=one.category, total=_usd(one), usd_cents=one.usd_cents)
        for one in earlier
    ]
    segments = SegmentTable(measured(sales, until=later[0].at, snapshot_id="transactions"))
    signals = [_signals(found, split + place, segments, editions[0]) for place in range(len(later))]
    return Comparison(
        fitted=len(earlier),
        measured=len(later),
        bad=sum(bads),
        agent={one.version: recall_at(_worth_a_look(one, signals, later), bads, REVIEW_SHARE) for one in editions},
        regression=recall_at(_regressed(found, split), bads, REVIEW_SHARE),
    )


def _usd(one: Transaction) -> Money:
    return Money(amount_minor=one.usd_cents, currency="USD")


def _worth_a_look(edition: Edition, signals: Sequence[Signals], later: Sequence[Transaction]) -> list[float]:
    """What a review of each is expected to save: the order in which the agent's own budget gives reviews."""
    calibration = Calibration(edition.calibration, version=edition.version, rules=edition.table.version)
    policy = Policy(edition.table, calibration)
    thresholds, saved = edition.judging(MEASURED_AT), []
    for one, seen in zip(later, signals, strict=True):
        _, p_ppm, _ = policy.weigh(edition.hits(seen), seen, thresholds)
        costs = expected_costs(p_ppm=p_ppm, amount_cents=one.usd_cents, terms=thresholds.costs)
        saved.append(float(costs.saved_by_review))
    return saved


def _signals(found: Sequence[Transaction], place: int, segments: SegmentTable, edition: Edition) -> Signals:
    one = found[place]
    return Signals(
        currency="USD",
        total_minor=one.usd_cents,
        usd_cents=one.usd_cents,
        segment=segments.choose(country=one.country, category=one.category, total=_usd(one), usd_cents=one.usd_cents),
        counts={"CARD_VELOCITY": _recent(found, place, _HOUR_S)},
        paid=True,
        ship_country=one.country,
        throwaway=throwaway_domain(one.email, edition.table),
        phone=phone_finding(one.phone, one.country),
        first_order=not any(other.account == one.account for other in found[:place]),
    )


def _recent(found: Sequence[Transaction], place: int, seconds: int) -> int:
    one = found[place]
    return 1 + sum(other.card == one.card and (one.at - other.at).total_seconds() <= seconds for other in found[:place])


def _regressed(found: Sequence[Transaction], split: int) -> list[float]:
    """A plain logistic regression on amount, hour, category and recent use of the card."""
    categories = [name for name, _ in Counter(one.category for one in found[:split]).most_common()]
    places = {name: 6 + place for place, name in enumerate(categories)}

    def row(place: int) -> list[tuple[int, float]]:
        one = found[place]
        hour = one.at.hour / 24 * 2 * math.pi
        features = [(0, 1.0), (1, math.log(max(1, one.usd_cents)) - 8), (2, math.sin(hour)), (3, math.cos(hour))]
        features += [(4, float(_recent(found, place, _DAY_S) - 1)), (5, float(one.usd_cents > 25_000))]
        return [*features, (places[one.category], 1.0)] if one.category in places else features

    rows = [row(place) for place in range(len(found))]
    targets = [float(one.bad) for one in found[:split]]
    weights = logistic(rows[:split], targets, features=6 + len(places), ridge=1.0)
    return [sigmoid(sum(weights[place] * value for place, value in one)) for one in rows[split:]]
