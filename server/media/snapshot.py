"""One look at a source: a picture of it, and what its stream is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from server.clock import Clock, SystemClock
from server.domain.video import TICKS_PER_SECOND, Frame, Part, VideoFormat
from server.errors import HypersightError, SourceError
from server.media.addresses import check_address
from server.media.connection import LiveConnection
from server.media.decoder import Decoder
from server.media.http_source import HttpSource
from server.media.source import Source
from server.media.sources import is_file, source_for

log = logging.getLogger(__name__)

SECONDS = 12.0
"""How long a look may take: a camera has 10 s to answer."""
MOST_AT_ONCE = 2
"""Looks at a time in a process: each holds a thread, and a camera's connection."""
MOST_HELD = 4
"""Threads that a library may keep before nobody looks any more."""
_ENOUGH_TICKS = TICKS_PER_SECOND
"""How much of the stream is measured."""
_PATIENCE = 3.0
"""Seconds to go on measuring once there is a picture: some cameras send one a minute."""
_SAME = 0.2
"""A rate that is told and within this share of the one measured is taken for the true one."""

_BUNCHED = 0.1
"""Pictures that follow each other within this share of the usual gap have no times of their own."""

_places = threading.BoundedSemaphore(MOST_AT_ONCE)
_held: list[threading.Thread] = []
_held_lock = threading.Lock()


class Busy(SourceError):
    """As many looks as may be are going on."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was seen. Sizes in pixels, upright; `rate` in pictures a second and `kbps` in thousands of bits
    a second, 0 where too little came to tell; `took_s` up to the first picture.

    `audio` names the sound's codec where there is some and it was asked for; `packing` is libav's name of
    the container ("hls" for a playlist).
    """

    codec: str
    profile: str
    width: int
    height: int
    rate: float
    kbps: float
    audio: str
    packing: str
    frame: Frame
    took_s: float


def take_snapshot(
    address: str,
    *,
    transport: str,
    networks: frozenset[str],
    seconds: float = SECONDS,
    clock: Clock | None = None,
) -> Snapshot:
    """Connect to an address, read a second of it, and let go.

    transport: "tcp" or "udp", for RTSP. networks: where streams may come from. Raises SourceError with the
    reason in words (Busy where others are looking), InvalidInput for what is no address.
    """
    check_address(address, networks)
    clock = clock or SystemClock()
    with _place():
        source = source_for(
            address,
            loop=False,
            transport=transport,
            # A file whose time has long come is read as fast as it can be.
            anchor_us=0 if is_file(address) else clock.now_us(),
            after=None,
            clock=clock,
            networks=networks,
        )
        if isinstance(source, HttpSource | LiveConnection):
            source.hurry()
        look = _Look(source, clock)
        look.start()
        if look.pictured.wait(seconds):
            left = seconds - (clock.monotonic() - look.begun_s)
            look.over.wait(min(_PATIENCE, max(0.0, left)))
        look.stop.set()
        if not look.over.is_set():
            with _held_lock:
                _held.append(look)
        return look.result(seconds)


@contextmanager
def _place() -> Iterator[None]:
    with _held_lock:
        _held[:] = [thread for thread in _held if thread.is_alive()]
        stuck = len(_held) >= MOST_HELD
    if stuck or not _places.acquire(blocking=False):
        raise Busy("other tests are running; try again in a moment")
    try:
        yield
    finally:
        _places.release()


