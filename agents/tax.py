"""tax: what the order owes under the dated tables, beside what the channel charged. A difference is flagged, not blocked.

The value of the whole order, and of what other orders send the consignee on the same day, decides the relief, however
many parcels carry it: splitting is never rewarded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from agents.consigned import consigned
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
from agents.tax_rules import Assessment, Collector, TaxRule, TaxTable, assess, shipped_rules, untaxed
from domain.catalogue import Product
from domain.consignee import Consigned
from domain.decision import Outcome, Verdict
from domain.errors import MissingRate
from domain.fx import Conversion, Freshness, RateTable
from domain.ids import Sku
from domain.money import Money
from domain.order import Order
from domain.ports import AgentCase, CataloguePort, ConsigneePort
from domain.values import Plain

__all__ = ["POLICY", "TaxAssessment", "TaxPolicy"]

_SALE = Collector.SELLER


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What was read for a case. Without products every line pays the default duty."""

    rates: RateTable
    products: Mapping[Sku, Product] = field(default_factory=dict)
    sent: Consigned | None = None


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """The row that applies, and what it rests on."""

    rule: TaxRule | None
    worth: Conversion | None = None
    at_risk: TaxRule | None = None
    """The row that would apply if the relief were used up, when nobody knows whether it is."""
    aggregated: bool = False
    """Whether what the consignee was sent on the same day took the relief away."""


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
        consignees: ConsigneePort | None = None,
    ) -> None:
        """Other tables than the shipped ones may be given. Without ``erp`` imports pay the default duty.

        Without ``consignees`` nobody knows what other orders sent.
        """
        self._consignees = consignees
        self._exchange = exchange
        self._erp = erp
        self.table = table or shipped_rules()
        self.duties = duties or shipped_duties()
        self.policy = policy

    async def decide(self, case: AgentCase) -> Verdict:
        """Assess the order.

        Raises:
            Transient: the exchange rates, the catalogue or what other orders sent could not be read.
        """
        order = case.order
        if order.channel.marketplace:
            return self._judge(case, _Read(rates=RateTable(())))
        sent = await self._sent(case)
        if case.hints.get("mode") == "degraded":
            verdict = self._judge(case, _Read(rates=self._exchange.last_table(), sent=sent))
            if verdict.outcome is not Outcome.REVIEW:
                return self._from_table(case, verdict)
        country = destination(order)
        rows = [rule for rule in self.table.rules.values() if rule.country == country]
        foreign = {rule.limit.currency for rule in rows if rule.limit} - {order.currency}
        foreign |= {amount.currency for amount in sent.today} - {order.currency} if sent else set()
        rates = await self._exchange.table({*foreign, order.currency}, case.now) if foreign else RateTable(())
        dutiable = any(not rule.domestic and rule.duty_bp for rule in rows) or country in self.duties.by_country
        products: Mapping[Sku, Product] = {}
        if self._erp is not None and dutiable and set(route_origins(case.decisions)) != {country}:
            products = await self._erp.products(sorted({line.sku for line in order.lines if line.sku}))
        return self._judge(case, _Read(rates=rates, products=products, sent=sent))

    async def _sent(self, case: AgentCase) -> Consigned | None:
        """What other orders sent to the consignee; asked only where it can decide a relief."""
        country = destination(case.order)
        imported = set(route_origins(case.decisions)) != {country}
        limited = any(
            rule.country == country and not rule.domestic and rule.limit is not None and rule.collector is not _SALE
            for rule in self.table.rules.values()
        )
        return await consigned(self._consignees, case, self.table) if imported and limited else None

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
        basis = basis_of(case, read.sent)
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
        alone = _by_value((basis.value,), rows, rates, now)
        if alone is None:
            return None
        choice, today = alone, basis.sent.today if basis.sent is not None else ()
        # A tax collected at the sale is the same for each sale; relief at the border is for all that arrives in a day.
        if today and alone.rule is not None and not alone.rule.domestic and alone.rule.collector is not _SALE:
            together = _by_value((basis.value, *today), rows, rates, now)
            if together is None:
                return None
            choice = replace(together, aggregated=together.rule != alone.rule)
        picked = choice.rule
        if picked is None or picked.most_imports is None or picked.otherwise is None:
            return choice
        after = self.table.rules[picked.otherwise]
        if basis.sent is None:
            return replace(choice, at_risk=after)
        used_up = basis.sent.imports + basis.parcels > picked.most_imports
        return replace(choice, rule=after) if used_up else choice

    def _finding(
        self, order: Order, basis: Basis, choice: _Choice, products: Mapping[Sku, Product], day: date
    ) -> Finding:
        if choice.rule is None:
            return Finding(owed=untaxed(basis.country, basis.goods, order.currency))
        owed, duty_ids = self._assessed(choice.rule, order, basis, products, day)
        at_risk = self._assessed(choice.at_risk, order, basis, products, day)[0] if choice.at_risk else None
        return Finding(
            owed=owed,
            rule=choice.rule,
            worth=choice.worth,
            duty_ids=duty_ids,
            at_risk=at_risk,
            aggregated=choice.aggregated,
        )

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


def _by_value(values: Sequence[Money], rows: tuple[TaxRule, ...], rates: RateTable, now: datetime) -> _Choice | None:
    """The row for goods worth so much together; None when a stale rate leaves it open which one."""
    limit = next((rule.limit for rule in rows if rule.limit is not None), None)
    if limit is None:
        return _Choice(rule=_first(rows, values[0].decimal))
    parts = [rates.convert(value, limit.currency, at=now) for value in values]
    worth = Conversion(
        amount=sum((part.amount for part in parts), Decimal(0)),
        low=sum((part.low for part in parts), Decimal(0)),
        high=sum((part.high for part in parts), Decimal(0)),
        rate_ids=tuple(dict.fromkeys(rate for part in parts for rate in part.rate_ids)),
        freshness=max((part.freshness for part in parts), key=list(Freshness).index),
    )
    picked = _first(rows, worth.amount)
    if worth.freshness is Freshness.STALE and {_first(rows, edge) for edge in (worth.low, worth.high)} != {picked}:
        return None
    return _Choice(rule=picked, worth=worth)


def _first(rows: tuple[TaxRule, ...], worth: Decimal) -> TaxRule | None:
    return next((rule for rule in rows if rule.covers(worth)), None)
