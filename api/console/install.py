"""Puts the console on the application: every page module is named here."""

from fastapi import FastAPI

from api.console.console import Console
from api.console.pages import (
    agents,
    assets,
    dead_letters,
    home,
    live,
    orders,
    peak,
    review_acts,
    reviews,
    signing,
    unknown,
)

_MODULES = (signing, assets, live, home, review_acts, reviews, orders, agents, dead_letters, peak)
"""A new page's module goes here; its routes into ACCESS, its menu entry into ``api.console.nav``."""


def install(app: FastAPI, console: Console) -> None:
    """Add the console's routes to an application."""
    app.state.console = console
    for module in (*_MODULES, unknown):
        app.include_router(module.router)
