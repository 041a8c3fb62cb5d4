"""What a reconciliation found: the counts of the ledger equation, and every mismatch with the id it is about."""

from typing import Literal

from domain.values import Document

Check = Literal["orders", "order_book", "reviews", "effects", "holds", "stock", "money", "audit"]


class Mismatch(Document):
    """One thing that does not add up."""

    check: Check
    id: str
    """The order, effect key, hold, currency or place it is about."""
    text: str


class Effects(Document):
    """How the outside's own books compare with ours."""

    applied: int | None
    """Entries in the back ends' own ledger; None when they cannot be listed."""
    recorded: int
    """Entries in our effect ledger that are settled as done."""
    audited: int
    """Effects the audit tells of."""
    unsettled: tuple[str, ...]
    """Keys begun and never settled: they are looked up, not repeated, when their order is worked on again."""


class Balance(Document):
    """One currency, in minor units."""

    captured_minor: int
    refunded_minor: int
    fulfilled_minor: int
    """What the fulfilled orders' captures come to, by our own ledger."""


class Chains(Document):
    """The audit's hash chains."""

    chains: int
    rows: int
    intact: bool


class Report(Document):
    """accepted = terminal + in review + dead letter + given up + in flight, each from a source of its own."""

    ok: bool
    tenant: str | None
    """None when all tenants were looked at."""
    accepted: int
    terminal: dict[str, int]
    """Orders by the progress they ended in, by the audit."""
    in_review: int
    """Orders with an open review, by the review desk."""
    dead_letter: int
    """Orders in the dead-letter stream."""
    given_up: int
    """Orders whose dead letter a person dropped, by the audit."""
    in_flight: int
    """Orders with work on the intake topic that is not finished."""
    effects: Effects
    money: dict[str, Balance]
    stock_balanced: bool | None
    """None when the back ends do not tell."""
    audit: Chains
    mismatches: tuple[Mismatch, ...]
    not_checked: tuple[str, ...]
    """What could not be compared, one sentence each."""
