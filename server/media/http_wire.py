"""Connections that give up in time: urllib3 limits each read, these limit the whole."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from functools import partial
from typing import Any

import urllib3
import urllib3.connection

from server.clock import Clock

CONNECT_SECONDS = 5.0
_SLICE = 0.25
"""Seconds of silence after which a reader looks whether it should stop."""
_BUFFER = 64 * 1024


class Limits:
    """How long the requests of one client may take, and whether it was told to stop."""

    def __init__(self, clock: Clock) -> None:
        self.read_seconds = 10.0
        """Of silence."""
        self.answer_seconds = 10.0
        """For the head of an answer, or the whole of a small one."""
        self.segment_seconds = 30.0
        """For a whole segment."""
        self.closed = threading.Event()
        self.stop: threading.Event | None = None
        self.patience = self.read_seconds
        """Seconds that were allowed for what is going on."""
        self._clock = clock
        self._until: float | None = None

    def within(self, seconds: float | None) -> None:
        """From now on everything has to be done in so many seconds; None: only silence is limited."""
        self._until = None if seconds is None else self._clock.monotonic() + seconds
        self.patience = self.read_seconds if seconds is None else seconds

    @property
    def endless(self) -> bool:
        """Whether only silence is limited."""
        return self._until is None

    def given_up(self) -> bool:
        """Whether nobody wants the answer any more."""
        return self.closed.is_set() or (self.stop is not None and self.stop.is_set())

    def check(self) -> None:
        """Raises OSError if it is over."""
        if self.given_up():
            raise ConnectionAbortedError("given up")
        if self._until is not None and self._clock.monotonic() > self._until:
            raise TimeoutError("took too long")


class _Wire(io.RawIOBase):
    """Reads a socket in slices of time, so that limits hold even for a server that sends a byte now and
    then."""

    def __init__(self, whole: io.BufferedReader, sock: socket.socket, limits: Limits) -> None:
        # Held because the socket stays open for as long as this is: http.client closes its own end early.
        self._held = whole.detach()
        self._sock = sock
        self._limits = limits

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        silence = 0.0
        while True:
            self._limits.check()
            self._sock.settimeout(_SLICE)
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                silence += _SLICE
                if silence >= self._limits.read_seconds:
                    self._limits.patience = self._limits.read_seconds
                    raise

    def close(self) -> None:
        self._held.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, limits: Limits, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Wire(self.fp, sock, limits), _BUFFER)


class _PlainConnection(urllib3.connection.HTTPConnection):
    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.response_class = partial(_Response, limits)  # type: ignore[assignment]


class _SecureConnection(urllib3.connection.HTTPSConnection):
    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.response_class = partial(_Response, limits)  # type: ignore[assignment]


class PlainPool(urllib3.HTTPConnectionPool):
    """Takes `limits`."""

    ConnectionCls = _PlainConnection


class SecurePool(urllib3.HTTPSConnectionPool):
    """Takes `limits`."""

    ConnectionCls = _SecureConnection
