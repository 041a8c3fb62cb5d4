"""compliance: may these goods go to this place and party? A block names its clause; what cannot be told asks a person."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from agents.compliance_clauses import ClauseKind, ClauseTable, normalised_name, shipped_clauses
from agents.fallbacks import manual_review_queue, undeclared
from domain.catalogue import DangerousGoods, Product
from domain.decision import Outcome, Reason, Verdict
from domain.ids import Sku
from domain.order import Order, OrderIssue
from domain.ports import AgentCase, CataloguePort
from domain.values import Plain

ISSUE_TEXTS: Mapping[OrderIssue, str] = {
    OrderIssue.NO_ADDRESS: "the order has no address to ship to",
    OrderIssue.NO_COUNTRY: "the address has no country",
    OrderIssue.NO_SKU: "a line has no SKU",
    OrderIssue.TOTALS_DISAGREE: "the channel's totals do not add up",
    OrderIssue.UNKNOWN_STATUS: "the channel sent a status we do not know",
    OrderIssue.PARTLY_REFUNDED: "the order was partly refunded before it reached us",
    OrderIssue.PLATFORM_RISK_CANCEL: "the platform's own risk check advises to cancel",
    OrderIssue.TEST_ORDER: "the channel marks this as a test order",
    OrderIssue.MIXED_CURRENCY: "the order mixes currencies",
}
ADDRESS_ISSUES = frozenset({OrderIssue.NO_ADDRESS, OrderIssue.NO_COUNTRY})
"""Without meaning for an order with nothing to ship."""


@dataclass(frozen=True, kw_only=True)
class CompliancePolicy:
    """How sure each kind of finding is. Declared, not measured: look-ups in our own records, not estimates."""

    version: str
    clear: float
    block: float
    uncertain: float


POLICY = CompliancePolicy(version="compliance-2026-11-01", clear=0.97, block=0.99, uncertain=0.5)


class Compliance:
    """Checks order, goods, destination and parties against dated clauses."""

    name = "compliance"
    version = "co-1.0"
    fallbacks = ("manual_review_queue",)

    def __init__(
        self, *, erp: CataloguePort, clauses: ClauseTable | None = None, policy: CompliancePolicy = POLICY
    ) -> None:
        """Another clause table than the shipped one may be given."""
        self._erp = erp
        self.clauses = clauses or shipped_clauses()
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Check the order.

        Raises:
            Transient: the catalogue could not be read.
        """
        skus = sorted({line.sku for line in case.order.lines if line.sku})
        products = await self._erp.products([Sku(sku) for sku in skus]) if skus else {}
        day = case.now.date()
        blocks = list(self._blocks(case.order, products, day))
        doubts = [*_order_doubts(case.order, products), *self._party_doubts(case.order, day)]
        conditions = list(self._conditions(case.order, products))
        facts: dict[str, Plain] = {
            "clauses": [reason.code for reason in blocks],
            "conditions": [
                {"sku": sku, "goods": goods.value, "text": self.clauses.conditions[goods]} for sku, goods in conditions
            ],
            "clauses_version": self.clauses.version,
            "thresholds_version": self.policy.version,
            "confidence_basis": "declared",
        }
        flags = tuple(sorted({f"dg:{goods.value}" for _, goods in conditions}))
        if blocks:
            return self._verdict("block", Outcome.REJECT, (*blocks, *doubts), flags, facts)
        if doubts:
            return self._verdict("review", Outcome.REVIEW, tuple(doubts), flags, facts)
        clear = Reason(
            code="NO_CLAUSE_APPLIES",
            text=f"no clause of {self.clauses.version} in force on {day} covers this order",
            value=case.order.ship_to.country,
            evidence="order.ship_to.country",
        )
        return self._verdict("clear", Outcome.PROCEED, (clear,), flags, facts)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``manual_review_queue``: a person decides.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        return manual_review_queue(self.name, why)

    def _verdict(
        self, decision: str, outcome: Outcome, reasons: tuple[Reason, ...], flags: tuple[str, ...],
        facts: dict[str, Plain],
    ) -> Verdict:  # fmt: skip
        sureness = {"clear": self.policy.clear, "block": self.policy.block, "review": self.policy.uncertain}
        blocking = tuple(dict.fromkeys(reason.code for reason in reasons)) if outcome is not Outcome.PROCEED else ()
        return Verdict(
            decision=decision,
            outcome=outcome,
            confidence=sureness[decision],
            flags=flags,
            reasons=reasons,
            counterfactual=blocking,
            facts=facts,
        )

    def _blocks(self, order: Order, products: Mapping[Sku, Product], day: date) -> Iterator[Reason]:
        countries = {country for country in (order.ship_to.country, _billing(order)) if country}
        for clause in self.clauses.current(ClauseKind.DESTINATION, day):
            for country in sorted(countries & clause.countries):
                yield Reason(code=clause.clause_id, text=clause.text, value=country, evidence="order.ship_to.country")
        yield from self._goods_blocks(order, products, day)
        for clause in self.clauses.current(ClauseKind.PARTY, day):
            matched = [field for field, name in _parties(order) if name in clause.names]
            if matched and (not clause.countries or countries & clause.countries):
                yield Reason(code=clause.clause_id, text=clause.text, value="name and country", evidence=matched[0])

    def _goods_blocks(self, order: Order, products: Mapping[Sku, Product], day: date) -> Iterator[Reason]:
        destination = order.ship_to.country
        goods = [clause for clause in self.clauses.current(ClauseKind.GOODS, day) if destination in clause.countries]
        for index, line in enumerate(order.lines):
            product = products.get(line.sku)
            if product is None or line.quantity_open == 0:
                continue
            pair = f"{line.sku} to {destination}"
            for clause in goods:
                if clause.forbids(product):
                    yield Reason(
                        code=clause.clause_id, text=clause.text, value=pair, evidence=f"order.lines[{index}].sku"
                    )
            if destination in product.restricted_in:
                yield Reason(
                    code="CATALOGUE-RESTRICTION",
                    text=f"our catalogue lists {destination} among the destinations {line.sku} may not be sent to",
                    value=pair,
                    evidence=f"erp.products:{line.sku}.restricted_in",
                )

    def _party_doubts(self, order: Order, day: date) -> Iterator[Reason]:
        countries = {order.ship_to.country, _billing(order)}
        for clause in self.clauses.current(ClauseKind.PARTY, day):
            matched = [field for field, name in _parties(order) if name in clause.names]
            if matched and clause.countries and not countries & clause.countries:
                yield Reason(
                    code="PARTY_NAME_MATCH",
                    text=f"a name equals an entry of {clause.clause_id}, the country does not; may be a namesake",
                    value="name only",
                    evidence=matched[0],
                )

    def _conditions(self, order: Order, products: Mapping[Sku, Product]) -> Iterator[tuple[str, DangerousGoods]]:
        for sku in dict.fromkeys(line.sku for line in order.open_lines):
            product = products.get(sku)
            if product is None or product.dangerous not in self.clauses.conditions:
                continue
            if product.dangerous is DangerousGoods.LITHIUM_PACKED_WITH and product.charge_declared:
                continue
            yield sku, product.dangerous


