"""Effects against the outside's own books: each applied once, recorded, audited, justified; holds and money settled."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from api.reconcile.evidence import Evidence, Ref
from api.reconcile.report import Balance, Mismatch
from domain.effect import Effect, EffectKind, EffectRecord, EffectState, Receipt
from domain.errors import NotFound
from domain.ids import TenantId
from domain.inventory import HoldState
from domain.money import Money
from domain.order import OrderProgress
from tools.connectors.directory import Systems
from tools.sandbox import Sandbox
from tools.sandbox.system import AppliedEffect

Key = tuple[str, str]
"""Tenant and effect key."""
_LOOK_UPS = 8
_SETTLED_HOLDS = {HoldState.CONFIRMED, HoldState.CONSUMED}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One entry of our effect ledger with its order."""

    about: Ref
    record: EffectRecord


@dataclass
class EffectBooks:
    """Our ledger beside the outside's."""

    found: Evidence
    terminal: Mapping[Ref, str]
    ours: dict[Key, Recorded] = field(init=False)
    theirs: dict[Key, list[AppliedEffect]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.ours = {
            (ref[0], record.key): Recorded(about=ref, record=record)
            for ref, book in self.found.books.items()
            for record in (book.effects if book else ())
        }

    def take(self, applied: list[AppliedEffect], tenant: str | None) -> None:
        """The outside's own ledger."""
        for one in applied:
            if tenant in (None, one.tenant):
                self.theirs.setdefault((one.tenant, one.key), []).append(one)

    @property
    def done(self) -> dict[Key, Recorded]:
        """What our ledger holds as done."""
        return {key: ours for key, ours in self.ours.items() if ours.record.state is EffectState.DONE}

    @property
    def unsettled(self) -> tuple[str, ...]:
        """Keys begun and not settled."""
        return tuple(sorted(key for (_, key), o in self.ours.items() if o.record.state is EffectState.BEGUN))

    def ours_alone(self) -> Iterator[Mismatch]:
        """Our ledger against the audit, whatever the outside says."""
        audit = self.found.audit
        for (tenant, key), ours in sorted(self.ours.items()):
            record = ours.record
            if record.state is EffectState.DONE and (tenant, key) not in audit.effects:
                yield _effect(key, "is done by the effect ledger and has no audit row")
            if record.decision_id and record.decision_id not in audit.events:
                yield _effect(key, f"rests on decision {record.decision_id}, which the audit does not have")
            if record.state is EffectState.BEGUN and not record.kind.reversible and not self._pending(ours.about):
                yield _effect(key, "was begun and never settled, and nothing is left that would settle it")
        for (_, key), times in sorted(audit.effects.items()):
            if times > 1:
                yield _effect(key, f"stands {times} times in the audit as applied")

    def against_theirs(self) -> Iterator[Mismatch]:
        """Both ledgers and the audit, key by key."""
        for (tenant, key), applied in sorted(self.theirs.items()):
            for text in self._wrong(tenant, key, applied):
                yield _effect(key, text)
        for (tenant, key), ours in sorted(self.done.items()):
            if (tenant, key) not in self.theirs:
                yield _effect(key, "is done by the effect ledger and no back end applied it")
            elif not _same(ours.record.receipt, self.theirs[tenant, key][0].receipt):
                yield _effect(key, "has another receipt in the effect ledger than at the back end")
        for _, key in sorted(set(self.found.audit.effects) - set(self.theirs) - set(self.done)):
            yield _effect(key, "is applied by the audit and no back end applied it")

    def _wrong(self, tenant: str, key: str, applied: list[AppliedEffect]) -> Iterator[str]:
        """What is wrong with one effect of the outside's ledger."""
        audit, ours = self.found.audit, self.ours.get((tenant, key))
        about, system = (tenant, applied[0].entity_id), applied[0].system
        if len(applied) > 1:
            yield f"was applied {len(applied)} times: by {', '.join(one.system for one in applied)}"
        if about not in audit.accepted:
            yield f"was applied for {about[1]}, which was never accepted"
        if ours is None and self.found.books.get(about) is not None:
            yield f"was applied by {system} and is not in the effect ledger"
        if ours is not None and ours.record.state is EffectState.REFUSED:
            yield f"was applied by {system} and stands as refused in the effect ledger"
        settled = ours is None or ours.record.state is EffectState.DONE
        if settled and (tenant, key) not in audit.effects and not self.found.busy(about):
            yield f"was applied by {system} and has no audit row"

    def _pending(self, about: Ref) -> bool:
        return self.found.busy(about) or about in self.found.letters or about in self.found.open_reviews

    async def look_up(self, systems: Systems) -> list[Mismatch]:
        """Each effect our ledger holds as done, asked for at its back end: what can be read over HTTP.

        Raises:
            ConnectorUnavailable: a back end cannot say now.
        """
        gate = asyncio.Semaphore(_LOOK_UPS)

        async def one(tenant: str, ours: Recorded) -> Mismatch | None:
            record = ours.record
            probe = Effect(
                key=record.key,
                kind=record.kind,
                tenant=TenantId(tenant),
                entity_id=ours.about[1],
                args={"service": record.service},
                decision_id=record.decision_id,
            )
            async with gate:
                receipt = await systems.effect_port(probe.kind, probe.args).lookup(probe)
            if receipt is None:
                return _effect(record.key, "is done by the effect ledger and its back end never applied it")
            if not _same(record.receipt, receipt):
                return _effect(record.key, "has another receipt in the effect ledger than at the back end")
            return None

        answers = await asyncio.gather(*(one(tenant, ours) for (tenant, _), ours in sorted(self.done.items())))
        return [answer for answer in answers if answer is not None]

    async def holds(self, sandbox: Sandbox) -> list[Mismatch]:
        """Every hold ever taken, against where its order stands."""
        mismatches: list[Mismatch] = []
        settled: Counter[Ref] = Counter()
        holding: set[Ref] = set()
        for (tenant, key), (applied, *_) in sorted(self.theirs.items()):
            about = tenant, applied.entity_id
            if applied.kind is not EffectKind.HOLD_STOCK or self.found.busy(about):
                continue
            holding.add(about)
            try:
                hold = await sandbox.wms.hold(applied.key, tenant=tenant)
            except NotFound:
                mismatches.append(_hold(key, "was taken and the warehouse does not know it"))
                continue
            settled[about] += hold.state in _SETTLED_HOLDS
            ended = self.terminal.get(about)
            if ended is None or (tenant, key) not in self.done:
                continue
            forbidden = {HoldState.HELD} if ended == OrderProgress.FULFILLED else {HoldState.HELD, HoldState.CONFIRMED}
            if hold.state in forbidden:
                mismatches.append(_hold(key, f"is still {hold.state} although {about[1]} is {ended}"))
        unheld = {ref for ref in holding if self.terminal.get(ref) == OrderProgress.FULFILLED and not settled[ref]}
        mismatches += [_hold(order, "is fulfilled and none of its holds was confirmed") for _, order in sorted(unheld)]
        return mismatches

    async def money(self, sandbox: Sandbox) -> tuple[dict[str, Balance], list[Mismatch]]:
        """Captured - refunded by the payment gateway's balances = captures of fulfilled orders by our own ledger."""
        mismatches: list[Mismatch] = []
        balances: dict[str, list[int]] = {}
        for about, said in sorted(self._moved().items()):
            if self.found.busy(about):
                continue
            balance = await sandbox.payment.balance(about[1], tenant=about[0])
            captured, refunded = said
            if balance is None or (balance.captured, balance.refunded) != said:
                has = "nothing" if balance is None else f"{balance.captured}, {balance.refunded} given back"
                mismatches.append(
                    _money(about[1], f"has {captured} captured, {refunded} given back; its balance: {has}")
                )
            sums = balances.setdefault(captured.currency, [0, 0, 0])
            if balance is not None:
                sums[0] += balance.captured.amount_minor
                sums[1] += balance.refunded.amount_minor
            if self.terminal.get(about) == OrderProgress.FULFILLED:
                sums[2] += (captured - refunded).amount_minor
            elif captured != refunded:
                mismatches.append(_money(about[1], f"is not fulfilled and {captured - refunded} of it was kept"))
        for currency, (captured_minor, refunded_minor, fulfilled_minor) in balances.items():
            if captured_minor - refunded_minor != fulfilled_minor:
                off = Money(amount_minor=captured_minor - refunded_minor - fulfilled_minor, currency=currency)
                mismatches.append(_money(currency, f"is off by {off} between balances and fulfilled orders"))
        named = {
            currency: Balance(captured_minor=taken, refunded_minor=given, fulfilled_minor=kept)
            for currency, (taken, given, kept) in sorted(balances.items())
        }
        return named, mismatches

    def _moved(self) -> dict[Ref, tuple[Money, Money]]:
        """Captured and refunded per order, by our ledger where it still remembers the order, else by the outside's."""
        sums: dict[Ref, tuple[Money, Money]] = {}
        remembered = {key: (ours.about, ours.record.receipt) for key, ours in self.done.items()}
        forgotten = {
            key: ((key[0], applied.entity_id), applied.receipt)
            for key, (applied, *_) in self.theirs.items()
            if key not in self.ours and self.found.books.get((key[0], applied.entity_id)) is None
        }
        for about, receipt in [*remembered.values(), *forgotten.values()]:
            if receipt is None or receipt.kind not in (EffectKind.CAPTURE_PAYMENT, EffectKind.REFUND_PAYMENT):
                continue
            amount = Money.model_validate(receipt.detail["amount"])
            captured, refunded = sums.get(about, (Money.zero(amount.currency), Money.zero(amount.currency)))
            if receipt.kind is EffectKind.CAPTURE_PAYMENT:
                sums[about] = captured + amount, refunded
            else:
                sums[about] = captured, refunded + amount
        return sums


def _same(ours: Receipt | None, theirs: Receipt) -> bool:
    return ours is not None and (ours.kind, ours.reference) == (theirs.kind, theirs.reference)


def _effect(key: str, text: str) -> Mismatch:
    return Mismatch(check="effects", id=key, text=text)


def _hold(key: str, text: str) -> Mismatch:
    return Mismatch(check="holds", id=key, text=text)


def _money(name: str, text: str) -> Mismatch:
    return Mismatch(check="money", id=name, text=text)
