"""Where Slack sends clicks and modals. It takes no key: the request's signature is the proof."""

from starlette.background import BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.routing import new_router
from api.slack.interactions import PATH, SlackInteractions
from domain.errors import NotFound

router = new_router("reviews")

_BODY = {
    "required": True,
    "description": "A form with `payload=<json>`, signed as Slack signs (`X-Slack-Signature`, `X-Slack-Request-Timestamp`).",
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {"type": "object", "required": ["payload"], "properties": {"payload": {"type": "string"}}}
        }
    },
}


@router.post(
    PATH,
    openapi_extra={"requestBody": _BODY},
    responses={404: {"description": "No Slack workspace is connected"}},
    summary="Receive a click or a modal from Slack",
)
async def interactions(request: Request) -> Response:
    """Answer a review from its Slack card. What is wrong with an authentic click is told to the clicker, not to Slack."""
    context = context_of(request)
    if context.slack is None:
        raise NotFound("Slack is not connected here; see SIGNALBOX_SLACK_BOT_TOKEN")
    raw = await request.body()
    outcome = await SlackInteractions(context.slack, context).handle(raw, request.headers)
    response = outcome.reply.response()
    response.background = BackgroundTasks()
    for step in outcome.later:
        response.background.add_task(step)
    return response
