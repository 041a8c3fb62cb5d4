"""Stand-ins behind the API for route tests: an order desk and an idempotency store in memory, and a two-tenant world."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

import httpx2
import orjson
from fastapi import FastAPI

from api.app import create_app
from api.idempotency import Claim, Reply
from api.limits import Limits
from api.problems import KeyReused, RequestInProgress
from api.services import Accepted, Check, Health, Json, Submission
from api.tenants import ApiKey, Reviewer, Role, ShopAccess, Tenant, Tenants
from domain.errors import AlreadyDecided, Forbidden, NotFound, TooLate
from domain.event import Event
from domain.ids import OrderId, ReviewId, TenantId
from domain.order import Channel
from domain.outcome import TurnedOut
from domain.promise_clock import StartClock
from domain.review import ReviewAction, ReviewAnswer, ReviewState
from domain.review_acts import Act
from domain.review_case import Actor
from domain.what_if import WhatIf
from graph.runtime.cases import CaseQuery, Verdict
from tests.support.api_support import KnownContacts

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHOPIFY_SHOP = "acme.myshopify.com"
SHOPIFY_SECRET = "3f9c1be07a55d2e84b6f0a91c7d2e3b8"
OLD_SHOPIFY_SECRET = "b81e02c47f6a4d1f9330cde5a7716c2d"
SHOPEE_SECRET = "c2f1b74e09a84d6d8d61b3f0a7e52c19"
SHOPEE_URL = "https://signalbox.example/v1/channels/shopee/webhooks"


class MemoryGovernance:
    """Governance of one tenant's one order, decision and report."""

    def __init__(self, desk: "MemoryDesk") -> None:
        self._desk = desk

    async def what_if(self, tenant: TenantId, wanted: WhatIf) -> Json:
        await self._desk.order(tenant, wanted.order_id)
        return {"order_id": wanted.order_id, "progress": "fulfilled", "decisions": [], "effects": []}

    async def replay_order(self, tenant: TenantId, order_id: str) -> list[Json]:
        await self._desk.order(tenant, order_id)
        return [{"order_id": order_id, "same": True}]

    async def replay_decision(self, tenant: TenantId, decision_id: str) -> Json:
        await self._desk.order(tenant, "storefront-web-1")
        return {"decision_id": decision_id, "order_id": "storefront-web-1", "same": True}

    async def reports(self, tenant: TenantId) -> list[Json]:
        return []

    async def report(self, tenant: TenantId, report_id: str) -> Json:
        await self._desk.order(tenant, "storefront-web-1")
        return {"report_id": report_id, "passed": True}

    async def policies(self, tenant: TenantId) -> list[Json]:
        return []


class MemoryPurchasing:
    """One purchase order of one tenant."""

    def __init__(self, desk: "MemoryDesk") -> None:
        self._desk = desk

    async def start(self, tenant: TenantId, skus: Sequence[str], *, key: str, by: str, alert: bool) -> Json:
        return {"started": [], "covered": dict.fromkeys(skus, "enough"), "refused": {}}

    async def listed(self, tenant: TenantId, states: Sequence[str] = (), *, limit: int = 200) -> Json:
        return {"purchase_orders": [], "cycle_minutes": {}}

    async def answered(self, tenant: TenantId, raw: bytes) -> Json:
        return {"number": "PO-2026-000001", "action": "wait"}

    async def shown(self, tenant: TenantId, number: str) -> Json:
        await self._desk.order(tenant, "storefront-web-1")
        return {"number": number, "state": "in_review"}

    async def decide(
        self, tenant: TenantId, number: str, answer: ReviewAnswer, roles: frozenset[str],
        *, limit_usd_minor: int | None = None,
    ) -> Json:  # fmt: skip
        await self._desk.order(tenant, "storefront-web-1")
        return {"entity_id": number, "state": "decided"}


class MemoryBlinding:
    """Nobody is asked blind here."""

    async def require_seen(self, tenant: str, order_id: str, roles: frozenset[str]) -> None:
        """Everybody may see everything."""


