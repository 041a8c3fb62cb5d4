"""A browser without a window for console tests: keeps cookies, sends what forms on the last page would send."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from typing import Any

import httpx2
from fastapi import FastAPI

from api.serving import application
from api.tenants import Tenants
from tests.support.api_desk import key_of, two_tenants
from tests.support.system import Rig

ORIGIN = "http://signalbox.example"
_TOKEN = re.compile(r'name="csrf" value="([^"]*)"')


class Browser:
    """One person's browser."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.token = ""

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """Open a page and remember its forms' token."""
        answer = await self.client.get(path, headers=headers)
        found = _TOKEN.search(answer.text)
        self.token = unescape(found.group(1)) if found else self.token
        return answer

    async def post(self, path: str, fields: dict[str, Any] | None = None, **headers: str) -> httpx2.Response:
        """Send a form as the page would."""
        sent = {"csrf": self.token} | (fields or {})
        return await self.client.post(path, data=sent, headers={"Origin": ORIGIN} | headers)

    async def sign_in(self, role: str, *, tenant: str = "default", person: str = "mei") -> httpx2.Response:
        """Sign in with the key of a role."""
        await self.get("/console/sign-in")
        named = {"person": person} if role in {"ops", "admin"} else {}
        return await self.post("/console/sign-in", {"key": key_of(tenant, role), "next": "/console"} | named)


@asynccontextmanager
async def browsing(app: FastAPI, *, host: str = "203.0.113.9") -> AsyncIterator[Browser]:
    """A fresh browser on the application."""
    transport = httpx2.ASGITransport(app=app, client=(host, 40000))
    async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield Browser(client)


def console_of_rig(rig: Rig, tenants: Tenants | None = None) -> FastAPI:
    """The API with the console in front of a rig's system."""
    return application(rig.box, tenants or two_tenants(first="default"))
