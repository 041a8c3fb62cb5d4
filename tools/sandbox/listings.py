"""The stand-in for how goods are offered: listings by channel, changed field by field with a ledger of every change."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from domain.effect import Effect, EffectKind
from domain.errors import ConnectorRejected
from domain.ids import Sku
from domain.intent import SetListing
from domain.listing import Listing, ListingReport, RunningPromotion
from domain.order import Channel
from domain.values import Plain
from tools.sandbox.system import Change, System, parse_args, reference
from tools.sandbox.world import World

CHANNELS = (Channel.SHOPIFY, Channel.SHOPEE, Channel.LAZADA, Channel.AMAZON)
"""Where every SKU of the world is offered at the beginning."""
_NAMES = frozenset({"sku", "channel"})


@dataclass(frozen=True)
class ListingSystem(System):
    """Listings behind ``ListingPort``."""

    world: World

    handlers = {EffectKind.CHANGE_LISTING: "_change", EffectKind.RESTORE_LISTING: "_restore"}

    async def listings(self, skus: Sequence[Sku], *, tenant: str) -> ListingReport:
        """Every channel's listing of the named SKUs, and the promotions that run or are announced for them."""
        fault = await self._meet("listings")
        report = await self.store.read(lambda connection: self._report(connection, skus, tenant))
        await self._leave(fault, "listings")
        return report

    async def put(self, listing: Listing, *, tenant: str) -> None:
        """Somebody changes a listing by hand."""
        await self.store.write(lambda connection: self._keep(connection, listing, tenant))

    async def put_promotion(self, promotion: RunningPromotion, *, tenant: str) -> None:
        """A promotion is announced."""
        await self.store.write(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO promotions (tenant, sku, promotion_id, promotion) VALUES (?, ?, ?, ?)",
                (tenant, promotion.sku, promotion.promotion_id, promotion.to_json()),
            )
        )

    def _report(self, connection: sqlite3.Connection, skus: Sequence[Sku], tenant: str) -> ListingReport:
        found, promotions = [], []
        for sku in dict.fromkeys(skus):
            found += self._of(connection, sku, tenant)
            rows = connection.execute(
                "SELECT promotion FROM promotions WHERE sku = ? AND tenant = ? ORDER BY promotion_id", (sku, tenant)
            )
            promotions += [RunningPromotion.from_json(text) for (text,) in rows]
        return ListingReport(listings=tuple(found), promotions=tuple(promotions))

    def _of(self, connection: sqlite3.Connection, sku: Sku, tenant: str) -> list[Listing]:
        rows = connection.execute("SELECT channel, listing FROM listings WHERE sku = ? AND tenant = ?", (sku, tenant))
        kept = {str(channel): Listing.from_json(text) for channel, text in rows}
        product = self.world.products.get(sku)
        plain = {} if product is None else {
            channel.value: Listing(sku=sku, channel=channel, ad_campaigns=(f"ad-{sku}-{channel.value}",),
                                   price=product.list_price)
            for channel in CHANNELS
        }  # fmt: skip
        merged = plain | kept
        return [merged[name] for name in sorted(merged)]

    def _change(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args, listing, values = self._asked(connection, effect)
        held = {name: values[name] for name in args.values}
        if held != args.expected:
            changed = ", ".join(sorted(name for name, value in held.items() if value != args.expected.get(name)))
            raise ConnectorRejected(
                f"{args.sku} on {args.channel} was changed meanwhile ({changed}); read it again before changing it"
            )
        self._set(connection, effect, values | args.values)
        return Change(reference=reference("listing", effect), detail={"before": listing.content_digest})

    def _restore(self, connection: sqlite3.Connection, effect: Effect, now: datetime) -> Change:
        args, _, values = self._asked(connection, effect)
        ours = {name: value for name, value in args.values.items() if values[name] == args.expected.get(name)}
        self._set(connection, effect, values | ours)
        kept: list[Plain] = [*sorted(set(args.values) - set(ours))]
        return Change(reference=reference("listing", effect), detail={"kept": kept})

    def _asked(self, connection: sqlite3.Connection, effect: Effect) -> tuple[SetListing, Listing, dict[str, Plain]]:
        args = parse_args(SetListing, effect)
        found = [one for one in self._of(connection, Sku(args.sku), effect.tenant) if one.channel == args.channel]
        if not found:
            raise ConnectorRejected(f"{args.sku} is not listed on {args.channel}")
        values = found[0].model_dump(mode="json")
        unknown = sorted((set(args.values) - set(values)) | (_NAMES & set(args.values)))
        if unknown:
            raise ConnectorRejected(f"a listing has no field {', '.join(unknown)} that may be set")
        return args, found[0], values

    def _set(self, connection: sqlite3.Connection, effect: Effect, values: dict[str, Plain]) -> None:
        try:
            listing = Listing.model_validate(values)
        except ValidationError as error:
            where = ", ".join(str(one["loc"][0]) for one in error.errors(include_input=False) if one["loc"])
            raise ConnectorRejected(f"the listing would not be valid at {where}") from None
        self._keep(connection, listing, effect.tenant)

    def _keep(self, connection: sqlite3.Connection, listing: Listing, tenant: str) -> None:
        connection.execute(
            "INSERT OR REPLACE INTO listings (tenant, sku, channel, listing) VALUES (?, ?, ?, ?)",
            (tenant, listing.sku, listing.channel.value, listing.to_json()),
        )
