"""What Slack sends when somebody clicks: only the parts we act on, read after the signature has been checked."""

from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from domain.errors import MalformedPayload

FIELDS = 16


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SlackUser(_Part):
    """Who clicked."""

    id: str = Field(max_length=40)
    team_id: str = Field(default="", max_length=40)
    """The user's own workspace; another than the message's for guests of a shared channel."""


class SlackTeam(_Part):
    """The workspace the click happened in."""

    id: str = Field(max_length=40)


class SlackAction(_Part):
    """One button."""

    action_id: str = Field(max_length=255)
    value: str = Field(default="", max_length=2000)


class SlackContainer(_Part):
    """The message the button is on."""

    channel_id: str = Field(default="", max_length=40)
    message_ts: str = Field(default="", max_length=40)


class SlackState(_Part):
    """What was filled in: by block id, then action id."""

    values: dict[str, Any] = {}


class SlackViewPart(_Part):
    """The modal that was submitted."""

    callback_id: str = ""
    private_metadata: str = Field(default="", max_length=3000)
    state: SlackState = SlackState()


class Click(_Part):
    """A press of a button on a message."""

    type: Literal["block_actions"]
    user: SlackUser
    team: SlackTeam
    container: SlackContainer = SlackContainer()
    actions: tuple[SlackAction, ...] = Field(min_length=1)
    trigger_id: str = ""
    response_url: str = ""


class SubmittedModal(_Part):
    """A modal that was submitted."""

    type: Literal["view_submission"]
    user: SlackUser
    team: SlackTeam
    view: SlackViewPart


class OtherAct(_Part):
    """A closed modal, a shortcut: acknowledged and nothing more."""

    type: Literal["view_closed", "shortcut", "message_action", "block_suggestion"]
    user: SlackUser
    team: SlackTeam


Act = Click | SubmittedModal | OtherAct
_ACT: TypeAdapter[Act] = TypeAdapter(Act)


def read_act(raw: bytes) -> Act:
    """The act in a form body ``payload=<json>``.

    Raises:
        MalformedPayload: it is not one.
    """
    try:
        form = parse_qsl(raw.decode("utf-8"), strict_parsing=True, max_num_fields=FIELDS)
    except ValueError:
        raise MalformedPayload("the body is not a form as Slack sends it") from None
    given = [value for name, value in form if name == "payload"]
    if len(given) != 1:
        raise MalformedPayload("the form must hold exactly one 'payload'")
    try:
        return _ACT.validate_json(given[0])
    except (ValidationError, RecursionError):
        raise MalformedPayload("the payload is not an interaction as Slack sends it") from None
