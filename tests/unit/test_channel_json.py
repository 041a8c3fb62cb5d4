"""The strict JSON entrance and the typed reader."""

import contextlib
import json
import time
import tracemalloc
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InputError, MalformedPayload, PayloadTooLarge, UnprocessableOrder
from domain.money import Money
from tools.channels.reading import MAX_NOTE, MAX_TEXT, Fields, clean, clean_note
from tools.channels.strict_json import ParseLimits, load_json, load_object

HOSTILE: dict[str, bytes] = {
    "depth 10,000": b"[" * 10_000 + b"]" * 10_000,
    "depth 10,000, never closed": b'{"a":' * 10_000,
    "depth 65": b"[" * 65 + b"]" * 65,
    "1e400": b'{"total": 1e400}',
    "tiny exponent": b'{"total": 1e-4000}',
    "NaN": b'{"total": NaN}',
    "Infinity": b'{"total": -Infinity}',
    "duplicate keys": b'{"total": 1, "total": 2}',
    "duplicate keys by escape": b'{"total": 1, "t\\u006ftal": 2}',
    "100,000 keys": ("{" + ",".join(f'"k{i}":0' for i in range(100_000)) + "}").encode(),
    "100,000 values": b"[" + b"0," * 100_000 + b"0]",
    "huge integer": b'{"id": ' + b"9" * 100_000 + b"}",
    "beyond 64 bits": b'{"id": 9223372036854775808}',
    "long fraction": b'{"id": 0.' + b"1" * 100_000 + b"}",
    "lone surrogate": b'{"name": "\\ud800"}',
    "lone low surrogate": b'{"name": "x\\udc00y"}',
    "surrogate in a key": b'{"\\ud83d": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32-le"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "raw surrogate bytes": b'{"a": "\xed\xa0\x80"}',
    "overlong": b'{"a": "\xc0\xaf"}',
    "raw control character": b'{"a": "x\x00y"}',
    "single quotes": b"{'a': 1}",
    "comment": b'{"a": 1} // done',
    "trailing comma": b'{"a": 1,}',
    "two documents": b"{}{}",
    "empty": b"",
    "spaces": b"   ",
    "unclosed text of escapes": b'{"a": "' + b'\\"' * 400_000,
    "unclosed text ending in a backslash": b'"' + b'\\"' * 400_000 + b"\\",
    "quotes only": b'"' * 400_001,
    "closing brackets": b"]" * 90_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_refused_quickly_in_one_sentence(name: str) -> None:
    """reliability/S15: 4xx in under 100 ms."""
    raw = HOSTILE[name]
    began = time.process_time()
    with pytest.raises(MalformedPayload) as caught:
        load_json(raw)
    spent = time.process_time() - began
    assert spent < 0.1, f"{name} took {spent * 1000:.0f} ms"
    assert caught.value.status == 400
    assert 10 < len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["100,000 keys", "100,000 values", "unclosed text of escapes", "huge integer"])
def test_refusing_costs_little_memory(name: str) -> None:
    """reliability/S15: memory grows by less than 50 MB."""
    tracemalloc.start()
    try:
        with pytest.raises(MalformedPayload):
            load_json(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_body_beyond_the_limit_is_too_large() -> None:
    with pytest.raises(PayloadTooLarge, match="at most 10 are accepted") as caught:
        load_json(b'"12345678901"', ParseLimits(max_bytes=10))
    assert caught.value.status == 413


def test_what_is_allowed_arrives_exactly() -> None:
    document = load_object(
        '{"amount": 195.66, "id": 9223372036854775807, "emoji": "\\ud83e\\udd8b🦋", "deep": [[[]]], "no": null}'.encode()
    )
    assert document["amount"] == Decimal("195.66")
    assert document["id"] == 2**63 - 1
    assert document["emoji"] == "🦋🦋"


def test_depth_64_is_allowed() -> None:
    assert load_json(b"[" * 64 + b"]" * 64)


def test_brackets_and_commas_in_text_count_for_nothing() -> None:
    text = json.dumps({"note": "[" * 5_000 + ",:{" * 50_000 + '\\"'})
    assert load_json(text) == json.loads(text)


def test_only_an_object_is_an_object() -> None:
    with pytest.raises(MalformedPayload, match="not an object"):
        load_object(b"[1]")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_every_ordinary_document_is_read_as_python_reads_it(value: object) -> None:
    for ensure_ascii in (True, False):
        text = json.dumps(value, ensure_ascii=ensure_ascii)
        assert load_json(text.encode()) == value


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_either_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(InputError):
        load_json(raw)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Nguyễn Văn Anh", "Nguyễn Văn Anh"),
        ("👩‍👩‍👧‍👦 陳大文", "👩‍👩‍👧‍👦 陳大文"),
        ("a\x00b\x1b[31m\x9fc", "a b [31m c"),
        ("line\r\nbreak\u2028end", "line  break end"),
        ("evil\u202egpj.exe", "evil gpj.exe"),
        ("  padded  ", "padded"),
        ("x" * 600, "x" * MAX_TEXT),
    ],
)
def test_text_is_cleaned_without_hurting_languages(sent: str, kept: str) -> None:
    assert clean(sent) == kept


def test_notes_keep_their_lines() -> None:
    assert clean_note("gift:\r\n生日快樂 🎂\x07\n") == "gift:\n生日快樂 🎂"
    assert len(clean_note("y" * 9_000)) == MAX_NOTE


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("19.99", "USD", 1999),
        ("48000", "VND", 48000),
        ("48000.0", "VND", 48000),
        ("1.234", "KWD", 1234),
        ("0", "JPY", 0),
    ],
)
def test_amounts_are_exact_in_any_form(text: str, currency: str, minor: int) -> None:
    for value in (text, Decimal(text)):
        assert Fields({"p": value}).money("p", currency) == Money(amount_minor=minor, currency=currency)


@pytest.mark.parametrize(
    "value",
    [
        "19.999",
        "1e3",
        "NaN",
        "１２",
        "1_000",
        "1,000.00",
        " 1",
        "-1.00",
        "",
        True,
        [],
        {},
        "9" * 16,
        Decimal("1e20"),
        "0x1",
    ],
)
def test_what_is_no_amount_is_refused_with_its_pointer(value: object) -> None:
    fields = Fields({"p": value}, "/lines/3")
    if value == "":
        assert fields.money("p", "USD") is None
        return
    with pytest.raises(UnprocessableOrder) as caught:
        fields.money("p", "USD")
    assert caught.value.pointer == "/lines/3/p"
    assert "/lines/3/p" in str(caught.value)


readers: list[Callable[[Fields], object]] = [
    lambda f: f.text("v"),
    lambda f: f.note("v"),
    lambda f: f.identifier("v"),
    lambda f: f.count("v"),
    lambda f: f.flag("v"),
    lambda f: f.number("v"),
    lambda f: f.money("v", "VND"),
    lambda f: f.currency("v"),
    lambda f: f.moment("v"),
    lambda f: f.unix("v"),
    lambda f: f.object("v"),
    lambda f: list(f.objects("v")),
    lambda f: f.texts("v"),
]


@given(st.sampled_from(readers), json_values | st.decimals(allow_nan=False, allow_infinity=False))
def test_no_reader_fails_in_any_other_way(read: Callable[[Fields], object], value: object) -> None:
    pointer: str | None = "/v"
    try:
        read(Fields({"v": value}))
    except UnprocessableOrder as error:
        pointer = error.pointer
    assert pointer is not None
    assert pointer.startswith("/v")
