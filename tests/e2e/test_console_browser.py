"""The console in a real browser: deciding, two people at once, without scripts, nothing from outside, and readable by everybody."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.serving import listen, served, url_of
from tests.support.accessibility import FAULTS
from tests.support.api_desk import key_of
from tests.support.console import console_of_rig
from tests.support.system import Rig, fast_settings, for_review, running

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
ARGS = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]


@dataclass
class Desk:
    """A served console and a browser to look at it."""

    rig: Rig
    url: str
    browser: Any
    asked: list[str]
    """Every address any page asked for."""
    complaints: list[str]
    """What the browser said on its console: refused scripts and styles among it."""

    @asynccontextmanager
    async def person(self, role: str, name: str, **options: Any) -> AsyncIterator[Any]:
        """A page of somebody who has signed in."""
        context = await self.browser.new_context(**options)
        page = await context.new_page()
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.set_default_timeout(10_000)
        await page.goto(f"{self.url}/console")
        await page.get_by_label("API key").fill(key_of("default", role))
        await page.get_by_label("Your name").fill(name)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(re.compile(r"/console$"))
        try:
            yield page
        finally:
            await context.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running(fast_settings(tmp_path)))
        listener = listen("127.0.0.1", 0)
        url = url_of(listener)
        await stack.enter_async_context(served(console_of_rig(rig), listener))
        driver = await stack.enter_async_context(playwright.async_playwright())
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        stack.push_async_callback(browser.close)
        yield Desk(rig, url, browser, [], [])


async def test_two_people_decide_and_nothing_comes_from_outside(desk: Desk) -> None:
    """P3, reliability/U02: the row appears by itself, the first answer counts, the second person is told by whom and when."""
    async with desk.person("ops", "mei") as mei, desk.person("admin", "boss") as boss:
        await mei.goto(f"{desk.url}/console/reviews")
        await mei.locator("text=Nobody waits for you").wait_for()
        record = await desk.rig.reviewed(for_review())
        await mei.locator(f'a[href="/console/reviews/{record.review_id}"]').wait_for()
        await mei.keyboard.press("j")
        await mei.keyboard.press("Enter")
        await mei.wait_for_url(re.compile("/console/reviews/rv"))
        await boss.goto(f"{desk.url}/console/reviews/{record.review_id}")
        await mei.keyboard.press("a")
        await mei.keyboard.type("known customer")
        await mei.get_by_role("button", name="Approve", exact=True).click()
        await mei.locator(".notice", has_text="approved").wait_for()
        await boss.get_by_label("Why").fill("looks wrong")
        await boss.get_by_role("button", name="Reject").click()
        told = await boss.locator("[role=alert]").inner_text()
        assert "mei was first" in told
        assert await boss.locator("#verdict").inner_text() != ""
    stored = await desk.rig.box.store.reviews.find("default", record.review_id)
    assert stored.answer is not None
    assert stored.answer.decided_by == "user:mei"
    assert not [url for url in desk.asked if not url.startswith(desk.url)]
    assert [line for line in desk.complaints if "409" not in line] == []


async def test_everything_works_without_scripts(desk: Desk) -> None:
    """U04: with scripts switched off a person signs in, filters, edits and decides."""
    record = await desk.rig.reviewed(for_review())
    async with desk.person("ops", "mei", java_script_enabled=False) as mei:
        await mei.get_by_role("link", name="Reviews").first.click()
        await mei.get_by_placeholder("order, channel, reason").fill(str(record.order_id))
        await mei.get_by_role("button", name="Filter").click()
        await mei.locator("tbody a").first.click()
        await mei.get_by_label("Why").fill("the street was wrong")
        await mei.locator("summary", has_text="Edit, then approve").click()
        await mei.get_by_label("line1").fill("9 Nathan Road")
        await mei.get_by_role("button", name="Approve with these changes").click()
        await mei.locator(".notice", has_text="edited and approved").wait_for()
        await mei.get_by_role("button", name="Sign out").click()
        await mei.get_by_label("API key").wait_for()
    stored = await desk.rig.box.store.reviews.find("default", record.review_id)
    assert stored.answer is not None
    assert stored.answer.edits == {"ship_to": {"line1": "9 Nathan Road"}}


async def test_pages_can_be_read_by_everybody(desk: Desk) -> None:
    """Language, headings, labels, names, unique ids, and contrast as computed, on every page, light and dark, wide and narrow."""
    record = await desk.rig.reviewed(for_review())
    paths = ["", "/reviews", f"/reviews/{record.review_id}", "/orders", f"/orders/{record.order_id}", "/agents",
             "/dead-letters", "/peak", "/nothing-here"]  # fmt: skip
    found: dict[str, list[str]] = {}
    async with desk.person("admin", "boss", viewport={"width": 1280, "height": 900}) as page:
        for path in paths:
            await page.goto(f"{desk.url}/console{path}")
            for look in ("light", "dark"):
                await page.emulate_media(color_scheme=look)
                found[f"{path} {look}"] = await page.evaluate(FAULTS)
            await page.set_viewport_size({"width": 390, "height": 800})
            found[f"{path} narrow"] = await page.evaluate(FAULTS)
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found[path] = ["wider than a narrow screen"]
            await page.set_viewport_size({"width": 1280, "height": 900})
        spoilt = await page.evaluate(
            "document.querySelector('h1').style.color = getComputedStyle(document.body).backgroundColor"
        )
        assert spoilt
        assert any("contrast" in fault for fault in await page.evaluate(FAULTS))
    assert {path: faults for path, faults in found.items() if faults} == {}


async def test_the_first_row_is_there_at_once(desk: Desk) -> None:
    """The queue shows its first row within half a second; the best of three, the machine may be busy."""
    await desk.rig.reviewed(for_review())
    took = []
    async with desk.person("ops", "mei") as mei:
        for _ in range(3):
            began = asyncio.get_running_loop().time()
            await mei.goto(f"{desk.url}/console/reviews", wait_until="commit")
            await mei.locator("tbody tr").first.wait_for()
            took.append(asyncio.get_running_loop().time() - began)
    assert min(took) < 0.5
