"""The stand-in customer system: histories of the seeded world, loyalty points, order tags."""

import sqlite3
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
from pydantic import TypeAdapter

from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected
from domain.intent import PostLoyalty, ReverseLoyalty, TagOrder
from domain.ports import CustomerHistory
from tools.sandbox.system import Change, System, parse_args, reference
from tools.sandbox.world import World

_HISTORY = TypeAdapter(CustomerHistory)


@dataclass(frozen=True)
class CustomerSystem(System):
    """Customer relations behind ``CustomerPort``."""

    world: World

    handlers = {
        EffectKind.POST_LOYALTY: "_post",
        EffectKind.REVERSE_LOYALTY: "_reverse",
        EffectKind.TAG_ORDER: "_tag",
    }

    async def history(self, customer_id: str) -> CustomerHistory:
        """What is known of the customer; an unknown id gives an empty history.

        Raises:
            ConnectorUnavailable: a scripted fault, or the sandbox file is busy.
        """
        fault = await self._meet("history")
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT history FROM customer_histories WHERE customer_id = ?", (customer_id,)
            ).fetchone()
        )
        await self._leave(fault, "history")
        if found is not None:
            return _HISTORY.validate_json(found[0])
        return self.world.customers.get(customer_id) or CustomerHistory(customer_id=customer_id)

    async def put_history(self, history: CustomerHistory) -> None:
        """Replace what is known of one customer."""
        text = orjson.dumps(asdict(history)).decode()
        await self.store.write(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO customer_histories (customer_id, history) VALUES (?, ?)",
                (history.customer_id, text),
            )
        )

    async def points(self, customer_id: str, *, tenant: str) -> int:
        """The customer's loyalty points: credited and not reversed."""
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT coalesce(sum(points), 0) FROM loyalty WHERE customer_id = ? AND tenant = ? AND reversed = 0",
                (customer_id, tenant),
            ).fetchone()
        )
        return int(found[0])

    async def tags(self, order_id: str, *, tenant: str) -> tuple[str, ...]:
        """The order's tags; none when it was never tagged."""
        found = await self.store.read(
            lambda connection: connection.execute(
                "SELECT tags FROM tags WHERE order_id = ? AND tenant = ?", (order_id, tenant)
            ).fetchone()
        )
        return () if found is None else tuple(orjson.loads(found[0]))

    def _post(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(PostLoyalty, effect)
        earlier = connection.execute(
            "SELECT loyalty_key FROM loyalty WHERE order_id = ? AND tenant = ? AND reversed = 0",
            (args.order_id, effect.tenant),
        ).fetchone()
        if earlier is not None:
            raise ConnectorRejected(
                f"{args.order_id} was already credited under {earlier[0]}; points are posted once per order"
            )
        connection.execute(
            "INSERT INTO loyalty (tenant, loyalty_key, order_id, customer_id, points) VALUES (?, ?, ?, ?, ?)",
            (effect.tenant, effect.key, args.order_id, args.customer_id, args.points),
        )
        return Change(reference=reference("pts", effect), detail={"points": args.points})

    def _reverse(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(ReverseLoyalty, effect)
        found = connection.execute(
            "SELECT points, reversed FROM loyalty WHERE loyalty_key = ? AND tenant = ?",
            (args.loyalty_key, effect.tenant),
        ).fetchone()
        if found is None:
            raise ConnectorRejected(f"no points were credited under {args.loyalty_key}; there is nothing to reverse")
        points, reversed_before = found
        connection.execute(
            "UPDATE loyalty SET reversed = 1 WHERE loyalty_key = ? AND tenant = ?", (args.loyalty_key, effect.tenant)
        )
        return Change(reference=reference("pts", effect), detail={"points": 0 if reversed_before else -points})

    def _tag(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args = parse_args(TagOrder, effect)
        connection.execute(
            "INSERT OR REPLACE INTO tags (tenant, order_id, tags) VALUES (?, ?, ?)",
            (effect.tenant, args.order_id, orjson.dumps(args.tags).decode()),
        )
        return Change(reference=reference("tag", effect), detail={"tags": len(args.tags)})
