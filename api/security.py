"""Who may call what: one table of route x method x roles, enforced before every route; what is not in it is closed.

Another tenant's things are never forbidden, they do not exist: every call of the desk is confined to the caller's tenant.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from starlette.requests import Request

from api.limits import RateLimiter
from api.problems import Unauthenticated
from api.tenants import ApiKey, Role, Tenant, Tenants
from domain.errors import Forbidden, InputError
from domain.review_case import Actor

PERSON_HEADER = "X-Signalbox-User"
_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")
_SPEAKERS = frozenset({Role.OPS, Role.ADMIN})
"""Roles whose keys may name the person behind them: desks that authenticate people themselves."""


class Open(Enum):
    """Routes that take no key."""

    PUBLIC = "public"
    SIGNED = "signed"
    """The request proves itself by the channel's signature."""
    LOOPBACK = "loopback"
    """Free to callers on this machine; others need a key of the roles in ``SCRAPERS``."""


class SignedIn(frozenset[Role]):
    """Roles whose sessions open a page of the console; an API key never does."""


SCRAPERS = frozenset({Role.OPS, Role.ADMIN})
Access = frozenset[Role] | Open


def _roles(*roles: Role) -> Access:
    return frozenset({*roles, Role.ADMIN})


def _page(*roles: Role) -> Access:
    return SignedIn({*roles, Role.ADMIN})


_DESK = _roles(Role.SUPPORT, Role.PROCUREMENT, Role.OPS, Role.MANAGER)
_STAFF = _page(Role.SUPPORT, Role.PROCUREMENT, Role.OPS, Role.MANAGER)

