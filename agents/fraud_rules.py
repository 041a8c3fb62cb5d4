"""The fraud rules, one pure function each: what it saw against what it allows, nothing, or not evaluated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.fraud_signals import Signals
from agents.fraud_table import FraudTable, RuleTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a rule saw against what it allows."""

    value: str
    threshold: str
    evidence: str


class NotEvaluated:
    """The answer of a rule whose input is unknown."""


NOT_EVALUATED = NotEvaluated()

Answer = Finding | NotEvaluated | None
Rule = Callable[[Signals, RuleTerms, FraudTable], Answer]


def _velocity(field: str) -> Rule:
    def rule(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
        count = signals.counts.get(terms.code)
        if count is None:
            return NOT_EVALUATED
        if count < terms.limits["at_least"]:
            return None
        window = terms.limits["window_s"]
        return Finding(value=str(count), threshold=f">= {terms.limits['at_least']} in {window} s", evidence=field)

    return rule


def _declines(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    count = signals.counts.get(terms.code)
    if count is None:
        return NOT_EVALUATED
    if not signals.paid or count < terms.limits["at_least"]:
        return None
    threshold = f">= {terms.limits['at_least']} in {terms.limits['window_s']} s, then success"
    return Finding(value=str(count), threshold=threshold, evidence="order.payment.declines_1h")


def _equals(field: str, bad: str, evidence: str) -> Rule:
    def rule(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
        value = getattr(signals, field)
        if value is None:
            return NOT_EVALUATED
        return Finding(value=value, threshold="match", evidence=evidence) if value == bad else None

    return rule


def _flag(field: str, evidence: str) -> Rule:
    def rule(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
        value = getattr(signals, field)
        if value is None:
            return NOT_EVALUATED
        return Finding(value="true", threshold="false", evidence=evidence) if value else None

    return rule


def _bin_country(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    known = {country for country in (signals.bill_country, signals.ship_country) if country}
    if signals.bin_country is None or not known:
        return NOT_EVALUATED
    if signals.bin_country in known:
        return None
    return Finding(value=signals.bin_country, threshold=",".join(sorted(known)), evidence="order.payment.bin_country")


def _bin_prepaid_high(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    segment = signals.segment
    if signals.bin_prepaid is None or segment is None:
        return NOT_EVALUATED
    if not signals.bin_prepaid or segment.amount < segment.p95:
        return None
    value = f"prepaid, {segment.amount} {segment.currency}"
    return Finding(value=value, threshold=f"p95 {segment.p95} of {segment.name}", evidence="order.total")


def _ip_ship_country(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if not signals.ip_country or not signals.ship_country:
        return NOT_EVALUATED
    pair = frozenset((signals.ip_country, signals.ship_country))
    if len(pair) == 1 or pair in table.travel_pairs:
        return None
    return Finding(value=signals.ip_country, threshold=signals.ship_country, evidence="order.device.ip_country")


def _forwarder(consolidation: bool) -> Rule:
    def rule(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
        if signals.forwarder is None:
            return NOT_EVALUATED
        usual = signals.ship_country in table.consolidation_countries
        if not signals.forwarder or usual is not consolidation:
            return None
        return Finding(value="forwarding address", threshold="own address", evidence="order.ship_to")

    return rule


def _disposable_email(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if signals.throwaway is None:
        return NOT_EVALUATED
    if not signals.throwaway:
        return None
    return Finding(value=signals.throwaway, threshold="lasting mailbox", evidence="order.customer.email")


def _new_account_high(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    segment, age_s = signals.segment, signals.account_age_s
    if age_s is None or segment is None:
        return NOT_EVALUATED
    if age_s >= terms.limits["younger_than_s"] or segment.amount < segment.p90:
        return None
    return Finding(
        value=f"{max(0, age_s)} s old, {segment.amount} {segment.currency}",
        threshold=f"{terms.limits['younger_than_s']} s, p90 {segment.p90} of {segment.name}",
        evidence="order.customer.created_at",
    )


def _takeover(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if signals.delivered is None:
        return NOT_EVALUATED
    if signals.profile_age_s is None or signals.profile_age_s >= terms.limits["younger_than_s"]:
        return None
    if signals.new_device is None:
        return NOT_EVALUATED
    if not signals.new_device:
        return None
    value = f"profile changed {signals.profile_age_s} s before, new device"
    return Finding(value=value, threshold=f"{terms.limits['younger_than_s']} s", evidence="crm.history")


def _resale_sku(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if signals.resale_quantity is None:
        return NOT_EVALUATED
    if signals.resale_quantity < terms.limits["at_least"]:
        return None
    return Finding(
        value=str(signals.resale_quantity), threshold=f">= {terms.limits['at_least']}", evidence="order.lines"
    )


def _qty_outlier(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if not signals.quantity_known:
        return NOT_EVALUATED
    found = signals.quantity_outlier
    if found is None:
        return None
    return Finding(value=f"{found.quantity} of {found.sku}", threshold=f"p99 {found.p99}", evidence="order.lines")


def _rush_first(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if signals.first_order is None or signals.resale_quantity is None:
        return NOT_EVALUATED
    if not (signals.first_order and signals.express and signals.resale_quantity > 0):
        return None
    return Finding(value="first order, express", threshold="no resale goods", evidence="order.shipping_option")


def _cod_refuser(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if not signals.cash_on_delivery:
        return None
    if signals.refused is None or signals.delivered is None:
        return NOT_EVALUATED
    limits = terms.limits
    seen = signals.refused + signals.delivered
    refused = signals.refused + limits["prior_refused"]
    orders = seen + limits["prior_orders"]
    if seen < limits["at_least"] or 100 * refused < limits["rate_percent"] * orders:
        return None
    return Finding(
        value=f"{signals.refused} of {seen} refused",
        threshold=f">= {limits['rate_percent']} % (prior {limits['prior_refused']} of {limits['prior_orders']})",
        evidence="crm.history",
    )


def _cod_cap(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if not signals.cash_on_delivery:
        return None
    cap = table.cod_caps.get(signals.currency)
    if cap is None or signals.first_order is None:
        return NOT_EVALUATED
    if not signals.first_order or signals.total_minor <= cap:
        return None
    return Finding(value=str(signals.total_minor), threshold=f"<= {cap} {signals.currency}", evidence="order.total")


def _phone_invalid(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if signals.phone is None:
        return NOT_EVALUATED
    if signals.phone == "ok":
        return None
    return Finding(value=signals.phone, threshold=f"a line of {signals.ship_country}", evidence="order.customer.phone")


def _known_bad(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if signals.known_bad is None:
        return NOT_EVALUATED
    if not signals.known_bad:
        return None
    named = ", ".join(signals.known_bad_by)
    evidence = "risk.confirmed" if named else "crm.history"
    return Finding(value=named or "customer", threshold="not on the confirmed-fraud list", evidence=evidence)


def _good_history(signals: Signals, terms: RuleTerms, table: FraudTable) -> Answer:
    if signals.delivered is None or signals.disputed is None or signals.history_age_s is None:
        return NOT_EVALUATED
    limits = terms.limits
    enough = signals.delivered >= limits["at_least"] and signals.disputed == 0
    if not enough or signals.same_means is False or signals.history_age_s <= limits["older_than_s"]:
        return None
    return Finding(
        value=f"{signals.delivered} delivered, none disputed",
        threshold=f">= {limits['at_least']} over {limits['older_than_s']} s",
        evidence="crm.history",
    )


RULES: Mapping[str, Rule] = {
    "CARD_VELOCITY": _velocity("order.payment.card_fingerprint"),
    "DEVICE_MULTI_ACCOUNT": _velocity("order.device.device_id"),
    "IP_VELOCITY": _velocity("order.device.ip"),
    "DECLINES_BEFORE_SUCCESS": _declines,
    "ADDRESS_MULTI_ACCOUNT": _velocity("order.ship_to"),
    "AVS_FAIL": _equals("avs", "fail", "order.payment.avs"),
    "AVS_PARTIAL": _equals("avs", "partial", "order.payment.avs"),
    "CVV_FAIL": _equals("cvv", "fail", "order.payment.cvv"),
    "BIN_COUNTRY": _bin_country,
    "BIN_PREPAID_HIGH": _bin_prepaid_high,
    "THREE_DS_SHIFT": _flag("three_ds_shift", "order.payment.three_ds_shift"),
    "IP_SHIP_COUNTRY": _ip_ship_country,
    "PROXY_TOR": _flag("proxy", "order.device.proxy"),
    "HOSTING_ASN": _flag("hosting", "order.device.hosting_asn"),
    "FORWARDER_ADDRESS": _forwarder(consolidation=False),
    "FORWARDER_CONSOLIDATION": _forwarder(consolidation=True),
    "DISPOSABLE_EMAIL": _disposable_email,
    "NEW_ACCOUNT_HIGH": _new_account_high,
    "TAKEOVER": _takeover,
    "RESALE_SKU": _resale_sku,
    "QTY_OUTLIER": _qty_outlier,
    "RUSH_FIRST": _rush_first,
    "COD_REFUSER": _cod_refuser,
    "COD_CAP": _cod_cap,
    "PHONE_INVALID": _phone_invalid,
    "KNOWN_BAD": _known_bad,
    "GOOD_HISTORY": _good_history,
}
"""Every rule by its stable code, in the order they are listed in a trace."""
