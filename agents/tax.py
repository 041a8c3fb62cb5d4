"""tax: what the order owes under the dated tables, beside what the channel charged. A difference is flagged, not blocked.

The value of the whole order decides the relief, however many parcels carry it: splitting is never rewarded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from agents.exchange import Exchange
from agents.fallbacks import undeclared
from agents.precedents import route_origins
from agents.tax_basis import Basis, basis_of, destination, mixed_currencies
from agents.tax_duties import DutyTable, shipped_duties
from agents.tax_report import (
    POLICY,
    Finding,
    TaxPolicy,
    channel_verdict,
    compared,
    unknown,
)
from agents.tax_rules import Assessment, TaxRule, TaxTable, assess, shipped_rules, untaxed
from domain.catalogue import Product
from domain.decision import Outcome, Verdict
from domain.errors import MissingRate
from domain.fx import Conversion, Freshness, RateTable
from domain.ids import Sku
from domain.money import Money
from domain.order import Order
from domain.ports import AgentCase, CataloguePort
from domain.values import Plain

__all__ = ["POLICY", "TaxAssessment", "TaxPolicy"]


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What was read for a case. Without products every line pays the default duty."""

    rates: RateTable
    products: Mapping[Sku, Product] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """The row that applies, and what it rests on."""

    rule: TaxRule | None
    worth: Conversion | None = None
    at_risk: TaxRule | None = None
    """The row that would apply if the relief were used up, when nobody knows whether it is."""


