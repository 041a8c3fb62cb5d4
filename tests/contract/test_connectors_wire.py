"""What the shared HTTP client does on the wire: how often it asks, how long it waits, what it refuses to believe."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request, Response

from domain.errors import Ambiguous, ConfigError, ConnectorRejected, ConnectorUnavailable, InsufficientStock, TooLate
from domain.ids import Sku
from tests.support.outside import TOKEN, apply, hold, line, lookup, served
from tools.connectors.address import checked_base_url, path_of
from tools.connectors.directory import Systems
from tools.connectors.http import Misdirected

HELD = hold([line("SB-00001", "HKG")])
STOCK = b'{"about":"SB-00001","data":[]}'


class Script:
    """A server that gives scripted answers, and counts what it was asked."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: Counter[str] = Counter()
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self._answer, methods=["GET", "POST"])

    async def _answer(self, path: str, request: Request) -> Response:
        self.asked[f"{request.method} /{path}"] += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def times(self) -> int:
        return self.asked.total()


@asynccontextmanager
async def connected(script: Script, timeout_s: float = 5.0) -> AsyncIterator[Systems]:
    async with served(script.app) as url:
        systems = Systems.over_http(url, TOKEN, timeout_s=timeout_s)
        yield systems
        await systems.aclose()


def said(status: int, body: bytes | str = b"{}", **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status_code=status, media_type="application/json", headers=named)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
async def test_a_read_is_repeated_when_it_may_help(status: int) -> None:
    """F64: transient answers are repeated, three attempts at most."""
    script = Script(said(status), said(status), said(200, STOCK))
    async with connected(script) as systems:
        assert list(await systems.wms.stock([Sku("SB-00001")])) == []
    assert script.times == 3
    script = Script(said(status))
    async with connected(script) as systems:
        with pytest.raises(ConnectorUnavailable):
            await systems.wms.stock([Sku("SB-00001")])
    assert script.times == 3


@pytest.mark.parametrize("status", [400, 413, 422, 409])
async def test_a_read_refused_for_good_is_not_repeated(status: int) -> None:
    """F64: permanent answers are not repeated."""
    script = Script(said(status))
    async with connected(script) as systems:
        with pytest.raises(ConnectorRejected):
            await systems.wms.stock([Sku("SB-00001")])
    assert script.times == 1


@pytest.mark.parametrize("status", [401, 403, 404, 405, 301, 307])
async def test_a_wrong_address_is_for_an_operator(status: int) -> None:
    """F64, S12: wrong token, wrong path and redirects are not repeated, not followed, and refuse no order."""
    script = Script(said(status, location="/elsewhere"))
    async with connected(script) as systems:
        with pytest.raises(Misdirected):
            await systems.wms.stock([Sku("SB-00001")])
        with pytest.raises(Misdirected):
            await apply(systems, HELD)
    assert script.asked == {"GET /wms/stock": 1, "POST /wms/effects/hold_stock": 1}


async def test_a_wait_that_is_asked_for_is_honoured() -> None:
    """O01, F64: Retry-After is waited out when it fits; else the call gives up at once and passes it on."""
    script = Script(said(503, retry_after="1"), said(200, STOCK))
    async with connected(script) as systems:
        started = asyncio.get_running_loop().time()
        await systems.wms.stock([Sku("SB-00001")])
        assert asyncio.get_running_loop().time() - started >= 1
    script = Script(said(503, retry_after="30"))
    async with connected(script) as systems:
        started = asyncio.get_running_loop().time()
        with pytest.raises(ConnectorUnavailable) as failed:
            await systems.wms.stock([Sku("SB-00001")])
        assert asyncio.get_running_loop().time() - started < 4
    assert (failed.value.retry_after_s, script.times) == (30, 1)


@pytest.mark.parametrize("value", ["", "soon", "-5", "٣", "Wed, 99 Foo 2026 99:99:99 GMT", "Wed, 11 Nov 2026 03:00:00"])
async def test_an_unreadable_wait_is_no_wait(value: str) -> None:
    """O01: nonsense in Retry-After does not break the call."""
    script = Script(
        Response(b"{}", status_code=503, headers={b"retry-after".decode(): value.encode().decode("latin-1")})
    )
    async with connected(script) as systems:
        with pytest.raises(ConnectorUnavailable) as failed:
            await apply(systems, HELD)
    assert failed.value.retry_after_s is None


