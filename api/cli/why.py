"""``signalbox why``: which agent acted on an order, when, why, with which versions and inputs, and who overrode."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, print_json, say

if TYPE_CHECKING:
    from api.services import Json

_SHOWN = [
    "channel",
    "shop",
    "source",
    "progress",
    "detail",
    "stage",
    "review_id",
    "reference",
    "key",
    "why",
    "refusal",
    "facet",
    "winner",
    "loser",
    "rule",
    "by",
    "reason",
    "action",
    "decided_by",
    "via",
    "arrival",
    "version",
]
"""Facts of a happening that a person wants to read; the rest is in the JSON."""


def why(
    context: typer.Context,
    entity_id: Annotated[str, typer.Argument(metavar="ID", help="An order, purchase order, SKU or review id.")],
    tenant: OfTenant = None,
    for_customer: Annotated[
        str | None,
        typer.Option(
            "--for-customer", metavar="LANGUAGE", help="What the customer may hear: en, zh-Hant, zh-Hans, vi."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain an order or a purchase order from the audit: who did what, when, why, with which versions and inputs, and who overrode."""
    explained = run(_explain(invocation_of(context), entity_id, tenant))
    if as_json:
        print_json(explained)
    elif for_customer is not None:
        _print_for_customer(explained["for_customer"], for_customer)
    else:
        _print(explained)


async def _explain(at: Invocation, entity_id: str, tenant: str | None) -> "Json":
    from api.desk import Desk  # noqa: PLC0415  # see the package's docstring

    async with at.opened() as box:
        return await Desk(box).audit(at.tenant(box.settings, tenant).tenant, entity_id)


def _print_for_customer(told: dict[str, str], language: str) -> None:
    from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring

    if language not in told:
        known = ", ".join(told) or "none, because it is no order"
        raise InputError(f"there are no words for a customer in {language!r}; there are: {known}")
    say(told[language])


def _print(explained: "Json") -> None:
    waits = any(review["state"] == "open" for review in explained["reviews"])
    outcome = "in review" if waits else explained["outcome"]
    say(f"{explained['entity_id']}  {outcome}  (tenant {explained['tenant']})", style="bold")
    for entry in explained["entries"]:
        _print_entry(entry)
    if explained["conflicts"]:
        say("Contradictions", style="bold")
    for conflict in explained["conflicts"]:
        say(f"  {_time(conflict)}  {conflict['facet']}: {conflict['sentence']}")
    if explained["overrides"]:
        say("Overruled by people", style="bold")
    for override in explained["overrides"]:
        against = f" against {', '.join(override['agents'])}" if override["agents"] else ""
        say(f"  {_time(override)}  {override['by']}: {override['was']} became {override['became']}{against}")
        say(f"{' ' * 14}because: {override['reason']}")
    dollars, micro = divmod(explained["usd_micro"], 1_000_000)
    say(
        f"{len(explained['entries'])} events, {len(explained['effects'])} effects, model cost {dollars}.{micro:06d} USD"
    )


def _print_entry(entry: "Json") -> None:
    happening = entry["event"].partition(".")[2].replace("_", " ").replace(".", " ")
    said = happening
    if entry["decision"]:
        sure = "no confidence given" if entry["confidence"] is None else f"confidence {entry['confidence']:.2f}"
        took = "" if entry["processing_time_ms"] is None else f", {entry['processing_time_ms']} ms"
        mode = "" if entry["mode"] in (None, "normal") else f", {entry['mode']}"
        said = f"{entry['decision']} ({sure}{mode}{took})"
    pending = "" if entry["audited"] else "  [not in the audit yet]"
    say(f"  {_time(entry)}  {entry['actor']:<22} {said}{pending}", style="bold" if entry["decision"] else "")
    for ground in entry["reasons"]:
        limit = f" [{ground['value']} against {ground['threshold']}]" if ground["threshold"] else ""
        rests = f"  <- {ground['evidence']}" if ground["evidence"] else ""
        code = f"{ground['code']}: " if ground["code"] else "- "
        say(f"{' ' * 16}{code}{ground['text']}{limit}{rests}")
    if entry["decision"]:
        versions = " ".join(f"{name}={value}" for name, value in entry["versions"].items())
        say(f"{' ' * 16}versions {versions}; inputs {(entry['inputs_digest'] or '')[:12]}", style="dim")
        return
    facts = [f"{name} {entry['facts'][name]}" for name in _SHOWN if entry["facts"].get(name) not in (None, "", [])]
    if facts:
        say(f"{' ' * 16}{', '.join(facts)}", style="dim")


def _time(entry: "Json") -> str:
    return str(entry["at"])[11:23].rstrip("Z").ljust(12)
