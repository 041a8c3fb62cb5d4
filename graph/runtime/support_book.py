"""The book of support in SQL: contexts that were given, flags on them, contacts. No address is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import InputError, NotFound
from domain.ids import stable_id
from domain.support import AddressView, SupportContext
from domain.support_outcome import Contact
from domain.values import Document
from graph.runtime.audit_reviews import insert_into
from graph.runtime.sql import transaction
from graph.runtime.support_schema import support_contacts, support_contexts, support_flags

PROBLEMS = ("wrong", "missing", "stale")
_WHAT = "the book of support"


@dataclass(frozen=True, kw_only=True)
class Given:
    """To whom a context was given, and about whom."""

    actor: str
    context: SupportContext


class Flag(Document):
    """A fact of a context somebody found wrong, missing or too old."""

    context_id: str
    field: str
    """Dotted path, such as ``order.state`` or ``shipments.0.status``."""
    problem: str
    expected: str = ""
    """What it should have said."""


class SupportBook:
    """Writes contexts, flags and contacts down and reads them."""

    def __init__(self, engine: AsyncEngine) -> None:
        """The schema is up to date."""
        self._engine = engine

    async def keep(self, given: Given) -> None:
        """Write a context down, without what only the moment needed: addresses, ways to pay, the CRM's id."""
        context = given.context
        row = {
            "tenant": context.tenant,
            "context_id": context.context_id,
            "at": context.generated_at,
            "order_id": context.order.order_id if context.order else "",
            "customer_hash": context.customer.id_hash,
            "reason": context.reason.name if context.reason else "",
            "role": context.role,
            "actor": given.actor,
            "document": bare(context).to_json(),
        }
        async with transaction(self._engine, _WHAT) as connection:
            await connection.execute(insert_into(support_contexts, connection).values(**row).on_conflict_do_nothing())

    async def context(self, tenant: str, context_id: str) -> SupportContext:
        """A context as it was written down.

        Raises:
            NotFound: this tenant has none of that id.
        """
        wanted = select(support_contexts.c.document).where(
            support_contexts.c.tenant == tenant, support_contexts.c.context_id == context_id
        )
        async with transaction(self._engine, _WHAT) as connection:
            found = (await connection.execute(wanted)).scalar_one_or_none()
        if found is None:
            raise NotFound(f"there is no support context {context_id!r}")
        return SupportContext.from_json(found)

    async def flag(self, tenant: str, flag: Flag, *, actor: str, at: datetime) -> str:
        """Note what is wrong with a fact; the same flag of the same person once. Gives its id.

        Raises:
            NotFound: this tenant has no such context.
            InputError: the context has no such field, or the problem is none of wrong, missing, stale.
        """
        if flag.problem not in PROBLEMS:
            raise InputError(f"problem is one of {', '.join(PROBLEMS)}.", pointer="/problem")
        context = await self.context(tenant, flag.context_id)
        shown = orjson.dumps(at_path(context, flag.field)).decode()
        flag_id = stable_id(tenant, flag.context_id, flag.field, flag.problem, actor)
        row = {"tenant": tenant, "flag_id": flag_id, "at": at, "actor": actor, "shown": shown, **flag.model_dump()}
        async with transaction(self._engine, _WHAT) as connection:
            await connection.execute(insert_into(support_flags, connection).values(**row).on_conflict_do_nothing())
        return flag_id

    async def cases(self, tenant: str) -> list[dict[str, Any]]:
        """Every flag as an evaluation case: the context, the field, what was shown and what should have been."""
        wanted = (
            select(support_flags, support_contexts.c.document)
            .join(
                support_contexts,
                (support_contexts.c.tenant == support_flags.c.tenant)
                & (support_contexts.c.context_id == support_flags.c.context_id),
            )
            .where(support_flags.c.tenant == tenant)
            .order_by(support_flags.c.at)
        )
        async with transaction(self._engine, _WHAT) as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [
            {
                "case_id": row["flag_id"],
                "field": row["field"],
                "problem": row["problem"],
                "shown": orjson.loads(row["shown"]),
                "expected": row["expected"],
                "context": orjson.loads(row["document"]),
            }
            for row in rows
        ]

    async def contact(self, tenant: str, contact: Contact) -> None:
        """Note one contact; told again, its end (escalated, context) is what was said last."""
        row = {"tenant": tenant, **contact.model_dump()}
        async with transaction(self._engine, _WHAT) as connection:
            statement = insert_into(support_contacts, connection).values(**row)
            changes = {"escalated": contact.escalated, "context_id": contact.context_id, "reason": contact.reason}
            await connection.execute(
                statement.on_conflict_do_update(index_elements=["tenant", "contact_id"], set_=changes)
            )

    async def contacts(self, tenant: str, *, since: datetime) -> Sequence[Contact]:
        """The contacts opened since an instant."""
        wanted = select(support_contacts).where(
            support_contacts.c.tenant == tenant, support_contacts.c.opened_at >= since
        )
        async with transaction(self._engine, _WHAT) as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [Contact(**{name: row[name] for name in Contact.model_fields}) for row in rows]


def bare(context: SupportContext) -> SupportContext:
    """The context without addresses, ways to pay, the CRM's id and what customers wrote."""
    who = context.customer
    summaries = who.last_3_ticket_summaries.model_copy(update={"value": None})
    customer = who.model_copy(
        update={"crm_id": None, "address": None, "payment_methods": None, "last_3_ticket_summaries": summaries}
    )
    order = context.order
    if order is not None:
        order = order.model_copy(
            update={"ship_to": order.ship_to.model_copy(update={"value": _area(order.ship_to.value)})}
        )
    briefs = tuple(one.model_copy(update={"ship_to": None}) for one in context.other_orders.value or ())
    others = context.other_orders.model_copy(update={"value": briefs})
    return context.model_copy(update={"customer": customer, "order": order, "other_orders": others})


def _area(address: AddressView | None) -> AddressView:
    return AddressView(country=address.country if address else "")


def at_path(context: SupportContext, path: str) -> Any:
    """The value at a dotted path; a fact's ``value`` is entered by itself.

    Raises:
        InputError: there is no such field.
    """
    here: Any = context.model_dump(mode="json")
    for part in path.split("."):
        if isinstance(here, dict) and "fetched_at" in here and part not in here:
            here = here["value"]
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isascii() and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            raise InputError(f"The context has no field {path[:100]!r}; name one as in order.state.", pointer="/field")
    return here
