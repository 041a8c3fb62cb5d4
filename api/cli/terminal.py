"""What is printed: JSON alone on stdout, or text for people. Text from outside is never taken for markup or control codes."""

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH = 180
"""Where nobody is looking, lines are not folded to a screen."""
_WHOLE = frozenset({"order", "review", "letter", "agent", "state", "effect", "stage", "version"})
"""Columns of names one wants to copy: never broken over lines."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", help="Needed only where there are several.")]


@cache
def screen() -> "Console":
    """The console people read on stdout."""
    from rich.console import Console  # noqa: PLC0415  # see the package's docstring

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


def print_json(value: Any) -> None:
    """One JSON document on stdout. A decimal is written digit by digit, so that no amount ever becomes a float."""
    import orjson  # noqa: PLC0415  # see the package's docstring

    def exact(other: Any) -> orjson.Fragment:
        if isinstance(other, Decimal):
            return orjson.Fragment(format(other, "f"))
        raise TypeError(type(other).__name__)

    text = orjson.dumps(value, default=exact, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    sys.stdout.write(text)
    sys.stdout.flush()


def remark(sentence: str) -> None:
    """A sentence beside the result, on stderr."""
    print(plain(sentence), file=sys.stderr)


def say(text: str, *, style: str = "") -> None:
    """A line for people."""
    screen().print(plain(text), style=style or None, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table for people; columns named in ``right`` hold numbers."""
    from rich import box  # noqa: PLC0415  # see the package's docstring
    from rich.table import Table  # noqa: PLC0415  # see the package's docstring
    from rich.text import Text  # noqa: PLC0415  # see the package's docstring

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        side: Literal["left", "right"] = "right" if column in right else "left"
        shown.add_column(column, justify=side, overflow="fold", no_wrap=column in _WHOLE or column in right)
    for row in rows:
        shown.add_row(*(Text(plain("" if cell is None else str(cell))) for cell in row))
    screen().print(shown)
    screen().print()


def plain(text: str) -> str:
    """The text without anything a terminal would obey."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf") else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def money(amount: dict[str, Any] | None) -> str:
    """An amount as people write it."""
    from domain.money import Money  # noqa: PLC0415  # see the package's docstring

    return "" if amount is None else str(Money.model_validate(amount))


def clock(at: str) -> str:
    """An ISO time as date and time to the second, UTC."""
    return at[:19].replace("T", " ")
