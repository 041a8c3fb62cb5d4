"""The machine itself: stores, bus, worker, logs, metrics, traces, the model endpoint, keys."""

import sys
from contextlib import suppress
from urllib.parse import urlsplit

import httpx2

from api.doctor.findings import Finding, looked, missing, ok, warning
from api.hands import BLOCK_MS
from api.tenant_file import KEYS_FILE
from domain.errors import NotFound
from graph.bootstrap import safety
from graph.bootstrap.system import Signalbox
from graph.runtime.backlog import Backlog
from graph.runtime.intake import CONTROLLER
from graph.runtime.intake import TOPIC as INTAKE
from graph.runtime.outbox import EVENTS

STORES, OBSERVED, KEYS = "stores", "observability", "keys"


async def installation(box: Signalbox) -> list[Finding]:
    """Everything about the installation that is not somebody else's system."""
    checks = (
        (STORES, "redis", lambda: _redis(box), "look at the Redis server"),
        (STORES, "sql", lambda: _sql(box), "look at the database: does it answer, may it be written"),
        (STORES, "audit", lambda: _audit(box), "start a worker, and look at the database"),
        (STORES, "bus", lambda: _bus(box), "look at the broker: SIGNALBOX_BUS and SIGNALBOX_BUS_URL"),
        (STORES, "worker", lambda: _worker(box), "signalbox worker"),
        (OBSERVED, "logs", lambda: _logs(), "start the process with a place for its log lines"),
        (OBSERVED, "metrics", lambda: _metrics(box), "look at /metrics"),
        (KEYS, "tenants file", lambda: _keys(box), "write a tenants file of your own"),
        ("models", "model endpoint", lambda: _model(box), "signalbox models check"),
    )
    return [line for area, name, check, mend in checks for line in await looked(area, name, check, mend=mend)]


async def _redis(box: Signalbox) -> Finding:
    await safety.check_redis(box.redis)
    if box.settings.redis_url is None:
        return warning(
            STORES, "redis", "the embedded server answers, append-only on, noeviction; one machine, no replica",
            mend="set SIGNALBOX_REDIS_URL to a Redis or Valkey of your own",
        )  # fmt: skip
    return ok(STORES, "redis", "answers; append-only file on, maxmemory-policy noeviction")


async def _sql(box: Signalbox) -> Finding:
    await box.audit.ready()
    kind = box.engine.dialect.name
    if kind == "sqlite":
        return warning(
            STORES, "sql", "a SQLite file takes writes; it lives on this machine alone", mend="set SIGNALBOX_DATABASE_URL"
        )  # fmt: skip
    return ok(STORES, "sql", f"{kind} takes writes")


async def _audit(box: Signalbox) -> Finding:
    status = await box.relay.status()
    behind_s, limit_s = status.oldest_ms / 1000, box.settings.audit_max_lag_s
    if behind_s > limit_s:
        said = f"{status.behind} events behind, the oldest {behind_s:.0f} s; past {limit_s:.0f} s effects stop"
        return missing(STORES, "audit", said, mend="start a worker, and look at the database")
    return ok(STORES, "audit", f"{status.behind} events behind, the oldest {behind_s:.0f} s")


async def _bus(box: Signalbox) -> Finding:
    lag = await box.bus.lag(INTAKE, CONTROLLER) if await _subscribed(box) else None
    waiting = lag.undelivered + lag.pending if lag else 0
    if box.outbox is None:
        return ok(STORES, "bus", f"Redis Streams; {waiting} units of work wait")
    with suppress(NotFound):  # nobody reads there yet, says a broker that answers
        await box.outbox.broker.lag(EVENTS, "doctor")
    return ok(STORES, "bus", f"{box.settings.bus} answers; {waiting} units of work wait")


async def _subscribed(box: Signalbox) -> bool:
    await box.bus.subscribe(INTAKE, CONTROLLER)
    return True


async def _worker(box: Signalbox) -> Finding:
    if await Backlog(box.store.batcher, box.keys).worked(INTAKE, CONTROLLER, within_ms=10 * BLOCK_MS):
        return ok(STORES, "worker", "a worker asks for work")
    return warning(STORES, "worker", "no worker has asked for work lately", mend="signalbox worker, or signalbox serve")


async def _logs() -> Finding:
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError) as closed:
        said = f"the log stream cannot be written: {closed}"
        return missing(OBSERVED, "logs", said, mend="start the process with a place for its log lines")
    return ok(OBSERVED, "logs", "JSON lines on stderr of every process; have your collector read it")


async def _metrics(box: Signalbox) -> list[Finding]:
    from graph.runtime.metric_names import METRICS  # noqa: PLC0415  # the list is long

    families = box.store.metrics.page().count(b"# TYPE ")
    found = [ok(OBSERVED, "metrics", f"{families} families on /metrics, {len(METRICS)} documented")]
    if box.settings.metrics_port is None:
        found.append(
            warning(
                OBSERVED,
                "worker metrics",
                "a worker apart from the API shows its metrics nowhere",
                mend="set SIGNALBOX_METRICS_PORT for workers, and scrape it",
            )
        )
    return found


async def _keys(box: Signalbox) -> list[Finding]:
    settings, found = box.settings, []
    if settings.tenants_file is None:
        found.append(
            warning(
                KEYS,
                "tenants file",
                "one tenant with generated keys",
                mend="set SIGNALBOX_TENANTS_FILE to a file of your own",
            )
        )
    else:
        safety.check_tenants_file(settings.tenants_file)
        found.append(ok(KEYS, "tenants file", "your own, readable by its owner only"))
    if settings.tenants_file is None and (settings.home / KEYS_FILE).exists():
        said = f"plain keys still lie in {settings.home / KEYS_FILE}"
        found.append(warning(KEYS, "plain keys", said, mend="move them to where they are used, then delete the file"))
    return found


async def _model(box: Signalbox) -> Finding:
    settings = box.settings
    if settings.llm_base_url is None:
        return ok("models", "model endpoint", "none is configured: every agent works by its rules")
    host = urlsplit(settings.llm_base_url).hostname
    headers = {"Authorization": f"Bearer {settings.llm_api_key.get_secret_value()}"}
    try:
        async with httpx2.AsyncClient(timeout=5.0) as client:
            answer = await client.get(f"{settings.llm_base_url.rstrip('/')}/models", headers=headers)
    except httpx2.HTTPError as away:
        said = f"{host} does not answer ({type(away).__name__}); agents work by their rules"
        return missing("models", "model endpoint", said, mend="look at SIGNALBOX_LLM_BASE_URL and the network")
    if answer.status_code in {401, 403}:
        return missing("models", "model endpoint", f"{host} refuses the key", mend="set SIGNALBOX_LLM_API_KEY")
    if answer.status_code >= 500:
        return missing("models", "model endpoint", f"{host} answers {answer.status_code}", mend="ask the provider")
    return ok("models", "model endpoint", f"{host} answers; one question: signalbox models check")
