"""The declared features of an order's free text and its rules: what a promoted rule may rest on. No personal data."""

from agents.text_signs import shipped_signs
from domain.decision import Verdict
from domain.order import Order
from domain.values import Plain

_BANDS = ((15, "under_15"), (25, "15_to_24"), (40, "25_to_39"), (60, "40_to_59"))
_AMOUNTS = ((5_000, "to_50_usd"), (20_000, "to_200_usd"), (50_000, "to_500_usd"))


def features_of(order: Order, base: Verdict) -> dict[str, Plain]:
    """Features by name: words for choices, true for what is present; what is absent is left out."""
    score, cents = base.facts.get("score"), base.inputs.get("usd_cents")
    found: dict[str, Plain] = {
        "channel": "marketplace" if order.channel.marketplace else order.channel.value,
        "ships_to": order.ship_to.country,
        "payment": order.payment.method.value,
        "score": _band(score, _BANDS, "60_or_more"),
        "amount": _band(cents, _AMOUNTS, "over_500_usd"),
        "note": bool(order.note.strip()),
    }
    found |= {f"rule.{reason.code}": True for reason in base.reasons if (reason.points or 0) > 0}
    signs = shipped_signs()
    address = "\n".join((order.ship_to.line1, order.ship_to.line2))
    found |= {f"note.{sign}": True for sign in signs.found(order.note)}
    found |= {f"address.{sign}": True for sign in signs.found(address)}
    if signs.addresses_machine("\n".join((order.note, address))):
        found["text.instructions"] = True
    return found


def _band(value: Plain, bands: tuple[tuple[int, str], ...], above: str) -> str:
    if not isinstance(value, int):
        return "unknown"
    return next((name for limit, name in bands if value < limit), above)
