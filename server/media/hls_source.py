"""HLS (RFC 8216): a playlist that is asked for again and again, and the segments it names."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import av.container
import av.video.stream

from server.clock import Clock
from server.domain.video import Part, VideoFormat
from server.errors import SourceError
from server.media.demux import (
    MP4,
    MPEGTS,
    SNIFFED_BYTES,
    Memory,
    kind_of,
    open_container,
    packets_of,
    video_stream,
)
from server.media.hls_follow import Follower
from server.media.hls_playlist import Piece, Playlist, Segment, best_of, parse
from server.media.http import PLAYLIST_BYTES, SEGMENT_BYTES, HttpClient
from server.media.libav import video_format
from server.media.live import LiveLine

log = logging.getLogger(__name__)

STALL_TARGETS = 3
STALL_SECONDS = 10.0
"""A live playlist that has not grown for three target durations, but at least so long, has stalled."""
_FIRST_TRIED = 3
"""Segments that are tried for a picture before the stream is said to have none."""
_FORMATS_KEPT = 16


@dataclass(slots=True)
class _Opened:
    """A segment in memory, ready to be read."""

    segment: Segment
    memory: Memory
    container: av.container.InputContainer
    stream: av.video.stream.VideoStream
    video: VideoFormat


class HlsSource:
    """An HLS stream. A live one is begun near its end, a finished one is played from its beginning.

    Every segment is opened as a container of its own, so a change of resolution or codec between two is
    nothing special. Sound is left alone, and so are alternative renditions.
    """

    def __init__(self, client: HttpClient, url: str, content: bytes, *, line: LiveLine, clock: Clock) -> None:
        self._client = client
        self._url = url
        self._content = content
        self._line = line
        self._clock = clock
        self._follower = Follower()
        self._formats: list[tuple[VideoFormat, av.container.InputContainer]] = []
        self._init: tuple[Piece, bytes] | None = None
        self._due: list[Segment] = []
        self._lost = False
        self._ready: _Opened | None = None
        self.stall_seconds = STALL_SECONDS
        """Seconds without a part after which something is wrong."""

    def open(self) -> None:
        """Choose a variant and open its first segment. Raises SourceError."""
        self._what = self._client.what
        found = parse(self._content, self._url, self._what)
        self._asked = self._grown = self._had = self._clock.monotonic()
        if not isinstance(found, Playlist):
            found = self._fetch_playlist(best_of(found, self._what).url)
        self._take(found)
        error: SourceError | None = None
        for _ in range(min(_FIRST_TRIED, len(self._due))):
            try:
                self._ready = self._open_segment(self._due.pop(0))
                return
            except SourceError as one:
                error, self._lost = one, True
        raise error or SourceError(f"{self._what}: its playlist has no segments yet")

    def parts(self, stop: threading.Event) -> Iterator[Part]:
        """Parts until the stream ends or `stop` is set. Raises SourceError."""
        try:
            yield from self._play(stop)
        except SourceError:
            if stop.is_set():
                return
            yield from self._line.finish()
            raise

    def close(self) -> None:
        """Let go of all segments."""
        if self._ready is not None:
            self._ready.container.close()
            self._ready = None
        for _, container in self._formats:
            container.close()
        self._formats.clear()

    def _play(self, stop: threading.Event) -> Iterator[Part]:
        begun, played_s = self._clock.monotonic(), 0.0
        while not stop.is_set():
            opened = self._ready or self._next_segment()
            self._ready = None
            if opened is not None:
                yield from self._packets(opened, stop)
                played_s += opened.segment.duration
            elif self._ended and not self._due:
                yield from self._line.finish()
                raise SourceError(f"{self._what}: the stream has ended", state="ended")
            # A recording comes as fast as the network is, but is watched as if it were live.
            ahead_s = begun + played_s - self._clock.monotonic() if self._ended else 0.0
            if ahead_s > 0 and self._clock.wait(stop, ahead_s):
                return
            if not self._due and not self._ended:
                self._reload(stop)

    def _packets(self, opened: _Opened, stop: threading.Event) -> Iterator[Part]:
        """Parts of a segment; one that is broken in the middle is played up to there."""
        first_pts: int | None = None
        lost = self._lost or opened.segment.discontinuity
        self._lost = False
        try:
            for packet, base in packets_of(opened.container, opened.stream, self._what):
                if stop.is_set():
                    return
                date_us = opened.segment.date_us
                if date_us is not None:
                    if packet.pts is None:
                        date_us = None
                    else:
                        first_pts = packet.pts if first_pts is None else first_pts
                        date_us += round((packet.pts - first_pts) * base * 1_000_000)
                yield from self._line.add(packet, base, opened.video, lost=lost, date_us=date_us)
                lost = False
        except SourceError as error:
            log.info("segment %d: %s", opened.segment.sequence, error)
            self._lost = True
        finally:
            opened.memory.release()
            if all(container is not opened.container for _, container in self._formats):
                opened.container.close()

    def _next_segment(self) -> _Opened | None:
        """The segment that is due; None if there is none, or if it cannot be had."""
        if not self._due:
            return None
        segment = self._due.pop(0)
        try:
            return self._open_segment(segment)
        except SourceError as error:
            log.info("segment %d is lost: %s", segment.sequence, error)
            self._lost = True
            if self._clock.monotonic() - self._had >= self.stall_seconds:
                raise
            return None

    def _open_segment(self, segment: Segment) -> _Opened:
        if segment.encryption:
            raise SourceError(
                f"{self._what}: its video is encrypted ({segment.encryption[:20]}), which cannot be read"
            )
        if segment.gap:
            raise SourceError(f"{self._what}: its server has no video for this time")
        content = self._init_of(segment) + self._fetch(segment.media)
        kind = kind_of(content[:SNIFFED_BYTES])
        if kind not in (MPEGTS, MP4):
            raise SourceError(f"{self._what}: a segment is neither MPEG-TS nor fragmented MP4")
        memory = Memory(content)
        container = open_container(memory, kind, self._what)
        try:
            stream = video_stream(container, self._what)
            video = self._known(video_format(stream, rotation=0), container)
        except SourceError:
            container.close()
            raise
        self._had = self._clock.monotonic()
        return _Opened(segment, memory, container, stream, video)

    def _known(self, video: VideoFormat, container: av.container.InputContainer) -> VideoFormat:
        """The same format as before, where it is one: what is measured in a segment varies a little.

        A segment without a keyframe does not tell its format: it goes on with the last one.
        """
        for index, (known, _) in enumerate(self._formats):
            silent = index == len(self._formats) - 1 and known.codec == video.codec and not video.width
            if silent or _same(known, video):
                self._formats.append(self._formats.pop(index))
                return known
        if not video.width:
            raise SourceError(f"{self._what}: there is no whole picture in the segment")
        self._formats.append((video, container))
        if len(self._formats) > _FORMATS_KEPT:
            self._formats.pop(0)[1].close()
        return video

    def _init_of(self, segment: Segment) -> bytes:
        if segment.init is None:
            return b""
        if self._init is None or self._init[0] != segment.init:
            self._init = segment.init, self._fetch(segment.init, PLAYLIST_BYTES)
        return self._init[1]

    def _fetch(self, piece: Piece, limit: int = SEGMENT_BYTES) -> bytes:
        """Fetch a file; once more if that fails, since servers list a segment a little early."""
        with contextlib.suppress(SourceError):
            return self._client.get(piece.url, limit, piece.span)[0]
        return self._client.get(piece.url, limit, piece.span)[0]

    def _fetch_playlist(self, url: str) -> Playlist:
        self._asked = self._clock.monotonic()
        content, self._url = self._client.get(url, PLAYLIST_BYTES)
        found = parse(content, self._url, self._what)
        if not isinstance(found, Playlist):
            raise SourceError(f"{self._what}: its playlists name one another without end")
        return found

    def _take(self, playlist: Playlist) -> None:
        new, lost = self._follower.take(playlist)
        self._due.extend(new)
        self._lost = self._lost or lost
        self._ended = playlist.ended
        self._pause = playlist.target_s if new else playlist.target_s / 2
        self.stall_seconds = max(STALL_SECONDS, STALL_TARGETS * playlist.target_s)
        if new:
            self._grown = self._clock.monotonic()

    def _reload(self, stop: threading.Event) -> None:
        """Ask for the playlist once it may have grown: after a target duration, or half of one if it had
        not (RFC 8216, 6.3.4). One that cannot be had is asked for again until the stream has stalled."""
        wait_s = self._asked + self._pause - self._clock.monotonic()
        if wait_s > 0 and self._clock.wait(stop, wait_s):
            return
        error: SourceError | None = None
        try:
            self._take(self._fetch_playlist(self._url))
        except SourceError as one:
            log.info("the playlist could not be read: %s", one)
            error = one
        silent_s = self._clock.monotonic() - self._grown
        if not self._due and not self._ended and silent_s >= self.stall_seconds:
            raise error or SourceError(f"{self._what}: no new video for {self.stall_seconds:.0f} s")


def _same(a: VideoFormat, b: VideoFormat) -> bool:
    """Whether one decoder serves both: the rate is only an estimate."""
    return (a.codec, a.extradata, a.width, a.height) == (b.codec, b.extradata, b.width, b.height)
