"""The privacy area: finding, exporting and erasing what is held of one person."""

from dataclasses import dataclass

from graph.bootstrap.foundation import Foundation
from graph.order.erasing import CustomerErasure
from graph.order.person import PersonalStores, PersonFinder
from graph.runtime.dead_letters import DeadLetters
from graph.runtime.erasure_redis import WorkingStoreErasure
from graph.runtime.erasures import ErasureBook
from graph.runtime.tapes import TapeBook

_OUTSIDE = (
    "the sales channels (Shopify, Shopee and so on): customer and order records",
    "OMS, WMS and carriers: addresses of shipped orders",
    "CRM, loyalty and the mail or SMS provider",
    "the payment provider",
    "backups of Redis and of the database, until they expire",
)


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What a person may ask for."""

    finder: PersonFinder
    erasure: CustomerErasure
    book: ErasureBook
    """Knows the names that stand for customers in the audit."""


def build_privacy(base: Foundation) -> Privacy:
    """The area on the foundation."""
    settings, outside = base.settings, list(_OUTSIDE)
    if settings.slack_bot_token or settings.slack_workspaces or settings.teams_webhook or settings.teams_webhooks:
        outside.append("Slack and Microsoft Teams: cards of reviews that were posted")
    if settings.bus != "redis":
        outside.append(f"{settings.bus}: events published there, until its retention ends")
    if settings.llm_base_url:
        outside.append("the language model provider, if it keeps requests")
    stores = PersonalStores(
        store=base.store,
        bus=base.bus,
        working=WorkingStoreErasure(base.redis, base.keys, base.store.orders),
        engine=base.engine,
        audit=base.audit,
        book=ErasureBook(base.engine),
        tapes=TapeBook(base.engine),
        letters=DeadLetters(base.store.batcher, base.keys),
        outside=tuple(outside),
    )
    erasure = CustomerErasure(stores, stand_ins=base.sandbox)
    return Privacy(finder=PersonFinder(stores), erasure=erasure, book=stores.book)
