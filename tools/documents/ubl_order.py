"""A purchase order as UBL 2.3 Order (Peppol BIS ordering), written and read back without loss of what it orders."""

from decimal import Decimal
from xml.etree.ElementTree import Element, register_namespace, tostring

from domain.address import Address
from domain.errors import MalformedPayload
from domain.purchasing import BuyerParty, PurchaseOrder, PurchaseOrderLine, Vendor
from domain.values import Document
from tools.documents.ubl_names import (
    CAC,
    CBC,
    CUSTOMIZATION,
    ORDER,
    PROFILE,
    address,
    basic,
    find,
    group,
    parse,
    plain,
    read_address,
    text_of,
)  # fmt: skip


class OrderedLine(Document):
    """One line as the document says it."""

    line_id: str
    sku: str
    supplier_sku: str
    description: str
    hs_code: str
    origin: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    amount: Decimal


class OrderedDocument(Document):
    """What a UBL Order says, in its own words."""

    number: str
    version_of: str
    issued: str
    currency: str
    buyer: str
    buyer_tax_id: str
    supplier: str
    supplier_tax_id: str
    ship_to: Address
    deliver_from: str
    deliver_until: str
    incoterm: str
    incoterm_place: str
    payment_note: str
    notes: tuple[str, ...]
    lines: tuple[OrderedLine, ...]
    tax: Decimal
    total: Decimal


def document_id(order: PurchaseOrder) -> str:
    """The id a version of an order carries: an amendment is a document of its own."""
    return order.number if order.version == 1 else f"{order.number}-{order.version}"


def write_order(order: PurchaseOrder, *, payment_note: str) -> bytes:
    """The order as UBL, UTF-8; ``payment_note`` is the payment term in words."""
    register_namespace("", ORDER)
    register_namespace("cac", CAC)
    register_namespace("cbc", CBC)
    root = Element(f"{{{ORDER}}}Order")
    _header(root, order)
    _parties(root, order)
    _terms(root, order, payment_note)
    _totals(root, order)
    for line in order.lines:
        _line(root, line, order.currency)
    document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def read_order(document: bytes) -> OrderedDocument:
    """What a UBL Order says.

    Raises:
        MalformedPayload: it is not one, or a number in it is not a number.
    """
    root = parse(document, f"{{{ORDER}}}Order")
    delivery, terms = find(root, "Delivery"), find(root, "DeliveryTerms")
    return OrderedDocument(
        number=text_of(root, "ID"),
        version_of=text_of(root, "OrderDocumentReference", "ID"),
        issued=text_of(root, "IssueDate"),
        currency=text_of(root, "DocumentCurrencyCode"),
        buyer=text_of(root, "BuyerCustomerParty", "Party", "PartyLegalEntity", "RegistrationName"),
        buyer_tax_id=text_of(root, "BuyerCustomerParty", "Party", "PartyTaxScheme", "CompanyID"),
        supplier=text_of(root, "SellerSupplierParty", "Party", "PartyLegalEntity", "RegistrationName"),
        supplier_tax_id=text_of(root, "SellerSupplierParty", "Party", "PartyTaxScheme", "CompanyID"),
        ship_to=read_address(None if delivery is None else find(delivery, "DeliveryLocation", "Address")),
        deliver_from=text_of(delivery, "RequestedDeliveryPeriod", "StartDate"),
        deliver_until=text_of(delivery, "RequestedDeliveryPeriod", "EndDate"),
        incoterm=text_of(terms, "ID"),
        incoterm_place=text_of(terms, "DeliveryLocation", "Description"),
        payment_note=text_of(root, "PaymentTerms", "Note"),
        notes=tuple((note.text or "").strip() for note in root.findall(f"{{{CBC}}}Note")),
        lines=tuple(_read_line(one) for one in root.findall(f"{{{CAC}}}OrderLine/{{{CAC}}}LineItem")),
        tax=number(text_of(root, "TaxTotal", "TaxAmount"), "TaxAmount"),
        total=number(text_of(root, "AnticipatedMonetaryTotal", "PayableAmount"), "PayableAmount"),
    )


def number(text: str, name: str) -> Decimal:
    """A decimal of an XML document.

    Raises:
        MalformedPayload: it is not a finite decimal in XML's notation.
    """
    if not text.isascii() or not text.lstrip("+-").replace(".", "", 1).isdigit() or len(text) > 40:
        raise MalformedPayload(f"{name} of the document is {text[:40]!r}, which is not a number")
    return Decimal(text)


