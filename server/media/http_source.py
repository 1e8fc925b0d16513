"""Cameras and servers that send video over HTTP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

import av.container

from server.clock import Clock
from server.domain.video import Part
from server.errors import SourceError
from server.media.demux import (
    SNIFFED_BYTES,
    is_playlist,
    is_timeless,
    kind_of,
    open_container,
    packets_of,
    video_stream,
)
from server.media.formats import Formats
from server.media.hls_source import HlsSource
from server.media.http import PLAYLIST_BYTES, Body, HttpClient
from server.media.live import LiveLine

STALL_SECONDS = 10.0
KEYFRAME_SECONDS = 25.0
"""How long a stream may take to say its format: cameras send keyframes up to 20 s apart."""


class HttpSource:
    """An address that begins with http:// or https://.

    What it is shows in its first bytes: an HLS playlist, or one endless stream of MPEG-TS, MJPEG in
    parts, FLV, fragmented MP4 or Matroska.
    """

    def __init__(
        self, address: str, *, anchor_us: int, after: int | None, clock: Clock, networks: frozenset[str]
    ) -> None:
        self.live = True
        self.anchor_us = anchor_us
        self._address = address
        self._clock = clock
        self._line = LiveLine(anchor_us=anchor_us, after=after, clock=clock)
        self._client = HttpClient(address, networks=networks, clock=clock)
        self._hls: HlsSource | None = None
        self._feed: _Feed | None = None
        self._container: av.container.InputContainer | None = None
        self._formats: Formats | None = None

    @property
    def is_playlist(self) -> bool:
        """Whether it turned out to be HLS, once it is open."""
        return self._hls is not None

    @property
    def stall_seconds(self) -> float:
        """Seconds without a part after which something is wrong."""
        if self._hls is not None:
            return self._hls.stall_seconds
        known = self._formats is not None and self._formats.current is not None
        return STALL_SECONDS if known else KEYFRAME_SECONDS

    def open(self) -> None:
        """Connect, and read as far as the codec is known. Raises SourceError."""
        body = self._client.stream(self._address)
        feed = self._feed = _Feed(body)
        head = feed.peek(SNIFFED_BYTES)
        if is_playlist(head):
            text = feed.rest(PLAYLIST_BYTES)
            body.close()
            self._feed = None
            self._hls = HlsSource(self._client, body.url, text, line=self._line, clock=self._clock)
            self._hls.open()
            return
        kind = kind_of(head, body.content_type)
        if kind is None:
            raise SourceError(f"{body.what}: {_no_video(head, body.content_type)}")
        self._client.endless()
        self._container = open_container(feed, kind, body.what)
        self._stream = video_stream(self._container, body.what)
        self._formats = Formats(self._stream, body.what)

    def parts(self, stop: threading.Event, after: int | None = None) -> Iterator[Part]:
        """See `Source.parts`. Where it goes on was said when it was made."""
        self._client.watch(stop)
        if self._hls is not None:
            yield from self._hls.parts(stop)
            return
        if self._container is None or self._formats is None:
            raise SourceError(f"{self._client.what}: not open")
        try:
            yield from self._read(self._container, self._formats, stop)
        except SourceError:
            if stop.is_set():
                return
            yield from self._line.finish()
            raise

    def _read(
        self, container: av.container.InputContainer, formats: Formats, stop: threading.Event
    ) -> Iterator[Part]:
        begun = self._clock.monotonic()
        told = video = None
        for packet, base in packets_of(container, self._stream, self._client.what):
            if stop.is_set():
                return
            current = formats.of(bytes(packet))
            if current is None:
                if self._clock.monotonic() - begun > KEYFRAME_SECONDS:
                    raise SourceError(f"{self._client.what}: sends no keyframe for {KEYFRAME_SECONDS:.0f} s")
                continue
            if video is None or current is not told:
                told = current
                video = replace(current, rate=0.0) if is_timeless(container) else current
            yield from self._line.add(packet, base, video)
        raise SourceError(f"{self._client.what}: ended the connection")

    def hurry(self) -> None:
        """Give out all at once, for somebody to whom its exact time is nothing."""
        self._line.holds = False

    def close(self) -> None:
        """Hang up."""
        self._client.close()
        if self._hls is not None:
            self._hls.close()
        if self._formats is not None:
            self._formats.close()
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._feed is not None:
            self._feed.close()


class _Feed:
    """What a server sends, as a file for libav; its beginning can be looked at first."""

    def __init__(self, body: Body) -> None:
        self.what = body.what
        self._body = body
        self._head = b""

    def peek(self, size: int) -> bytes:
        """The first `size` bytes, or all if there are fewer. They are read again afterwards."""
        while len(self._head) < size and (chunk := self._body.read(size - len(self._head))):
            self._head += chunk
        return self._head

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; none at the end. Raises SourceError."""
        if self._head:
            chunk, self._head = self._head[:size], self._head[size:]
            return chunk
        return self._body.read(size)

    def rest(self, limit: int) -> bytes:
        """Everything up to the end. Raises SourceError if that is more than `limit` bytes."""
        content = bytearray()
        while chunk := self.read(limit):
            content += chunk
            if len(content) > limit:
                raise SourceError(f"{self.what}: its playlist is longer than {limit >> 20} MB")
        return bytes(content)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(SourceError):
            self._body.close()


def _no_video(head: bytes, content_type: str) -> str:
    """Why something that came is of no use."""
    if not head:
        return "answers with nothing at all"
    if head.startswith(b"\xff\xd8"):
        return "gives a single picture, not a stream"
    if content_type == "text/html" or head.lstrip()[:1] == b"<":
        return "there is a page for browsers there, and no video"
    return "what it sends is not a video that can be read"
