"""Tenants: who may call, which shops' signatures are honoured, who reviews; see ``api.tenant_file`` for the file.

API keys are kept as SHA-256 only. Signing secrets are kept as they are, because a signature is checked by making it again.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from domain.errors import NotFound
from domain.ids import TenantId
from domain.money import exponent
from domain.order import Channel
from domain.review_case import Actor
from tools.channels import ShopSecret
from tools.senders import Sender, SenderSecret

MIN_SECRET_BYTES = 16
_NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
_PERSON = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
_OBVIOUS = re.compile(r"changeme|default|(?:secret|password|passwd|admin|example|placeholder|test|\d)+\Z")
_KNOWN_DIGESTS = frozenset(
    hashlib.sha256(word.encode()).hexdigest()
    for word in (
        "",
        "admin",
        "changeme",
        "change-me",
        "default",
        "key",
        "ops",
        "password",
        "secret",
        "signalbox",
        "test",
    )
)


class Role(StrEnum):
    """What a key or a person may do; see ``api.security.ACCESS``."""

    AUTOMATION = "automation"
    """Reports what a plain automation did, and nothing else."""
    STOREFRONT = "storefront"
    SUPPORT = "support"
    PROCUREMENT = "procurement"
    OPS = "ops"
    MANAGER = "manager"
    """Gives second approvals, and takes cases out of somebody's hands."""
    ADMIN = "admin"


def _refuse_weak(secret: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", secret.lower())
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"the secret is shorter than {MIN_SECRET_BYTES} bytes; take a random one")
    if _OBVIOUS.match(plain) or "changeme" in plain or len(set(secret)) < 6:
        raise ValueError("the secret is a default or guessable one; take a random one")
    return secret


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ApiKey(_Strict):
    """One key of one client. Its plaintext is known to the client only."""

    key_id: str = Field(pattern=_NAME)
    """Unique in the installation; named in the audit as ``key:<key_id>``."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the key's UTF-8 bytes, lower-case hex."""
    roles: frozenset[Role] = Field(min_length=1)
    user: str | None = Field(default=None, pattern=_PERSON)
    """The person who alone uses this key, when it is personal."""
    expires_at: AwareDatetime | None = None

    @field_validator("sha256")
    @classmethod
    def _not_of_a_known_key(cls, value: str) -> str:
        if value in _KNOWN_DIGESTS:
            raise ValueError("this is the digest of a default or guessable key; make a random one")
        return value


class ShopAccess(_Strict):
    """What proves that a delivery comes from one shop of one channel."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    channel: Channel
    shop: str = Field(min_length=1, max_length=200)
    """The shop's domain or id, as the channel names it."""
    secrets: tuple[str, ...] = Field(min_length=1)
    """Every secret still valid: the new and the old one while it is being changed."""
    callback_url: str = ""
    """The URL registered with the channel, for channels that sign it (Shopee)."""
    partner_id: str = ""
    """The app's id in our own signed requests (Shopee)."""
    request_secret: str = ""
    """Signs our own requests; empty when the first of ``secrets`` does."""
    access_token: str = ""
    """For our own calls to the channel."""

    @field_validator("secrets")
    @classmethod
    def _strong(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_refuse_weak(secret) for secret in value)

    def secrets_of(self, tenant: TenantId) -> tuple[ShopSecret, ...]:
        """The shop's secrets as the channel adapters take them, one for each that is valid."""
        return tuple(
            ShopSecret(
                shop=self.shop,
                secret=secret,
                tenant=tenant,
                callback_url=self.callback_url,
                partner_id=self.partner_id,
                request_secret=self.request_secret,
                access_token=self.access_token,
            )
            for secret in self.secrets
        )


class SenderAccess(_Strict):
    """What proves that a webhook comes from the tenant's account at a tracking aggregator or help desk."""

    sender: Sender
    secrets: tuple[str, ...] = Field(min_length=1)
    """Every secret still valid: the new and the old one while it is being changed."""

    @field_validator("secrets")
    @classmethod
    def _strong(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_refuse_weak(secret) for secret in value)


class Reviewer(_Strict):
    """A person who answers reviews, by name and roles alone; ``Person`` says more."""

    user: str = Field(pattern=_PERSON)
    roles: frozenset[Role] = Field(min_length=1)


class Person(_Strict):
    """A person of the team."""

    id: str = Field(pattern=_PERSON)
    name: str = Field(default="", max_length=100)
    roles: frozenset[Role] = Field(min_length=1)
    amount_limit_usd: int | None = Field(default=None, ge=0)
    """The most money the person may approve, whole US dollars; without one, the limit of their highest role."""
    slack_user: str = Field(default="", pattern=r"^([UW][A-Z0-9]{2,20})?$")
    """Their member id in Slack; clicks of nobody else count as theirs."""


