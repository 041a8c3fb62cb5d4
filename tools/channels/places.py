"""Countries and languages: the BCP 47 locale a customer is addressed in, from what a channel says."""

import re

_BY_COUNTRY = {
    "HK": "zh-Hant-HK",
    "MO": "zh-Hant-MO",
    "TW": "zh-Hant-TW",
    "CN": "zh-Hans-CN",
    "VN": "vi-VN",
    "JP": "ja-JP",
    "KR": "ko-KR",
    "TH": "th-TH",
    "ID": "id-ID",
    "BR": "pt-BR",
    "MX": "es-MX",
    "CL": "es-CL",
    "CO": "es-CO",
    "SG": "en-SG",
    "MY": "en-MY",
    "PH": "en-PH",
    "AU": "en-AU",
    "NZ": "en-NZ",
    "US": "en-US",
    "GB": "en-GB",
}
_SCRIPT = {"TW": "Hant", "HK": "Hant", "MO": "Hant", "CN": "Hans", "SG": "Hans", "MY": "Hans"}
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}))?(?:[-_].*)?", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)


def locale_of(tag: str, country: str) -> str:
    """The locale for a platform's language tag (``zh-TW``, ``en``, empty) and a ship-to country.

    Chinese without a script takes the one its region writes; a language without a region takes the country. Without a
    usable tag the country's first language is used, and English where we know neither.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        return _BY_COUNTRY.get(country, "en")
    language, script, region = match[1].lower(), (match[2] or "").title(), (match[3] or "").upper()
    region = region or country
    if language == "zh" and not script:
        script = _SCRIPT.get(region, "Hans")
    return "-".join(part for part in (language, script, region) if part)


def country_code(text: str) -> str:
    """An ISO 3166-1 alpha-2 code in upper case, or empty when ``text`` is not shaped like one (a name is no code)."""
    code = text.upper()
    return code if _COUNTRY.fullmatch(code) else ""
