"""Which models there are: one per tier at the main provider, and what to turn to when it fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from domain.errors import ConfigError
from domain.prompt import Tier


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An OpenAI-compatible endpoint."""

    base_url: str
    """Up to and including ``/v1``."""
    api_key: SecretStr


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model at one provider."""

    name: str
    provider: Provider


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """The models of every tier, and the fallbacks in the order they are tried."""

    tiers: Mapping[Tier, Model]
    fallbacks: Sequence[Model] = ()

    def chain(self, tier: Tier) -> tuple[Model, ...]:
        """The tier's model, then the fallbacks, then the cheaper tiers; none twice."""
        wanted = [self.tiers[tier], *self.fallbacks]
        lower = tier.cheaper
        while lower is not None:
            wanted.append(self.tiers[lower])
            lower = lower.cheaper
        return tuple(dict.fromkeys(wanted))

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model, none twice."""
        return tuple(dict.fromkeys((*self.tiers.values(), *self.fallbacks)))


def parse_tiers(text: str) -> dict[Tier, str]:
    """``gpt-5-mini`` for all tiers, or ``small=a,medium=b,large=c``; a tier left out takes the nearest one named.

    Raises:
        ConfigError: it is neither.
    """
    if "=" not in text:
        if not text.strip():
            raise ConfigError("SIGNALBOX_LLM_MODEL is empty; name a model, or small=...,medium=...,large=...")
        return dict.fromkeys(Tier, text.strip())
    named: dict[Tier, str] = {}
    for part in text.split(","):
        tier, _, model = (each.strip() for each in part.partition("="))
        if tier not in set(Tier) or not model:
            raise ConfigError(
                f"SIGNALBOX_LLM_MODEL: {part.strip()!r} does not fit; write small=<model>,medium=<model>,large=<model>"
            )
        named[Tier(tier)] = model
    order = list(Tier)
    return {
        tier: named[min(named, key=lambda known: (abs(order.index(known) - order.index(tier)), order.index(known)))]
        for tier in order
    }
