"""The console's menu: which pages stand in it, under which heading, with which count. Who sees an entry follows from ACCESS."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from domain.review_case import SEES_ALL

if TYPE_CHECKING:
    from api.console.visits import Visit

Badge = Callable[["Visit"], Awaitable[int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One page of the menu."""

    path: str
    """As in the access table."""
    label: str
    group: str
    icon: str
    """Id of a symbol in templates/icons.html."""
    key: str = ""
    """Goes there after ``g``, one letter."""
    badge: Badge | None = None
    """A number people should see on every page; zero shows nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An entry as one person sees it."""

    entry: Entry
    current: bool
    count: int


async def _open_reviews(visit: "Visit") -> int:
    box, roles = visit.console.box, visit.caller.roles
    if roles & SEES_ALL:
        return await box.store.reviews.count_open(visit.tenant)
    return sum(file.visible_to(roles) for file in await box.reviews.cases.listed(visit.tenant))


ENTRIES: tuple[Entry, ...] = (
    Entry(path="/console", label="Home", group="Work", icon="home", key="h"),
    Entry(path="/console/reviews", label="Reviews", group="Work", icon="review", key="r", badge=_open_reviews),
    Entry(path="/console/orders", label="Orders", group="Work", icon="order", key="o"),
    Entry(path="/console/agents", label="Agents", group="System", icon="agents", key="a"),
    Entry(path="/console/dead-letters", label="Dead letters", group="System", icon="dead", key="d"),
    Entry(path="/console/peak", label="Peak mode", group="System", icon="peak", key="p"),
)
"""In the order of the menu; entries of one group stand together."""


async def menu(visit: "Visit") -> list[tuple[str, list[Item]]]:
    """The groups and entries this person may open."""
    path = visit.request.url.path
    allowed = [entry for entry in ENTRIES if visit.may("GET", entry.path)]
    items = [
        Item(entry=entry, current=_leads_to(entry.path, path), count=await entry.badge(visit) if entry.badge else 0)
        for entry in allowed
    ]
    return [(group, list(found)) for group, found in groupby(items, key=lambda item: item.entry.group)]


def _leads_to(entry: str, path: str) -> bool:
    return path == entry or (entry != "/console" and path.startswith(entry + "/"))
