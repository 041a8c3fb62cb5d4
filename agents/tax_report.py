"""How a tax assessment is told: verdict, reasons with figures, and the facts an auditor recomputes it from."""

from dataclasses import dataclass

from agents.tax_basis import Basis, charged
from agents.tax_rules import Assessment, Collector, PlatformRule, TaxRule, TaxTable
from domain.consignee import Consigned
from domain.decision import Outcome, Reason, Verdict
from domain.fx import Conversion, Freshness
from domain.money import CASH_EXPONENT, Money, exponent
from domain.order import Order
from domain.values import Plain


@dataclass(frozen=True, kw_only=True)
class TaxPolicy:
    """Declared confidences: look-ups in dated tables, not estimates."""

    version: str
    sure: float
    assumed: float
    """When something is assumed: imported although nothing says from where, relief although nobody counts imports."""
    fallback: float


POLICY = TaxPolicy(version="tax-policy-2026-11-01", sure=0.95, assumed=0.75, fallback=0.72)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is owed, under which row, and what the choice of the row rests on."""

    owed: Assessment
    rule: TaxRule | None = None
    worth: Conversion | None = None
    duty_ids: tuple[str, ...] = ()
    """The duty row of each line, ``default`` where the tariff code has none; empty where no duty is due."""
    at_risk: Assessment | None = None
    """What would be owed had the consignee used up the relief."""
    aggregated: bool = False
    """What the consignee was sent on the same day took the relief away."""


def compared(order: Order, basis: Basis, finding: Finding, table: TaxTable, policy: TaxPolicy) -> Verdict:
    """The verdict: the assessment beside the channel's charge."""
    owed = finding.owed
    at_sale = owed.tax if owed.collector is Collector.SELLER else Money.zero(order.currency)
    paid = charged(order)
    difference = at_sale - paid
    unit = 10 ** (exponent(order.currency) - CASH_EXPONENT[order.currency])
    allowed = max(table.tolerance_units * unit, abs(paid.amount_minor) * table.tolerance_bp // 10_000)
    differs = abs(difference.amount_minor) > allowed
    reasons = [_rule_reason(finding)]
    if differs:
        reasons.append(
            Reason(
                code="TAX_DIFFERENCE",
                text=f"the channel charged {paid}, the table says {at_sale} at the sale",
                value=str(difference.amount_minor),
                threshold=str(allowed),
                evidence="order.tax",
            )
        )
    if finding.at_risk is not None:
        reasons.append(_risk_reason(finding.at_risk))
    if finding.aggregated and basis.sent is not None:
        reasons.append(_aggregate_reason(basis.sent))
    assumed = not basis.origins or finding.at_risk is not None
    return Verdict(
        decision="tax_differs" if differs else "tax_assessed",
        outcome=Outcome.PROCEED,
        confidence=policy.assumed if assumed else policy.sure,
        flags=_flags(basis, finding, differs=differs),
        reasons=tuple(reasons),
        counterfactual=("TAX_DIFFERENCE",) if differs else (),
        facts=_facts(order, basis, finding, table) | {"charged_minor": paid.amount_minor},
    )


def _rule_reason(finding: Finding) -> Reason:
    owed, rule = finding.owed, finding.rule
    since = f", in force since {rule.valid_from}" if rule else ""
    return Reason(
        code="TAX_RULE",
        text=f"{owed.rule_id}: {owed.tax} tax, {owed.duty} duty, collected by {owed.collector.value}{since}",
        value=str(owed.tax.amount_minor),
        threshold=str(rule.limit) if rule and rule.limit else None,
        evidence=f"tax_rules:{owed.rule_id}",
    )


def _risk_reason(at_risk: Assessment) -> Reason:
    return Reason(
        code="IMPORTS_UNKNOWN",
        text=f"nobody counted the consignee's imports; with the relief used up {at_risk.duty} duty and "
        f"{at_risk.tax} tax fall due at the border",
        value=str((at_risk.duty + at_risk.tax).amount_minor),
        evidence="consignee.sent",
    )


def _aggregate_reason(sent: Consigned) -> Reason:
    today = " + ".join(str(amount) for amount in sent.today)
    return Reason(
        code="SAME_DAY_CONSIGNEE",
        text=f"the same consignee was sent goods worth {today} today; relief is judged by all of it together",
        value=today,
        evidence="consignee.sent",
    )


def _flags(basis: Basis, finding: Finding, *, differs: bool) -> tuple[str, ...]:
    freshness = finding.worth.freshness if finding.worth else Freshness.FRESH
    flags = {
        "tax_difference": differs,
        "tax_at_border": finding.owed.collector is Collector.BORDER,
        "origin_assumed": not basis.origins,
        "imports_unknown": finding.at_risk is not None,
        "same_day_consignee": finding.aggregated,
        "duty_default": "default" in finding.duty_ids and bool(finding.owed.duty.amount_minor),
        f"fx_{freshness.value}": freshness is not Freshness.FRESH,
    }
    return tuple(flag for flag, up in flags.items() if up)


def _facts(order: Order, basis: Basis, finding: Finding, table: TaxTable) -> dict[str, Plain]:
    owed, rule, worth = finding.owed, finding.rule, finding.worth
    ids = finding.duty_ids or ("",) * len(order.lines)
    lines: list[Plain] = [
        {
            "line_id": line.line_id,
            "value_minor": value.amount_minor,
            "duty_minor": duty.amount_minor,
            "duty_row": duty_id,
            "tax_minor": tax.amount_minor,
        }
        for line, value, duty, duty_id, tax in zip(order.lines, basis.goods, owed.duties, ids, owed.taxes, strict=True)
    ]
    facts: dict[str, Plain] = {
        "rule": owed.rule_id,
        "effective_from": rule.valid_from.isoformat() if rule else "",
        "effective_to": rule.valid_to.isoformat() if rule and rule.valid_to else "",
        "country": basis.country,
        "origin": "domestic" if basis.domestic else "import",
        "collector": owed.collector.value,
        "currency": order.currency,
        "value_minor": basis.value.amount_minor,
        "tax_minor": owed.tax.amount_minor,
        "duty_minor": owed.duty.amount_minor,
        "shipping_tax_minor": owed.shipping_tax.amount_minor,
        "lines": lines,
        "thresholds_version": table.version,
        "confidence_basis": "declared",
    }
    if worth is not None and worth.rate_ids:
        facts |= {"rate_ids": list(worth.rate_ids), "value_at_limit": str(worth.amount), "fx": worth.freshness.value}
    if basis.sent is not None:
        facts |= {
            "imports_before": basis.sent.imports,
            "sent_today": [amount.model_dump(mode="json") for amount in basis.sent.today],
        }
    if finding.at_risk is not None:
        facts |= {
            "duty_at_risk_minor": finding.at_risk.duty.amount_minor,
            "tax_at_risk_minor": finding.at_risk.tax.amount_minor,
        }
    return facts


def channel_verdict(order: Order, law: PlatformRule | None, version: str, policy: TaxPolicy) -> Verdict:
    """The channel's own figure, accepted and recorded: by law where it is the deemed supplier, else by its contract."""
    basis = f"by {law.rule_id} ({law.source})" if law else "by its own terms; no law in our table says so"
    return Verdict(
        decision="channel_tax",
        outcome=Outcome.PROCEED,
        confidence=policy.sure,
        flags=("channel_collects",) if law else ("channel_collects", "no_platform_rule"),
        reasons=(
            Reason(
                code="CHANNEL_COLLECTS",
                text=f"{order.channel.value} accounts for the tax {basis}; its figure stands",
                value=str(order.tax.amount_minor),
                evidence="order.tax",
            ),
        ),
        facts={
            "collector": "channel",
            "platform_rule": law.rule_id if law else "",
            "currency": order.currency,
            "tax_minor": order.tax.amount_minor,
            "charged_minor": order.tax.amount_minor,
            "lines": [{"line_id": line.line_id, "tax_minor": line.tax.amount_minor} for line in order.lines],
            "thresholds_version": version,
            "confidence_basis": "declared",
        },
    )


def unknown(code: str, text: str, version: str) -> Verdict:
    """A person decides, because no row can."""
    return Verdict(
        decision="review",
        outcome=Outcome.REVIEW,
        confidence=None,
        flags=(code.lower(),),
        reasons=(Reason(code=code, text=text, evidence="order.ship_to.country"),),
        counterfactual=(code,),
        facts={"thresholds_version": version},
    )