ACCESS: Mapping[tuple[str, str], Access] = {
    ("POST", "/v1/orders"): _roles(Role.STOREFRONT, Role.OPS),
    ("GET", "/v1/orders/{order_id}"): _roles(Role.STOREFRONT, Role.SUPPORT, Role.OPS),
    ("POST", "/v1/orders/{order_id}/what-if"): _roles(Role.OPS),
    ("GET", "/v1/orders/{order_id}/replay"): _roles(Role.OPS),
    ("GET", "/v1/decisions/{decision_id}/replay"): _roles(Role.OPS),
    ("GET", "/v1/shadow-reports"): _roles(Role.OPS),
    ("GET", "/v1/shadow-reports/{report_id}"): _roles(Role.OPS),
    ("GET", "/v1/policies"): _roles(Role.OPS),
    ("POST", "/v1/orders/{order_id}/cancel"): _roles(Role.STOREFRONT, Role.SUPPORT, Role.OPS),
    ("POST", "/v1/channels/{channel}/webhooks"): Open.SIGNED,
    ("GET", "/v1/reviews"): _DESK,
    ("GET", "/v1/reviews/measures"): _roles(Role.OPS, Role.MANAGER),
    ("POST", "/v1/reviews/bulk"): _DESK,
    ("GET", "/v1/reviews/{review_id}"): _DESK,
    ("POST", "/v1/reviews/{review_id}/claim"): _DESK,
    ("POST", "/v1/reviews/{review_id}/release"): _DESK,
    ("POST", "/v1/reviews/{review_id}/assign"): _DESK,
    ("POST", "/v1/reviews/{review_id}/snooze"): _DESK,
    ("POST", "/v1/reviews/{review_id}/comment"): _DESK,
    ("POST", "/v1/reviews/{review_id}/ask"): _DESK,
    ("POST", "/v1/reviews/{review_id}/decision"): _DESK,
    ("GET", "/v1/purchase-orders"): _roles(Role.PROCUREMENT, Role.OPS, Role.MANAGER),
    ("POST", "/v1/purchase-orders"): _roles(Role.PROCUREMENT, Role.OPS, Role.AUTOMATION),
    ("POST", "/v1/purchase-orders/answers"): _roles(Role.PROCUREMENT, Role.AUTOMATION),
    ("GET", "/v1/purchase-orders/{number}"): _roles(Role.PROCUREMENT, Role.OPS, Role.MANAGER),
    ("POST", "/v1/purchase-orders/{number}/decision"): _roles(Role.PROCUREMENT, Role.MANAGER),
    ("GET", "/v1/agents"): _roles(Role.SUPPORT, Role.PROCUREMENT, Role.OPS),
    ("GET", "/v1/agents/autonomy"): _roles(Role.OPS),
    ("POST", "/v1/outcomes"): _roles(Role.OPS),
    ("GET", "/v1/audit/{entity}"): _roles(Role.SUPPORT, Role.OPS),
    ("GET", "/v1/examples"): _DESK,
    ("GET", "/v1/examples/{example_id}"): _DESK,
    ("POST", "/v1/examples/{example_id}/undo"): _roles(Role.OPS),
    ("POST", "/v1/examples/{example_id}/restore"): _roles(Role.OPS),
    ("GET", "/v1/clocks"): _roles(Role.SUPPORT, Role.OPS, Role.MANAGER),
    ("POST", "/v1/tracking/{provider}/webhooks"): Open.SIGNED,
    ("POST", "/v1/support/webhooks/{provider}"): Open.SIGNED,
    ("GET", "/v1/support/tickets/{provider}/{ticket_id}"): _roles(Role.SUPPORT, Role.OPS),
    ("POST", "/v1/clocks"): _roles(Role.SUPPORT, Role.OPS),
    ("POST", "/v1/clocks/{clock_id}/end"): _roles(Role.SUPPORT, Role.OPS),
    ("GET", "/v1/costs"): _roles(Role.OPS, Role.MANAGER),
    ("POST", "/v1/events"): _roles(Role.AUTOMATION, Role.OPS),
    ("GET", "/v1/registry"): _roles(Role.SUPPORT, Role.PROCUREMENT, Role.OPS),
    ("GET", "/v1/stream"): _roles(Role.OPS),
    ("DELETE", "/v1/customers/{customer_id}"): _roles(),
    ("GET", "/v1/support/context"): _roles(Role.SUPPORT, Role.OPS),
    ("GET", "/v1/support/context/stream"): _roles(Role.SUPPORT, Role.OPS),
    ("POST", "/v1/support/contexts/{context_id}/flags"): _roles(Role.SUPPORT, Role.OPS),
    ("POST", "/v1/support/contacts"): _roles(Role.SUPPORT, Role.OPS),
    ("GET", "/v1/support/outcomes"): _roles(Role.SUPPORT, Role.OPS, Role.MANAGER),
    ("POST", "/slack/interactions"): Open.SIGNED,
    ("GET", "/healthz"): Open.PUBLIC,
    ("GET", "/readyz"): Open.PUBLIC,
    ("GET", "/metrics"): Open.LOOPBACK,
    ("GET", "/problems/{code}"): Open.PUBLIC,
    ("GET", "/openapi.json"): Open.PUBLIC,
    ("GET", "/console/static/{name}"): Open.PUBLIC,
    ("GET", "/console/sign-in"): Open.PUBLIC,
    ("POST", "/console/sign-in"): Open.PUBLIC,
    ("GET", "/console/link/{token}"): Open.PUBLIC,
    ("POST", "/console/link/{token}"): Open.PUBLIC,
    ("POST", "/console/sign-out"): _STAFF,
    ("POST", "/console/theme"): _STAFF,
    ("GET", "/console"): _STAFF,
    ("GET", "/console/stream"): _STAFF,
    ("GET", "/console/reviews"): _STAFF,
    ("GET", "/console/reviews/{review_id}"): _STAFF,
    ("POST", "/console/reviews/bulk"): _STAFF,
    ("POST", "/console/reviews/{review_id}/decision"): _STAFF,
    ("POST", "/console/reviews/{review_id}/act"): _STAFF,
    ("GET", "/console/orders"): _page(Role.SUPPORT, Role.OPS, Role.MANAGER),
    ("GET", "/console/orders/{order_id}"): _page(Role.SUPPORT, Role.OPS, Role.MANAGER),
    ("POST", "/console/orders/{order_id}/cancel"): _page(Role.SUPPORT, Role.OPS),
    ("GET", "/console/agents"): _STAFF,
    ("GET", "/console/dead-letters"): _page(Role.OPS, Role.MANAGER),
    ("POST", "/console/dead-letters/replay"): _page(),
    ("POST", "/console/dead-letters/drop"): _page(),
    ("GET", "/console/peak"): _page(Role.OPS, Role.MANAGER),
    ("POST", "/console/peak"): _page(Role.OPS),
    ("GET", "/console/{rest:path}"): _STAFF,
}
"""The role of a key opens a route; which reviews it may answer is the review's own ``allowed_roles``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and for whom."""

    tenant: Tenant
    key: ApiKey
    actor: str
    """``user:<id>`` when a person is known, else ``key:<key id>``."""
    roles: frozenset[str]
    limit_usd_minor: int | None = None
    """The most US cents the caller may approve; None for no limit."""

    def acting(self, *, via: str = "http") -> Actor:
        """The caller as the review desk takes them."""
        return Actor(name=self.actor, roles=self.roles, limit_usd_minor=self.limit_usd_minor, via=via)


