"""The stand-in Slack over HTTP: ``/api/<method>``, ``/hooks/<id>``, its own levers, and a page that shows the channel."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from domain.values import Document
from tools.sandbox.faults import Fault
from tools.sandbox.http_faults import after, before
from tools.sandbox.slack import SlackFault, SlackStandIn
from tools.sandbox.slack_page import page

CLICK_TIMEOUT_S = 3.0
"""Slack shows an error when a click is not answered within three seconds."""


class Click(Document):
    """A press of a button."""

    channel: str
    ts: str
    action_id: str
    user: str


async def press(world: SlackStandIn, payload: dict[str, Any]) -> httpx2.Response:
    """Send a payload to the app as Slack does, and act on what it answers to a modal.

    Raises:
        httpx2.HTTPError: the app did not answer in time.
    """
    raw, headers = world.signed(payload)
    async with httpx2.AsyncClient(timeout=CLICK_TIMEOUT_S) as client:
        answer = await client.post(world.interactions_url, content=raw, headers=headers)
    if payload["type"] == "view_submission" and answer.status_code == 200:
        said = orjson.loads(answer.content) if answer.content else {}
        _after_submission(world, payload["view"]["id"], said)
    return answer


def _after_submission(world: SlackStandIn, view_id: str, said: dict[str, Any]) -> None:
    match said.get("response_action"):
        case "errors":
            world.views[view_id].view["errors"] = said["errors"]
        case "update":
            world.views[view_id].view = said["view"]
        case _:
            world.views.pop(view_id, None)


def create_slack(world: SlackStandIn) -> FastAPI:
    """The app that serves a stand-in workspace."""
    app = FastAPI(title="Stand-in Slack", docs_url=None, redoc_url=None)
    app.include_router(_api(world))
    app.include_router(_levers(world))
    return app


def _api(world: SlackStandIn) -> APIRouter:
    routes = APIRouter()

    @routes.api_route("/api/{method}", methods=["GET", "POST"])
    async def call(method: str, request: Request) -> Response:
        """One call of the Web API."""
        args = await _arguments(request)
        world.calls.append((method, args))
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return await _met(world, method, lambda: world.answer(method, args, token))

    @routes.post("/hooks/{hook}")
    async def respond(hook: str, request: Request) -> Response:
        """A message through a response URL."""
        args = await _arguments(request)
        world.calls.append(("response_url", args))
        return await _met(world, "response_url", lambda: {"ok": world.respond(hook, args)})

    return routes


async def _met(world: SlackStandIn, method: str, do: Any) -> Response:
    """The answer, or what a fault makes of it."""
    fault = world.fault_for(method)
    if fault is None:
        return Response(orjson.dumps(do()), media_type="application/json")
    if fault.mode is None:
        return JSONResponse({"ok": False, "error": fault.error or "fatal_error"})
    wire = Fault(mode=fault.mode, seconds=fault.seconds, retry_after_s=fault.retry_after_s)
    return await before(wire) or after(wire, orjson.dumps(do()))


async def _arguments(request: Request) -> dict[str, Any]:
    args: dict[str, Any] = dict(request.query_params)
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        args |= orjson.loads(body or b"{}")
    else:
        args |= dict(parse_qsl(body.decode()))
    return args


def _levers(world: SlackStandIn) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the stand-in is up."""
        return {"status": "ok"}

    @routes.post("/_faults", status_code=201)
    async def arm(fault: SlackFault) -> None:
        """Arm a fault."""
        world.faults.append(fault)

    @routes.delete("/_faults", status_code=204)
    async def disarm() -> None:
        """Disarm every fault."""
        world.faults.clear()

    @routes.get("/_messages")
    async def messages() -> list[dict[str, Any]]:
        """Everything that was posted, oldest first."""
        return [m.document() | {"channel": m.channel, "only_for": m.only_for, "edits": m.edits} for m in world.messages]

    @routes.post("/_press")
    async def click(clicked: Click) -> dict[str, Any]:
        """Press a button."""
        payload = world.click(clicked.channel, clicked.ts, clicked.action_id, user=clicked.user)
        answer = await press(world, payload)
        return {"status": answer.status_code, "body": answer.text}

    _page(routes, world)
    return routes


def _page(routes: APIRouter, world: SlackStandIn) -> None:
    @routes.get("/", response_class=HTMLResponse)
    async def show(user: str = "U0MEI") -> HTMLResponse:
        """The channel as one person sees it."""
        return HTMLResponse(
            page(world, user),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"},
        )

    @routes.post("/")
    async def act(request: Request) -> Response:
        """A press of a button or a submitted modal, from the page."""
        if _foreign(request):
            return Response("a page of another site may not press buttons here", status_code=403)
        form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
        user = form.get("user", "")
        if "view" in form:
            payload = world.submission(form["view"], _state(world, form), user=user)
        else:
            payload = world.click(form["channel"], form["ts"], form["action"], user=user)
        try:
            await press(world, payload)
        except httpx2.HTTPError:
            return Response(
                f"{world.interactions_url} did not answer in time; is Signalbox served there?", status_code=502
            )
        await asyncio.sleep(1.0)  # a person's pace: the card is updated behind the answer
        return RedirectResponse(f"/?user={user}", status_code=303)


def _state(world: SlackStandIn, form: dict[str, str]) -> dict[str, Any]:
    """What was filled in, nested as Slack does."""
    values: dict[str, Any] = {}
    for block in world.views[form["view"]].view["blocks"]:
        if block["type"] != "input":
            continue
        element, given = block["element"], form.get(block["block_id"]) or None
        chosen = {"selected_option": {"value": given}} if element["type"] == "radio_buttons" else {"value": given}
        values[block["block_id"]] = {element["action_id"]: {"type": element["type"], **chosen}}
    return values


def _foreign(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")
