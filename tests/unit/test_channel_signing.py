"""Deliveries are proven on their raw bytes before anything is read."""

import contextlib
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BadSignature, InputError, MalformedPayload, PayloadTooLarge
from tests.support.payloads import SHOPEE_SECRET, SHOPIFY_SECRET, TENANT, shopify_order
from tools.channels import DeliveryKind, HeaderLines, ShopSecret, VerifiedDelivery, adapter
from tools.channels.shopee import signature as shopee_signature
from tools.channels.shopify import signature as shopify_signature

NOW = datetime(2026, 6, 1, 3, 0, tzinfo=UTC)
SHOPIFY_BODY = json.dumps(shopify_order()).encode()
PUSH = {
    "code": 3,
    "shop_id": 727720655,
    "timestamp": 1780279206,
    "data": {"ordersn": "260601ABCDEFGH", "status": "READY_TO_SHIP", "update_time": 1780279205, "items": []},
}
PUSH_BODY = json.dumps(PUSH).encode()


@dataclass(frozen=True)
class Signed:
    """One channel's valid delivery and how it is signed."""

    channel: str
    header: str
    body: bytes
    secret: ShopSecret
    sign: Callable[[bytes, ShopSecret], str]

    def headers(self, body: bytes | None = None, secret: ShopSecret | None = None) -> dict[str, str]:
        return {self.header: self.sign(self.body if body is None else body, secret or self.secret)}


SHOPIFY = Signed(
    "shopify", "X-Shopify-Hmac-Sha256", SHOPIFY_BODY, SHOPIFY_SECRET, lambda raw, s: shopify_signature(raw, s.secret)
)
SHOPEE = Signed(
    "shopee",
    "Authorization",
    PUSH_BODY,
    SHOPEE_SECRET,
    lambda raw, s: shopee_signature(raw, s.callback_url, s.secret),
)
both = pytest.mark.parametrize("case", [SHOPIFY, SHOPEE], ids=lambda case: case.channel)


def verify(
    case: Signed, headers: HeaderLines, *, body: bytes | None = None, secrets: tuple[ShopSecret, ...] | None = None
) -> VerifiedDelivery:
    raw = case.body if body is None else body
    return adapter(case.channel).verify(raw, headers, secrets or (case.secret,), now=NOW)


@both
def test_a_valid_delivery_names_tenant_shop_and_order(case: Signed) -> None:
    delivery = verify(case, case.headers())
    assert (delivery.channel, delivery.tenant, delivery.shop) == (case.channel, TENANT, case.secret.shop)
    assert delivery.kind is DeliveryKind.ORDER
    assert delivery.external_id in ("450789470", "260601ABCDEFGH")


@both
def test_header_names_are_read_in_any_case(case: Signed) -> None:
    """reliability/S06: the wrong case of a header name is still the header."""
    ((name, value),) = case.headers().items()
    assert verify(case, {name.upper(): value}) == verify(case, [(name.lower(), value)])


@both
@pytest.mark.parametrize("place", [0, 1, 17, -1])
def test_one_flipped_byte_is_refused(case: Signed, place: int) -> None:
    """reliability/S06: one flipped byte."""
    body = bytearray(case.body)
    body[place] ^= 1
    with pytest.raises(BadSignature, match="does not match") as caught:
        verify(case, case.headers(), body=bytes(body))
    assert caught.value.status == 401


@both
def test_a_body_written_anew_is_refused(case: Signed) -> None:
    """reliability/S06: the same document in other bytes is another body."""
    with pytest.raises(BadSignature):
        verify(case, case.headers(), body=json.dumps(json.loads(case.body), indent=1).encode())


@both
def test_a_compressed_body_is_refused_under_the_signature_of_the_plain_one(case: Signed) -> None:
    """reliability/S06: gzip."""
    with pytest.raises(BadSignature):
        verify(case, case.headers(), body=gzip.compress(case.body))


FAULTS: dict[str, tuple[Callable[[str], list[str]], str]] = {
    "missing": (lambda v: [], "missing or empty"),
    "empty": (lambda v: [""], "missing or empty"),
    "blank": (lambda v: ["   "], "missing or empty"),
    "twice the same": (lambda v: [v, v], "sent 2 times"),
    "twice": (lambda v: [v, "x"], "sent 2 times"),
    "accented": (lambda v: ["é" + v[1:]], "beyond printable ASCII"),
    "surrogate": (lambda v: ["\ud800"], "beyond printable ASCII"),
    "control character": (lambda v: [v + "\x00"], "beyond printable ASCII"),
    "wrong case": (lambda v: [v.swapcase()], "does not match"),
    "cut": (lambda v: [v[:-1]], "does not match"),
    "joined by a proxy": (lambda v: [v + ", " + v], "does not match"),
    "with a scheme": (lambda v: ["Bearer " + v], "does not match"),
}


