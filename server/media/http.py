"""HTTP towards cameras: only where it is allowed to go, only as much and as long as is sensible."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import urllib3
import urllib3.exceptions

from server.clock import Clock
from server.errors import SourceError
from server.media.addresses import allowed_addresses
from server.media.http_auth import Credentials
from server.media.http_wire import CONNECT_SECONDS, Limits, PlainPool, SecurePool

MAX_REDIRECTS = 5
PLAYLIST_BYTES = 1 << 20
SEGMENT_BYTES = 64 << 20
_ADDRESSES_TRIED = 3
"""Of a name with many addresses, so that one which drops packets does not hold a camera for minutes."""
_POOLS_KEPT = 4
_CHUNK = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_CONNECTION = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
_PORTS = {"http": 80, "https": 443}

_WORDS = {
    403: "refuses access (403): check the user name and password, and what that user may see",
    404: "there is no such stream there (404)",
    410: "there is no such stream there any more (410)",
    429: "asks to be left alone for a while: too many requests (429)",
}


@dataclass(frozen=True, slots=True)
class _Target:
    """A URL taken apart: whom to ask, and for what."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> _Target:
        """Raises SourceError for what is not http:// or https://, or names no host."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host = host if ":" in host else host.encode("idna").decode("ascii")
        except (ValueError, UnicodeError) as error:
            raise SourceError("an address in the stream is not a valid URL") from error
        if parts.scheme not in _PORTS:
            raise SourceError(
                f"the stream refers to a {parts.scheme or 'local'} address, which is not allowed"
            )
        if not host or any(not 32 < ord(character) < 127 for character in host):
            raise SourceError("an address in the stream names no host")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], path)

    @property
    def origin(self) -> tuple[str, str, int]:
        """What credentials and connections belong to."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host, and port where it is not the usual one: what is shown, and sent as Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Body:
    """What a server sends in answer to a request, read as it comes."""

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, limits: Limits) -> None:
        self.url = url
        """Where it came from in the end, after redirects."""
        self.what = _Target.of(url).authority
        self.content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self._response = response
        self._limits = limits

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end. Raises SourceError."""
        try:
            # PyAV copies whatever it gets into a buffer of `size`: more would be written behind it.
            return self._response.read1(size, decode_content=True)[:size]
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _in_words(self.what, error, self._limits) from error

    def close(self) -> None:
        """Hang up; what was not read is not wanted."""
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
            self._response.close()


class HttpClient:
    """Asks for what one camera's stream consists of.

    Each host is looked up once and connected to at the address that was checked. Redirects are followed
    by asking anew, with all checks. Credentials of the camera's address go to its own origin only, and
    those in any other URL are ignored.

    One thread uses it; `close()` may be called from another, and ends a wait within a moment.
    """

    def __init__(self, address: str, *, networks: frozenset[str], clock: Clock) -> None:
        self._networks = networks
        target = _Target.of(address)
        self.what = target.authority
        """What errors begin with: the camera's host."""
        self._origin = target.origin
        self._credentials = Credentials.of(address)
        self._limits = Limits(clock)
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}
        self._tls: ssl.SSLContext | None = None

    def watch(self, stop: threading.Event) -> None:
        """End every wait soon after `stop` is set, with a SourceError."""
        self._limits.stop = stop

    def stream(self, url: str) -> Body:
        """Begin to receive something. Raises SourceError.

        It has to be there within 10 s, unless `endless()` says meanwhile that it need not end.
        """
        self._limits.within(self._limits.answer_seconds)
        return self._ask(url, {})

    def endless(self) -> None:
        """What is being received may go on for ever; only silence is an error."""
        self._limits.within(None)

    def get(self, url: str, limit: int, span: tuple[int, int] | None = None) -> tuple[bytes, str]:
        """(content, where it came from in the end).

        limit: bytes it may have at most. span: (first byte, number of bytes) where only a part of the
        file is wanted. Raises SourceError.
        """
        headers = {"Range": f"bytes={span[0]}-{span[0] + span[1] - 1}"} if span else {}
        seconds = self._limits.answer_seconds if limit <= PLAYLIST_BYTES else self._limits.segment_seconds
        self._limits.within(seconds)
        body = self._ask(url, headers)
        with contextlib.closing(body):
            whole = span is not None and body._response.status == 200
            wanted = span[0] + span[1] if span and whole else limit
            content = bytearray()
            while chunk := body.read(_CHUNK):
                content += chunk
                if len(content) > limit:
                    raise SourceError(
                        f"{body.what}: sends more than {limit >> 20} MB where a piece was expected"
                    )
                if whole and len(content) >= wanted:
                    break
        if span and whole:
            content = content[span[0] : wanted]
        return bytes(content), body.url

    def close(self) -> None:
        """Hang up everywhere."""
        self._limits.closed.set()
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()

    def _ask(self, url: str, headers: Mapping[str, str]) -> Body:
        for _ in range(1 + MAX_REDIRECTS):
            target = _Target.of(url)
            response = self._signed(target, headers)
            location = response.headers.get("Location")
            if response.status in _REDIRECTS and location:
                response.close()
                url = urljoin(url, location)
                continue
            if response.status not in (200, 206):
                response.close()
                raise SourceError(f"{target.authority}: {self._refusal(target, response.status)}")
            return Body(response, url, self._limits)
        raise SourceError(f"{_Target.of(url).authority}: sends from one address to the next without end")

    def _signed(self, target: _Target, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a request; sign in where the camera's own server asks for it."""
        own = self._credentials if self._is_own(target) else None
        sent = own.header("GET", target.path) if own else None
        response = self._send(target, {**headers, **({"Authorization": sent} if sent else {})})
        if response.status != 401 or own is None:
            return response
        if not own.challenged(response.headers.getlist("WWW-Authenticate")):
            return response
        response.close()
        return self._send(target, {**headers, "Authorization": own.header("GET", target.path) or ""})

    def _is_own(self, target: _Target) -> bool:
        """The origin of the camera's address, or the same host's https:// instead of http://."""
        if target.origin == self._origin:
            return True
        return self._origin == ("http", target.host, 80) and target.origin == ("https", target.host, 443)

    def _refusal(self, target: _Target, status: int) -> str:
        if status == 401:
            if self._credentials is not None and self._is_own(target):
                return "refuses the user name or password (401)"
            return "asks for a user name and password (401)"
        if status >= 500:
            return f"the server there has a problem of its own ({status})"
        return _WORDS.get(status, f"answers with status {status} instead of video")

    def _send(self, target: _Target, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a request over the connection that there is, or over a new one."""
        pool = self._pools.pop(target.origin, None)
        try:
            if pool is not None:
                # The server may have hung up in between, or have moved: look it up and ask once more.
                with contextlib.suppress(urllib3.exceptions.ProtocolError, *_NO_CONNECTION):
                    return self._exchange(pool, target, headers)
            failure: Exception | None = None
            for ip in allowed_addresses(target.host, target.port, self._networks)[:_ADDRESSES_TRIED]:
                try:
                    return self._exchange(self._pool(target, ip), target, headers)
                except _NO_CONNECTION as error:
                    failure = error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            failure = error
        raise _in_words(target.authority, failure, self._limits) from failure

    def _exchange(
        self, pool: urllib3.HTTPConnectionPool, target: _Target, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        try:
            response = pool.urlopen(
                "GET",
                target.path,
                headers={
                    "Host": target.authority,
                    "User-Agent": "Hypersight",
                    "Accept": "*/*",
                    "Accept-Encoding": "identity",
                    **headers,
                },
                retries=False,
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=self._limits.read_seconds),
            )
        except BaseException:
            pool.close()
            raise
        self._pools[target.origin] = pool
        while len(self._pools) > _POOLS_KEPT:
            self._pools.pop(next(iter(self._pools))).close()
        return response

    def _pool(self, target: _Target, ip: str) -> urllib3.HTTPConnectionPool:
        if target.scheme == "http":
            return PlainPool(ip, target.port, maxsize=1, limits=self._limits)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return SecurePool(
            ip,
            target.port,
            maxsize=1,
            ssl_context=self._tls,
            server_hostname=target.host,
            limits=self._limits,
        )


def _in_words(what: str, error: Exception | None, limits: Limits) -> SourceError:
    """The reason for a failure, as a sentence."""
    causes = []
    while error is not None and error not in causes:
        causes.append(error)
        inner = next((piece for piece in error.args if isinstance(piece, Exception)), None)
        error = error.__cause__ or error.__context__ or inner  # type: ignore[assignment]
    return SourceError(f"{what}: {_reason(causes, limits)}")


def _reason(causes: list[Exception], limits: Limits) -> str:
    def has(*kinds: type[Exception]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not valid ({cause.verify_message.rstrip('.')}); have it renewed, or "
                "make its authority known to this server (the file that SSL_CERT_FILE names)"
            )
    if limits.given_up():
        return "the connection was closed from here"
    if has(ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if has(urllib3.exceptions.NewConnectionError):
        return "cannot be reached: the network knows no way there"
    if has(urllib3.exceptions.ConnectTimeoutError):
        return f"does not answer within {CONNECT_SECONDS:g} s"
    if has(urllib3.exceptions.ReadTimeoutError, TimeoutError):
        if limits.endless:
            return f"has sent nothing for {limits.read_seconds:g} s"
        return f"does not answer within {limits.patience:g} s"
    if has(ssl.SSLError):
        return "does not speak TLS as it should; is it http:// rather than https://?"
    if has(urllib3.exceptions.IncompleteRead):
        return "broke off in the middle"
    if has(ConnectionError, urllib3.exceptions.ProtocolError):
        return "ended the connection, or does not speak HTTP"
    return "its answer cannot be read"