class TaxAssessment:
    """Assesses tax, keeps the channel's figure where the channel is the merchant of record."""

    name = "tax"
    version = "tx-1.0"
    fallbacks = ("cached_rule_table",)

    def __init__(
        self,
        *,
        exchange: Exchange,
        erp: CataloguePort | None = None,
        table: TaxTable | None = None,
        duties: DutyTable | None = None,
        policy: TaxPolicy = POLICY,
    ) -> None:
        """Other tables than the shipped ones may be given. Without ``erp`` imports pay the default duty."""
        self._exchange = exchange
        self._erp = erp
        self.table = table or shipped_rules()
        self.duties = duties or shipped_duties()
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Assess the order.

        Raises:
            Transient: the exchange rates or the catalogue could not be read.
        """
        order = case.order
        if order.channel.marketplace:
            return self._judge(case, _Read(rates=RateTable(())))
        if case.hints.get("mode") == "degraded":
            verdict = self._judge(case, _Read(rates=self._exchange.last_table()))
            if verdict.outcome is not Outcome.REVIEW:
                return self._from_table(case, verdict)
        country = destination(order)
        rows = [rule for rule in self.table.rules.values() if rule.country == country]
        foreign = {rule.limit.currency for rule in rows if rule.limit} - {order.currency}
        rates = await self._exchange.table({*foreign, order.currency}, case.now) if foreign else RateTable(())
        dutiable = any(not rule.domestic and rule.duty_bp for rule in rows) or country in self.duties.by_country
        products: Mapping[Sku, Product] = {}
        if self._erp is not None and dutiable and set(route_origins(case.decisions)) != {country}:
            products = await self._erp.products(sorted({line.sku for line in order.lines if line.sku}))
        return self._judge(case, _Read(rates=rates, products=products))

    def fallback(self, name: str, case: AgentCase, why: str) -> Verdict:
        """``cached_rule_table``: the same dated rows with the rates last read; a person when a rate is missing.

        Says how old the table is, and pays the default duty on every line: the catalogue is not read.

        Raises:
            ConfigError: another fallback is named.
        """
        if name not in self.fallbacks:
            raise undeclared(self.name, name, self.fallbacks)
        verdict = self._judge(case, _Read(rates=self._exchange.last_table()))
        confidence = None if verdict.outcome is Outcome.REVIEW else self.policy.fallback
        old = ("table_over_24h",) if self.table.over_a_day_old(case.now) else ()
        facts: dict[str, Plain] = {
            **verdict.facts,
            "fallback": name,
            "why": why,
            "table_version": self.table.version,
            "table_as_of": self.table.as_of.isoformat(),
        }
        return verdict.model_copy(
            update={"confidence": confidence, "flags": (*verdict.flags, "fallback", *old), "facts": facts}
        )

    def _from_table(self, case: AgentCase, verdict: Verdict) -> Verdict:
        """The verdict of peak days, from the rows and rates at hand: it says how old the table is."""
        old = ("table_over_24h",) if self.table.over_a_day_old(case.now) else ()
        facts: dict[str, Plain] = {
            **verdict.facts,
            "table_version": self.table.version,
            "table_as_of": self.table.as_of.isoformat(),
        }
        return verdict.model_copy(update={"flags": (*verdict.flags, *old), "facts": facts})

    def _judge(self, case: AgentCase, read: _Read) -> Verdict:
        order, country = case.order, destination(case.order)
        day = self.table.day(country, case.now)
        if order.channel.marketplace:
            return channel_verdict(order, self.table.platform(country, day), self.table.version, self.policy)
        if mixed_currencies(order):
            return unknown("MIXED_CURRENCY", "amounts of this order are in several currencies", self.table.version)
        if not country or not self.table.knows(country):
            return unknown(
                "UNKNOWN_COUNTRY", f"no tax row for {country or 'an order without country'}", self.table.version
            )
        basis = basis_of(case)
        if country in self.table.no_tax:
            owed = untaxed(country, basis.goods, order.currency)
            return compared(order, basis, Finding(owed=owed), self.table, self.policy)
        try:
            choice = self._choose(basis, read.rates, case.now)
        except MissingRate as missing:
            text = f"the low-value limit cannot be judged: {missing}"
            return unknown("RATE_MISSING", text, self.table.version)
        if choice is None:
            text = f"the exchange rate is stale and the value of {basis.value} may lie on either side of a limit"
            return unknown("RATE_STALE", text, self.table.version)
        if choice.rule is None:
            text = f"no tax row of {country} is in force on {day}"
            return unknown("NO_RULE_IN_FORCE", text, self.table.version)
        finding = self._finding(case.order, basis, choice, read.products, day)
        return compared(order, basis, finding, self.table, self.policy)

    def _choose(self, basis: Basis, rates: RateTable, now: datetime) -> _Choice | None:
        """The row that applies; None when a stale rate leaves it open which one."""
        rows = self.table.candidates(basis.country, domestic=basis.domestic, day=self.table.day(basis.country, now))
        worth = _worth(basis.value, rows, rates, now)
        picked = _first(rows, basis.value, worth.amount if worth else None)
        if worth is not None and worth.freshness is Freshness.STALE:
            edges = {_first(rows, basis.value, edge) for edge in (worth.low, worth.high)}
            if edges != {picked}:
                return None
        if picked is None or picked.most_imports is None or picked.otherwise is None:
            return _Choice(rule=picked, worth=worth)
        after = self.table.rules[picked.otherwise]
        if basis.imports_before is None:
            return _Choice(rule=picked, worth=worth, at_risk=after)
        used_up = basis.imports_before >= picked.most_imports
        return _Choice(rule=after if used_up else picked, worth=worth)

    def _finding(
        self, order: Order, basis: Basis, choice: _Choice, products: Mapping[Sku, Product], day: date
    ) -> Finding:
        if choice.rule is None:
            return Finding(owed=untaxed(basis.country, basis.goods, order.currency))
        owed, duty_ids = self._assessed(choice.rule, order, basis, products, day)
        at_risk = self._assessed(choice.at_risk, order, basis, products, day)[0] if choice.at_risk else None
        return Finding(owed=owed, rule=choice.rule, worth=choice.worth, duty_ids=duty_ids, at_risk=at_risk)

    def _assessed(
        self, rule: TaxRule, order: Order, basis: Basis, products: Mapping[Sku, Product], day: date
    ) -> tuple[Assessment, tuple[str, ...]]:
        rates = [rule.duty_bp] * len(order.lines)
        ids = ["default"] * len(order.lines)
        # A row without a duty grants relief from it (low-value goods), whatever the tariff says.
        dutiable = rule.duty_bp > 0 or (not rule.domestic and rule.above is not None)
        for index, line in enumerate(order.lines if dutiable else ()):
            product = products.get(line.sku)
            duty = self.duties.duty(rule.country, product.hs_code, day) if product else None
            if duty is not None:
                rates[index], ids[index] = duty.duty_bp, duty.duty_id
        owed = assess(rule, basis.goods, basis.shipping, tax_included=order.tax_included, duty_bp=rates)
        return owed, tuple(ids) if dutiable else ()


def _worth(value: Money, rows: tuple[TaxRule, ...], rates: RateTable, now: datetime) -> Conversion | None:
    """The value in the currency the rows' limits are in; None when no row has a limit."""
    limit = next((rule.limit for rule in rows if rule.limit is not None), None)
    return None if limit is None else rates.convert(value, limit.currency, at=now)


def _first(rows: tuple[TaxRule, ...], value: Money, worth: Decimal | None) -> TaxRule | None:
    amount = value.decimal if worth is None else worth
    return next((rule for rule in rows if rule.covers(amount)), None)
