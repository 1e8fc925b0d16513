"""Cameras that speak RTSP, over TCP or UDP."""

from __future__ import annotations

import contextlib
import threading
from urllib.parse import urlsplit

import av
import av.container
import av.error

from server.clock import Clock
from server.errors import SourceError
from server.media.addresses import allowed_addresses
from server.media.connection import OPEN_SECONDS, READ_SECONDS, LiveConnection, is_silent, is_unreachable
from server.media.libav import LIMITS

_PORTS = {"rtsp": 554, "rtsps": 322}
_ADDRESSES_TRIED = 3
"""Of a name with many addresses, so that they do not add up to minutes."""
_VIDEO_ONLY = {"allowed_media_types": "video"}
"""Audio is not even asked for."""
_OPTIONS = {
    "protocol_whitelist": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto",
    "timeout": str(int(READ_SECONDS * 1e6)),
    "analyzeduration": "5000000",
    # A keyframe of 4K comes over UDP at once; the usual 200 kB would lose a part of it.
    "buffer_size": "2000000",
    "user_agent": "Hypersight",
}


class StreamSource(LiveConnection):
    """An address that begins with rtsp:// or rtsps://. transport: "tcp" or "udp"."""

    def __init__(
        self,
        address: str,
        *,
        transport: str,
        anchor_us: int,
        after: int | None,
        clock: Clock,
        networks: frozenset[str],
    ) -> None:
        parts = urlsplit(address)
        self._address = parts
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._transport = transport
        self._networks = networks
        what = self._host if parts.port is None else f"{self._host}:{parts.port}"
        super().__init__(what, anchor_us=anchor_us, after=after, clock=clock)

    def _connect(self) -> av.container.InputContainer:
        addresses = allowed_addresses(self._host, self._port, self._networks)[:_ADDRESSES_TRIED]
        for ip in addresses[:-1]:
            try:
                return self._connect_to(ip)
            except SourceError as error:
                if error.state != "unreachable" or not error.retryable:
                    raise
        return self._connect_to(addresses[-1])

    def _connect_to(self, ip: str) -> av.container.InputContainer:
        started_s = self._clock.monotonic()
        try:
            return self._open(ip, _VIDEO_ONLY)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            silent = is_silent(error) or self._clock.monotonic() - started_s > OPEN_SECONDS - 0.5
            reason = f"does not answer within {OPEN_SECONDS:.0f} s" if silent else self._why_not(error, ip)
        # Its cause would quote the address with the password.
        raise SourceError(f"{self._what}: {reason}")

    def _open(self, ip: str, options: dict[str, str]) -> av.container.InputContainer:
        return av.open(
            self._url(ip),
            "r",
            format="rtsp",
            options=LIMITS,
            container_options={**_OPTIONS, **options, "rtsp_transport": self._transport},
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )

    def _has_video(self, ip: str) -> bool:
        """Whether a camera that refused has any. Asked for the video of a stream without, servers refuse."""
        for _ in range(2):
            try:
                container = self._open(ip, {})
            except (av.error.FFmpegError, OSError, ValueError):
                # It may still be busy with taking down what was asked for before.
                self._clock.wait(threading.Event(), 0.5)
                continue
            with contextlib.closing(container):
                return bool(container.streams.video)
        return True

    def _url(self, ip: str) -> str:
        """The address with the host that was checked. TLS needs the name: its server may have several."""
        user = self._address.netloc.rpartition("@")[0]
        host = self._host if self._address.scheme == "rtsps" else ip
        place = f"[{host}]" if ":" in host else host
        netloc = f"{user}@{place}:{self._port}" if user else f"{place}:{self._port}"
        return self._address._replace(netloc=netloc, fragment="").geturl()

    def _why_not(self, error: Exception, ip: str) -> str:
        """Why a camera could not be opened, in words."""
        if isinstance(error, av.error.HTTPUnauthorizedError):
            if self._address.username:
                return "refuses the user name or password"
            return "wants a user name and a password: rtsp://user:password@…"
        if isinstance(error, av.error.HTTPForbiddenError):
            return "refuses access (403): may this user see the stream?"
        if isinstance(error, av.error.HTTPNotFoundError):
            return "there is no such stream there (404): is the path right?"
        if isinstance(error, av.error.HTTPServerError):
            return "has no room for another viewer, or is out of order (5xx)"
        if isinstance(error, av.error.HTTPClientError | av.error.ProtocolNotFoundError):
            if not self._has_video(ip):
                return "there is no video in it"
            return f"does not take the request; does it send over {self._transport.upper()}?"
        if isinstance(error, ConnectionRefusedError):
            return f"nothing listens there on port {self._port} (connection refused)"
        if is_unreachable(error):
            return "cannot be reached from this server: there is no route to it"
        if isinstance(error, ConnectionError | av.error.EOFError):
            return "ended the connection"
        if isinstance(error, av.error.InvalidDataError):
            return "what answers there does not speak RTSP, or sends no video that can be read"
        return getattr(error, "strerror", None) or type(error).__name__