class Tenant(_Strict):
    """One business using this installation."""

    tenant: TenantId = Field(pattern=_NAME)
    settlement_currency: str
    locale: str = Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
    """BCP 47 tag of the team's language."""
    timezone: str
    """IANA name."""
    api_keys: tuple[ApiKey, ...] = ()
    shops: tuple[ShopAccess, ...] = ()
    senders: tuple[SenderAccess, ...] = ()
    reviewers: tuple[Reviewer, ...] = ()
    people: tuple[Person, ...] = ()
    """When there are people or reviewers, only they may be named as the person behind a key."""
    role_limits_usd: dict[Role, Annotated[int, Field(ge=0)]] = {}
    """The most money somebody of a role may approve, whole US dollars; a role not named has no limit."""

    @field_validator("settlement_currency")
    @classmethod
    def _known_currency(cls, value: str) -> str:
        exponent(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not an IANA time zone")
        return value

    @model_validator(mode="after")
    def _people_once(self) -> "Tenant":
        ids = [person.id.casefold() for person in self.staff]
        slack = [person.slack_user for person in self.staff if person.slack_user]
        if len(set(ids)) < len(ids) or len(set(slack)) < len(slack):
            raise ValueError("a person or a Slack user is listed twice")
        return self

    @property
    def staff(self) -> tuple[Person, ...]:
        """Everybody the tenant lists."""
        return (*self.people, *(Person(id=each.user, roles=each.roles) for each in self.reviewers))

    def person(self, user: str) -> Person | None:
        """The person of that id, if the tenant lists one."""
        return next((each for each in self.staff if each.id == user), None)

    def slack_person(self, slack_user: str) -> Person | None:
        """The person behind a Slack member id, if the tenant lists one."""
        return next((each for each in self.staff if slack_user and each.slack_user == slack_user), None)

    def limit_usd_minor(self, roles: Iterable[str], person: Person | None = None) -> int | None:
        """The most US cents that may be approved: the person's own limit, else that of the highest role held."""
        if person is not None and person.amount_limit_usd is not None:
            return person.amount_limit_usd * 100
        highest = max((Role(role) for role in roles), key=list(Role).index, default=None)
        limit = self.role_limits_usd.get(highest) if highest else None
        return None if limit is None else limit * 100

    def actor(self, person: Person, *, via: str) -> Actor:
        """A listed person as the review desk takes them."""
        return Actor(
            name=f"user:{person.id}",
            roles=frozenset(person.roles),
            limit_usd_minor=self.limit_usd_minor(person.roles, person),
            via=via,
        )


class Tenants:
    """Every tenant of the installation, found by id, by API key or by shop."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        """Index the tenants.

        Raises:
            ValueError: a tenant, key id, key or shop occurs twice.
        """
        self._tenants: dict[str, Tenant] = {}
        self._keys: dict[str, tuple[Tenant, ApiKey]] = {}
        self._secrets: dict[str, tuple[ShopSecret, ...]] = {}
        key_ids: set[str] = set()
        self._senders: dict[Sender, tuple[SenderSecret, ...]] = {}
        shops: set[tuple[str, str]] = set()
        for tenant in tenants:
            if tenant.tenant in self._tenants:
                raise ValueError(f"tenant {tenant.tenant!r} is listed twice")
            self._tenants[tenant.tenant] = tenant
            for key in tenant.api_keys:
                if key.key_id in key_ids or key.sha256 in self._keys:
                    raise ValueError(f"API key {key.key_id!r} is listed twice")
                key_ids.add(key.key_id)
                self._keys[key.sha256] = (tenant, key)
            for shop in tenant.shops:
                if (shop.channel, shop.shop) in shops:
                    raise ValueError(
                        f"shop {shop.shop!r} of {shop.channel} is listed twice; add its secrets to one entry"
                    )
                shops.add((shop.channel, shop.shop))
                self._secrets[shop.channel] = (*self.secrets(shop.channel), *shop.secrets_of(tenant.tenant))
            self._add_senders(tenant)

    def _add_senders(self, tenant: Tenant) -> None:
        for access in tenant.senders:
            known = self.sender_secrets(access.sender)
            if any(secret == one.secret and one.tenant != tenant.tenant for one in known for secret in access.secrets):
                raise ValueError(f"two tenants share a secret of {access.sender}; a webhook could be either's")
            added = (SenderSecret(tenant=tenant.tenant, secret=secret) for secret in access.secrets)
            self._senders[access.sender] = (*known, *added)

    def sender_secrets(self, sender: Sender) -> tuple[SenderSecret, ...]:
        """The signing secrets of every tenant's account at a sender."""
        return self._senders.get(sender, ())

    def __iter__(self) -> Iterator[Tenant]:
        """Every tenant, in the file's order."""
        return iter(self._tenants.values())

    def get(self, tenant: str) -> Tenant:
        """The tenant of that id.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._tenants[tenant]
        except KeyError:
            raise NotFound(f"There is no tenant {tenant!r}") from None

    def slack_user(self, tenant: str, person: str) -> str:
        """The Slack user id of a person (``user:<id>``); empty when there is none."""
        found = self._tenants.get(tenant)
        known = found.person(person.removeprefix("user:")) if found and person.startswith("user:") else None
        return known.slack_user if known else ""

    def holder(self, presented: str) -> tuple[Tenant, ApiKey] | None:
        """Whose API key was presented, expired or not; None when nobody's.

        What the time of the look-up could tell is the digest of a guess, never the key.
        """
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).hexdigest()
        found = self._keys.get(digest)
        return found if found and hmac.compare_digest(found[1].sha256, digest) else None

    def secrets(self, channel: str) -> tuple[ShopSecret, ...]:
        """The signing secrets of every shop on a channel, of all tenants."""
        return self._secrets.get(channel, ())
