"""What a phone number, a mailbox and an address say about themselves: valid, throw-away, forwarded."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agents.fraud_activity import address_text
from agents.fraud_table import FraudTable
from domain.address import Address

PHONES_FILE = Path(__file__).with_name("fraud_phones.json")
DOMAINS_FILE = Path(__file__).with_name("disposable_domains.txt")


@dataclass(frozen=True, kw_only=True, slots=True)
class PhonePlan:
    """How a country's phone numbers look."""

    calling_code: str
    trunk: str
    """The prefix dialled inside the country only."""
    number: re.Pattern[str]
    """National number of a line with a place or a person behind it."""
    voip: re.Pattern[str] | None


def phone_finding(phone: str, country: str) -> str | None:
    """``ok``, ``voip`` or ``invalid`` for a number of the ship country; None for foreign, masked or unknown ones."""
    plan = phone_plans().get(country)
    if not phone or "*" in phone or plan is None:
        return None
    digits = "".join(sign for sign in phone if sign.isdigit())
    if len(set(digits)) <= 1:
        return "invalid"
    international = phone.strip().startswith("+") or digits.startswith("00")
    digits = digits.removeprefix("00") if international else digits
    if international and not digits.startswith(plan.calling_code):
        return None
    return _kind(_national(digits, plan, international=international), plan)


def _national(digits: str, plan: PhonePlan, *, international: bool) -> list[str]:
    """Every reading of the digits as a national number."""
    found = [] if international else [digits]
    if digits.startswith(plan.calling_code):
        found.append(digits.removeprefix(plan.calling_code))
    if plan.trunk:
        found += [one.removeprefix(plan.trunk) for one in found if one.startswith(plan.trunk)]
    return found


def _kind(readings: list[str], plan: PhonePlan) -> str:
    if any(plan.number.fullmatch(one) for one in readings):
        return "ok"
    if plan.voip is not None and any(plan.voip.fullmatch(one) for one in readings):
        return "voip"
    return "invalid"


def throwaway_domain(email: str, table: FraudTable) -> str | None:
    """The domain if it, or one it belongs to, hands out throw-away mailboxes, else empty.

    None when the mailbox is not the buyer's own word: absent, masked, or a platform's relay.
    """
    _, at, domain = email.casefold().strip().rpartition("@")
    if not at or not domain or "*" in domain:
        return None
    parents = _parents(domain)
    if any(parent in table.relay_domains for parent in parents):
        return None
    return domain if any(parent in disposable_domains() for parent in parents) else ""


def _parents(domain: str) -> list[str]:
    labels = domain.rstrip(".").split(".")
    return [".".join(labels[start:]) for start in range(max(1, len(labels) - 1))]


def forwarding(address: Address, table: FraudTable) -> bool:
    """Whether goods go on from there to somebody else: a forwarder's words, or a member code behind the name."""
    text = address_text(address)
    if any(term in text for term in table.forwarder_terms):
        return True
    places = (address.name, address.company, address.line1, address.line2)
    return any(pattern.search(place) for pattern in table.forwarder_patterns for place in places)


@cache
def phone_plans() -> Mapping[str, PhonePlan]:
    """Number plans by country."""
    raw = json.loads(PHONES_FILE.read_text(encoding="utf-8"))["plans"]
    return {
        country: PhonePlan(
            calling_code=plan["calling_code"],
            trunk=plan["trunk"],
            number=re.compile(plan["number"]),
            voip=re.compile(plan["voip"]) if plan["voip"] else None,
        )
        for country, plan in raw.items()
    }


@cache
def disposable_domains() -> frozenset[str]:
    """The list that ships."""
    lines = DOMAINS_FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))
