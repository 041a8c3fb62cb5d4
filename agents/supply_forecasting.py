"""The agents that say what will sell and when it runs out."""

from agents.demand_forecast import VERSION as FORECAST_VERSION
from agents.supply_case import SupplyCase, SupplyPorts, figure, to_a_person
from agents.supply_outlook import forecast_of, read_supply, stockout_of
from domain.decision import Outcome, Reason, Verdict
from domain.errors import InputError
from domain.forecast import DemandForecast, StockoutEstimate
from domain.values import Plain

RECENT_WEEKS = 26


class DemandForecasting:
    """Expected weekly demand of each SKU of the case, by the method its class earned in the back-test."""

    name = "demand_forecast"
    version = FORECAST_VERSION

    def __init__(self, ports: SupplyPorts) -> None:
        """``ports`` are shared by all agents."""
        self._ports = ports

    async def decide(self, case: SupplyCase) -> Verdict:
        """Forecast every SKU.

        Raises:
            Transient: the history could not be read.
        """
        supply = await read_supply(self._ports, case.skus, tenant=case.tenant, now=case.now, besides=case.number)
        try:
            found = {sku: forecast_of(supply, sku) for sku in case.skus}
        except InputError as unknown:
            return to_a_person("NO_HISTORY", str(unknown))
        weeks: dict[str, Plain] = {}
        for sku in case.skus:
            recent = supply.demands.histories[sku].weeks[-RECENT_WEEKS:]
            weeks[sku] = [*recent]
        reasons = tuple(
            Reason(code=one.series_class.value.upper(), text=f"{sku}: {text}", evidence=f"erp.sales:{sku}")
            for sku, one in found.items()
            for text in one.reasons
        )
        return Verdict(
            decision="forecast",
            outcome=Outcome.PROCEED,
            confidence=min(one.confidence for one in found.values()),
            reasons=reasons,
            facts={"forecasts": {sku: _forecast_facts(one) for sku, one in found.items()}, "weeks": weeks},
            inputs={"until": supply.demands.histories[case.skus[0]].until.isoformat()},
        )


class StockoutDating:
    """When each SKU of the case runs out, as a range, and what moves the date."""

    name = "stockout_date"
    version = "so-1.0"

    def __init__(self, ports: SupplyPorts) -> None:
        """``ports`` are shared by all agents."""
        self._ports = ports

    async def decide(self, case: SupplyCase) -> Verdict:
        """Estimate for every SKU.

        Raises:
            Transient: stock or goods under way could not be read.
        """
        supply = await read_supply(self._ports, case.skus, tenant=case.tenant, now=case.now, besides=case.number)
        try:
            found = {sku: stockout_of(self._ports, supply, sku) for sku in case.skus}
        except InputError as unknown:
            return to_a_person("NO_HISTORY", str(unknown))
        inbound: dict[str, Plain] = {
            sku: [{"reference": one.reference, "units": one.units, "due": one.due.isoformat()} for one in coming]
            for sku, coming in supply.inbound.items()
        }
        reasons = tuple(
            Reason(
                code="STOCKOUT", text=_told(one, supply.free[sku]), evidence=f"wms.stock:{sku}@{case.now.isoformat()}"
            )
            for sku, one in found.items()
        )
        return Verdict(
            decision="dated",
            outcome=Outcome.PROCEED,
            confidence=0.8,
            reasons=reasons,
            facts={"estimates": {sku: _stockout_facts(one) for sku, one in found.items()}},
            inputs={"free": {sku: supply.free[sku] for sku in case.skus}, "inbound": inbound},
        )


def _forecast_facts(one: DemandForecast) -> Plain:
    return {
        "series_class": one.series_class.value,
        "method": one.method,
        "per_week": figure(one.per_period),
        "deviation": figure(one.deviation),
        "error": None if one.error is None else figure(one.error),
        "confidence": figure(one.confidence, 2),
    }


def _stockout_facts(one: StockoutEstimate) -> Plain:
    return {
        "p10": one.p10.isoformat() if one.p10 else None,
        "p50": one.p50.isoformat() if one.p50 else None,
        "p90": one.p90.isoformat() if one.p90 else None,
        "horizon_end": one.horizon_end.isoformat(),
        "earliest_arrival": one.earliest_arrival.isoformat(),
        "probability_before_arrival": figure(one.probability_before_arrival, 3),
        "expected_short": figure(one.expected_short, 1),
        "drivers": [*one.drivers],
    }


def _told(one: StockoutEstimate, free: int) -> str:
    day = one.p50.isoformat() if one.p50 else f"not before {one.horizon_end.isoformat()}"
    between = f"{one.p10.isoformat() if one.p10 else 'later'} to {one.p90.isoformat() if one.p90 else 'later'}"
    chance = f"{one.probability_before_arrival:.0%}"
    return (
        f"{one.sku}: {free} free, runs out {day} (80 % between {between}); {chance} that it is gone before goods could "
        f"arrive on {one.earliest_arrival.isoformat()}"
    )
