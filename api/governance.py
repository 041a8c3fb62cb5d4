"""The governance desk: past decisions again, dry runs, shadow reports and policies, confined to one tenant."""

import asyncio
from dataclasses import asdict

from api.services import Json
from api.versions import VersionDesk
from domain.ids import TenantId
from domain.what_if import WhatIf
from graph.bootstrap.system import Signalbox
from graph.bootstrap.what_if import what_if
from graph.order.replaying import Replays

AT_ONCE = 2
"""A dry run is a whole system for a second: more at once would take the machine from the orders."""


class GovernanceDesk:
    """Implements ``api.services.Governing`` on a running system."""

    def __init__(self, box: Signalbox) -> None:
        """``box`` is only read."""
        self._box = box
        self._replays = Replays(box.governance.tapes)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def what_if(self, tenant: TenantId, wanted: WhatIf) -> Json:
        """Run an order dry.

        Raises:
            NotFound: there is no tape of this order in this tenant.
            InputError: a change does not fit.
        """
        async with self._room:
            return (await what_if(self._box, tenant, wanted)).model_dump(mode="json")

    async def replay_order(self, tenant: TenantId, order_id: str) -> list[Json]:
        """Every decision of an order made again.

        Raises:
            NotFound: there is no tape of this order in this tenant.
        """
        return [asdict(one) | {"same": one.same} for one in await self._replays.order(tenant, order_id)]

    async def replay_decision(self, tenant: TenantId, decision_id: str) -> Json:
        """One decision made again.

        Raises:
            NotFound: there is no tape of it in this tenant.
        """
        one = await self._replays.decision(tenant, decision_id)
        return asdict(one) | {"same": one.same}

    async def reports(self, tenant: TenantId) -> list[Json]:
        """The tenant's shadow reports, newest first, without their contents."""
        found = await self._box.governance.reports.listed(tenant)
        return [
            {name: value for name, value in vars(one).items() if name not in {"report", "tenant"}}
            | {"made_at": one.made_at.isoformat()}
            for one in found
        ]

    async def report(self, tenant: TenantId, report_id: str) -> Json:
        """One shadow report.

        Raises:
            NotFound: there is none of this id in this tenant.
        """
        from api.shadow import kept_report  # noqa: PLC0415  # loads the generated world, which a server seldom needs

        return (await kept_report(self._box, tenant, report_id)).shown()

    async def policies(self, tenant: TenantId) -> list[Json]:
        """Every table with what is in force, its versions and publications."""
        return await VersionDesk(self._box).listed(tenant)
