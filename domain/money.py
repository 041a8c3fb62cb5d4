"""Money: integer minor units and an ISO 4217 code. No float comes near it."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import total_ordering

from pydantic import Field, field_validator

from domain.errors import CurrencyMismatch, MalformedAmount
from domain.values import Document

_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
    "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR "
    "JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN "
    "NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
    "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
)
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"

STORAGE_EXPONENT: dict[str, int] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **dict.fromkeys(_NO_DIGITS.split(), 0),
    **dict.fromkeys(_THREE_DIGITS.split(), 3),
}
"""Digits after the point in ISO 4217: what is stored."""

CASH_EXPONENT: dict[str, int] = {**STORAGE_EXPONENT, "TWD": 0, "IDR": 0}
"""Digits people pay in: what taxes and prices are rounded to (TWD and IDR are paid in whole units)."""

GATEWAY_EXPONENT: dict[str, dict[str, int]] = {
    "adyen": {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2},
    "stripe": {"ISK": 2, "UGX": 2},
    "paypal": {"HUF": 0, "JPY": 0, "TWD": 0},
    "ecpay": {"TWD": 0},
}
"""Where a payment gateway counts other digits than ISO 4217. Adyen marks its rows "differs from standard"; Stripe keeps
two digits for ISK and UGX for old integrations; PayPal takes no decimals in HUF, JPY and TWD; ECPay takes whole TWD."""

GATEWAY_STEP: dict[str, dict[str, int]] = {"stripe": {"ISK": 100, "UGX": 100}}
"""Amounts a gateway takes only in multiples of so many of its units (Stripe: two digits, always 00)."""


def exponent(currency: str) -> int:
    """Digits after the point in which ``currency`` is stored.

    Raises:
        MalformedAmount: the currency is not in our table.
    """
    try:
        return STORAGE_EXPONENT[currency]
    except KeyError:
        raise MalformedAmount(f"currency {currency!r} is not known; add it to domain/money.py") from None


@total_ordering
class Money(Document):
    """An amount in one currency. Arithmetic across currencies is refused."""

    amount_minor: int = Field(strict=True)
    currency: str

    @field_validator("currency")
    @classmethod
    def _known(cls, value: str) -> str:
        exponent(value)
        return value

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Nothing, in ``currency``."""
        return cls(amount_minor=0, currency=currency)

    @classmethod
    def parse(cls, text: str | int | Decimal, currency: str) -> "Money":
        """Money from a decimal in major units (``"19.99"``), exactly.

        Raises:
            MalformedAmount: not a finite decimal, more digits than the currency has, or an unknown currency.
        """
        if isinstance(text, float):
            raise MalformedAmount("amounts are parsed from text, never from a float")
        try:
            scaled = Decimal(text).scaleb(exponent(currency))
        except InvalidOperation:
            raise MalformedAmount(f"{text!r} is not an amount") from None
        if not scaled.is_finite() or scaled != scaled.to_integral_value():
            raise MalformedAmount(f"{text!r} has more digits than {currency} allows")
        return cls(amount_minor=int(scaled), currency=currency)

    @classmethod
    def rounded(cls, amount: Decimal, currency: str, *, cash: bool = False) -> "Money":
        """``amount`` (major units) rounded half up to the storage exponent, or to the cash exponent."""
        places = CASH_EXPONENT[currency] if cash else exponent(currency)
        whole = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
        return cls.parse(whole, currency)

    @property
    def decimal(self) -> Decimal:
        """The amount in major units."""
        return Decimal(self.amount_minor).scaleb(-exponent(self.currency))

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be combined")

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(amount_minor=self.amount_minor + other.amount_minor, currency=self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(amount_minor=self.amount_minor - other.amount_minor, currency=self.currency)

    def __neg__(self) -> "Money":
        return Money(amount_minor=-self.amount_minor, currency=self.currency)

    def __mul__(self, times: int) -> "Money":
        if type(times) is not int:
            raise TypeError("money is multiplied by whole numbers only")
        return Money(amount_minor=self.amount_minor * times, currency=self.currency)

    def __lt__(self, other: "Money") -> bool:
        self._same(other)
        return self.amount_minor < other.amount_minor

    def __str__(self) -> str:
        return f"{self.decimal:,.{exponent(self.currency)}f} {self.currency}"

    def allocate(self, weights: Sequence[int]) -> list["Money"]:
        """Split by largest remainder so that the parts add up to the whole exactly.

        Raises:
            ValueError: no weights, a negative weight, or all weights zero.
        """
        whole = sum(weights)
        if not weights or whole <= 0 or min(weights) < 0:
            raise ValueError("allocate needs non-negative weights that are not all zero")
        sign = -1 if self.amount_minor < 0 else 1
        shares = [divmod(abs(self.amount_minor) * w, whole) for w in weights]
        parts = [share for share, _ in shares]
        leftover = abs(self.amount_minor) - sum(parts)
        for i in sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))[:leftover]:
            parts[i] += 1
        return [Money(amount_minor=sign * part, currency=self.currency) for part in parts]


def total(amounts: Sequence[Money], currency: str) -> Money:
    """The sum of ``amounts``, zero ``currency`` when there are none.

    Raises:
        CurrencyMismatch: an amount is in another currency.
    """
    for amount in amounts:
        if amount.currency != currency:
            raise CurrencyMismatch(f"{currency} and {amount.currency} cannot be combined")
    return Money(amount_minor=sum(amount.amount_minor for amount in amounts), currency=currency)


def gateway_exponent(currency: str, gateway: str) -> int:
    """Digits after the point in which a payment gateway counts the currency.

    Raises:
        MalformedAmount: the gateway or the currency is not in our tables.
    """
    if gateway not in GATEWAY_EXPONENT:
        raise MalformedAmount(f"gateway {gateway!r} is not known; add its exponents to domain/money.py")
    return GATEWAY_EXPONENT[gateway].get(currency, exponent(currency))


def to_gateway(money: Money, gateway: str) -> int:
    """The amount in the units a gateway counts in, exactly.

    Raises:
        MalformedAmount: the gateway cannot express the amount (15.50 TWD where only whole dollars are taken), or is
            not in our table. Money is never rounded on its way out.
    """
    units = money.decimal.scaleb(gateway_exponent(money.currency, gateway))
    step = GATEWAY_STEP.get(gateway, {}).get(money.currency, 1)
    if units != units.to_integral_value() or int(units) % step:
        raise MalformedAmount(f"{gateway} cannot take {money}; charge an amount in units it counts in")
    return int(units)


def from_gateway(units: int, currency: str, gateway: str) -> Money:
    """Money from a gateway's own units, exactly.

    Raises:
        MalformedAmount: more digits than the currency has, or the gateway or currency is not in our tables.
    """
    if type(units) is not int:
        raise MalformedAmount(f"{gateway} amounts are whole numbers of units, not {units!r}")
    return Money.parse(Decimal(units).scaleb(-gateway_exponent(currency, gateway)), currency)
