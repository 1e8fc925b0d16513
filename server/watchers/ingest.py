"""How parts reach a watcher: read by a thread that can be given up, or straight from a file."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from server.clock import Clock
from server.domain.video import Part
from server.errors import HypersightError, SourceError
from server.log import CameraLogger
from server.media.source import LiveSource, Source
from server.watchers import stuck

log = logging.getLogger(__name__)

OPEN_SECONDS = 30.0
"""How long a source may take to connect and deliver its first part, whatever its library promises."""
JOIN_SECONDS = 2.0
"""How long a reading thread has to end before it is given up."""
MOST_ABANDONED = 3
"""Threads that a camera may have lost to a library; then it waits until one of them returns."""
_TICK = 1.0
"""Seconds after which a watcher looks at its lease although no part has come."""
_POLL = 0.2
"""Seconds between two looks at the stop event while nothing comes."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A part, and how long it has waited (microseconds), or how far behind real time it is."""

    part: Part
    late_us: int


class Feed(Protocol):
    """Hands on parts. None where none came for a second: time to look at the lease."""

    live: bool
    """Whether being late loses something: it is skipped when analysis falls behind."""
    repeatable: bool
    """Whether it can be read again from where a checkpoint was made."""

    def arrivals(self, stop: threading.Event) -> Iterator[Arrival | None]:
        """Parts until the source ends. Raises SourceError."""

    def close(self) -> None:
        """Let go of the source."""


class FileFeed:
    """A file, read as it is watched: what must come again exactly is not left to the timing of threads."""

    repeatable = True

    def __init__(self, source: Source, clock: Clock, after: int | None) -> None:
        self.live = source.live
        self._source = source
        self._clock = clock
        self._after = after

    def arrivals(self, stop: threading.Event) -> Iterator[Arrival | None]:
        """See `Feed`."""
        self._source.open()
        for part in self._source.parts(stop, self._after):
            yield Arrival(part, self._clock.now_us() - part.end_us)

    def close(self) -> None:
        """See `Feed`."""
        self._source.close()


class Ingest:
    """A live source, read by a thread of its own into a bounded queue.

    A read or a name look-up inside a library cannot be cancelled, so the thread can be: it is left
    behind, counted, and cleans up after itself if it ever returns. What a slow watcher does not take
    is dropped from the oldest on, and the part after it says that something is missing.
    """

    live = True
    repeatable = False

    def __init__(
        self, source: LiveSource, clock: Clock, log: CameraLogger, max_bytes: int, max_seconds: float
    ) -> None:
        """max_bytes, max_seconds: how much waits to be analysed at most, and how long."""
        self._source = source
        self._clock = clock
        self._log = log
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._queue: deque[tuple[Part, float]] = deque()
        self._bytes = 0
        self._ended = False
        self._abandoned = False
        self._error: HypersightError | None = None
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self.left_behind: threading.Thread | None = None
        """The reading thread, where it had to be given up."""
        self.dropped = 0
        """Parts that were dropped because they were not taken in time …"""
        self.lost = 0
        """… and the pictures in them."""
        self.cpu_seconds = 0.0
        """CPU time of the reading thread so far."""

    def arrivals(self, stop: threading.Event) -> Iterator[Arrival | None]:
        """See `Feed`. Raises SourceError where the source fails, stalls or ends."""
        self._thread.start()
        last, patience = self._clock.monotonic(), OPEN_SECONDS
        while not stop.is_set():
            taken = self._take(stop)
            now = self._clock.monotonic()
            if taken is not None:
                part, arrived = taken
                last, patience = now, self._source.stall_seconds
                yield Arrival(part, int((now - arrived) * 1e6))
                continue
            if self._ended and not self._queue:
                raise self._error or SourceError("the camera has ended the connection")
            if now - last >= patience:
                raise SourceError(f"the camera sends no video: nothing has come for {now - last:.0f} s")
            yield None

    def close(self) -> None:
        """End the thread, or give it up."""
        self._stop.set()
        with self._changed:
            self._queue.clear()
            self._bytes = 0
        if self._thread.ident is None:
            return
        self._thread.join(JOIN_SECONDS)
        with self._changed:
            self._abandoned = not self._ended
        if self._abandoned:
            self.left_behind = self._thread
            stuck.abandon(self._thread)
            self._log.warning("a thread that reads the camera does not come back; it is given up")
        else:
            self._source.close()

    def _take(self, stop: threading.Event) -> tuple[Part, float] | None:
        """The next part, waiting for it up to `_TICK` seconds."""
        with self._changed:
            for _ in range(round(_TICK / _POLL)):
                if self._queue or self._ended or stop.is_set():
                    break
                self._changed.wait(_POLL)
            if not self._queue:
                return None
            part, arrived = self._queue.popleft()
            self._bytes -= part.size
        return part, arrived

    def _run(self) -> None:
        try:
            self._source.open()
            for part in self._source.parts(self._stop):
                self._put(part)
                if self._stop.is_set():
                    break
        except HypersightError as error:
            self._error = error
        except Exception as error:
            # The edge of the loop: whatever a library raises for a camera's bytes ends this connection only.
            log.exception("camera %d: reading failed", self._log.camera_id)
            self._error = SourceError(f"its video cannot be read ({type(error).__name__})")
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            abandoned = self._abandoned
        if abandoned:
            self._source.close()

    def _put(self, part: Part) -> None:
        self.cpu_seconds = time.thread_time()
        with self._changed:
            self._queue.append((part, self._clock.monotonic()))
            self._bytes += part.size
            while len(self._queue) > 1 and self._is_overfull():
                self._drop_oldest()
            self._changed.notify()

    def _is_overfull(self) -> bool:
        waits = self._queue[-1][1] - self._queue[0][1]
        return self._bytes > self._max_bytes or waits > self._max_seconds

    def _drop_oldest(self) -> None:
        """Make room, up to where decoding can begin again if that is in the queue."""
        self._drop()
        independent = any(part.independent for part, _ in self._queue)
        while independent and not self._queue[0][0].independent:
            self._drop()
        part, arrived = self._queue[0]
        self._queue[0] = replace(part, gap=part.gap or "behind"), arrived

    def _drop(self) -> None:
        part, _ = self._queue.popleft()
        self._bytes -= part.size
        self.dropped += 1
        self.lost += len(part.packets)
