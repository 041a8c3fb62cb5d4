"""The outside systems as the product knows them: one set of ports, in process or over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from domain.effect import EffectKind
from domain.errors import ConnectorRejected
from domain.ids import EffectKey
from domain.ports import CarrierPort, CataloguePort, CustomerPort, EffectPort, WarehousePort
from domain.supply_ports import ListingPort, SupplyPort
from domain.support_sources import HistoryPort, ProfilePort, TrackingPort, VariantPort
from domain.values import Plain
from tools.connectors.carrier import CarrierConnector
from tools.connectors.channel import ChannelConnector, ChannelPort
from tools.connectors.crm import CustomerConnector
from tools.connectors.customer_service import HistoryConnector, ProfileConnector, TrackingConnector, VariantConnector
from tools.connectors.erp import ErpConnector
from tools.connectors.http import HttpClient
from tools.connectors.listings import ListingConnector
from tools.connectors.messages import MessageConnector
from tools.connectors.oms import OrderManagementConnector
from tools.connectors.payment import PaymentConnector
from tools.connectors.purchasing import PurchasingConnector
from tools.connectors.wms import WarehouseConnector
from tools.sandbox.geography import CARRIER_CODES
from tools.sandbox.sandbox import Sandbox


@dataclass(frozen=True, kw_only=True)
class Systems:
    """Every port the product uses."""

    wms: WarehousePort
    carriers: Mapping[str, CarrierPort]
    """By carrier code, the part of a service id before the colon."""
    payment: EffectPort
    oms: EffectPort
    crm: CustomerPort
    erp: CataloguePort
    channels: ChannelPort
    messages: EffectPort
    purchasing: SupplyPort
    listings: ListingPort
    letters: EffectPort | None = None
    """Where letters to suppliers go before all others: your own mail server."""
    profiles: ProfilePort
    history: HistoryPort
    tracking: TrackingPort
    variants: VariantPort
    client: HttpClient | None = field(default=None, repr=False)
    """What ``aclose`` closes; None in process."""

    @classmethod
    def in_process(cls, sandbox: Sandbox) -> Self:
        """The stand-ins of an open sandbox, called directly. Closing it is up to whoever opened it."""
        return cls(
            wms=sandbox.wms,
            carriers=sandbox.carriers,
            payment=sandbox.payment,
            oms=sandbox.oms,
            crm=sandbox.crm,
            erp=sandbox.erp,
            channels=sandbox.channels,
            messages=sandbox.messages,
            purchasing=sandbox.purchasing,
            listings=sandbox.listings,
            profiles=sandbox.desks.profiles,
            history=sandbox.desks.history,
            tracking=sandbox.desks.tracking,
            variants=sandbox.desks.variants,
        )

    @classmethod
    def over_http(
        cls, base_url: str, token: str, *, timeout_s: float = 2.0, carriers: Sequence[str] = CARRIER_CODES
    ) -> Self:
        """The same systems behind one host. ``timeout_s`` bounds each call in total; ``carriers`` are carrier codes.

        Raises:
            ConfigError: the address may not be used.
        """
        client = HttpClient(base_url, token, timeout_s=timeout_s)
        return cls(
            wms=WarehouseConnector(client),
            carriers={code: CarrierConnector(client, code) for code in carriers},
            payment=PaymentConnector(client),
            oms=OrderManagementConnector(client),
            crm=CustomerConnector(client),
            erp=ErpConnector(client),
            channels=ChannelConnector(client),
            messages=MessageConnector(client),
            purchasing=PurchasingConnector(client),
            listings=ListingConnector(client),
            profiles=ProfileConnector(client),
            history=HistoryConnector(client),
            tracking=TrackingConnector(client),
            variants=VariantConnector(client),
            client=client,
        )

    def effect_port(self, kind: EffectKind, args: Mapping[str, Plain]) -> EffectPort:
        """The system that applies effects of this kind; labels go to the carrier their service id names.

        Raises:
            ConnectorRejected: no system here does this.
        """
        if kind in (EffectKind.BOOK_LABEL, EffectKind.VOID_LABEL):
            return self._carrier(str(args.get("service", "")))
        if self.letters is not None and kind in self.letters.kinds:
            return self.letters
        for port in (self.wms, self.payment, self.oms, self.crm, self.channels, self.messages, self.listings):
            if kind in port.kinds:
                return port
        raise ConnectorRejected(f"no connected system can {kind.value}; connect one that does")

    async def scanned(self, service: str, label_key: EffectKey) -> bool:
        """Whether the carrier of ``service`` has taken over the parcel of a label.

        Raises:
            ConnectorUnavailable: the carrier cannot say now.
            ConnectorRejected: no connector for this carrier.
        """
        return await self._carrier(service).scanned(label_key)

    async def aclose(self) -> None:
        """Let go of connections."""
        if self.client is not None:
            await self.client.close()

    def _carrier(self, service: str) -> CarrierPort:
        code = service.partition(":")[0]
        try:
            return self.carriers[code]
        except KeyError:
            known = ", ".join(self.carriers)
            raise ConnectorRejected(f"no connector for the carrier of service {service!r}; known are {known}") from None
