"""A Slack workspace and the tenant it belongs to: where cards go, with which token, and whose clicks are honoured."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from domain.ids import TenantId
from tools.slack.signing import SigningSecret

API_URL = "https://slack.com/api"


class SlackWorkspace(BaseModel):
    """One workspace, bound to one tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tenant: TenantId = TenantId("default")
    team: str = Field(pattern=r"^T[A-Z0-9]{2,20}$")
    """The workspace's id; clicks from any other are refused."""
    bot_token: SecretStr
    channel: str = Field(pattern=r"^[CG][A-Z0-9]{2,20}$")
    """The channel id (not its name) of reviews that have no channel of their own."""
    channels: dict[str, str] = {}
    """Channel ids by queue."""
    signing_secrets: tuple[SigningSecret, ...] = Field(min_length=1)
    reviewer_group: str = ""
    """The id of a user group; when set, only its members may answer, besides being listed in the tenant."""
    api_url: str = API_URL

    def channel_of(self, queue: str) -> str:
        """Where reviews of a queue are posted."""
        return self.channels.get(queue, self.channel)