class MemoryDesk:
    """The order desk as a dictionary: keeps what it is given, refuses as the real one does, fails when told to."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.dead: list[tuple[str, str, bytes, str]] = []
        self.acts: list[tuple[str, str, Act | Verdict, Actor, str]] = []
        self.answers: dict[str, ReviewAnswer] = {}
        self.known: dict[tuple[str, str], Json] = {}
        self.open_reviews: dict[tuple[str, str], Json] = {}
        self.taught: dict[tuple[str, str], Json] = {}
        self.fail: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.ready = Health(ready=True, checks={"redis": Check(ok=True, detail="answers in 1 ms")})
        self.log: list[tuple[str, str, str]] = []
        self._news = asyncio.Condition()
        self.governance = MemoryGovernance(self)
        self.purchasing = MemoryPurchasing(self)
        self.blinding = MemoryBlinding()

    async def _reach(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.fail is not None:
            raise self.fail

    async def submit(self, submission: Submission) -> Accepted:
        await self._reach()
        same = (submission.tenant, submission.channel, submission.dedupe_id)
        duplicate = any((s.tenant, s.channel, s.dedupe_id) == same for s in self.submissions)
        order_id = f"{submission.channel}-{submission.order_hint}" if submission.order_hint else None
        if not duplicate:
            self.submissions.append(submission)
            if order_id:
                self.known[submission.tenant, order_id] = {
                    "order_id": order_id,
                    "progress": "accepted",
                    "decisions": [{"agent": "fraud_detection", "reasons": ["CARD_VELOCITY"]}],
                }
        handle = order_id or f"delivery-{submission.dedupe_id[-8:]}"
        return Accepted(order_id=OrderId(order_id) if order_id else None, handle=handle, duplicate=duplicate)

    async def order(self, tenant: TenantId, order_id: str) -> Json:
        await self._reach()
        try:
            return self.known[tenant, order_id]
        except KeyError:
            raise NotFound(f"There is no order {order_id!r}") from None

    async def cancel(self, tenant: TenantId, order_id: str, *, actor: str, reason: str) -> Json:
        found = await self.order(tenant, order_id)
        if found["progress"] == "shipped":
            raise TooLate("The parcel has left; ask the carrier to return it")
        found["progress"] = "cancelled"
        return {**found, "cancelled_by": actor, "reason": reason}

    async def review(self, tenant: TenantId, review_id: str) -> Json:
        await self._reach()
        try:
            return self.open_reviews[tenant, review_id]
        except KeyError:
            raise NotFound(f"There is no review {review_id!r}") from None

    async def act(self, tenant: TenantId, review_id: str, act: Act, by: Actor, *, seen_digest: str = "") -> Json:
        found = await self.review(tenant, review_id)
        self.acts.append((tenant, review_id, act, by, seen_digest))
        return found

    async def bulk(self, tenant: TenantId, review_ids: Sequence[str], work: Act | Verdict, by: Actor) -> list[Json]:
        await self._reach()
        self.acts += [(tenant, one, work, by, "") for one in review_ids]
        return [{"review_id": one, "done": (tenant, one) in self.open_reviews} for one in review_ids]

    async def measures(self, tenant: TenantId, *, since: datetime, until: datetime) -> Json:
        await self._reach()
        return {"since": since.isoformat(), "until": until.isoformat(), "asked": 0}

    async def reviews(
        self, tenant: TenantId, *, state: ReviewState, wanted: CaseQuery | None = None, reason: str = ""
    ) -> list[Json]:
        await self._reach()
        decided = state is ReviewState.DECIDED
        return [
            review for (owner, name), review in self.open_reviews.items()
            if owner == tenant and (name in self.answers) == decided and state is not ReviewState.VOID
        ]  # fmt: skip

    async def decide(
        self,
        tenant: TenantId,
        review_id: ReviewId,
        answer: ReviewAnswer,
        roles: frozenset[str],
        *,
        limit_usd_minor: int | None = None,
    ) -> Json:
        await self._reach()
        review = self.open_reviews.get((tenant, review_id))
        if review is None:
            raise NotFound(f"There is no review {review_id!r}")
        if not roles & {*review["allowed_roles"], "admin"}:
            raise Forbidden("None of your roles may answer this review")
        first = self.answers.setdefault(review_id, answer)
        if first is not answer:
            raise AlreadyDecided(
                f"{first.decided_by} answered first",
                decided_by=first.decided_by,
                decided_at=first.decided_at,
                action=first.action.value,
            )
        return {"review_id": review_id, "state": "decided", "action": answer.action, "decided_by": answer.decided_by}

    async def audit(self, tenant: TenantId, entity_id: str) -> Json:
        return {"entity_id": entity_id, "acts": [], "order": await self.order(tenant, entity_id)}

    async def clocks(self, tenant: TenantId, *, running: bool, entity_id: str | None) -> Json:
        await self._reach()
        return {"clocks": [], "measures": []}

    async def start_clock(self, tenant: TenantId, asked: StartClock) -> Json:
        await self._reach()
        return {"clock_id": "c1", "kind": asked.kind}

    async def end_clock(self, tenant: TenantId, clock_id: str, *, actor: str, machine: bool, withdrawn: bool) -> Json:
        await self._reach()
        if clock_id != "c1" or tenant != "acme":
            raise NotFound(f"There is no clock {clock_id!r}")
        return {"clock_id": clock_id, "state": "met"}

    async def erase_customer(
        self, tenant: TenantId, customer_id: str, *, actor: str, reason: str, dry_run: bool
    ) -> Json:
        if tenant != "acme":
            raise NotFound("nothing is held of this customer")
        return {"tenant": tenant, "customer_id": customer_id, "by": actor, "reason": reason, "dry_run": dry_run}

    async def examples(self, tenant: TenantId) -> list[Json]:
        await self._reach()
        return [one for (owner, _), one in self.taught.items() if owner == tenant]

    async def example(self, tenant: TenantId, example_id: str) -> Json:
        await self._reach()
        try:
            return self.taught[tenant, example_id]
        except KeyError:
            raise NotFound(f"There is no example {example_id!r}") from None

    async def set_example(
        self, tenant: TenantId, example_id: str, *, active: bool, actor: str, roles: frozenset[str], reason: str
    ) -> Json:
        found = await self.example(tenant, example_id)
        found["undone_by"] = "" if active else actor
        return found

    async def agents(self) -> list[Json]:
        await self._reach()
        return [{"name": "fraud_detection", "version": "fd-1.0", "tier": 1}]

    async def costs(self, tenant: TenantId, by: str, given: Mapping[str, str | None]) -> Json:
        await self._reach()
        return {"tenant": tenant, "by": by, "rows": [], "total": {}, "budgets": []}

    async def registry(self, tenant: TenantId) -> Json:
        await self._reach()
        return {"entries": await self.agents(), "budget_total": {}, "unregistered": []}

    async def report(self, event: Event) -> Json:
        await self._reach()
        return {"event_id": event.event_id, "duplicate": False, "registered": False}

    async def autonomy(self, tenant: TenantId, agent: str | None) -> Json:
        await self._reach()
        return {"policy": "autonomy-2026-11-01", "agents": [], "segments": []}

    async def outcome(self, tenant: TenantId, said: TurnedOut, *, by: str) -> Json:
        await self.order(tenant, said.order_id)
        return {"event_id": "e1", "order_id": said.order_id, "agent": said.agent, "kind": said.kind.value}

    async def dead_letter(self, tenant: TenantId, channel: str, raw: bytes, reason: str) -> None:
        await self._reach()
        self.dead.append((tenant, channel, raw, reason))

    async def health(self) -> Health:
        return self.ready

    def metrics(self) -> bytes:
        return (
            b"# HELP signalbox_orders_total Orders\n# TYPE signalbox_orders_total counter\nsignalbox_orders_total 0.0\n"
        )

    async def tell(self, tenant: str, event_type: str) -> str:
        """Append one event and return its id."""
        async with self._news:
            event_id = f"{len(self.log) + 1}-0"
            self.log.append((tenant, event_id, orjson.dumps({"event_type": event_type, "tenant": tenant}).decode()))
            self._news.notify_all()
        return event_id

    async def events(self, tenant: TenantId, last_event_id: str | None) -> AsyncIterator[tuple[str, str]]:
        at = int(last_event_id.partition("-")[0]) if last_event_id else len(self.log)
        while True:
            async with self._news:
                await self._news.wait_for(lambda: len(self.log) > at)  # noqa: B023 - awaited before it changes
            for owner, event_id, event in self.log[at:]:
                at += 1
                if owner == tenant:
                    yield event_id, event


class MemoryIdempotencyStore:
    """The idempotency store as a dictionary; leases never lapse."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], tuple[str, Reply | None]] = {}

    async def begin(self, tenant: str, key: str, digest: str) -> Claim | Reply:
        known = self._records.get((tenant, key))
        if known is None:
            self._records[tenant, key] = (digest, None)
            return Claim(tenant, key, "token")
        if known[0] != digest:
            raise KeyReused("another request's key")
        if known[1] is None:
            raise RequestInProgress("still running", retry_after_s=1)
        kept = known[1]
        return Reply(kept.status, kept.body, kept.headers, kept.media_type, replayed=True)

    async def finish(self, claim: Claim, reply: Reply) -> None:
        self._records[claim.tenant, claim.key] = (self._records[claim.tenant, claim.key][0], reply)

    async def release(self, claim: Claim) -> None:
        del self._records[claim.tenant, claim.key]


