"""Builds the review channels that are configured: none without settings, then reviews are in the console alone."""

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

from domain.errors import ConfigError, StoreUnavailable
from domain.ids import TenantId
from domain.review_channel import ReviewChannel
from graph.bootstrap.foundation import Foundation
from graph.bootstrap.settings import Settings
from graph.runtime.journal import TOPIC as JOURNAL
from graph.runtime.listening import Listener, Watch
from graph.runtime.review_cards import ReviewCards
from graph.runtime.review_posting import CardListener, CardPoster, Pace
from tools.slack.channel import SlackChannel
from tools.slack.signing import MIN_SECRET_CHARS, SigningSecret
from tools.slack.workspace import SlackWorkspace
from tools.teams import TeamsChannel


def nobody(_tenant: str, _person: str) -> str:
    """Nobody's id in a chat product is known."""
    return ""


@dataclass
class ReviewChannels:
    """The channels, and what a worker does for them."""

    slack: SlackChannel | None
    cards: ReviewCards
    poster: CardPoster | None = None
    """None without channels."""
    listeners: tuple[Listener, ...] = ()
    watches: tuple[Watch, ...] = ()
    people: Callable[[str, str], str] = field(default=nobody)
    """Knows a person's Slack user id by tenant and ``user:<id>``; set by whoever reads the tenants file."""


def build_review_channels(base: Foundation, stack: AsyncExitStack) -> ReviewChannels:
    """The channels the settings name; ``stack`` lets go of them.

    Raises:
        ConfigError: a setting is missing or cannot be used.
    """
    console_url, channels = console_of(base.settings), list[ReviewChannel]()
    cards = ReviewCards(base.store.batcher, base.keys)
    made = ReviewChannels(slack=None, cards=cards)
    workspaces = slack_workspaces(base.settings)
    if workspaces:
        made.slack = SlackChannel(workspaces, console_url=console_url)
        stack.push_async_callback(made.slack.close)
        channels.append(made.slack)
    webhooks = teams_webhooks(base.settings)
    if webhooks:
        teams = TeamsChannel(webhooks, console_url=console_url)
        stack.push_async_callback(teams.close)
        channels.append(teams)
    if channels:
        made.poster = CardPoster(
            channels, cards, base.store.reviews, base.clock, pace=Pace(lease_s=base.settings.claim_idle_ms / 1000)
        )
        listener = CardListener(channels, cards, base.clock, chat_user=lambda t, person: made.people(t, person))
        made.listeners, made.watches = (listener,), (Watch("review_channels", made.poster.watch),)
    else:
        made.watches = (Watch("review_channels", lambda _: _switched_off(base)),)
    return made


async def _switched_off(base: Foundation) -> None:
    """Without channels nobody reads for them: what an earlier configuration declared must not hold the journal back."""
    with suppress(StoreUnavailable):
        await base.bus.abandon(JOURNAL, CardListener.group)


def console_of(settings: Settings) -> str:
    """Where people reach the console, without a trailing slash; empty when no address is known."""
    return (settings.public_url or "").rstrip("/")


def slack_workspaces(settings: Settings) -> tuple[SlackWorkspace, ...]:
    """Every workspace of the settings.

    Raises:
        ConfigError: a setting is missing, a secret is too short, or a workspace or tenant occurs twice.
    """
    named = (*settings.slack_workspaces, *_single(settings))
    for what, values in (("tenant", [w.tenant for w in named]), ("workspace", [w.team for w in named])):
        if len(values) != len(set(values)):
            raise ConfigError(f"SIGNALBOX_SLACK_WORKSPACES: a {what} is named twice; each has exactly one")
    for workspace in named:
        if any(len(each.secret.get_secret_value()) < MIN_SECRET_CHARS for each in workspace.signing_secrets):
            raise ConfigError(
                f"the Slack signing secret of tenant {workspace.tenant} is shorter than {MIN_SECRET_CHARS} characters; "
                "copy the one from the app's Basic Information page"
            )
    return named


def _single(settings: Settings) -> tuple[SlackWorkspace, ...]:
    """The one workspace of the plain ``SIGNALBOX_SLACK_*`` settings, when there is one."""
    given = {
        "BOT_TOKEN": settings.slack_bot_token,
        "SIGNING_SECRET": settings.slack_signing_secret,
        "TEAM": settings.slack_team,
        "CHANNEL": settings.slack_channel,
    }
    if not any(given.values()):
        return ()
    missing = ", ".join(f"SIGNALBOX_SLACK_{name}" for name, value in given.items() if not value)
    token, secret = settings.slack_bot_token, settings.slack_signing_secret
    if missing or token is None or secret is None:
        raise ConfigError(f"Slack is half configured: set {missing} too, or none of them")
    old = settings.slack_signing_secret_old
    secrets = [SigningSecret(secret=secret)]
    secrets += [SigningSecret(secret=old, until=settings.slack_signing_secret_old_until)] if old else []
    try:
        workspace = SlackWorkspace(
            tenant=TenantId(settings.slack_tenant),
            team=settings.slack_team,
            bot_token=token,
            channel=settings.slack_channel,
            channels=settings.slack_channels,
            signing_secrets=tuple(secrets),
            reviewer_group=settings.slack_reviewer_group,
            api_url=settings.slack_api_url,
        )
    except ValueError as error:
        raise ConfigError(
            "SIGNALBOX_SLACK_TEAM is a workspace id like T0123ABCD and SIGNALBOX_SLACK_CHANNEL a channel id like C0123ABCD"
        ) from error
    return (workspace,)


def teams_webhooks(settings: Settings) -> dict[str, str]:
    """Incoming webhook addresses by tenant."""
    found = {tenant: url.get_secret_value() for tenant, url in settings.teams_webhooks.items()}
    if settings.teams_webhook is not None:
        found[settings.slack_tenant] = settings.teams_webhook.get_secret_value()
    return found
