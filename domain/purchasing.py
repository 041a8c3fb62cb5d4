"""Purchase orders and who they go to. Every amount comes from records; sums are checked when a document is made."""

from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime, Field, model_validator

from domain.address import Address
from domain.ids import TenantId
from domain.money import Money, total
from domain.values import Document, digest


class Incoterm(StrEnum):
    """Incoterms 2020."""

    EXW = "EXW"
    FCA = "FCA"
    CPT = "CPT"
    CIP = "CIP"
    DAP = "DAP"
    DPU = "DPU"
    DDP = "DDP"
    FAS = "FAS"
    FOB = "FOB"
    CFR = "CFR"
    CIF = "CIF"

    @property
    def sea_only(self) -> bool:
        """Whether the term is meant for sea and inland waterway alone."""
        return self in {Incoterm.FAS, Incoterm.FOB, Incoterm.CFR, Incoterm.CIF}


class BaseDate(StrEnum):
    """From when a payment term counts. Counting from the month's end is not the same as from the invoice."""

    INVOICE = "invoice"
    MONTH_END = "month_end"
    DELIVERY = "delivery"
    BILL_OF_LADING = "bill_of_lading"


class PaymentMethod(StrEnum):
    """How a supplier is paid."""

    TRANSFER = "transfer"
    LETTER_OF_CREDIT = "letter_of_credit"


class PaymentTerms(Document):
    """When and how a supplier is paid."""

    net_days: int = Field(ge=0, le=365)
    base_date: BaseDate = BaseDate.INVOICE
    deposit_percent: int = Field(default=0, ge=0, le=100)
    """Advance payment with the order."""
    method: PaymentMethod = PaymentMethod.TRANSFER


class Contact(Document):
    """Whom a letter is addressed to."""

    family_name: str
    given_name: str = ""
    title: str = ""
    """``manager``, ``director``; translated by the letter."""
    gender: str = ""
    """``f``, ``m`` or empty when nobody said."""


class Vendor(Document):
    """One supplier in the vendor master. Where a letter goes is read from here and nowhere else."""

    vendor_id: str
    legal_name: str
    contact: Contact
    email: str
    """The one address purchase orders go to."""
    reply_domains: tuple[str, ...] = ()
    """Mail domains its answers may come from; the domain of ``email`` always may."""
    language: str
    """``zh-Hant``, ``zh-Hans``, ``vi`` or ``en``."""
    country: str
    address: Address = Address()
    tax_scheme: str = ""
    """``tw.ubn``, ``cn.uscc``, ``sg.uen``, ``au.abn``, ``vn.mst``."""
    tax_id: str = ""
    currency: str
    payment: PaymentTerms
    incoterm: Incoterm
    incoterm_place: str
    bank_digest: str = ""
    """SHA-256 of the account payments go to: a letter that names another one always goes to a person."""
    on_time: float = Field(default=1.0, ge=0, le=1)
    active: bool = True


class BuyerParty(Document):
    """Our own side of a purchase order."""

    legal_name: str
    tax_scheme: str = ""
    tax_id: str = ""
    address: Address
    contact: str = ""
    email: str
    """Where answers go."""


class PurchaseOrderLine(Document):
    """One SKU of a purchase order."""

    line_id: str
    sku: str
    supplier_sku: str = ""
    description: str
    hs_code: str = ""
    origin: str = ""
    """ISO country."""
    quantity: int = Field(gt=0)
    unit: str = "C62"
    """UN/ECE Recommendation 20 code; C62 is a piece."""
    pack: int = Field(default=1, ge=1)
    moq: int = Field(default=1, ge=1)
    unit_price: Decimal = Field(gt=0)
    """In the order's currency; may be finer than its minor unit."""
    amount: Money

    @model_validator(mode="after")
    def _consistent(self) -> "PurchaseOrderLine":
        if self.quantity % self.pack or self.quantity < self.moq:
            raise ValueError(f"{self.sku}: {self.quantity} is not a multiple of {self.pack} of at least {self.moq}")
        if self.amount != Money.rounded(self.unit_price * self.quantity, self.amount.currency):
            raise ValueError(f"{self.sku}: {self.quantity} x {self.unit_price} is not {self.amount}")
        if self.hs_code and not (self.hs_code.isascii() and self.hs_code.isdigit() and 6 <= len(self.hs_code) <= 10):
            raise ValueError(f"{self.sku}: {self.hs_code!r} is no HS code of 6 to 10 digits")
        return self


class PurchaseOrderState(StrEnum):
    """Life of a purchase order."""

    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    SENT = "sent"
    CONFIRMED = "confirmed"
    """The supplier accepted, as sent or with changes a person or a rule agreed to."""
    COUNTERED = "countered"
    """The supplier wants something else; a person decides."""
    REJECTED = "rejected"
    """By procurement or by the supplier."""
    CANCELLED = "cancelled"
    RECEIVED = "received"

    @property
    def open(self) -> bool:
        """Whether units may still arrive from it: it suppresses a second order for the same need."""
        return self not in {PurchaseOrderState.REJECTED, PurchaseOrderState.CANCELLED, PurchaseOrderState.RECEIVED}


class PurchaseOrder(Document):
    """One version of a purchase order; an amendment is the next version of the same number."""

    number: str
    version: int = Field(default=1, ge=1)
    tenant: TenantId
    issued: date
    reply_by: date
    currency: str
    buyer: BuyerParty
    vendor: Vendor
    ship_to: Address
    warehouse: str
    deliver_from: date
    deliver_until: date
    by_sea: bool = False
    incoterm: Incoterm
    incoterm_place: str = Field(min_length=1)
    payment: PaymentTerms
    lines: tuple[PurchaseOrderLine, ...] = Field(min_length=1)
    tax: Money
    total: Money
    valid_until: date | None = None
    notes: tuple[str, ...] = ()
    trigger: str = ""
    """The alert or need this order answers; one trigger, one chain."""
    quoted_at: AwareDatetime
    """When prices were read from the ERP."""

    @model_validator(mode="after")
    def _adds_up(self) -> "PurchaseOrder":
        currencies = {self.currency, self.tax.currency, self.total.currency, *(x.amount.currency for x in self.lines)}
        if len(currencies) > 1:
            raise ValueError(f"purchase order {self.number} mixes currencies: {', '.join(sorted(currencies))}")
        if total([line.amount for line in self.lines], self.currency) + self.tax != self.total:
            raise ValueError(f"purchase order {self.number}: lines and tax do not add up to {self.total}")
        if len({line.line_id for line in self.lines}) != len(self.lines):
            raise ValueError(f"purchase order {self.number} names a line twice")
        if not self.issued <= self.deliver_from <= self.deliver_until:
            raise ValueError(f"purchase order {self.number} would be delivered before it is issued")
        if self.incoterm.sea_only and not self.by_sea:
            raise ValueError(
                f"{self.incoterm} is a term for sea freight; purchase order {self.number} does not go by sea"
            )
        return self

    @property
    def content_digest(self) -> str:
        """Digest of everything a person approves."""
        return digest(self.model_dump(mode="json"))