def key_of(tenant: str, role: str) -> str:
    """The plaintext API key of a role at a tenant."""
    return f"sbk_{tenant}-{role}_{hashlib.sha256(f'{tenant}{role}'.encode()).hexdigest()}"


def _keys(tenant: str) -> tuple[ApiKey, ...]:
    def digest(role: Role) -> str:
        return hashlib.sha256(key_of(tenant, role).encode()).hexdigest()

    return tuple(ApiKey(key_id=f"{tenant}-{role}", sha256=digest(role), roles=frozenset({role})) for role in Role)


def two_tenants(*, first: str = "acme") -> Tenants:
    """``acme`` (or ``first``) with a Shopify and a Shopee shop and three reviewers, and ``bolt`` with neither."""
    shops = (
        ShopAccess(channel=Channel.SHOPIFY, shop=SHOPIFY_SHOP, secrets=(SHOPIFY_SECRET, OLD_SHOPIFY_SECRET)),
        ShopAccess(channel=Channel.SHOPEE, shop="220000001", secrets=(SHOPEE_SECRET,), callback_url=SHOPEE_URL),
    )
    reviewers = (
        Reviewer(user="mei", roles=frozenset({Role.OPS})),
        Reviewer(user="boss", roles=frozenset({Role.ADMIN, Role.OPS})),
        Reviewer(user="tan", roles=frozenset({Role.PROCUREMENT})),
    )
    common = {"settlement_currency": "HKD", "locale": "en", "timezone": "Asia/Hong_Kong"}
    return Tenants(
        [
            Tenant(tenant=TenantId(first), api_keys=_keys(first), shops=shops, reviewers=reviewers, **common),
            Tenant(tenant=TenantId("bolt"), api_keys=_keys("bolt"), **common),
        ]
    )


