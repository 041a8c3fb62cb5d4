"""The error tree. The type tells the catcher what to do; the message tells a person what, where and how to mend it.

SignalboxError
├── InputError            the sender must change something            (4xx)
│   ├── MalformedAmount, MalformedPayload, UnprocessableOrder, UnknownChannel, PayloadTooLarge
│   └── BadSignature
├── Refused               a rule of ours says no; repeating will not help
│   ├── CurrencyMismatch, Forbidden, NotFound, Conflict
│   │   └── AlreadyDecided
│   ├── InsufficientStock, TooLate, StaleFence, LeaseLost
│   └── ConnectorRejected the other system says no for good
├── Transient             try again, later                             (503)
│   ├── StoreUnavailable, ConnectorUnavailable, AuditBehind, LeaseBusy
│   └── Ambiguous         sent, no answer: look the key up before repeating
├── MissingRate           no usable exchange rate: stop and ask
└── ConfigError           an operator must change a setting or file
"""

from datetime import datetime


class SignalboxError(Exception):
    """Anything Signalbox refuses or fails at, in one sentence."""

    code = "error"
    status = 500


class InputError(SignalboxError):
    """The sender must change something before sending again."""

    code = "input.invalid"
    status = 422

    def __init__(self, message: str, *, pointer: str | None = None) -> None:
        super().__init__(message)
        self.pointer = pointer
        """JSON pointer to the offending part, when there is one."""


class MalformedAmount(InputError, ValueError):
    """Text that is not an amount of money in a known currency."""

    code = "input.amount"


class MalformedPayload(InputError):
    """Bytes that are not the document they claim to be."""

    code = "input.malformed"
    status = 400


class UnprocessableOrder(InputError):
    """A well-formed payload that cannot be an order (negative quantity, wrong currency, no lines)."""

    code = "input.order"


class UnknownChannel(InputError):
    """No adapter carries this channel name."""

    code = "input.channel"
    status = 404


class PayloadTooLarge(InputError):
    """More bytes than are accepted."""

    code = "input.too_large"
    status = 413


class BadSignature(InputError):
    """A webhook whose signature does not match its bytes."""

    code = "input.signature"
    status = 401


class Refused(SignalboxError):
    """A rule says no; repeating the same call will not help."""

    code = "refused"
    status = 409


class CurrencyMismatch(Refused):
    """Arithmetic between two currencies without a rate."""

    code = "refused.currency"


class Forbidden(Refused):
    """The actor may not do this."""

    code = "refused.forbidden"
    status = 403


class NotFound(Refused):
    """There is no such thing in this tenant."""

    code = "refused.not_found"
    status = 404


class Conflict(Refused):
    """The thing is in another state than the call assumes."""

    code = "refused.conflict"


class AlreadyDecided(Conflict):
    """Somebody else answered the review first."""

    code = "refused.already_decided"

    def __init__(self, message: str, *, decided_by: str, decided_at: datetime, action: str) -> None:
        super().__init__(message)
        self.decided_by = decided_by
        self.decided_at = decided_at
        self.action = action


class InsufficientStock(Refused):
    """The hold would take more than is available; nothing was held."""

    code = "refused.stock"

    def __init__(self, message: str, *, short: dict[str, int]) -> None:
        super().__init__(message)
        self.short = short
        """Units missing per SKU."""


class TooLate(Refused):
    """The order went past the point where this can be undone."""

    code = "refused.too_late"


class StaleFence(Refused):
    """A newer holder of the order's lease exists; this writer must stop."""

    code = "refused.stale_fence"


class LeaseLost(Refused):
    """The lease ended while work was under way."""

    code = "refused.lease_lost"


class ConnectorRejected(Refused):
    """The other system refused the call for good."""

    code = "refused.connector"


class Transient(SignalboxError):
    """Try again, later."""

    code = "transient"
    status = 503

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnavailable(Transient):
    """Redis or the database did not answer, or refused to write."""

    code = "transient.store"


class ConnectorUnavailable(Transient):
    """An outside system did not answer, or answered that it cannot now; nothing was done."""

    code = "transient.connector"


class AuditBehind(Transient):
    """The audit store is too far behind; effects wait for it."""

    code = "transient.audit"


class LeaseBusy(Transient):
    """Another worker holds the order."""

    code = "transient.lease"


class Ambiguous(Transient):
    """The call may have been applied; look its key up before repeating it."""

    code = "transient.ambiguous"


class MissingRate(SignalboxError):
    """There is no usable exchange rate for this pair and day."""

    code = "rate.missing"
    status = 409


class ConfigError(SignalboxError):
    """A setting or file must be changed by an operator before this can start."""

    code = "config"