@both
@pytest.mark.parametrize("fault", FAULTS)
def test_header_faults_are_bad_signatures(case: Signed, fault: str) -> None:
    """reliability/S06: header missing, empty, wrong case of its value, non-ASCII, duplicated; never a crash."""
    change, sentence = FAULTS[fault]
    ((name, value),) = case.headers().items()
    with pytest.raises(BadSignature, match=sentence):
        verify(case, [(name, each) for each in change(value)])


@both
def test_ten_megabytes_are_too_large_and_never_hashed(case: Signed) -> None:
    """reliability/S06: 10 MB is 413, whatever its signature."""
    with pytest.raises(PayloadTooLarge):
        verify(case, {case.header: "x"}, body=b" " * 10_000_000)


@both
def test_nothing_is_parsed_before_the_signature_is_right(case: Signed) -> None:
    """reliability/S06: broken JSON under a wrong signature is a wrong signature; under a right one it is broken JSON."""
    broken = b'{"id": NaN'
    with pytest.raises(BadSignature):
        verify(case, {case.header: "x"}, body=broken)
    with pytest.raises(MalformedPayload):
        verify(case, case.headers(broken), body=broken)


@both
def test_a_rotated_secret_is_valid_beside_the_new_one(case: Signed) -> None:
    old, new = case.secret, replace(case.secret, secret="rotated")
    for signer in (old, new):
        assert verify(case, case.headers(secret=signer), secrets=(new, old)).shop == case.secret.shop
    with pytest.raises(BadSignature):
        verify(case, case.headers(secret=old), secrets=(new,))


@both
def test_no_secret_means_no_delivery(case: Signed) -> None:
    with pytest.raises(BadSignature):
        adapter(case.channel).verify(case.body, case.headers(), (), now=NOW)


@both
@given(raw=st.binary(max_size=200), value=st.text(max_size=80))
def test_any_bytes_with_any_header_end_in_a_clear_refusal(case: Signed, raw: bytes, value: str) -> None:
    """reliability/S06: never a crash."""
    with pytest.raises(InputError):
        verify(case, {case.header: value}, body=raw)


@both
@given(
    st.dictionaries(
        st.sampled_from(["id", "order_id", "code", "data", "shop_id", "timestamp", "line_items", "cancelled_at"]),
        st.none() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({}) | st.booleans(),
    ),
    st.sampled_from(["", "orders/create", "orders/edited", "refunds/create", "app/uninstalled", "orders/delete"]),
)
def test_a_signed_document_of_any_shape_is_read_or_refused(case: Signed, document: object, topic: str) -> None:
    raw = json.dumps(document).encode()
    with contextlib.suppress(BadSignature, MalformedPayload):
        verify(case, {**case.headers(raw), "X-Shopify-Topic": topic}, body=raw)


def test_a_shopify_delivery_is_deduplicated_by_event_topic_and_shop() -> None:
    """reliability section 1, Shopify webhooks: several subscriptions to a topic share one event id."""
    facts = {"X-Shopify-Topic": "orders/create", "X-Shopify-Event-Id": "e-1", "X-Shopify-Webhook-Id": "w-1"}
    first = verify(SHOPIFY, SHOPIFY.headers() | facts)
    assert first.dedupe_id == "shopify:acme-hk.myshopify.com:orders/create:e-1"
    assert verify(SHOPIFY, SHOPIFY.headers() | facts | {"X-Shopify-Webhook-Id": "w-2"}).dedupe_id == first.dedupe_id
    assert verify(SHOPIFY, SHOPIFY.headers() | facts | {"X-Shopify-Topic": "orders/paid"}).dedupe_id != first.dedupe_id
    no_event = verify(SHOPIFY, SHOPIFY.headers() | facts | {"X-Shopify-Event-Id": ""})
    assert no_event.dedupe_id.endswith(":w-1")
    bare, again = verify(SHOPIFY, SHOPIFY.headers()), verify(SHOPIFY, SHOPIFY.headers())
    assert bare.dedupe_id == again.dedupe_id


def test_a_delivery_for_another_shop_is_refused_even_with_a_known_secret() -> None:
    with pytest.raises(BadSignature, match=r"configured for other\.myshopify\.com"):
        verify(SHOPIFY, SHOPIFY.headers() | {"X-Shopify-Shop-Domain": "other.myshopify.com"})
    domain = {"X-Shopify-Shop-Domain": "ACME-hk.myshopify.com"}
    assert verify(SHOPIFY, SHOPIFY.headers() | domain).shop == "acme-hk.myshopify.com"


@pytest.mark.parametrize("name", ["X-Shopify-Shop-Domain", "X-Shopify-Topic", "X-Shopify-Event-Id"])
def test_a_repeated_fact_is_refused(name: str) -> None:
    """reliability/S06: duplicated header."""
    with pytest.raises(BadSignature, match="sent 2 times"):
        verify(SHOPIFY, [*SHOPIFY.headers().items(), (name, "acme-hk.myshopify.com"), (name, "x")])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("2026-06-01T02:00:05.123456789Z", datetime(2026, 6, 1, 2, 0, 5, 123456, tzinfo=UTC)),
        ("2026-06-01T10:00:05+08:00", datetime(2026, 6, 1, 2, 0, 5, tzinfo=UTC)),
        ((NOW + timedelta(hours=1)).isoformat(), None),
        ("yesterday", None),
        ("2026-06-01T02:00:05", None),
        ("", None),
    ],
)
def test_the_trigger_time_is_kept_only_when_it_can_be_true(sent: str, kept: datetime | None) -> None:
    assert verify(SHOPIFY, SHOPIFY.headers() | {"X-Shopify-Triggered-At": sent}).source_time == kept