class World:
    """An application in front of a memory desk, with a client for every role."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.desk = MemoryDesk()
        self.now = NOW
        self.app: FastAPI = create_app(
            self.desk, two_tenants(), MemoryIdempotencyStore(), limits=limits, now=lambda: self.now,
            support_desk=KnownContacts(),
        )  # fmt: skip

    def client(
        self, role: str | None = "ops", *, tenant: str = "acme", host: str = "203.0.113.9"
    ) -> httpx2.AsyncClient:
        """A client with the key of a role (None: no key), connecting from ``host``."""
        headers = {"Authorization": f"Bearer {key_of(tenant, role)}"} if role else {}
        transport = httpx2.ASGITransport(app=self.app, client=(host, 40000))
        return httpx2.AsyncClient(transport=transport, base_url="http://signalbox.example", headers=headers)

    def add_review(self, review_id: str, *, tenant: str = "acme", allowed_roles: tuple[str, ...] = ("ops",)) -> None:
        """Open a review."""
        self.desk.open_reviews[tenant, review_id] = {"review_id": review_id, "allowed_roles": list(allowed_roles)}


def order_document(external_id: str = "web-1", *, quantity: int = 2) -> Json:
    """A small native order."""
    return {
        "external_id": external_id,
        "placed_at": "2026-11-11T03:00:00Z",
        "currency": "HKD",
        "lines": [{"sku": "MUG-01", "quantity": quantity, "unit_price": {"amount_minor": 12900, "currency": "HKD"}}],
        "ship_to": {"line1": "1 Nathan Road", "city": "Kowloon", "country": "HK"},
        "payment": {"method": "card", "state": "paid"},
    }


def approval() -> Json:
    """The plainest answer to a review."""
    return {"action": ReviewAction.APPROVE.value, "reason": "known customer"}


def shopify_headers(raw: bytes, *, secret: str = SHOPIFY_SECRET, event: str = "evt-1") -> dict[str, str]:
    """What Shopify sends with a webhook of an order."""
    signature = base64.b64encode(hmac.new(secret.encode(), raw, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "X-Shopify-Hmac-Sha256": signature,
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Shop-Domain": SHOPIFY_SHOP,
        "X-Shopify-Event-Id": event,
    }
