"""Lets letters to suppliers go by the shop's own mail server, where one is set."""

from dataclasses import replace
from ipaddress import ip_address

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from agents.letter_draft import Letter
from agents.letter_locale import letter_locale
from domain.errors import ConfigError, ConnectorRejected
from graph.bootstrap.settings import Settings
from graph.runtime.clock import Clock
from graph.runtime.purchase_mail import PurchaseMail
from graph.runtime.purchase_orders import PurchaseOrders
from tools.connectors.directory import Systems
from tools.documents.ubl_order import document_id, write_order
from tools.mail.composing import Attachment
from tools.mail.smtp import Enclosed, MailServer, SmtpMail


def with_mail_server(systems: Systems, settings: Settings, engine: AsyncEngine, clock: Clock) -> Systems:
    """The systems with letters going by SMTP, or as they are.

    Raises:
        ConfigError: a server is set without a sender, or would be spoken to in the clear over a network.
    """
    if settings.mail_host is None:
        return systems
    if not settings.mail_from:
        raise ConfigError(
            "SIGNALBOX_MAIL_HOST is set and SIGNALBOX_MAIL_FROM is not; name the address letters come from"
        )
    if not settings.mail_tls and not _loopback(settings.mail_host):
        raise ConfigError("SIGNALBOX_MAIL_TLS is off and the mail server is not on this machine; switch it on")
    server = MailServer(
        host=settings.mail_host,
        port=settings.mail_port,
        sender=settings.mail_from,
        user=settings.mail_user,
        password=settings.mail_password.get_secret_value(),
        tls=settings.mail_tls,
    )
    orders = PurchaseOrders(engine)

    async def recipient(tenant: str, vendor_id: str) -> str:
        for vendor in await systems.purchasing.vendors([vendor_id]):
            if vendor.vendor_id == vendor_id:
                return vendor.email
        raise ConnectorRejected(f"the vendor master has no {vendor_id} any more")

    async def enclosed(tenant: str, number: str, version: int) -> Enclosed:
        order, letter = await orders.version(tenant, number, version)
        locale = letter_locale(order.vendor.language, order.vendor.country)
        document = write_order(order, payment_note=locale.payment_words(order.payment))
        name = f"{document_id(order)}.xml"
        return Enclosed(
            html=_html(letter), attachments=(Attachment(name=name, content_type="application/xml", content=document),)
        )

    try:
        mail = SmtpMail(server, PurchaseMail(engine), clock.now, recipient_of=recipient, enclosed=enclosed)
    except ConnectorRejected as bad:
        raise ConfigError(str(bad)) from None
    return replace(systems, letters=mail)


def _html(letter: str) -> str:
    try:
        return Letter.from_json(letter).html
    except ValidationError:
        return ""


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
