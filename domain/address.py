"""Postal addresses as the channels give them. All fields are untrusted text."""

from domain.values import Document


class Address(Document):
    """A postal address. Marketplaces mask some fields with asterisks."""

    name: str = ""
    company: str = ""
    line1: str = ""
    line2: str = ""
    district: str = ""
    city: str = ""
    region: str = ""
    """State, province or prefecture."""
    postcode: str = ""
    country: str = ""
    """ISO 3166-1 alpha-2, upper case; empty when the channel did not say."""
    phone: str = ""

    @property
    def deliverable(self) -> bool:
        """Whether a parcel could be addressed at all: a country and at least one line or city."""
        return bool(self.country) and bool(self.line1 or self.city or self.district)
