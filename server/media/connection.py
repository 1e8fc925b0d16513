"""What all live containers that libav reads by itself have in common: network streams and devices."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator

import av.container
import av.error
import av.video.stream

from server.clock import Clock
from server.domain.video import Part
from server.errors import SourceError
from server.media.formats import Formats
from server.media.libav import TICK, first_video_stream
from server.media.live import LiveLine

OPEN_SECONDS = 10.0
"""How long a camera may take to answer."""
READ_SECONDS = 10.0
"""How long it may send nothing."""
KEYFRAME_SECONDS = 25.0
"""How long it may take to say its format: cameras send keyframes up to 20 s apart."""

_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.EHOSTDOWN)
_ENDED = (av.error.EOFError, ConnectionError, BrokenPipeError)
_SILENT = (av.error.ExitError, TimeoutError)


class LiveConnection:
    """One connection to a camera. Subclasses say how it is opened."""

    live = True

    def __init__(self, what: str, *, anchor_us: int, after: int | None, clock: Clock) -> None:
        self._what = what
        self.anchor_us = anchor_us
        self._clock = clock
        self._line = LiveLine(anchor_us=anchor_us, after=after, clock=clock)
        self._container: av.container.InputContainer | None = None
        self._formats: Formats | None = None

    @property
    def stall_seconds(self) -> float:
        """Seconds without a part after which something is wrong."""
        known = self._formats is not None and self._formats.current is not None
        return READ_SECONDS if known else KEYFRAME_SECONDS

    def open(self) -> None:
        """Connect, and read as far as the codec is known. Raises SourceError."""
        container = self._connect()
        try:
            self._stream = first_video_stream(container, self._what)
            if self._stream.codec_context is None:
                raise SourceError(f"{self._what}: its video is of a kind that cannot be decoded here")
            self._formats = Formats(self._stream, self._what)
        except SourceError:
            container.close()
            raise
        self._container = container

    def parts(self, stop: threading.Event, after: int | None = None) -> Iterator[Part]:
        """See `Source.parts`. Where it goes on was said when it was made."""
        if self._container is None or self._formats is None:
            raise SourceError(f"{self._what}: not open")
        base = self._stream.time_base or TICK
        started_s = last_s = self._clock.monotonic()
        try:
            for packet in self._container.demux(self._stream):
                if stop.is_set():
                    return
                now_s = self._clock.monotonic()
                if now_s - last_s > READ_SECONDS - 0.5:
                    # libav gives out a picture it held back when its time limit is reached, and waits again.
                    raise TimeoutError
                last_s = now_s
                if not packet.size:
                    continue
                video = self._formats.of(bytes(packet))
                if video is not None:
                    for part in self._line.add(packet, base, video):
                        yield part
                        if stop.is_set():
                            return
                elif now_s - started_s > KEYFRAME_SECONDS:
                    raise SourceError(
                        f"{self._what}: sends no keyframe for {KEYFRAME_SECONDS:.0f} s; "
                        "the camera's keyframe interval is too long"
                    )
        except (av.error.FFmpegError, OSError) as error:
            yield from self._line.finish()
            raise SourceError(f"{self._what}: {self._why_it_stopped(error)}") from None
        yield from self._line.finish()
        raise SourceError(f"{self._what}: ended the connection")

    def hurry(self) -> None:
        """Give out all at once, for somebody to whom its exact time is nothing."""
        self._line.holds = False

    def close(self) -> None:
        """Let go of the connection, and of the formats' streams."""
        if self._formats is not None:
            self._formats.close()
        if self._container is not None:
            self._container.close()
            self._container = None

    def _connect(self) -> av.container.InputContainer:
        raise NotImplementedError

    def _why_it_stopped(self, error: Exception) -> str:
        if isinstance(error, _SILENT):
            return f"sends no video for {READ_SECONDS:.0f} s"
        if isinstance(error, _ENDED):
            return "ended the connection"
        if isinstance(error, av.error.InvalidDataError):
            return "sends what is no video that can be read"
        return f"reading stopped: {getattr(error, 'strerror', None) or type(error).__name__}"


def is_silent(error: Exception) -> bool:
    """Whether a time limit was reached."""
    return isinstance(error, _SILENT)


def is_unreachable(error: Exception) -> bool:
    """Whether there is no way to the host."""
    return isinstance(error, OSError) and error.errno in _UNREACHABLE