class _Look(threading.Thread):
    """Reads in a thread of its own, because a read inside a library cannot be cancelled: it is left
    behind, and cleans up after itself if it ever returns."""

    def __init__(self, source: Source, clock: Clock) -> None:
        super().__init__(name="snapshot", daemon=True)
        self._source = source
        self._clock = clock
        self.begun_s = clock.monotonic()
        self.stop = threading.Event()
        self.pictured = threading.Event()
        """There is a picture, or there will be none."""
        self.over = threading.Event()
        """No more is read."""
        self._opened = False
        self._error: HypersightError | None = None
        self._seen: _Seen | None = None

    def run(self) -> None:
        """Read until enough is known."""
        try:
            self._source.open()
            self._opened = True
            self._read()
        except HypersightError as error:
            self._error = error
        except Exception as error:
            # The edge of the thread: whatever a library raises for somebody's bytes is an answer too.
            log.exception("a test of a source failed")
            self._error = SourceError(f"its video cannot be read ({type(error).__name__})")
        finally:
            self.over.set()
            self.pictured.set()
            self._source.close()

    def _read(self) -> None:
        seen = None
        for part in self._source.parts(self.stop):
            if seen is None or part.video != seen.video:
                seen = _Seen(part.video, self._source)
            seen.add(part)
            self._show(seen)
            if self.stop.is_set() or (self.pictured.is_set() and seen.ticks >= _ENOUGH_TICKS):
                return
        if seen is not None:
            seen.finish()
            self._show(seen)

    def _show(self, seen: _Seen) -> None:
        if seen.frame is not None and not self.pictured.is_set():
            seen.took_s = self._clock.monotonic() - self.begun_s
            self._seen = seen
            self.pictured.set()

    def result(self, seconds: float) -> Snapshot:
        """What was seen by now. Raises SourceError."""
        if self._seen is not None:
            return self._seen.told()
        if self._error is not None:
            raise self._error
        if self.over.is_set():
            raise SourceError("there is no picture in it that can be decoded")
        if not self._opened:
            raise SourceError(f"it does not answer within {seconds:.0f} s")
        raise SourceError(
            f"it answers, but no whole picture came within {seconds:.0f} s: set the camera's keyframe "
            "interval (I-frame interval, GOP) to one or two seconds"
        )


class _Seen:
    """What a stream has shown in one format."""

    def __init__(self, video: VideoFormat, source: Source) -> None:
        self.video = video
        self.frame: Frame | None = None
        self.took_s = 0.0
        self._decoder = Decoder(video)
        self._times: list[int] = []
        self._bytes = 0
        # Asked for now: the stream is gone once the source is closed.
        self._profile, self._audio, self._packing = _described(video.template)
        if isinstance(source, HttpSource) and source.is_playlist:
            self._packing = "hls"

    @property
    def ticks(self) -> int:
        """How much of the stream has come."""
        return max(self._times) - min(self._times) if self._times else 0

    def add(self, part: Part) -> None:
        """Take a part; its pictures are decoded until there is one."""
        self._times = [*self._times, *(packet.dts for packet in part.packets)]
        self._bytes += part.size
        if self.frame is None:
            self.frame = next(iter(self._decoder.decode(part, lambda packet: True)), None)

    def finish(self) -> None:
        """Nothing more comes: what the decoder held back is all there is."""
        if self.frame is None:
            self.frame = next(iter(self._decoder.flush()), None)

    def told(self) -> Snapshot:
        """Everything, for whoever asked."""
        assert self.frame is not None
        # Packets may be added while this is read: one look at the list.
        times = self._times
        span = (max(times) - min(times)) / TICKS_PER_SECOND
        # The last picture's own time is a part of what its bytes took.
        lasted = span * len(times) / (len(times) - 1) if len(times) > 1 else 0.0
        return Snapshot(
            codec=self.video.codec,
            profile=self._profile,
            width=self.frame.width,
            height=self.frame.height,
            rate=_true_rate(self.video.rate, _measured_rate(times)),
            kbps=self._bytes * 8 / 1000 / lasted if lasted else 0.0,
            audio=self._audio,
            packing=self._packing,
            frame=self.frame,
            took_s=self.took_s,
        )


def _measured_rate(times: Sequence[int]) -> float:
    """Pictures a second by their times, in ticks; 0 where they do not say.

    An RTSP camera's first packets may come in a bunch whose times nobody knows yet, a tick apart.
    """
    gaps = [later - earlier for earlier, later in pairwise(sorted(times))]
    shortest = median(gaps) * _BUNCHED if gaps else 0.0
    true = [gap for gap in gaps if gap > shortest]
    return len(true) * TICKS_PER_SECOND / sum(true) if true else 0.0


def _true_rate(told: float, measured: float) -> float:
    if not measured:
        return told if 0 < told <= 120 else 0.0
    return told if abs(told - measured) <= _SAME * measured else measured


def _described(template: Any) -> tuple[str, str, str]:
    """(profile, codec of the sound, container) of an open stream; empty where it does not say."""
    context = getattr(template, "codec_context", None)
    profile = str(getattr(context, "profile", None) or "")
    container = getattr(template, "container", None)
    if container is None:
        return profile, "", ""
    sounds = [stream.codec_context for stream in container.streams.audio]
    return profile, next((sound.name for sound in sounds if sound), ""), str(container.format.name)