def _header(root: Element, order: PurchaseOrder) -> None:
    basic(root, "UBLVersionID", "2.3")
    basic(root, "CustomizationID", CUSTOMIZATION)
    basic(root, "ProfileID", PROFILE)
    basic(root, "ID", document_id(order))
    basic(root, "IssueDate", order.issued.isoformat())
    basic(root, "OrderTypeCode", "220")
    for note in order.notes:
        basic(root, "Note", note)
    basic(root, "DocumentCurrencyCode", order.currency)
    if order.valid_until is not None:
        basic(group(root, "ValidityPeriod"), "EndDate", order.valid_until.isoformat())
    if order.version > 1:
        basic(group(root, "OrderDocumentReference"), "ID", order.number)


def _parties(root: Element, order: PurchaseOrder) -> None:
    _party(group(root, "BuyerCustomerParty", "Party"), order.buyer, order.buyer.address, order.buyer.email)
    _party(group(root, "SellerSupplierParty", "Party"), order.vendor, order.vendor.address, order.vendor.email)


def _party(party: Element, who: BuyerParty | Vendor, place: Address, email: str) -> None:
    if isinstance(who, Vendor):
        basic(group(party, "PartyIdentification"), "ID", who.vendor_id)
    basic(group(party, "PartyName"), "Name", who.legal_name)
    address(group(party, "PostalAddress"), place)
    if who.tax_id:
        scheme = group(party, "PartyTaxScheme")
        basic(scheme, "CompanyID", who.tax_id)
        basic(group(scheme, "TaxScheme"), "ID", "VAT")
    basic(group(party, "PartyLegalEntity"), "RegistrationName", who.legal_name)
    basic(group(party, "Contact"), "ElectronicMail", email)


def _terms(root: Element, order: PurchaseOrder, payment_note: str) -> None:
    delivery = group(root, "Delivery")
    address(group(delivery, "DeliveryLocation", "Address"), order.ship_to)
    period = group(delivery, "RequestedDeliveryPeriod")
    basic(period, "StartDate", order.deliver_from.isoformat())
    basic(period, "EndDate", order.deliver_until.isoformat())
    terms = group(root, "DeliveryTerms")
    basic(terms, "ID", order.incoterm.value)
    basic(group(terms, "DeliveryLocation"), "Description", order.incoterm_place)
    basic(group(root, "PaymentTerms"), "Note", payment_note)


def _totals(root: Element, order: PurchaseOrder) -> None:
    currency = {"currencyID": order.currency}
    goods = order.total - order.tax
    basic(group(root, "TaxTotal"), "TaxAmount", f"{order.tax.decimal:f}", **currency)
    sums = group(root, "AnticipatedMonetaryTotal")
    basic(sums, "LineExtensionAmount", f"{goods.decimal:f}", **currency)
    basic(sums, "TaxExclusiveAmount", f"{goods.decimal:f}", **currency)
    basic(sums, "TaxInclusiveAmount", f"{order.total.decimal:f}", **currency)
    basic(sums, "PayableAmount", f"{order.total.decimal:f}", **currency)


def _line(root: Element, line: PurchaseOrderLine, currency: str) -> None:
    item = group(root, "OrderLine", "LineItem")
    basic(item, "ID", line.line_id)
    basic(item, "Quantity", line.quantity, unitCode=line.unit)
    basic(item, "LineExtensionAmount", f"{line.amount.decimal:f}", currencyID=currency)
    price = group(item, "Price")
    basic(price, "PriceAmount", plain(line.unit_price), currencyID=currency)
    basic(price, "BaseQuantity", 1, unitCode=line.unit)
    goods = group(item, "Item")
    basic(goods, "Description", line.description)
    basic(goods, "Name", line.description[:100])
    basic(group(goods, "BuyersItemIdentification"), "ID", line.sku)
    if line.supplier_sku:
        basic(group(goods, "SellersItemIdentification"), "ID", line.supplier_sku)
    if line.origin:
        basic(group(goods, "OriginCountry"), "IdentificationCode", line.origin)
    if line.hs_code:
        basic(group(goods, "CommodityClassification"), "ItemClassificationCode", line.hs_code, listID="HS")


def _read_line(item: Element) -> OrderedLine:
    quantity = item.find(f"{{{CBC}}}Quantity")
    return OrderedLine(
        line_id=text_of(item, "ID"),
        sku=text_of(item, "Item", "BuyersItemIdentification", "ID"),
        supplier_sku=text_of(item, "Item", "SellersItemIdentification", "ID"),
        description=text_of(item, "Item", "Description"),
        hs_code=text_of(item, "Item", "CommodityClassification", "ItemClassificationCode"),
        origin=text_of(item, "Item", "OriginCountry", "IdentificationCode"),
        quantity=number(text_of(item, "Quantity"), "Quantity"),
        unit="" if quantity is None else quantity.get("unitCode", ""),
        unit_price=number(text_of(item, "Price", "PriceAmount"), "PriceAmount"),
        amount=number(text_of(item, "LineExtensionAmount"), "LineExtensionAmount"),
    )