@pytest.mark.parametrize(
    ("topic", "document", "kind", "external_id", "fetch"),
    [
        pytest.param("orders/create", shopify_order(), "order", "450789470", False, id="create"),
        pytest.param("orders/updated", shopify_order(), "order", "450789470", False, id="updated"),
        pytest.param("ORDERS/PAID", shopify_order(), "order", "450789470", False, id="upper case"),
        pytest.param("orders/cancelled", shopify_order(), "cancel", "450789470", False, id="cancelled"),
        pytest.param(
            "orders/updated",
            shopify_order(cancelled_at="2026-06-01T11:00:00Z"),
            "cancel",
            "450789470",
            False,
            id="updated, cancelled",
        ),
        pytest.param("", shopify_order(), "order", "450789470", False, id="no topic"),
        pytest.param(
            "orders/edited", {"order_edit": {"id": 1, "order_id": 450789470}}, "order", "450789470", True, id="edited"
        ),
        pytest.param("refunds/create", {"id": 5, "order_id": "450789470"}, "order", "450789470", True, id="refund"),
        pytest.param("orders/delete", {"id": 450789470}, "ignored", "450789470", False, id="delete"),
        pytest.param("products/update", {"id": 7}, "ignored", "7", False, id="product"),
        pytest.param("app/uninstalled", {"domain": "x"}, "ignored", None, False, id="uninstalled"),
    ],
)
def test_shopify_topics_mean_what_they_say(
    topic: str, document: dict[str, object], kind: str, external_id: str | None, fetch: bool
) -> None:
    raw = json.dumps(document).encode()
    got = verify(SHOPIFY, SHOPIFY.headers(raw) | {"X-Shopify-Topic": topic}, body=raw)
    assert (got.kind, got.external_id, got.fetch) == (kind, external_id, fetch)


@pytest.mark.parametrize(
    ("push", "kind", "external_id", "fetch"),
    [
        (PUSH, "order", "260601ABCDEFGH", True),
        ({**PUSH, "data": {"ordersn": "A1", "status": "CANCELLED"}}, "cancel", "A1", True),
        ({**PUSH, "data": {"ordersn": "A1", "status": "IN_CANCEL"}}, "cancel", "A1", True),
        ({**PUSH, "code": 4, "data": {"ordersn": "A1", "tracking_no": "T"}}, "ignored", "A1", False),
        ({**PUSH, "code": 10, "data": {"type": "message"}}, "ignored", None, False),
        ({"code": 0, "timestamp": 1780279206, "data": {"verify_info": "hello"}}, "ignored", None, False),
    ],
)
def test_shopee_pushes_announce_and_never_carry(
    push: dict[str, object], kind: str, external_id: str | None, fetch: bool
) -> None:
    """reliability section 1, Shopee push: only 'something changed', fetch the order."""
    raw = json.dumps(push).encode()
    got = verify(SHOPEE, SHOPEE.headers(raw), body=raw)
    assert (got.kind, got.external_id, got.fetch) == (kind, external_id, fetch)


def test_shopee_signs_the_registered_callback_url_not_the_proxys() -> None:
    """reliability/S06: hex HMAC over the registered callback URL, a bar and the raw body."""
    elsewhere = replace(SHOPEE_SECRET, callback_url="http://10.0.0.7:8080/v1/channels/shopee/webhooks")
    with pytest.raises(BadSignature):
        verify(SHOPEE, SHOPEE.headers(secret=elsewhere))


def test_a_shopee_push_belongs_to_the_shop_it_names() -> None:
    other = replace(SHOPEE_SECRET, shop="111", tenant=TENANT)
    assert verify(SHOPEE, SHOPEE.headers(), secrets=(other, SHOPEE_SECRET)).shop == "727720655"
    with pytest.raises(BadSignature, match="no secret is configured for its shop 727720655"):
        verify(SHOPEE, SHOPEE.headers(), secrets=(other,))


def test_secrets_stay_out_of_a_printed_shop() -> None:
    assert "push-key" not in repr(SHOPEE_SECRET)
    assert "partner-key" not in repr(SHOPEE_SECRET)
    assert SHOPEE_SECRET.access_token not in repr(SHOPEE_SECRET)


@pytest.mark.parametrize("channel", ["storefront", "b2b"])
def test_native_orders_have_no_webhook(channel: str) -> None:
    with pytest.raises(BadSignature, match="POST /v1/orders"):
        adapter(channel).verify(b"{}", {}, (), now=NOW)
