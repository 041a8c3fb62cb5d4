"""Every outside system is asked one harmless question: a read, or the look-up of an effect that never was."""

import asyncio
from collections.abc import Awaitable, Callable

from api.doctor.findings import Finding, looked, ok, warning
from domain.effect import Effect
from domain.ids import EffectKey, Sku, TenantId
from domain.ports import EffectPort
from graph.bootstrap.system import Signalbox

AREA = "backends"
WITHIN_S = 5.0
_NOBODY = "doctor-probe"


async def backends(box: Signalbox, tenant: TenantId) -> list[Finding]:
    """WMS, every carrier, payment, OMS, CRM, ERP, channels, messages, purchasing and listings."""
    systems = box.systems
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "wms": systems.wms.warehouses,
        "purchasing": systems.purchasing.buyer,
        "crm": lambda: systems.crm.history(_NOBODY),
        "erp": lambda: systems.erp.products([Sku(_NOBODY)]),
        **{f"carrier {code}": _lanes(box, code) for code in sorted(systems.carriers)},
    }
    for name in ("payment", "oms", "channels", "messages", "listings"):
        port = getattr(systems, name, None)
        if port is not None and getattr(port, "kinds", None):
            asked[name] = _probe(port, tenant)
    found = await asyncio.gather(*(_answers(box, name, ask) for name, ask in asked.items()))
    return [line for lines in found for line in lines]


async def _answers(box: Signalbox, name: str, ask: Callable[[], Awaitable[object]]) -> list[Finding]:
    async def check() -> Finding:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(WITHIN_S):
            await ask()
        took_ms = round((loop.time() - began) * 1000)
        if box.sandbox is not None:
            return warning(
                AREA, name, f"the stand-in answers in {took_ms} ms; nothing real is connected",
                mend="set SIGNALBOX_BACKENDS_URL and SIGNALBOX_BACKENDS_TOKEN, or write an adapter",
            )  # fmt: skip
        return ok(AREA, name, f"answers in {took_ms} ms")

    return await looked(AREA, name, check, mend=f"look at {name}: is it up, are address and token right")


def _lanes(box: Signalbox, code: str) -> Callable[[], Awaitable[object]]:
    return lambda: box.systems.carriers[code].lanes("HK")


def _probe(port: EffectPort, tenant: TenantId) -> Callable[[], Awaitable[object]]:
    kind = min(port.kinds)
    effect = Effect(
        key=EffectKey(f"{_NOBODY}:{kind.value}"),
        kind=kind,
        tenant=tenant,
        entity_id=_NOBODY,
        args={},
        decision_id=_NOBODY,
    )
    return lambda: port.lookup(effect)
