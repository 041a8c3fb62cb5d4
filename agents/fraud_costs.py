"""What approving, asking a person and rejecting are expected to cost, in whole millionths of a US cent.

Approve loses amount and fee when the order is bad; reject loses the margin and the customer when it is good; a review
costs its time, and the same losses in the share of cases the reviewer gets wrong.
"""

from dataclasses import dataclass

from agents.fraud_thresholds import CostTerms

MILLION = 1_000_000
ONE_DOLLAR = 100 * MILLION


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedCosts:
    """Expected cost of each action on one order."""

    approve: int
    review: int
    reject: int

    @property
    def cheapest(self) -> str:
        """The action that costs least; of equal ones the milder."""
        return min(("approve", self.approve), ("review", self.review), ("reject", self.reject), key=lambda one: one[1])[
            0
        ]

    @property
    def unasked(self) -> str:
        """The cheaper of approve and reject, when nobody can be asked."""
        return "approve" if self.approve <= self.reject else "reject"

    @property
    def saved_by_review(self) -> int:
        """What asking a person is expected to save; negative when it costs more than it saves."""
        return min(self.approve, self.reject) - self.review

    @property
    def margin(self) -> int:
        """How far the second-best action is behind the best."""
        best, second, _ = sorted((self.approve, self.review, self.reject))
        return second - best

    def text(self) -> str:
        """The three costs in US dollars, for people."""
        return f"approve {dollars(self.approve)}, review {dollars(self.review)}, reject {dollars(self.reject)} USD"


def expected_costs(*, p_ppm: int, amount_cents: int, terms: CostTerms) -> ExpectedCosts:
    """The expected costs at a probability of ``p_ppm`` millionths that the order is bad."""
    passed = p_ppm * (amount_cents + terms.chargeback_fee)
    turned_away = (MILLION - p_ppm) * (amount_cents * terms.margin_percent // 100 + terms.lost_customer)
    mistaken = (passed + turned_away) * (100 - terms.reviewer_accuracy_percent) // 100
    return ExpectedCosts(approve=passed, review=terms.review * MILLION + mistaken, reject=turned_away)


def dollars(micro_cents: int) -> str:
    """Millionths of a US cent as dollars and cents."""
    cents = round(micro_cents / MILLION)
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
