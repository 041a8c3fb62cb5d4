"""The registry of the supplier workflow's agents: every version a topology file may name, and how to build it."""

from collections.abc import Callable
from dataclasses import dataclass

from agents.purchase_drafting import PurchaseDrafting
from agents.purchase_verification import PurchaseVerification
from agents.supplier_selection import SupplierSelection
from agents.supply_case import MANUAL, SupplyAgent, SupplyPorts
from agents.supply_forecasting import DemandForecasting, StockoutDating
from domain.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SupplySpec:
    """One published version of an agent."""

    name: str
    version: str
    owner: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    build: Callable[[SupplyPorts], SupplyAgent]
    fallbacks: tuple[str, ...] = (MANUAL,)


_SPECS = (
    SupplySpec(
        name=DemandForecasting.name, version=DemandForecasting.version, owner="planning",
        reads=("erp.sales",), writes=("sku.forecast",), build=DemandForecasting,
    ),
    SupplySpec(
        name=StockoutDating.name, version=StockoutDating.version, owner="planning",
        reads=("erp.sales", "wms.stock", "erp.inbound"), writes=("sku.stockout",), build=StockoutDating,
    ),
    SupplySpec(
        name=SupplierSelection.name, version=SupplierSelection.version, owner="procurement",
        reads=("erp.offers", "erp.rates", "wms.stock", "erp.inbound"), writes=("purchase_order.supplier",),
        build=SupplierSelection,
    ),
    SupplySpec(
        name=PurchaseDrafting.name, version=PurchaseDrafting.version, owner="procurement",
        reads=("erp.vendors", "erp.offers", "erp.products"), writes=("purchase_order.terms",), build=PurchaseDrafting,
    ),
    SupplySpec(
        name=PurchaseVerification.name, version=PurchaseVerification.version, owner="procurement",
        reads=("erp.vendors", "erp.offers"), writes=("purchase_order.release",), build=PurchaseVerification,
    ),
)  # fmt: skip
SUPPLIER_SPECS = {(spec.name, spec.version): spec for spec in _SPECS}


def build_supply_agent(name: str, version: str, ports: SupplyPorts) -> SupplyAgent:
    """The agent of that name and version.

    Raises:
        ConfigError: there is none.
    """
    spec = SUPPLIER_SPECS.get((name, version))
    if spec is None:
        known = ", ".join(f"{n} {v}" for n, v in sorted(SUPPLIER_SPECS))
        raise ConfigError(f"there is no agent {name} in version {version}; there are {known}")
    return spec.build(ports)
