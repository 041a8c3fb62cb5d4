"""The language models of a process: gateway, purse, ledger and budgets, built from the settings."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from domain.errors import ConfigError
from domain.ports import LanguagePort
from graph.bootstrap.foundation import Foundation
from graph.bootstrap.langsmith_traces import trace_privately
from graph.bootstrap.settings import Settings
from graph.bootstrap.tenant_calendar import TenantCalendar
from graph.runtime.budgets import BudgetBook
from graph.runtime.cost_ledger import CostLedger
from graph.runtime.cost_watch import CostWatch
from graph.runtime.language_metrics import LanguageMetrics
from graph.runtime.listening import Watch
from graph.runtime.purse import RedisPurse
from prompts.library import shipped_prompts
from tools.connectors.address import checked_base_url
from tools.llm.client import Client
from tools.llm.gateway import Gateway, Tools
from tools.llm.plan import Model, ModelPlan, Provider, parse_tiers
from tools.llm.prices import read_prices

_MICRO = 1_000_000


@dataclass(frozen=True, kw_only=True)
class LanguageModels:
    """Everything there is about model calls in this process."""

    gateway: LanguagePort
    configured: bool
    """Whether a model is set up; without one the gateway answers every question with silence."""
    purse: RedisPurse
    ledger: CostLedger
    budgets: BudgetBook
    day: Callable[[str], str]
    """A tenant's calendar day now."""
    costs: CostWatch
    watch: Watch


def open_models(base: Foundation, stack: AsyncExitStack, *, client: Client | None = None) -> LanguageModels:
    """Build the gateway and what it books with; ``stack`` lets go of it.

    Raises:
        ConfigError: a setting, a prompt or the price file must be changed.
    """
    settings, store = base.settings, base.store
    trace_privately(settings)
    budgets = BudgetBook(
        base.engine,
        default_usd_micro=int(settings.llm_budget_usd_per_day * _MICRO),
        default_calls=settings.llm_calls_per_order,
    )
    calendar = TenantCalendar(settings.tenants_file or settings.home / "tenants.yaml", base.clock.now)
    purse = RedisPurse(store.batcher, base.keys, budgets.allowance, calendar.day)
    ledger = CostLedger(store.batcher, base.keys, base.engine)
    costs = CostWatch(purse, ledger, store.batcher, base.keys, clock=base.clock)
    tools = Tools(
        prompts=shipped_prompts(),
        prices=read_prices(settings.llm_prices_file),
        purse=purse,
        observer=LanguageMetrics(store.metrics.registry),
        now=base.clock.now,
        new_id=base.clock.new_id,
    )
    gateway = Gateway(tools, model_plan(settings), calls_per_s=settings.llm_calls_per_s, client=client)
    stack.push_async_callback(gateway.aclose)
    return LanguageModels(
        gateway=gateway,
        configured=settings.llm_base_url is not None,
        purse=purse,
        ledger=ledger,
        budgets=budgets,
        day=calendar.day,
        costs=costs,
        watch=Watch("model costs", costs.watch),
    )


def model_plan(settings: Settings) -> ModelPlan | None:
    """The models the settings name; None when they name none.

    Raises:
        ConfigError: half of them is missing, or one does not fit.
    """
    if settings.llm_base_url is None:
        if settings.llm_model:
            raise ConfigError("SIGNALBOX_LLM_MODEL is set and SIGNALBOX_LLM_BASE_URL is not; name the provider's /v1")
        return None
    main = Provider(base_url=checked_base_url(settings.llm_base_url), api_key=settings.llm_api_key)
    other = main
    if settings.llm_fallback_base_url is not None:
        address = checked_base_url(settings.llm_fallback_base_url)
        other = Provider(base_url=address, api_key=settings.llm_fallback_api_key)
    named = [name.strip() for name in settings.llm_fallback_models.split(",") if name.strip()]
    if settings.llm_fallback_base_url is not None and not named:
        raise ConfigError("SIGNALBOX_LLM_FALLBACK_BASE_URL is set; name its models in SIGNALBOX_LLM_FALLBACK_MODELS")
    tiers = parse_tiers(settings.llm_model)
    return ModelPlan(
        tiers={tier: Model(name=name, provider=main) for tier, name in tiers.items()},
        fallbacks=tuple(Model(name=name, provider=other) for name in named),
    )
