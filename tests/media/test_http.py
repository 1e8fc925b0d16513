"""The HTTP client: where it goes, whom it tells the password, how much and how long it takes."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import shutil
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.clock import SystemClock
from server.errors import SourceError
from server.media import http as client_module
from server.media.http import PLAYLIST_BYTES, HttpClient
from tests.media.httpd import Answer, Exchange, WebServer, dripping, moved, silent, status, stream, whole

LOOPBACK = frozenset({"loopback"})
ZEROS = bytes(1 << 16)


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


def client_for(address: str, networks: frozenset[str] = LOOPBACK, seconds: float = 10.0) -> HttpClient:
    client = HttpClient(address, networks=networks, clock=SystemClock())
    limits = client._limits
    limits.read_seconds = limits.answer_seconds = limits.segment_seconds = seconds
    return client


def fetch(address: str, *, limit: int = PLAYLIST_BYTES, seconds: float = 10.0) -> bytes:
    client = client_for(address, seconds=seconds)
    try:
        return client.get(address, limit)[0]
    finally:
        client.close()


def refusal(address: str, **how: float) -> str:
    with pytest.raises(SourceError) as caught:
        fetch(address, **how)  # type: ignore[arg-type]
    assert caught.value.retryable
    return str(caught.value)


def test_a_file_comes_whole_with_the_original_host_named(web: WebServer) -> None:
    web.answers["/a"] = whole(b"content" * 10_000)
    assert fetch(web.url("/a?x=1", host="localhost")) == b"content" * 10_000
    assert web.requests[0][0] == "/a?x=1"
    assert web.asked("/a")[0]["Host"] == f"localhost:{web.port}"


def test_connections_are_used_again_and_made_anew_when_the_server_has_hung_up(web: WebServer) -> None:
    ports = []

    def answer(exchange: Exchange) -> None:
        ports.append(exchange.client_address[1])
        exchange.send(200, b"x")
        exchange.close_connection = len(ports) == 2

    web.answers["/a"] = answer
    client = client_for(web.url("/a"))
    for _ in range(4):
        assert client.get(web.url("/a"), 10)[0] == b"x"
    client.close()
    assert ports[0] == ports[1] != ports[2] == ports[3]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_of_a_file(web: WebServer, ranges: bool) -> None:
    web.answers["/a"] = whole(bytes(range(200)), ranges=ranges)
    client = client_for(web.url("/a"))
    assert client.get(web.url("/a"), 1000, (50, 20))[0] == bytes(range(50, 70))
    client.close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "asks for a user name and password"),
        (403, "refuses access"),
        (404, "there is no such stream there"),
        (500, "problem of its own"),
        (503, "problem of its own"),
        (418, "status 418"),
    ],
)
def test_refusals_are_told_in_words(web: WebServer, code: int, words: str) -> None:
    web.answers["/a"] = status(code)
    message = refusal(web.url("/a"))
    assert words in message
    assert message.startswith(f"127.0.0.1:{web.port}: ")


def test_nothing_that_listens_is_told_in_words(web: WebServer) -> None:
    address = web.url("/a", user="admin:hidden")
    web.close()
    message = refusal(address)
    assert "connection refused" in message
    assert "hidden" not in message


def test_a_server_that_does_not_answer_is_given_up(web: WebServer) -> None:
    web.answers["/a"] = silent
    began = time.monotonic()
    assert "does not answer within 0.5 s" in refusal(web.url("/a"), seconds=0.5)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("prefix", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"#"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n#\r\n"),
    ],
)
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    web: WebServer, prefix: bytes, drop: bytes
) -> None:
    web.answers["/a"] = dripping(prefix, drop)
    began = time.monotonic()
    assert "does not answer within 0.6 s" in refusal(web.url("/a"), seconds=0.6)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("drop", [b"X: " + b"y" * 4000, b"X: y\r\n" * 1000])
def test_an_endless_head_is_bounded(web: WebServer, drop: bytes) -> None:
    web.answers["/a"] = dripping(b"HTTP/1.1 200 OK\r\n", drop, pause=0)
    assert "does not speak HTTP" in refusal(web.url("/a"))


def test_what_is_no_http_is_told_in_words(web: WebServer) -> None:
    web.answers["/a"] = dripping(b"RTSP/1.0 200 OK\r\n\r\n", b"")
    assert "does not speak HTTP" in refusal(web.url("/a"))


def test_what_is_too_long_is_refused_without_being_held(web: WebServer) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield ZEROS

    web.answers["/a"] = stream(endless)
    tracemalloc.start()
    try:
        assert "more than 1 MB" in refusal(web.url("/a"))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_compression_bomb_is_refused_without_being_held(web: WebServer) -> None:
    bomb = gzip.compress(bytes(100 << 20), 9)
    web.answers["/a"] = lambda exchange: exchange.send(200, bomb, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        assert "more than 1 MB" in refusal(web.url("/a"))
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


def test_an_answer_that_is_compressed_unasked_is_still_understood(web: WebServer) -> None:
    text = b"#EXTM3U\n" * 10_000
    web.answers["/a"] = lambda exchange: exchange.send(200, gzip.compress(text), Content_Encoding="gzip")
    assert fetch(web.url("/a")) == text


def test_a_file_that_is_cut_off_is_an_error(web: WebServer) -> None:
    web.answers["/a"] = cut_off
    assert "broke off" in refusal(web.url("/a"))


def cut_off(exchange: Exchange) -> None:
    exchange.close_connection = True
    exchange.send_response(200)
    exchange.send_header("Content-Length", "1000")
    exchange.end_headers()
    exchange.wfile.write(b"only this")


def test_redirects_are_followed_but_not_without_end(web: WebServer) -> None:
    web.answers["/a"] = moved("b")
    web.answers["/b"] = moved(web.url("/c"), 307)
    web.answers["/c"] = whole(b"there")
    client = client_for(web.url("/a"))
    assert client.get(web.url("/a"), 100) == (b"there", web.url("/c"))
    client.close()
    web.answers["/c"] = moved("/a")
    web.requests.clear()
    assert "without end" in refusal(web.url("/a"))
    assert len(web.requests) == 1 + client_module.MAX_REDIRECTS


@pytest.mark.parametrize(
    "forbidden",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://10.1.2.3/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "http://",
        "http://a:b:c/",
        "http://127.0.0.1\\@169.254.169.254/",
    ],
)
def test_redirects_to_where_nobody_may_go_are_refused(
    web: WebServer, forbidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = []
    real = client_module.HttpClient._pool

    def pool(self: HttpClient, target: object, ip: str) -> object:
        connected.append(ip)
        return real(self, target, ip)  # type: ignore[arg-type]

    monkeypatch.setattr(client_module.HttpClient, "_pool", pool)
    web.answers["/a"] = moved(forbidden)
    with pytest.raises(SourceError):
        fetch(web.url("/a"))
    assert set(connected) == {"127.0.0.1"}


def test_the_address_that_was_checked_is_the_one_connected_to(
    web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def look_up(host: str, port: int, networks: frozenset[str]) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.9"]

    monkeypatch.setattr(client_module, "allowed_addresses", look_up)
    web.answers["/a"] = whole(b"x")
    # Nobody but the test knows this name: looking it up a second time would fail.
    assert fetch(web.url("/a", host="door.invalid")) == b"x"
    assert asked == ["door.invalid"]
    assert web.asked("/a")[0]["Host"] == f"door.invalid:{web.port}"


def test_the_next_address_of_a_name_is_tried(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "allowed_addresses", lambda *_: ["127.0.0.2", "127.0.0.1"])
    web.answers["/a"] = whole(b"x")
    assert fetch(web.url("/a", host="door.invalid")) == b"x"


def basic(user: str, password: str) -> Answer:
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def answer(exchange: Exchange) -> None:
        if exchange.headers.get("Authorization") == expected:
            exchange.send(200, b"welcome")
        else:
            exchange.send(401, WWW_Authenticate='Basic realm="camera, front"')

    return answer


def digest(user: str, password: str, algorithm: str, qop: bool) -> Answer:
    hashed = hashlib.sha256 if algorithm.startswith("SHA-256") else hashlib.md5
    nonces = iter(["one", "two", "three", "four"])
    counts: list[str] = []

    def of(text: str) -> str:
        return hashed(text.encode()).hexdigest()

    def answer(exchange: Exchange) -> None:
        given = exchange.headers.get("Authorization", "")
        said = {key: a or b for key, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', given)}
        secret = of(f"{user}:the realm:{password}")
        if algorithm.endswith("-sess"):
            secret = of(f"{secret}:{said.get('nonce')}:{said.get('cnonce')}")
        request = of(f"GET:{exchange.path}")
        middle = f":{said.get('nc')}:{said.get('cnonce')}:auth" if qop else ""
        right = said.get("response") == of(f"{secret}:{said.get('nonce')}{middle}:{request}")
        if given.startswith("Digest ") and right and said["uri"] == exchange.path and said["opaque"] == "o":
            counts.append(said.get("nc", ""))
            assert not qop or len(set(counts)) == len(counts)
            exchange.send(200, b"welcome")
            return
        wanted = f'Digest realm="the realm", nonce="{next(nonces)}", opaque="o"'
        wanted += f", algorithm={algorithm}" + (', qop="auth-int, auth"' if qop else "")
        exchange.send(401, WWW_Authenticate='Basic realm="x", ' + wanted)

    return answer


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize("qop", [True, False])
def test_digest(web: WebServer, algorithm: str, qop: bool) -> None:
    web.answers["/a"] = digest("admin", "p@ss wörd", algorithm, qop)
    address = web.url("/a?ch=1", user="admin:p%40ss%20w%C3%B6rd")
    client = client_for(address)
    for _ in range(3):
        assert client.get(address, 100)[0] == b"welcome"
    client.close()
    sent = [headers.get("Authorization", "") for headers in web.asked("/a")]
    assert sent[0] == ""
    assert all(value.startswith("Digest ") for value in sent[1:])
    assert len(sent) == 4


def test_basic(web: WebServer) -> None:
    web.answers["/a"] = basic("admin", "s:e/c@ret")
    address = web.url("/a", user="admin:s%3Ae%2Fc%40ret")
    client = client_for(address)
    assert client.get(address, 100)[0] == b"welcome"
    assert client.get(address, 100)[0] == b"welcome"
    client.close()
    assert [("Authorization" in headers) for headers in web.asked("/a")] == [False, True, True]


def test_a_wrong_password_is_told_in_words_and_nowhere_shown(
    web: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    web.answers["/a"] = basic("admin", "right")
    message = refusal(web.url("/a", user="admin:hidden"))
    assert "refuses the user name or password" in message
    assert "hidden" not in message + caplog.text
    assert len(web.requests) == 2


def test_credentials_stay_with_their_own_server(web: WebServer) -> None:
    other = WebServer()
    try:
        other.answers["/b"] = basic("admin", "hidden")
        web.answers["/a"] = moved(other.url("/b", user="root:given"))
        assert "asks for a user name and password" in refusal(web.url("/a", user="admin:hidden"))
        assert [("Authorization" in headers) for headers in other.asked("/b")] == [False]
        # Neither after they were used, nor to the same server under another name.
        web.answers["/c"] = basic("admin", "hidden")
        web.answers["/d"] = moved(web.url("/c", host="localhost"))
        client = client_for(web.url("/c", user="admin:hidden"))
        assert client.get(web.url("/c"), 100)[0] == b"welcome"
        for address in (other.url("/b"), web.url("/c", host="localhost"), web.url("/d")):
            with pytest.raises(SourceError, match="asks for a user name"):
                client.get(address, 100)
        client.close()
        assert not any("Authorization" in headers for headers in other.asked("/b"))
    finally:
        other.close()


def test_closing_from_another_thread_ends_a_wait(web: WebServer) -> None:
    web.answers["/a"] = silent
    client = client_for(web.url("/a"))
    failed: list[SourceError] = []

    def wait() -> None:
        try:
            client.get(web.url("/a"), 100)
        except SourceError as error:
            failed.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 5
    while not web.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    client.close()
    thread.join(3)
    assert not thread.is_alive()
    assert "closed from here" in str(failed[0])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for door.test, signed by itself, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    there = tmp_path_factory.mktemp("tls")
    asked = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=door.test -addext subjectAltName=DNS:door.test"
    )
    command = ["openssl", *asked.split(), "-keyout", str(there / "key"), "-out", str(there / "cert")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    both = there / "both.pem"
    both.write_bytes((there / "key").read_bytes() + (there / "cert").read_bytes())
    return both


@pytest.fixture
def secure(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(client_module, "allowed_addresses", lambda *_: ["127.0.0.1"])
    server = WebServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.names = []  # type: ignore[attr-defined]
    context.sni_callback = lambda sock, name, _: server.names.append(name)  # type: ignore[attr-defined]
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    server.answers["/a"] = whole(b"secret")
    yield server
    server.close()


def test_a_certificate_that_is_known_is_accepted_for_its_own_name_only(
    secure: WebServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert fetch(f"https://door.test:{secure.port}/a") == b"secret"
    assert secure.names == ["door.test"]  # type: ignore[attr-defined]
    assert "certificate is not valid" in refusal(f"https://gate.test:{secure.port}/a")


def test_a_certificate_that_is_not_known_is_told_with_the_remedy(secure: WebServer) -> None:
    message = refusal(f"https://door.test:{secure.port}/a")
    assert "certificate is not valid (self" in message
    assert "SSL_CERT_FILE" in message
    assert not secure.requests


def test_http_spoken_where_tls_was_expected(web: WebServer) -> None:
    assert "is it http://" in refusal(f"https://127.0.0.1:{web.port}/a")
