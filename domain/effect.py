"""Effects: everything that changes the outside world. Agents propose them; only graph/effects.py applies them."""

from enum import StrEnum

from pydantic import AwareDatetime

from domain.ids import EffectKey, TenantId
from domain.values import Document, Plain, digest


class EffectKind(StrEnum):
    """What is done outside, by name of the port's method."""

    HOLD_STOCK = "hold_stock"
    CONFIRM_HOLD = "confirm_hold"
    RELEASE_HOLD = "release_hold"
    CAPTURE_PAYMENT = "capture_payment"
    REFUND_PAYMENT = "refund_payment"
    BOOK_LABEL = "book_label"
    VOID_LABEL = "void_label"
    CREATE_FULFILMENT = "create_fulfilment"
    CANCEL_FULFILMENT = "cancel_fulfilment"
    RECALL_FULFILMENTS = "recall_fulfilments"
    UPDATE_OMS = "update_oms"
    CANCEL_OMS = "cancel_oms"
    UPDATE_CHANNEL = "update_channel"
    CANCEL_CHANNEL = "cancel_channel"
    SEND_MESSAGE = "send_message"
    POST_LOYALTY = "post_loyalty"
    REVERSE_LOYALTY = "reverse_loyalty"
    TAG_ORDER = "tag_order"
    SEND_PURCHASE_ORDER = "send_purchase_order"
    CHANGE_LISTING = "change_listing"
    RESTORE_LISTING = "restore_listing"

    @property
    def reversible(self) -> bool:
        """Whether it may run inside tier 1, before the gate."""
        return self in {EffectKind.HOLD_STOCK, EffectKind.RELEASE_HOLD}

    @property
    def undone_by(self) -> "EffectKind | None":
        """The effect that compensates this one, when there is one."""
        return _UNDO.get(self)


_UNDO = {
    EffectKind.HOLD_STOCK: EffectKind.RELEASE_HOLD,
    EffectKind.CAPTURE_PAYMENT: EffectKind.REFUND_PAYMENT,
    EffectKind.BOOK_LABEL: EffectKind.VOID_LABEL,
    EffectKind.CREATE_FULFILMENT: EffectKind.CANCEL_FULFILMENT,
    EffectKind.UPDATE_OMS: EffectKind.CANCEL_OMS,
    EffectKind.UPDATE_CHANNEL: EffectKind.CANCEL_CHANNEL,
    EffectKind.POST_LOYALTY: EffectKind.REVERSE_LOYALTY,
    EffectKind.CHANGE_LISTING: EffectKind.RESTORE_LISTING,
}


class Effect(Document):
    """One intended change outside, with the key that makes it happen at most once."""

    key: EffectKey
    """``<order>:<kind>:<part>``, stable over every repetition of the same intention."""
    kind: EffectKind
    tenant: TenantId
    entity_id: str
    args: dict[str, Plain]
    decision_id: str
    """The journaled decision that justifies it."""

    @property
    def args_digest(self) -> str:
        """Digest of the arguments: the same key with other arguments is refused."""
        return digest(self.args)


class Receipt(Document):
    """The outside system's word that an effect was applied."""

    key: EffectKey
    kind: EffectKind
    reference: str
    """The other system's own id (hold, label, fulfilment, refund)."""
    applied_at: AwareDatetime
    detail: dict[str, Plain] = {}


class EffectState(StrEnum):
    """How far an effect got in our ledger."""

    BEGUN = "begun"
    DONE = "done"
    REFUSED = "refused"
    """The other system said no for good; nothing was changed."""


class EffectRecord(Document):
    """One ledger entry. It keeps the digest of the arguments, never the arguments: they may name a person."""

    key: EffectKey
    kind: EffectKind
    args_digest: str
    service: str = ""
    """For labels the carrier service: which of several carriers holds it."""
    decision_id: str
    state: EffectState
    fence: int
    begun_at: AwareDatetime
    receipt: Receipt | None = None
    refusal: str | None = None
