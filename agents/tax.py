"""tax: what the order owes under the dated table, beside what the channel charged. A difference is flagged, not blocked.

The value of the whole order decides the relief, however many parcels carry it: splitting is never rewarded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from agents.exchange import Exchange, converted
from agents.fallbacks import undeclared
from agents.precedents import route_origins
from agents.tax_rules import Assessment, Collector, TaxRule, TaxTable, assess, shipped_rules, untaxed
from domain.decision import Outcome, Reason, Verdict
from domain.errors import MissingRate
from domain.fx import RateTable
from domain.money import CASH_EXPONENT, Money, exponent, total
from domain.order import Order
from domain.ports import AgentCase
from domain.values import Plain


@dataclass(frozen=True, kw_only=True)
class TaxPolicy:
    """Declared confidences: look-ups in dated tables, not estimates."""

    version: str
    sure: float
    assumed_origin: float
    """When nothing says where the goods leave from; imported is assumed."""
    fallback: float


POLICY = TaxPolicy(version="tax-policy-2026-11-01", sure=0.95, assumed_origin=0.75, fallback=0.72)


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What of an order is taxed."""

    country: str
    origins: tuple[str, ...]
    goods: tuple[Money, ...]
    shipping: Money
    imports_before: int
    """Parcels this consignee has imported this half year, as far as known."""

    @property
    def domestic(self) -> bool:
        """Whether everything leaves from the destination itself."""
        return bool(self.origins) and set(self.origins) == {self.country}


