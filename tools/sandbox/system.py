"""What every stand-in system shares: effects applied once per key, in one transaction with the ledger entry."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2s
from typing import ClassVar, TypeVar

from pydantic import AwareDatetime, ValidationError

from domain.effect import Effect, EffectKind, Receipt
from domain.errors import ConnectorRejected
from domain.ids import EffectKey, TenantId
from domain.values import Document, Plain
from tools.sandbox.faults import Fault, FaultMode, Faults, meet_after, meet_before
from tools.sandbox.store import Store

Clock = Callable[[], datetime]
"""Now, zone-aware."""


class AppliedEffect(Document):
    """One entry of the append-only ledger of what was really done."""

    system: str
    tenant: TenantId
    key: EffectKey
    kind: EffectKind
    entity_id: str
    args_digest: str
    applied_at: AwareDatetime
    receipt: Receipt


@dataclass(frozen=True, kw_only=True)
class Change:
    """What applying an effect produced."""

    reference: str
    detail: dict[str, Plain] = field(default_factory=dict)


A = TypeVar("A", bound=Document)
Handler = Callable[[sqlite3.Connection, Effect, datetime], Change]


@dataclass(frozen=True)
class System:
    """One outside system. Subclasses name the handler of each effect kind; a handler runs inside the transaction."""

    name: str
    store: Store
    clock: Clock
    faults: Faults | None
    """None for the facet the HTTP server uses: it realises faults itself."""

    handlers: ClassVar[Mapping[EffectKind, str]] = {}
    """Method name by effect kind."""

    @property
    def kinds(self) -> frozenset[EffectKind]:
        """The effects this system applies."""
        return frozenset(self.handlers)

    async def apply(self, effect: Effect) -> Receipt:
        """Apply the effect once per key; the same key again gives the same receipt.

        Raises:
            InsufficientStock, TooLate, ConnectorRejected: refused, nothing was done.
            Ambiguous, ConnectorUnavailable: a scripted fault, or the sandbox file is busy.
        """
        fault = await self._meet(effect.kind.value)
        receipt = await self.store.write(lambda connection: self._apply_once(connection, effect))
        await self._leave(fault, effect.kind.value)
        return receipt

    async def lookup(self, effect: Effect) -> Receipt | None:
        """The receipt under the effect's key, or None when nothing was ever applied under it.

        Raises:
            ConnectorUnavailable: a scripted fault, or the sandbox file is busy.
        """
        return await self.receipt(effect.key, tenant=effect.tenant)

    async def receipt(self, key: EffectKey, *, tenant: TenantId) -> Receipt | None:
        """The receipt under a key, or None when nothing was ever applied under it."""
        fault = await self._meet("lookup")
        found = await self.store.read(lambda connection: self._find(connection, key, tenant))
        await self._leave(fault, "lookup")
        return None if found is None else Receipt.from_json(found[1])

    def _apply_once(self, connection: sqlite3.Connection, effect: Effect) -> Receipt:
        handler = self.handlers.get(effect.kind)
        if handler is None:
            raise ConnectorRejected(f"{self.name} cannot {effect.kind.value}; send it to the system that does")
        args_digest = effect.args_digest
        found = self._find(connection, effect.key, effect.tenant)
        if found is not None:
            if found[0] != f"{effect.kind.value}:{args_digest}":
                raise ConnectorRejected(
                    f"{self.name} already applied key {effect.key} for another intention; give this one its own key"
                )
            return Receipt.from_json(found[1])
        now = self.clock().astimezone(UTC)
        change: Change = getattr(self, handler)(connection, effect, now)
        receipt = Receipt(
            key=effect.key, kind=effect.kind, reference=change.reference, applied_at=now, detail=change.detail
        )
        connection.execute(
            "INSERT INTO applied_effects (system, tenant, effect_key, kind, entity_id, args_digest, applied_at, receipt) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.name,
                effect.tenant,
                effect.key,
                effect.kind.value,
                effect.entity_id,
                args_digest,
                now.isoformat(),
                receipt.to_json(),
            ),
        )
        return receipt

    def _find(self, connection: sqlite3.Connection, key: EffectKey, tenant: TenantId) -> tuple[str, str] | None:
        found: tuple[str, str] | None = connection.execute(
            "SELECT kind || ':' || args_digest, receipt FROM applied_effects WHERE effect_key = ? AND tenant = ? AND system = ?",
            (key, tenant, self.name),
        ).fetchone()
        return found

    async def _meet(self, call: str) -> Fault | None:
        """Take a scripted fault for this call and suffer what strikes before the work."""
        if self.faults is None:
            return None
        fault = await self.faults.take(self.name, call)
        if fault is not None:
            await meet_before(fault, system=self.name, call=call)
        return fault

    async def _leave(self, fault: Fault | None, call: str) -> None:
        """Suffer what spoils the answer."""
        if fault is not None and fault.mode is not FaultMode.STALE:
            await meet_after(fault, system=self.name, call=call)


def parse_args(model: type[A], effect: Effect) -> A:
    """The effect's arguments as their model.

    Raises:
        ConnectorRejected: they are not; values are left out of the message, they may name a person.
    """
    try:
        return model.model_validate(effect.args)
    except ValidationError as error:
        where = ", ".join(".".join(map(str, one["loc"])) or "args" for one in error.errors(include_input=False)[:5])
        raise ConnectorRejected(
            f"arguments of {effect.kind.value} are invalid at {where}; send what {model.__name__} describes"
        ) from None


def reference(prefix: str, effect: Effect) -> str:
    """The system's own id for what an effect made: stable per tenant and key."""
    text = "\x00".join((effect.tenant, effect.key))
    return f"{prefix}-{blake2s(text.encode(), digest_size=6).hexdigest()}"
