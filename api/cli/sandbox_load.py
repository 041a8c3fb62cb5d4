"""``signalbox sandbox load``: fill the stand-ins with a data set that lies in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.invocation import Invocation, invocation_of, run
from api.cli.terminal import AsJson, OfTenant, print_json, say


def load(
    context: typer.Context,
    tau2: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder with the tau2-bench retail database (db.json).")
    ],
    tenant: OfTenant = None,
    as_json: AsJson = False,
) -> None:
    """Load customers, orders, parcels and products into CRM, order management, carriers and catalogue of the sandbox."""
    counts = run(_load(invocation_of(context), tau2, tenant))
    if as_json:
        print_json(counts)
    else:
        say(", ".join(f"{many} {what}" for what, many in counts.items()))


async def _load(at: Invocation, folder: Path, tenant: str | None) -> dict[str, int]:
    from domain.errors import ConfigError  # noqa: PLC0415  # see the package's docstring
    from tools.sandbox.sandbox import Sandbox  # noqa: PLC0415  # see the package's docstring
    from tools.sandbox.tau2 import read_tau2  # noqa: PLC0415  # see the package's docstring

    settings = at.settings()
    if settings.backends_url is not None:
        raise ConfigError("the stand-ins run elsewhere (SIGNALBOX_BACKENDS_URL); load where 'sandbox serve' runs")
    data = read_tau2(folder)
    async with Sandbox(settings.home / "sandbox.sqlite3", seed=settings.sandbox_seed) as sandbox:
        await sandbox.put_customer_data(at.tenant(settings, tenant).tenant, data)
    return {
        "customers": len(data.profiles),
        "orders": len(data.orders),
        "parcels": len(data.parcels),
        "products": len(data.products),
    }