class TaxAssessment:
    """Assesses tax, keeps the channel's figure where the channel is the merchant of record."""

    name = "tax"
    version = "tx-1.0"
    fallbacks = ("cached_rule_table",)

    def __init__(self, *, exchange: Exchange, table: TaxTable | None = None, policy: TaxPolicy = POLICY) -> None:
        """Another table than the shipped one may be given."""
        self._exchange = exchange
        self.table = table or shipped_rules()
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Assess the order.

        Raises:
            Transient: the exchange rates could not be read.
        """
        country = _destination(case.order)
        currencies = {
            rule.limit.currency for rule in self.table.rules.values() if rule.country == country and rule.limit
        }
        foreign = currencies - {case.order.currency}
        rates = RateTable(())
        if foreign:
            rates = await self._exchange.table({*foreign, case.order.currency}, case.now)
        return self._judge(case, rates)

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``cached_rule_table``: the same dated rows with the rates last read; a person when a rate is missing.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        verdict = self._judge(case, self._exchange.last_table())
        confidence = None if verdict.outcome is Outcome.REVIEW else self.policy.fallback
        facts: dict[str, Plain] = {**verdict.facts, "fallback": name, "why": why}
        return verdict.model_copy(
            update={"confidence": confidence, "flags": (*verdict.flags, "fallback"), "facts": facts}
        )

    def _judge(self, case: AgentCase, rates: RateTable) -> Verdict:
        order, day = case.order, case.now.date()
        basis = _basis(case)
        if order.channel.marketplace:
            return self._channel_tax(order)
        if not basis.country or not self.table.knows(basis.country):
            return self._unknown("UNKNOWN_COUNTRY", f"no tax row for {basis.country or 'an order without country'}")
        if basis.country in self.table.no_tax:
            return self._compare(order, basis, untaxed(basis.country, basis.goods, order.currency))
        try:
            rule = self._rule(basis, rates, case.now)
        except MissingRate as missing:
            return self._unknown("RATE_MISSING", f"the low-value limit cannot be judged: {missing}")
        if rule is None:
            return self._unknown("NO_RULE_IN_FORCE", f"no tax row of {basis.country} is in force on {day}")
        assessment = assess(rule, basis.goods, basis.shipping, tax_included=order.tax_included)
        return self._compare(order, basis, assessment)

    def _rule(self, basis: Basis, rates: RateTable, now: datetime) -> TaxRule | None:
        value = total(basis.goods, basis.shipping.currency)
        for rule in self.table.candidates(basis.country, domestic=basis.domestic, day=now.date()):
            worth = value.decimal if rule.limit is None else _worth(value, rule.limit.currency, rates, now)
            if not rule.covers(worth):
                continue
            if rule.most_imports is not None and basis.imports_before >= rule.most_imports and rule.otherwise:
                return self.table.rules[rule.otherwise]
            return rule
        return None

    def _compare(self, order: Order, basis: Basis, owed: Assessment) -> Verdict:
        at_sale = owed.tax if owed.collector is Collector.SELLER else Money.zero(order.currency)
        charged = _charged(order)
        difference = at_sale - charged
        unit = 10 ** (exponent(order.currency) - CASH_EXPONENT[order.currency])
        allowed = max(self.table.tolerance_units * unit, abs(charged.amount_minor) * self.table.tolerance_bp // 10_000)
        differs = abs(difference.amount_minor) > allowed
        flags = [
            *(("tax_difference",) if differs else ()),
            *(("tax_at_border",) if owed.collector is Collector.BORDER else ()),
            *(("origin_assumed",) if not basis.origins else ()),
        ]
        reasons = [
            Reason(
                code="TAX_RULE",
                text=f"{owed.rule_id}: {owed.tax} tax, {owed.duty} duty, collected by {owed.collector.value}",
                value=str(owed.tax.amount_minor),
                evidence=f"tax_rules:{owed.rule_id}",
            )
        ]
        if differs:
            reasons.append(
                Reason(
                    code="TAX_DIFFERENCE",
                    text=f"the channel charged {charged}, the table says {at_sale} at the sale",
                    value=str(difference.amount_minor),
                    threshold=str(allowed),
                    evidence="order.tax",
                )
            )
        return Verdict(
            decision="tax_differs" if differs else "tax_assessed",
            outcome=Outcome.PROCEED,
            confidence=self.policy.sure if basis.origins else self.policy.assumed_origin,
            flags=tuple(flags),
            reasons=tuple(reasons),
            counterfactual=("TAX_DIFFERENCE",) if differs else (),
            facts=self._facts(order, basis, owed, charged),
        )

    def _facts(self, order: Order, basis: Basis, owed: Assessment, charged: Money) -> dict[str, Plain]:
        lines: list[Plain] = [
            {"line_id": line.line_id, "duty_minor": duty.amount_minor, "tax_minor": tax.amount_minor}
            for line, duty, tax in zip(order.lines, owed.duties, owed.taxes, strict=True)
        ]
        return {
            "rule": owed.rule_id,
            "country": basis.country,
            "origin": "domestic" if basis.domestic else "import",
            "collector": owed.collector.value,
            "currency": order.currency,
            "tax_minor": owed.tax.amount_minor,
            "duty_minor": owed.duty.amount_minor,
            "shipping_tax_minor": owed.shipping_tax.amount_minor,
            "lines": lines,
            "charged_minor": charged.amount_minor,
            "thresholds_version": self.table.version,
            "confidence_basis": "declared",
        }

    def _channel_tax(self, order: Order) -> Verdict:
        return Verdict(
            decision="channel_tax",
            outcome=Outcome.PROCEED,
            confidence=self.policy.sure,
            flags=("channel_collects",),
            reasons=(
                Reason(
                    code="CHANNEL_COLLECTS",
                    text=f"{order.channel.value} is the merchant of record for tax; its figure stands",
                    value=str(order.tax.amount_minor),
                    evidence="order.tax",
                ),
            ),
            facts={
                "collector": "channel",
                "currency": order.currency,
                "tax_minor": order.tax.amount_minor,
                "charged_minor": order.tax.amount_minor,
                "lines": [{"line_id": line.line_id, "tax_minor": line.tax.amount_minor} for line in order.lines],
                "thresholds_version": self.table.version,
                "confidence_basis": "declared",
            },
        )

    def _unknown(self, code: str, text: str) -> Verdict:
        return Verdict(
            decision="review",
            outcome=Outcome.REVIEW,
            confidence=None,
            flags=(code.lower(),),
            reasons=(Reason(code=code, text=text, evidence="order.ship_to.country"),),
            counterfactual=(code,),
            facts={"thresholds_version": self.table.version},
        )


def _destination(order: Order) -> str:
    return order.ship_to.country or (order.bill_to.country if order.bill_to else "")


def _basis(case: AgentCase) -> Basis:
    order = case.order
    imports = case.hints.get("imports_half_year")
    return Basis(
        country=_destination(order),
        origins=route_origins(case.decisions),
        goods=_line_values(order),
        shipping=order.shipping,
        imports_before=imports if isinstance(imports, int) else 0,
    )


def _worth(value: Money, currency: str, rates: RateTable, now: datetime) -> Decimal:
    return value.decimal if value.currency == currency else converted(value, currency, rates, now)


def _line_values(order: Order) -> tuple[Money, ...]:
    """What each line's open units cost after its discount and its share of the order's discount."""
    nets = [
        _scaled((line.unit_price * line.quantity) - line.discount, line.quantity_open, line.quantity)
        for line in order.lines
    ]
    whole = total(nets, order.currency)
    tax = Money.zero(order.currency) if order.tax_included else order.tax
    rest = whole + order.shipping + tax - order.total
    unallocated = rest.amount_minor if all(line.quantity_open == line.quantity for line in order.lines) else 0
    if 0 < unallocated <= min(order.discount.amount_minor, whole.amount_minor):
        shares = rest.allocate([max(0, net.amount_minor) for net in nets])
        nets = [net - share for net, share in zip(nets, shares, strict=True)]
    return tuple(nets)


def _scaled(amount: Money, part: int, whole: int) -> Money:
    if part == whole or whole == 0:
        return amount
    return Money.rounded(amount.decimal * part / whole, amount.currency)


def _charged(order: Order) -> Money:
    """The tax the channel charged for what is still open."""
    if all(line.quantity_open == line.quantity for line in order.lines):
        return order.tax
    parts: Sequence[Money] = [_scaled(line.tax, line.quantity_open, line.quantity) for line in order.lines]
    return total(parts, order.currency)
