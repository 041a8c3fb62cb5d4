"""Names and small pieces shared by the UBL documents we write and read."""

from decimal import Decimal
from xml.etree.ElementTree import Element, ParseError, SubElement, XMLParser

from domain.address import Address
from domain.errors import MalformedPayload

CBC = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
CAC = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
ORDER = "urn:oasis:names:specification:ubl:schema:xsd:Order-2"
RESPONSE = "urn:oasis:names:specification:ubl:schema:xsd:OrderResponse-2"
CUSTOMIZATION = "urn:fdc:peppol.eu:poacc:trns:order:3"
PROFILE = "urn:fdc:peppol.eu:poacc:bis:ordering:3"
LONGEST_BYTES = 5_000_000


def basic(parent: Element, name: str, text: object, **attributes: str) -> None:
    """Append a basic component, unless there is nothing to say."""
    if text in (None, ""):
        return
    SubElement(parent, f"{{{CBC}}}{name}", attributes).text = str(text)


def group(parent: Element, *names: str) -> Element:
    """Append nested aggregates and give the innermost."""
    for name in names:
        parent = SubElement(parent, f"{{{CAC}}}{name}")
    return parent


def find(parent: Element, *path: str) -> Element | None:
    """The element along aggregates ``path``, or None."""
    return parent.find("/".join(f"{{{CAC}}}{name}" for name in path))


def text_of(parent: Element | None, *path: str) -> str:
    """The text of the basic component at the end of a path of aggregates; empty when it is absent."""
    if parent is None:
        return ""
    *outer, last = path
    found = parent.find("/".join([*(f"{{{CAC}}}{name}" for name in outer), f"{{{CBC}}}{last}"]))
    return (found.text or "").strip() if found is not None else ""


def plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros, as XML wants it."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def address(parent: Element, place: Address) -> None:
    """The parts of a postal address, in the order of the schema."""
    basic(parent, "StreetName", place.line1)
    basic(parent, "AdditionalStreetName", place.line2)
    basic(parent, "CitySubdivisionName", place.district)
    basic(parent, "CityName", place.city)
    basic(parent, "PostalZone", place.postcode)
    basic(parent, "CountrySubentity", place.region)
    if place.country:
        basic(group(parent, "Country"), "IdentificationCode", place.country)


def read_address(parent: Element | None) -> Address:
    """An address as ``address`` wrote it."""
    return Address(
        line1=text_of(parent, "StreetName"),
        line2=text_of(parent, "AdditionalStreetName"),
        district=text_of(parent, "CitySubdivisionName"),
        city=text_of(parent, "CityName"),
        postcode=text_of(parent, "PostalZone"),
        region=text_of(parent, "CountrySubentity"),
        country=text_of(parent, "Country", "IdentificationCode"),
    )


def parse(document: bytes, root: str) -> Element:
    """The root element of an XML document from outside.

    Raises:
        MalformedPayload: not XML, too large, with a document type (which can make parsers read files), or another document.
    """
    if len(document) > LONGEST_BYTES:
        raise MalformedPayload(f"the document has {len(document)} bytes; at most {LONGEST_BYTES} are read")
    # In UTF-16 the marker would hide from a search of the bytes; nobody sends UBL so.
    if b"<!DOCTYPE" in document[:100_000].upper() or document[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in document:
        raise MalformedPayload("the document declares a document type or is not UTF-8; send plain UBL in UTF-8")
    try:
        parser = XMLParser()  # noqa: S314  # documents with a type declaration were refused above
        parser.feed(document)
        found: Element = parser.close()
    except (ParseError, LookupError, ValueError) as bad:
        raise MalformedPayload(f"the document is not XML: {bad}") from None
    if found.tag != root:
        raise MalformedPayload(f"the document is not a UBL {root.rpartition('}')[2]}")
    return found