def _billing(order: Order) -> str:
    return order.bill_to.country if order.bill_to else ""


def _parties(order: Order) -> Iterator[tuple[str, str]]:
    bill_to = order.bill_to
    named = (
        ("order.ship_to.name", order.ship_to.name),
        ("order.ship_to.company", order.ship_to.company),
        ("order.customer.name", order.customer.name),
        ("order.bill_to.name", bill_to.name if bill_to else ""),
        ("order.bill_to.company", bill_to.company if bill_to else ""),
    )
    for field, name in named:
        if name:
            yield field, normalised_name(name)


def _order_doubts(order: Order, products: Mapping[Sku, Product]) -> Iterator[Reason]:
    ships = bool(order.open_lines)
    stated = [issue for issue in order.issues if ships or issue not in ADDRESS_ISSUES]
    for issue in stated:
        yield Reason(code=issue.value.upper(), text=ISSUE_TEXTS[issue], evidence="order.issues")
    if ships and not order.ship_to.country and OrderIssue.NO_COUNTRY not in stated:
        yield Reason(code="NO_COUNTRY", text=ISSUE_TEXTS[OrderIssue.NO_COUNTRY], evidence="order.ship_to.country")
    elif ships and not order.ship_to.deliverable and not ADDRESS_ISSUES & set(stated):
        yield Reason(code="NO_ADDRESS", text=ISSUE_TEXTS[OrderIssue.NO_ADDRESS], evidence="order.ship_to")
    for index, line in enumerate(order.lines):
        if line.sku and line.sku not in products and line.quantity_open > 0:
            yield Reason(
                code="UNKNOWN_SKU",
                text=f"{line.sku} is not in our catalogue, so its restrictions cannot be checked",
                value=line.sku,
                evidence=f"order.lines[{index}].sku",
            )
