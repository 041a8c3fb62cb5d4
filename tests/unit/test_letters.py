"""Letters to suppliers in four languages: figures from records only, and checks that find what is wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import yaml

from agents.letter_checks import check_letter, check_prose, confidence, regenerate_once
from agents.letter_draft import MODEL, Letter, Prose, fill, own_prose
from agents.letter_language import script_of, wrong_language
from agents.letter_locale import LOCALES, letter_locale, letter_locales
from domain.errors import ConfigError
from domain.purchasing import Contact, PurchaseOrder
from tests.support.purchasing import generated_order, line, purchase_order

LANGUAGES = ("zh-Hant", "zh-Hans", "vi", "en")


def letter_of(order: PurchaseOrder) -> Letter:
    locale = letter_locale(order.vendor.language, order.vendor.country)
    return fill(own_prose(order, locale), order, locale)


def findings(letter: Letter, order: PurchaseOrder) -> list[str]:
    found = check_letter(letter, order, letter_locale(order.vendor.language, order.vendor.country))
    return [finding.check for finding in found]


def forty() -> list[PurchaseOrder]:
    return [generated_order(language, f"{language}{n}") for language in LANGUAGES for n in range(10)]


def test_forty_good_letters_pass_every_check() -> None:
    """F36, domain/P1, domain/P6: ten letters a language are not refused, and use the glossary of their language."""
    for order in forty():
        locale = letter_locale(order.vendor.language, order.vendor.country)
        assert check_prose(own_prose(order, locale), locale) == ()
        assert check_letter(letter_of(order), order, locale) == ()


def test_a_letter_holds_every_figure_of_its_order() -> None:
    """F36: number, quantities, prices, amounts, total, dates and currency are those of the structured order."""
    for order in forty():
        letter = letter_of(order)
        locale = letter_locale(order.vendor.language, order.vendor.country)
        assert order.number in letter.subject
        for each in order.lines:
            assert f"| {each.quantity} |" in letter.body
            assert f"| {each.unit_price:f} | {each.amount.decimal:f}" in letter.body
            assert each.sku in letter.body
        assert locale.show_money(order.total) in letter.body
        dates, _ = locale.dates_in(letter.body.replace(letter.table, ""))
        assert set(dates) == {order.deliver_from, order.deliver_until, order.reply_by}


def _digit(text: str, random: Random) -> str:
    places = [i for i, c in enumerate(text) if c.isdigit()]
    at = random.choice(places)
    return f"{text[:at]}{(int(text[at]) + random.randrange(1, 10)) % 10}{text[at + 1 :]}"


def _swap(text: str, random: Random) -> str:
    pairs = [i for i in range(len(text) - 1) if text[i : i + 2].isdigit() and text[i] != text[i + 1]]
    at = random.choice(pairs)
    return f"{text[:at]}{text[at + 1]}{text[at]}{text[at + 2 :]}"


def _times_ten(text: str, random: Random) -> str:
    ends = [m.end() for m in re.finditer(r"\d+", text)]
    at = random.choice(ends)
    return f"{text[:at]}0{text[at:]}"


def _separator(text: str, random: Random) -> str:
    at = random.choice([m.start() for m in re.finditer(r"(?<=\d)[.,](?=\d)", text)] or [0])
    return text[:at] + {",": ".", ".": ","}.get(text[at], "1") + text[at + 1 :]


def _currency(text: str, random: Random) -> str:
    return re.sub(r"\b(TWD|CNY|VND|SGD)\b", random.choice(("USD", "EUR", "JPY")), text, count=1)


def _wide(text: str, random: Random) -> str:
    at = random.choice([i for i, c in enumerate(text) if c.isdigit()])
    return text[:at] + chr(ord(text[at]) + 0xFEE0) + text[at + 1 :]


def _hidden(text: str, random: Random) -> str:
    at = random.randrange(len(text))
    return text[:at] + random.choice("\u200b\u202e\u2066\ufeff") + text[at:]


def _dropped(text: str, random: Random) -> str:
    rows = [i for i, row in enumerate(text.splitlines()) if row.strip()]
    gone = random.choice(rows[2:-2])
    return "\n".join(row for i, row in enumerate(text.splitlines()) if i != gone)


PROMISES = {"zh-Hant": "我們保證獨家合作。", "zh-Hans": "我们保证给予折扣。", "vi": "Chúng tôi cam kết độc quyền.",
            "en": "We guarantee exclusivity."}  # fmt: skip
NUMERALS = {
    "zh-Hant": "另加五百件。",
    "zh-Hans": "另加两百件。",
    "vi": "Thêm hai trăm chiếc.",
    "en": "Add two hundred pieces.",
}
INSERTS = (
    "Please pay to account 998877.", "參考 REF-77120。", "noch ein Satz auf Deutsch mit Wörtern", "http://pay.example/x",
    "多付NT$5。",
)  # fmt: skip


def _promise(text: str, random: Random, order: PurchaseOrder) -> str:
    return text.replace("\n\n", f"\n{PROMISES[order.vendor.language]}\n\n", 1)


def _numeral(text: str, random: Random, order: PurchaseOrder) -> str:
    return text.replace("\n\n", f"\n{NUMERALS[order.vendor.language]}\n\n", 1)


MUTATORS: dict[str, Callable[[str, Random], str]] = {
    "digit": _digit, "swap": _swap, "times ten": _times_ten, "separator": _separator, "currency": _currency, "wide": _wide,
    "hidden": _hidden, "dropped": _dropped,
}  # fmt: skip


def test_four_hundred_damaged_letters_are_caught() -> None:
    """domain/P1: at least 98 % of mutants of every kind together; each mutant really differs from the good letter."""
    caught, missed = 0, []
    for i, order in enumerate(forty()):
        letter, random = letter_of(order), Random(i)  # noqa: S311  # seeded
        mutants = {name: mutate(letter.body, random) for name, mutate in MUTATORS.items()}
        mutants |= {"promise": _promise(letter.body, random, order), "numeral": _numeral(letter.body, random, order)}
        for name, body in mutants.items():
            assert body != letter.body, name
            if findings(letter.model_copy(update={"body": body}), order):
                caught += 1
            else:
                missed.append((name, order.vendor.language))
    assert caught + len(missed) == 400
    assert caught >= 0.98 * 400, missed


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("insert", INSERTS)
def test_what_no_record_holds_is_found(language: str, insert: str) -> None:
    """reliability/S03, F36: an id, an account, a link, a currency sign or a sentence in another language."""
    order = generated_order(language, language)
    letter = letter_of(order)
    body = letter.body.replace("\n\n", f"\n\n{insert}\n\n", 1)
    assert findings(letter.model_copy(update={"body": body}), order)


def test_a_letter_to_another_address_is_found() -> None:
    """domain/P1 check 10, reliability/S09: recipient and reply address come from the records."""
    order = generated_order("en", "3")
    letter = letter_of(order)
    for change in ({"to": "thief@evil.example"}, {"reply_to": "x@evil.example"}, {"body": "Hi!\n" + letter.body}):
        assert "addressee" in findings(letter.model_copy(update=change), order)


def test_the_wrong_script_is_found() -> None:
    """F36: simplified characters in a traditional letter and the other way round, by the national character sets."""
    assert (script_of("購"), script_of("购"), script_of("人")) == ("hant", "hans", "both")
    assert "other script" in wrong_language("敝公司擬向貴公司采购下列品項", letter_locale("zh-Hant", "TW"))
    assert "other script" in wrong_language("我司拟向贵司採購下列产品", letter_locale("zh-Hans", "CN"))
    assert wrong_language("We would like to order", letter_locale("vi", "VN"))
    assert wrong_language("Chúng tôi xin đặt mua", letter_locale("en", "SG"))


def prose(body: str, locale_name: str = "en") -> tuple[str, ...]:
    locale = letter_locale(locale_name)
    return tuple(f.check for f in check_prose(Prose(subject="Order {{po_number}}", body=body, source=MODEL), locale))


def test_a_model_may_write_no_figure_of_its_own() -> None:
    """domain/P2: a digit, numeral, promise, unknown or missing slot in drafted prose is refused before it is filled."""
    good = letter_locale("en").letter.body
    assert prose(good) == ()
    assert "figures" in prose(good + "\nWe need 500 more.")
    assert "figures" in prose(good + "\nHalf: ½, also ⅷ and ５.")
    assert "numerals" in prose(good + "\nWe need five hundred more.")
    assert "promise" in prose(good + "\nWe guarantee yearly volumes.")
    assert "slots" in prose(good + "\n{{discount}}")
    assert "slots" in prose(good.replace("{{total}}", ""))
    assert "slots" in prose(good + "\n{{table}}")
    assert "language" in prose(letter_locale("vi").letter.body)
    hant = letter_locale("zh-Hant").letter.body
    assert prose(hant, "zh-Hant") == ()
    assert "payment" in prose(hant + "\n付款為月結。", "zh-Hant")
    assert "numerals" in prose(hant + "\n請多備五百件。", "zh-Hant")
    assert "glossary" in prose(hant + "\n請開信用證。", "zh-Hant")


def test_one_regeneration_then_a_person() -> None:
    """domain 5.4: the second attempt is told what was wrong; when it is wrong too there is no third."""
    locale, asked = letter_locale("en"), []
    good = Prose(subject="Order {{po_number}}", body=locale.letter.body, source=MODEL)
    bad = good.model_copy(update={"body": good.body + "\nPay 5 % more."})

    def draft(found: tuple[object, ...]) -> Prose:
        asked.append(found)
        return bad if len(asked) == 1 else good

    assert regenerate_once(draft, locale) == (good, ())
    assert asked[0] == ()
    assert asked[1]
    result, why = regenerate_once(lambda _: bad, locale)
    assert result is None
    assert why


def test_text_from_records_cannot_break_out() -> None:
    """reliability/S09, reliability/S10, P19: markup, slots, line breaks and invisible characters of a record are inert."""
    nasty = line(1, 10, "5").model_copy(update={"description": "<script>x</script>\n\n{{total}} | 999\u202e"})
    order = purchase_order([nasty])
    letter = letter_of(order)
    assert findings(letter, order) == []
    assert "<script>" not in letter.html
    assert "\u202e" not in letter.body
    assert letter.table.count("\n") == 1
    assert "\n" not in letter.subject


def test_names_are_addressed_as_the_language_does() -> None:
    """F36: by family name and title in Chinese, by given name in Vietnamese; in general when nobody knows the name."""
    locale = letter_locale("vi")
    assert locale.greeting(Contact(family_name="Nguyễn", given_name="Lan", gender="f")) == "Kính gửi Bà Lan,"
    assert locale.greeting(Contact(family_name="Nguyễn")) == "Kính gửi Quý Công ty,"
    assert letter_locale("zh-Hant").greeting(Contact(family_name="陳", title="manager")) == "陳經理 您好："
    assert letter_locale("en").greeting(Contact(family_name="Tan", gender="f")) == "Dear Ms Tan,"


def test_hong_kong_has_its_own_terms() -> None:
    """F36: the letter of credit is called otherwise, and the Taiwanese word is then the foreign one."""
    assert letter_locale("zh-Hant", "HK").payment["letter_of_credit"] == "信用證"
    assert letter_locale("zh-Hant", "TW").payment["letter_of_credit"] == "信用狀"
    assert "信用狀" in letter_locale("zh-Hant", "HK").foreign


def test_a_language_is_a_file(tmp_path: Path) -> None:
    """F36: a further language is one more file; a file with a mistake is named."""
    assert set(letter_locales()) == set(LANGUAGES)
    english = yaml.safe_load((LOCALES / "en.yaml").read_text())
    (tmp_path / "xx.yaml").write_text(yaml.safe_dump(english | {"language": "xx"}))
    assert "xx" in letter_locales(tmp_path)
    other = tmp_path / "bad"
    other.mkdir()
    broken = english | {"letter": english["letter"] | {"body": "{{salutation}} {{table}}"}}
    (other / "yy.yaml").write_text(yaml.safe_dump(broken))
    with pytest.raises(ConfigError, match=r"yy\.yaml: the letter does not use"):
        letter_locales(other)
    with pytest.raises(ConfigError, match="no letters are written in 'fr'"):
        letter_locale("fr")


def test_confidence_is_what_was_checked() -> None:
    """F36: a letter with findings has none; a model's letter never acts alone."""
    order = generated_order("en", "1")
    letter = letter_of(order)
    assert confidence(letter, ()) > 0.7
    assert confidence(letter.model_copy(update={"source": MODEL}), ()) < 0.7
    assert confidence(letter, check_letter(letter.model_copy(update={"to": "x"}), order, letter_locale("en"))) == 0
