"""Counts how a camera fares: pictures in and out, bits, delay, and what it costs."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from server.clock import Clock
from server.domain.video import Part, VideoFormat
from server.services.live import Numbers

WINDOW_SECONDS = 5.0
"""Numbers are those of this long."""


@dataclass(slots=True)
class _Counts:
    """Since the beginning. Times in seconds; `delays`: summed over `parts`."""

    arrived: int = 0
    decoded: int = 0
    analysed: int = 0
    skipped: int = 0
    size: int = 0
    delays: float = 0.0
    parts: int = 0
    cpu: float = 0.0


class Tally:
    """The numbers of one connection. Used from the watcher's thread alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = _Counts()
        self._video: VideoFormat | None = None
        self._past: deque[tuple[float, _Counts]] = deque([(clock.monotonic(), _Counts())])
        self._own_cpu = time.thread_time()

    def arrived(self, part: Part) -> None:
        """A part has come."""
        self._video = part.video
        self._counts.arrived += len(part.packets)
        self._counts.size += part.size

    def skipped(self, pictures: int) -> None:
        """So many were left out because analysis is behind."""
        self._counts.skipped += pictures

    def done(self, decoded: int, analysed: int, delay_s: float) -> None:
        """A part has been analysed, so long after it had arrived."""
        self._counts.decoded += decoded
        self._counts.analysed += analysed
        self._counts.delays += delay_s
        self._counts.parts += 1

    def numbers(self, reading_cpu: float, dropped: int, occupancy: dict[int, int]) -> Numbers | None:
        """The numbers of the last seconds; None before anything has come. Call about once a second.

        reading_cpu: CPU seconds of the thread that reads the camera, so far. dropped: pictures that never
        came to be analysed because too many waited, so far.

        The CPU share is that of the watcher's thread (decoding, detecting on this machine, tracking,
        pictures, storing) and of the thread that reads the camera. Not in it: a detector elsewhere, the
        programs that encode previews, the database and Redis, and what all cameras of a worker share.
        """
        now = self._clock.monotonic()
        self._counts.cpu = time.thread_time() - self._own_cpu + reading_cpu
        counts = _Counts(**{name: getattr(self._counts, name) for name in _Counts.__slots__})
        counts.arrived += dropped
        counts.skipped += dropped
        self._past.append((now, counts))
        while len(self._past) > 2 and now - self._past[1][0] >= WINDOW_SECONDS:
            self._past.popleft()
        before_at, before = self._past[0]
        span = now - before_at
        if self._video is None or span <= 0:
            return None
        parts = counts.parts - before.parts

        def rate(name: str) -> float:
            more = float(getattr(counts, name) - getattr(before, name))
            return round(more / span, 2)

        return Numbers(
            at_us=self._clock.now_us(),
            codec=self._video.codec,
            width=self._video.height if self._video.rotation in (90, 270) else self._video.width,
            height=self._video.width if self._video.rotation in (90, 270) else self._video.height,
            frames_in=rate("arrived"),
            decoded=rate("decoded"),
            analysed=rate("analysed"),
            skipped=rate("skipped"),
            kbps=round(rate("size") * 8 / 1000, 1),
            delay_s=round((counts.delays - before.delays) / parts, 3) if parts else 0.0,
            cpu=rate("cpu"),
            occupancy=occupancy,
        )
