"""What tokens cost: an override table first, published list prices second, a declared worst case for what nobody knows.

List prices come from the ``genai-prices`` package: dated, offline, exact decimals.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from genai_prices import Usage, calc_price
from pydantic import Field, ValidationError

from domain.cost import Tokens
from domain.errors import ConfigError
from domain.values import Document

SHIPPED = Path(__file__).with_name("prices.yaml")
_MILLION = Decimal(1_000_000)
_Rate = Annotated[Decimal, Field(ge=0, le=100_000)]


class Price(Document):
    """US dollars per million tokens."""

    input: _Rate
    cached: _Rate
    output: _Rate
    """Reasoning tokens are output."""


class PriceTable(Document):
    """Prices by the model's name as it is asked for."""

    worst_case: Price
    models: dict[str, Price] = {}


@dataclass(frozen=True)
class Charge:
    """What tokens cost."""

    usd_micro: int
    known: bool
    """False when it is the worst case."""


class PriceBook:
    """Prices of every model."""

    def __init__(self, table: PriceTable) -> None:
        """``table`` goes before published prices."""
        self._table = table
        self._unlisted: set[str] = set()

    def charge(self, model: str, tokens: Tokens, at: datetime) -> Charge:
        """The price of a call to a model; at least one millionth of a dollar."""
        own = self._table.models.get(model)
        if own is not None:
            return Charge(_micro(_total(own, tokens)), known=True)
        listed = self._listed(model, tokens, at)
        if listed is not None:
            return Charge(_micro(listed), known=True)
        return Charge(_micro(_total(self._table.worst_case, tokens)), known=False)

    def _listed(self, model: str, tokens: Tokens, at: datetime) -> Decimal | None:
        if model in self._unlisted:
            return None
        usage = Usage(input_tokens=tokens.input, cache_read_tokens=tokens.cached, output_tokens=tokens.output)
        try:
            return calc_price(usage, model_ref=model, genai_request_timestamp=at).total_price
        except LookupError:
            self._unlisted.add(model)
            return None


def _total(price: Price, tokens: Tokens) -> Decimal:
    fresh = tokens.input - tokens.cached
    return (price.input * fresh + price.cached * tokens.cached + price.output * tokens.output) / _MILLION


def _micro(usd: Decimal) -> int:
    return max(1, int((usd * _MILLION).to_integral_value(ROUND_HALF_UP)))


def read_prices(own: Path | None = None) -> PriceBook:
    """The shipped table with an operator's own on top.

    Raises:
        ConfigError: a table is wrong; the message names the file and the entry.
    """
    shipped = _table(SHIPPED)
    if own is None:
        return PriceBook(shipped)
    mine = _table(own, default=shipped.worst_case)
    return PriceBook(PriceTable(worst_case=mine.worst_case, models={**shipped.models, **mine.models}))


@cache
def _table(path: Path, default: Price | None = None) -> PriceTable:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        given = {} if default is None else {"worst_case": default}
        return PriceTable.model_validate({**given, **(document or {})})
    except (OSError, UnicodeDecodeError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"SIGNALBOX_LLM_PRICES_FILE: {path} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
