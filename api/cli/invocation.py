"""What every command starts from: settings with the home that was named, logs on stderr, a loop, an open system."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

if TYPE_CHECKING:
    from api.tenants import Tenant, Tenants
    from graph.bootstrap.settings import Settings
    from graph.bootstrap.system import Signalbox

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The options that stand before the command."""

    home: Path | None

    def settings(self, **overrides: object) -> "Settings":
        """The settings in force.

        Raises:
            ConfigError: a variable has a value that does not fit.
        """
        from graph.bootstrap.settings import read_settings  # noqa: PLC0415  # see the package's docstring

        named = {} if self.home is None else {"home": self.home}
        return read_settings(**{**named, **overrides})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Signalbox"]:
        """The system of the home, for one command: only what is wrong is logged, unless a level was asked for.

        Raises:
            ConfigError: a setting or file must be changed.
            StoreUnavailable: Redis or the database does not answer.
        """
        from api.cli.logs import log_to_stderr  # noqa: PLC0415  # see the package's docstring
        from graph.bootstrap.system import open_signalbox  # noqa: PLC0415  # see the package's docstring

        settings = self.settings()
        log_to_stderr(settings.log_level if "log_level" in settings.model_fields_set else "error")
        async with open_signalbox(settings) as box:
            yield box

    def tenants(self, settings: "Settings") -> "Tenants":
        """Every tenant of the installation.

        Raises:
            ConfigError: the tenants file is wrong.
        """
        from api.tenant_file import open_tenants  # noqa: PLC0415  # see the package's docstring
        from graph.bootstrap.safety import check_tenants_file  # noqa: PLC0415  # see the package's docstring

        if settings.tenants_file is not None and settings.tenants_file.exists():
            check_tenants_file(settings.tenants_file)
        return open_tenants(settings.tenants_file, settings.home)

    def tenant(self, settings: "Settings", named: str | None) -> "Tenant":
        """The tenant a command is about: the named one, else the only one.

        Raises:
            NotFound: there is no such tenant.
            InputError: there are several and none was named.
        """
        from domain.errors import InputError  # noqa: PLC0415  # see the package's docstring

        tenants = self.tenants(settings)
        if named is not None:
            return tenants.get(named)
        known = list(tenants)
        if len(known) > 1:
            raise InputError(
                f"there are several tenants; add --tenant with one of {', '.join(t.tenant for t in known)}"
            )
        return known[0]


def invocation_of(context: typer.Context) -> Invocation:
    """The invocation a command runs in."""
    found: Invocation = context.find_root().obj
    return found


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work on a fresh loop; the faster loop where the platform has it."""
    if sys.platform == "win32":
        return asyncio.run(work)
    import uvloop  # noqa: PLC0415  # see the package's docstring

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
