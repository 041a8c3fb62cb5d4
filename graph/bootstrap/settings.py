"""Settings from ``SIGNALBOX_*`` environment variables. Without any of them everything runs, embedded and keyless."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import ConfigError
from graph.runtime.leases import LEASE_MS
from graph.topology.conflict_policy import POLICY_FILE
from tools.slack.workspace import API_URL, SlackWorkspace

ORDER_TOPOLOGY = Path(__file__).parents[1] / "order" / "order.yaml"
SUPPLIER_TOPOLOGY = Path(__file__).parents[1] / "supplier" / "supplier.yaml"


class Settings(BaseSettings):
    """Everything an operator may set."""

    model_config = SettingsConfigDict(env_prefix="SIGNALBOX_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Path("var")
    """Folder of all embedded data. Two homes are two independent systems on one machine."""
    redis_url: SecretStr | None = None
    """Your own Redis 7+, Redis 8 or Valkey; without it an embedded server runs in ``home``."""
    redis_shards: int = Field(default=1, ge=1, le=256)
    """Slots the data is spread over in a cluster; fixed for the life of the data."""
    database_url: SecretStr | None = None
    """SQLAlchemy URL (``postgresql+asyncpg://...``); without it a SQLite file in ``home``."""
    bus: Literal["redis", "kafka", "rabbitmq"] = "redis"
    """Where events are published for the outside. Work and journal stay in Redis in any case."""
    bus_url: SecretStr | None = None
    """Bootstrap servers of Kafka, or the AMQP URL of RabbitMQ."""
    tenants_file: Path | None = None
    """Tenants, API keys and shop secrets; without it one tenant with random keys is made in ``home``."""
    topology_file: Path = ORDER_TOPOLOGY
    supplier_topology_file: Path = SUPPLIER_TOPOLOGY
    supplier_scan_hours: float = Field(default=0.0, ge=0, le=24 * 31)
    """How often the whole assortment is looked at for what runs short; 0 leaves it to ``signalbox suppliers scan``."""
    conflicts_file: Path = POLICY_FILE
    """How decisions that contradict each other are settled."""
    automations_file: Path | None = None
    """Plain automations that run beside the agents, for the registry and the conflict graph."""
    expected_times_file: Path | None = None
    """How long an order is expected to be at each stage; without it the shipped times."""
    review_policy_file: Path | None = None
    """Queues, deadlines, second approvals and safe defaults of the review desk; without it the shipped ones."""
    backends_url: str | None = None
    """Where OMS, WMS, carriers, CRM, ERP and payment are served; without it the in-process stand-ins in ``home``."""
    backends_token: SecretStr | None = None
    sandbox_seed: int = 1
    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Where a worker of its own serves /metrics, which the API does on its own port; unset, nowhere."""
    worker_concurrency: int = Field(default=16, ge=1, le=256)
    """Orders one worker process carries at a time."""
    claim_idle_ms: int = Field(default=60_000, ge=100)
    """Work a silent worker left is taken over after this."""
    lease_ms: int = Field(default=LEASE_MS, ge=100)
    """How long a silent worker keeps an order to itself; it should be shorter than ``claim_idle_ms``."""
    audit_max_lag_s: float = Field(default=60.0, gt=0)
    """Effects stop when the oldest unaudited event is older than this."""
    llm_base_url: str | None = None
    """An OpenAI-compatible provider, up to and including ``/v1``; without it every agent works by its rules."""
    llm_api_key: SecretStr = SecretStr("")
    llm_model: str = ""
    """One model for everything, or ``small=...,medium=...,large=...``."""
    llm_fallback_models: str = ""
    """Models to turn to when the tier's own fails, separated by commas, in that order."""
    llm_fallback_base_url: str | None = None
    """Another provider for the fallback models; without it the main one."""
    llm_fallback_api_key: SecretStr = SecretStr("")
    llm_calls_per_s: float = Field(default=20.0, gt=0, le=10_000)
    """Calls one process starts in a second at most."""
    llm_budget_usd_per_day: Decimal = Field(default=Decimal(5), ge=0, le=1_000_000)
    """What each agent of a tenant may spend on one of the tenant's days where no budget is set; all together four times as much."""
    llm_calls_per_order: int = Field(default=12, ge=0, le=10_000)
    """Model calls one order or case may cause, all attempts included, where no budget is set."""
    llm_prices_file: Path | None = None
    """Your own prices, on top of the published ones."""
    langsmith_api_key: SecretStr | None = None
    """Turns on LangSmith traces of agents and orders; nothing about people is in them. Without it they are off."""
    langsmith_endpoint: str = "https://api.smith.langchain.com"
    langsmith_project: str = "signalbox"
    public_url: str | None = None
    """Where people reach this installation; cards link to the console there."""
    slack_bot_token: SecretStr | None = None
    """Of the one workspace that these settings describe; without Slack settings reviews are in the console alone."""
    slack_signing_secret: SecretStr | None = None
    slack_signing_secret_old: SecretStr | None = None
    """Still good beside the new one while the secret is being changed, until ``slack_signing_secret_old_until``."""
    slack_signing_secret_old_until: AwareDatetime | None = None
    slack_team: str = ""
    """The workspace's id; clicks from any other are refused."""
    slack_channel: str = ""
    """Channel id of reviews whose queue is not in ``slack_channels``."""
    slack_channels: dict[str, str] = {}
    """Channel ids by queue, as a JSON object."""
    slack_reviewer_group: str = ""
    """User group whose members may answer, besides being listed in the tenants file; empty for no group."""
    slack_tenant: str = "default"
    """The tenant the workspace belongs to."""
    slack_api_url: str = API_URL
    slack_workspaces: tuple[SlackWorkspace, ...] = ()
    """More workspaces, one a tenant, as a JSON list."""
    teams_webhook: SecretStr | None = None
    """Incoming webhook of Microsoft Teams for the tenant of ``slack_tenant``."""
    teams_webhooks: dict[str, SecretStr] = {}
    """Incoming webhooks by tenant, as a JSON object."""
    require_shadow_report: bool = False
    """Start only with agent versions that ship in the workflow or have passed a shadow test in it."""
    clock_rules_file: Path | None = None
    """Your own reply times and deadlines instead of ``graph/runtime/clock_rules.yaml``."""
    mail_host: str | None = None
    """Your mail server (submission); without it letters to suppliers go to the stand-in."""
    mail_port: int = Field(default=587, ge=1, le=65535)
    mail_from: str = ""
    """The address letters to suppliers come from."""
    mail_user: str = ""
    mail_password: SecretStr = SecretStr("")
    mail_tls: bool = True
    """STARTTLS, or TLS from the start on port 465; without it only a server on this machine is spoken to."""
    mail_checked_by: str = ""
    """Name of your mail server in Authentication-Results: its word on senders is believed."""
    tracing: Literal["off", "console", "otlp"] = "off"
    """Where OpenTelemetry traces go; ``otlp`` takes the extra ``tracing``."""
    tracing_url: str | None = None
    """The OTLP/HTTP collector (``http://collector:4318``); without it what OTEL_EXPORTER_OTLP_ENDPOINT says."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def redis_folder(self) -> Path:
        """Data of the embedded server."""
        return self.home / "redis"

    @property
    def sql_url(self) -> str:
        """The database in use."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite+aiosqlite:///{(self.home / 'signalbox.sqlite3').absolute()}"


def read_settings(**overrides: object) -> Settings:
    """The settings from the environment, with ``overrides`` on top.

    Raises:
        ConfigError: a variable has a value that does not fit.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "SIGNALBOX_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(f"{name} does not fit: {first['msg']}") from None
