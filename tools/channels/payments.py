"""How a buyer pays, from the free words of gateways and platforms."""

import hashlib
import re
from functools import lru_cache

from domain.order import PaymentMethod

_WORDS: tuple[tuple[PaymentMethod, str], ...] = (
    (PaymentMethod.COD, "cash on delivery|cod|貨到付款|货到付款|thanh toán khi nhận hàng"),
    (
        PaymentMethod.CONVENIENCE_STORE,
        "convenience|convenience store|cvs|7 eleven|7 11|ibon|famiport|familymart|konbini|超商|便利商店",
    ),
    (
        PaymentMethod.BANK_TRANSFER,
        "bank|bank deposit|bank transfer|transfer|fps|paynow|atm|wire|duitnow|promptpay|fpx|invoice|virtual account",
    ),
    (
        PaymentMethod.WALLET,
        "paypal|alipay|alipayhk|wechat|wechatpay|grabpay|grab|line pay|linepay|jkopay|payme|octopus|momo|zalopay|vnpay|"
        "shopeepay|touch n go|tng|boost|gcash|apple pay|applepay|google pay|googlepay|wallet|shop pay",
    ),
    (
        PaymentMethod.CARD,
        "card|cards|visa|mastercard|master|amex|jcb|unionpay|shopify payments|authorize net|stripe|adyen|braintree|"
        "cybersource|bogus|checkout com|2c2p|tappay",
    ),
)
_METHODS = tuple((method, re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z0-9])")) for method, words in _WORDS)
_SEPARATORS = re.compile(r"[\s_\-./()']+")

_AVS = {
    **dict.fromkeys("YXMDF", "match"),
    **dict.fromkeys("AWZPBLTHKO", "partial"),
    "N": "fail",
}
"""Card networks' address verification letters: full match, street or postcode only, neither. The rest say unsupported."""
_CVV = {"M": "match", "N": "fail"}


@lru_cache(maxsize=1024)
def method_of(words: str) -> PaymentMethod:
    """The payment method that a gateway's or platform's words name; OTHER when they name none we know."""
    text = _SEPARATORS.sub(" ", words.lower())
    return next((method for method, named in _METHODS if named.search(text)), PaymentMethod.OTHER)


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