@pytest.mark.parametrize(
    "answer", [said(500), said(502), said(204), said(200, b"[]"), said(200, b'{"key": 1}'), said(200, b"\xff")]
)
async def test_an_effect_is_sent_once(answer: Response) -> None:
    """O02, F64: connectors never repeat an effect; the attempt budget belongs to the effect ledger."""
    script = Script(answer)
    async with connected(script) as systems:
        with pytest.raises(Ambiguous):
            await apply(systems, HELD)
    assert script.times == 1


async def test_refusals_keep_their_meaning() -> None:
    """O01: 409 and 422 become our own refusals, with what is short; unknown codes are plain rejections."""
    cases: list[tuple[Response, type[Exception]]] = [
        (said(409, b'{"code":"refused.stock","message":"short","short":{"SB-00001":2,"x":"y"}}'), InsufficientStock),
        (said(409, b'{"code":"refused.too_late","message":"late"}'), TooLate),
        (said(422, b'{"code":"anything","message":"no"}'), ConnectorRejected),
        (said(409, b"<html>"), ConnectorRejected),
        (said(400, b"[1]"), ConnectorRejected),
    ]
    for answer, expected in cases:
        async with connected(Script(answer)) as systems:
            with pytest.raises(expected) as refused:
                await apply(systems, HELD)
        if isinstance(refused.value, InsufficientStock):
            assert refused.value.short == {"SB-00001": 2}


@pytest.mark.parametrize(
    "answer",
    [
        said(404, b"<html>not here</html>"),
        said(404, b'{"detail":"Not Found"}'),
        said(404, b'{"code":"effect.unknown","key":"another"}'),
        said(200, b"{}"),
        said(204, b""),
    ],
)
async def test_only_the_system_itself_says_never_applied(answer: Response) -> None:
    """O02: a 404 from a proxy or about another key is no proof that nothing was done."""
    async with connected(Script(answer)) as systems:
        with pytest.raises(ConnectorUnavailable):
            await lookup(systems, HELD)


async def test_compressed_and_oversized_answers_are_refused() -> None:
    """O01: a body we did not ask to be compressed, or over 1 MB, is not read."""
    for answer in (said(200, STOCK, content_encoding="gzip"), said(200, b" " * 1_100_000)):
        async with connected(Script(answer)) as systems:
            with pytest.raises(ConnectorUnavailable):
                await systems.wms.stock([Sku("SB-00001")])
            with pytest.raises(Ambiguous):
                await apply(systems, HELD)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nothing_listening_or_no_tls_means_nothing_done(scheme: str) -> None:
    """O01: a refused connection or a failed TLS handshake did nothing, so an effect may simply be repeated."""
    async with served(Script(said(200)).app) as url:
        port = url.rpartition(":")[2]
        if scheme == "http":
            with socket.socket() as closed:
                closed.bind(("127.0.0.1", 0))
                port = str(closed.getsockname()[1])
        systems = Systems.over_http(f"{scheme}://127.0.0.1:{port}", TOKEN, timeout_s=1)
        with pytest.raises(ConnectorUnavailable):
            await apply(systems, HELD)
        with pytest.raises(ConnectorUnavailable):
            await systems.wms.stock([Sku("SB-00001")])
        await systems.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://wms.example",
        "wms.example",
        "",
        "http://",
        "http://user:pass@wms.example",
        "http://user@wms.example",
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0:8080",
        "http://[::]",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://127.1",
        "http://wms.example/?next=x",
        "http://wms.example/#x",
        "http://wms.example:99999",
        "http://wms.example:x",
        "http://wms.ex\nample",
        "http://wms.example\\@evil.example",
        "http://[::1",
    ],
)
def test_unsafe_addresses_are_refused_when_set(url: str) -> None:
    """S12: other schemes, credentials, metadata and disguised addresses are refused before anything is sent."""
    with pytest.raises(ConfigError):
        Systems.over_http(url, TOKEN)


def test_usable_addresses_are_kept() -> None:
    """S12: names, loopback and private networks are where the systems live."""
    for url in ("https://wms.example", "http://127.0.0.1:8081", "http://[::1]:80", "http://10.0.0.5/api"):
        assert checked_base_url(url + "/") == url


def test_an_id_stays_one_path_segment() -> None:
    """S12: an id cannot climb out of its place in the path."""
    assert path_of("crm", "../../admin?x#y") == "/crm/..%2F..%2Fadmin%3Fx%23y"
    assert path_of("..") == "/%2E%2E"
