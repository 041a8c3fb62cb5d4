"""The stand-in carriers: lanes and labels, one system per carrier code."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING
from hashlib import blake2s

from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected, NotFound, TooLate
from domain.ids import EffectKey
from domain.intent import BookLabel, VoidLabel
from domain.money import Money
from domain.shipment import Lane
from tools.sandbox.geography import FIXTURE_RATES
from tools.sandbox.system import Change, System, parse_args, reference


@dataclass(frozen=True)
class CarrierSystem(System):
    """One carrier behind ``CarrierPort``. It refuses what its lanes do not sell."""

    code: str
    by_country: Mapping[str, tuple[Lane, ...]] = field(repr=False)

    handlers = {EffectKind.BOOK_LABEL: "_book", EffectKind.VOID_LABEL: "_void"}

    async def lanes(self, country: str) -> Sequence[Lane]:
        """Every lane this carrier sells to the country."""
        fault = await self._meet("lanes")
        await self._leave(fault, "lanes")
        return self.by_country.get(country, ())

    async def scanned(self, label_key: EffectKey) -> bool:
        """Whether the parcel whose label was booked under this key has been taken over; an unknown label never was."""
        fault = await self._meet("scanned")
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT 1 FROM labels WHERE label_key = ? AND carrier = ? AND state = 'scanned'", (label_key, self.code)
            ).fetchone()
        )
        await self._leave(fault, "scanned")
        return found is not None

    async def mark_scanned(self, tracking: str) -> None:
        """The first scan: the parcel is handed over, its label and its fulfilment can no longer be undone.

        Raises:
            NotFound: this carrier has no live label with that number.
        """

        def scan(connection: sqlite3.Connection) -> None:
            changed = connection.execute(
                "UPDATE labels SET state = 'scanned' WHERE tracking = ? AND carrier = ? AND state != 'voided'",
                (tracking, self.code),
            )
            if changed.rowcount == 0:
                raise NotFound(f"{self.code} has no live label {tracking}")
            connection.execute(
                "UPDATE fulfilments SET state = 'handed_over' WHERE tracking = ? AND state = 'picking'", (tracking,)
            )

        await self.store.write(scan)

    def _book(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(BookLabel, effect)
        cost = self._price_for(args)
        tracking = _tracking_number(self.code, effect)
        connection.execute(
            "INSERT INTO labels (carrier, tenant, label_key, order_id, tracking, state, cost_minor) "
            "VALUES (?, ?, ?, ?, ?, 'booked', ?)",
            (self.code, effect.tenant, effect.key, args.order_id, tracking, cost.amount_minor),
        )
        return Change(
            reference=reference("label", effect),
            detail={
                "tracking": tracking,
                "carrier": self.code,
                "service": args.service,
                "cost_minor": cost.amount_minor,
                "currency": cost.currency,
            },
        )

    def _price_for(self, args: BookLabel) -> Money:
        """What the table of the lane says for the parcel.

        Raises:
            ConnectorRejected: the carrier does not sell this.
        """
        wanted = f"{args.service} from {args.warehouse} to {args.ship_to.country or 'nowhere'}"
        lane = next(
            (
                lane
                for lane in self.by_country.get(args.ship_to.country, ())
                if (lane.service, lane.warehouse) == (args.service, args.warehouse)
            ),
            None,
        )
        if lane is None:
            raise ConnectorRejected(f"{self.code} does not sell {wanted}; route the parcel again")
        if not args.ship_to.deliverable:
            raise ConnectorRejected(f"the address of parcel {args.parcel} cannot be delivered to; complete it first")
        if not 0 < args.billable_g <= lane.steps[-1].up_to_g:
            raise ConnectorRejected(f"{wanted} carries 1 to {lane.steps[-1].up_to_g} g, not {args.billable_g} g")
        step = lane.step_for(args.billable_g)
        if step is None:
            raise ConnectorRejected(f"{wanted} has no price for {args.billable_g} g; choose another service")
        refused = [goods.value for goods in args.dangerous if goods not in lane.accepts]
        if refused:
            raise ConnectorRejected(f"{wanted} does not accept {', '.join(refused)}; choose a service that does")
        if args.collect is not None and not lane.cod:
            raise ConnectorRejected(f"{wanted} does not collect cash on delivery; choose a service that does")
        if lane.max_value is not None and _in_usd_minor(args.declared_value) > lane.max_value.amount_minor:
            raise ConnectorRejected(f"{wanted} insures up to {lane.max_value}, not {args.declared_value}")
        return step.price

    def _void(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(VoidLabel, effect)
        found = connection.execute(
            "SELECT state, tracking FROM labels WHERE label_key = ? AND tenant = ? AND carrier = ?",
            (args.label_key, effect.tenant, self.code),
        ).fetchone()
        if found is None:
            raise ConnectorRejected(f"{self.code} has no label {args.label_key}; ask the carrier that booked it")
        state, tracking = found
        if state == "scanned":
            raise TooLate(f"label {tracking} was scanned by {self.code}; ask for a return instead")
        connection.execute(
            "UPDATE labels SET state = 'voided' WHERE label_key = ? AND tenant = ? AND carrier = ?",
            (args.label_key, effect.tenant, self.code),
        )
        return Change(reference=reference("void", effect), detail={"tracking": tracking, "voided": state == "booked"})


def lanes_by_country(lanes: Sequence[Lane], carrier: str) -> dict[str, tuple[Lane, ...]]:
    """One carrier's lanes by destination."""
    found: dict[str, tuple[Lane, ...]] = {}
    for lane in lanes:
        if lane.carrier == carrier:
            found[lane.country] = (*found.get(lane.country, ()), lane)
    return found


def _in_usd_minor(money: Money) -> int:
    """The amount in US cents at fixture rates, rounded up; currencies without a rate count as unlimited value."""
    if money.currency == "USD":
        return money.amount_minor
    rate = FIXTURE_RATES.get(money.currency)
    return 2**63 if rate is None else int((money.decimal * 100 / rate).to_integral_value(ROUND_CEILING))


def _tracking_number(code: str, effect: Effect) -> str:
    """Two letters of the carrier and twelve digits, stable per tenant and key."""
    text = "\x00".join((code, effect.tenant, effect.key))
    number = int.from_bytes(blake2s(text.encode(), digest_size=8).digest(), "big") % 10**12
    return f"{code[:2].upper()}{number:012d}"