class Guard:
    """Opens routes to those in the table."""

    def __init__(
        self,
        tenants: Tenants,
        limiter: RateLimiter,
        *,
        access: Mapping[tuple[str, str], Access] = ACCESS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``now`` tells whether keys have ended."""
        self._tenants = tenants
        self._limiter = limiter
        self._access = access
        self._now = now

    def admit(self, request: Request, path: str) -> None:
        """Let the request in to the route at ``path`` or refuse it; leaves the ``Caller`` in the request's state when there is one.

        Raises:
            Unauthenticated: the route needs a key, and there is none, an unknown one, or one that has ended.
            Forbidden: the key's roles do not open the route, or may not name a person.
            TooManyRequests: the tenant sends faster than its share.
        """
        access = self._access.get((request.method, path), frozenset())
        match access:
            case Open.PUBLIC | Open.SIGNED:
                return
            case Open.LOOPBACK:
                if not from_this_machine(request):
                    self._identify(request, SCRAPERS)
            case SignedIn():
                raise Forbidden("This is a page of the console; sign in there")
            case roles:
                caller = self._identify(request, roles)
                self._limiter.take(caller.tenant.tenant)
                request.state.caller = caller

    def take(self, tenant: str) -> None:
        """Count a request that proved its tenant by signature.

        Raises:
            TooManyRequests: the tenant sends faster than its share.
        """
        self._limiter.take(tenant)

    def _identify(self, request: Request, allowed: frozenset[Role]) -> Caller:
        presented = _presented(request)
        held = self._tenants.holder(presented) if presented else None
        if held is None:
            raise Unauthenticated("Send a valid API key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")
        tenant, key = held
        if key.expires_at is not None and key.expires_at <= self._now():
            raise Unauthenticated(f"The API key {key.key_id!r} has ended; ask for a new one")
        if not key.roles & allowed:
            needed = ", ".join(sorted(allowed)) or "no role"
            raise Forbidden(f"The API key {key.key_id!r} may not do this; it takes one of: {needed}")
        return speaking_for(tenant, key, request.headers.get(PERSON_HEADER))


def _presented(request: Request) -> str:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return request.headers.get("x-api-key", "").strip()


def from_this_machine(request: Request) -> bool:
    """A proxy on this machine speaks for others, so a forwarded request is never local."""
    forwarded = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip"))
    return not forwarded and request.client is not None and request.client.host in {"127.0.0.1", "::1"}


def speaking_for(tenant: Tenant, key: ApiKey, named: str | None) -> Caller:
    """The caller behind a key: the person named, when the key may name one, else the key's own person or the key.

    Raises:
        Forbidden: the key may not name a person, or the tenant's file lists reviewers and this is none of them.
        InputError: the name is not a user id.
    """
    if named is None:
        known = tenant.person(key.user) if key.user else None
        actor = f"user:{key.user}" if key.user else f"key:{key.key_id}"
        return Caller(tenant, key, actor, frozenset(key.roles), tenant.limit_usd_minor(key.roles, known))
    if not key.roles & _SPEAKERS:
        raise Forbidden(f"Only a key of the role ops or admin may name a person ({PERSON_HEADER})")
    if not _PERSON.match(named):
        raise InputError(f"The name of a person ({PERSON_HEADER}) is a user id: letters, digits and ._@+-, 64 at most")
    person = tenant.person(named)
    if person is None and tenant.staff:
        raise Forbidden(f"{named!r} is not among the tenant's people in the tenants file")
    roles = person.roles if person else key.roles
    held = frozenset(roles if Role.ADMIN in key.roles else roles - {Role.ADMIN})
    return Caller(tenant, key, f"user:{named}", held, tenant.limit_usd_minor(held, person))


def caller_of(request: Request) -> Caller:
    """The caller the guard has admitted."""
    caller: Caller = request.state.caller
    return caller
