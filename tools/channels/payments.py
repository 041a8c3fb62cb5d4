"""How a buyer pays, from the free words of gateways and platforms."""

import hashlib

from domain.order import PaymentMethod

_WORDS: tuple[tuple[PaymentMethod, tuple[str, ...]], ...] = (
    (PaymentMethod.COD, ("cash on delivery", "cash_on_delivery", "cod", "貨到付款", "货到付款")),
    (
        PaymentMethod.CONVENIENCE_STORE,
        ("convenience", "cvs", "7-eleven", "7-11", "ibon", "famiport", "familymart", "超商", "konbini"),
    ),
    (
        PaymentMethod.BANK_TRANSFER,
        ("bank", "transfer", "fps", "paynow", "atm", "wire", "duitnow", "promptpay", "invoice"),
    ),
    (
        PaymentMethod.WALLET,
        (
            "paypal", "alipay", "wechat", "grabpay", "line_pay", "linepay", "line pay", "jkopay", "payme", "octopus",
            "momo", "zalopay", "vnpay", "shopeepay", "touch", "tng", "boost", "gcash", "apple_pay", "google_pay",
            "apple pay", "google pay", "wallet",
        ),
    ),
    (
        PaymentMethod.CARD,
        (
            "card", "visa", "master", "amex", "shopify_payments", "authorize_net", "stripe", "adyen", "braintree",
            "cybersource", "bogus", "checkout_com", "2c2p", "tappay",
        ),
    ),
)  # fmt: skip
_SHORT = frozenset({"cod", "cvs", "fps", "atm", "tng"})

_AVS = {
    **dict.fromkeys("YXMDF", "match"),
    **dict.fromkeys("AWZPBLTHKO", "partial"),
    "N": "fail",
}
"""Card networks' address verification letters: full match, street or postcode only, neither. The rest say unsupported."""
_CVV = {"M": "match", "N": "fail"}


def method_of(words: str) -> PaymentMethod:
    """The payment method that a gateway's or platform's words name; OTHER when they name none we know."""
    text = words.lower()
    tokens = set(text.replace("-", " ").replace("_", " ").replace("(", " ").replace(")", " ").split())
    for method, names in _WORDS:
        if any(name in tokens if name in _SHORT else name in text for name in names):
            return method
    return PaymentMethod.OTHER


def avs_of(letter: str) -> str | None:
    """``match``, ``partial`` or ``fail`` for an address verification letter; None when the issuer did not check."""
    return _AVS.get(letter.upper())


def cvv_of(letter: str) -> str | None:
    """``match`` or ``fail`` for a card verification letter; None when it was not checked."""
    return _CVV.get(letter.upper())


def card_fingerprint(brand: str, bin_digits: str, masked: str, expiry: str) -> str | None:
    """A stable stand-in for a card number that platforms mask; None without both its first and last digits.

    First six or eight digits, last four, brand and expiry: two cards may share them, so it supports counting, not proof.
    """
    last = masked[-4:]
    if len(bin_digits) < 6 or not (bin_digits.isascii() and bin_digits.isdigit()):
        return None
    if len(last) < 4 or not (last.isascii() and last.isdigit()):
        return None
    whole = "|".join((brand.lower(), bin_digits, last, expiry))
    return hashlib.sha256(whole.encode()).hexdigest()[:32]
