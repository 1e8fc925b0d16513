"""Video files as a source, played once or for ever."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import av.container
import av.error
import av.packet
import av.video.stream

from server.clock import Clock
from server.domain.video import TICKS_PER_SECOND, Packet, Part
from server.errors import SourceError
from server.media.libav import LIMITS, TICK, first_video_stream, translated, video_format
from server.media.parts import PartBuilder

DEFAULT_RATE = 25.0
"""Frames a second where a container tells neither its rate nor how long its packets last."""
_WORKING_PACKETS = 256
"""Packets read between two signs of life."""
JUMP_TICKS = 10 * TICKS_PER_SECOND
"""A timestamp further than this from where it should be is a jump, not a pause: it is closed up."""


@dataclass(frozen=True, slots=True)
class _Survey:
    """What reading the whole file once shows: its length, and (pts, dts) of its keyframes. In ticks."""

    duration: int
    keyframes: tuple[tuple[int, int], ...]


class FileSource:
    """A video file.

    With a clock it is played in real time, like a camera: a part is handed on once its time has come.
    Without one, as fast as it is taken. Reading is repeatable: after a restart the same packets come in
    the same parts at the same times, which is what makes counts survive a crash exactly.
    """

    def __init__(
        self,
        path: Path,
        *,
        loop: bool = False,
        anchor_us: int = 0,
        clock: Clock | None = None,
        working: Callable[[], None] = lambda: None,
    ) -> None:
        """working: called now and then while the file is read, also where no part comes of it for long."""
        self.live = loop
        self._working = working
        self.anchor_us = anchor_us
        self._path = path
        self._loop = loop
        self._clock = clock
        self._probe: av.container.InputContainer | None = None

    @property
    def template(self) -> av.video.stream.VideoStream:
        """The file's video stream."""
        if self._probe is None:
            raise SourceError(f"{self._path.name}: not open")
        return first_video_stream(self._probe, self._path.name)

    def open(self) -> None:
        """Open the file and decode its first picture, which also tells how it is turned."""
        with translated(self._path.name):
            self._probe = self._opened()
            stream = first_video_stream(self._probe, self._path.name)
            stream.codec_context.options = dict(LIMITS)
            try:
                frame = next(self._probe.decode(stream), None)
            except IndexError:
                # A stream that appeared while reading makes PyAV stumble over it.
                frame = None
        if frame is None:
            raise SourceError(f"{self._path.name}: there is no picture in it", retryable=False)
        self._video = video_format(stream, rotation=int(frame.rotation) % 360)

    def close(self) -> None:
        """Close the file."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def survey(self) -> _Survey:
        """Read all packets once, without decoding. Raises SourceError."""
        end, keyframes = 0, []
        for packet in self._packets(threading.Event()):
            end = max(end, packet.pts + packet.duration)
            if packet.keyframe:
                keyframes.append((packet.pts, packet.dts))
        return _Survey(end, tuple(keyframes))

    def parts(self, stop: threading.Event, after: int | None = None) -> Iterator[Part]:
        """See `Source.parts`."""
        for part in self._cut(stop, after):
            if self._clock is not None:
                early_us = part.end_us - self._clock.now_us()
                if early_us > 0 and self._clock.wait(stop, early_us / 1e6):
                    return
            if stop.is_set():
                return
            yield part

    def _cut(self, stop: threading.Event, after: int | None) -> Iterator[Part]:
        builder = PartBuilder(self._video, self.anchor_us)
        shift, first_dts = self._place(after)
        while not stop.is_set():
            end = 0
            for packet in self._packets(stop):
                end = max(end, packet.pts + packet.duration)
                if first_dts is not None and packet.dts < first_dts:
                    continue
                part = builder.add(replace(packet, pts=packet.pts + shift, dts=packet.dts + shift))
                if part is not None:
                    yield part
            if not self._loop or end == 0:
                break
            shift, first_dts = shift + end, None
        rest = builder.finish()
        if rest is not None:
            yield rest

    def _place(self, after: int | None) -> tuple[int, int | None]:
        """(shift of the round to begin with, decode time within the file to begin at), in ticks.

        A keyframe is a place to begin for the frames that are shown after it. Those shown before it
        but sent after it need the keyframe before.
        """
        if after is None:
            return 0, None
        survey = self.survey()
        rounds = max(0, after) // survey.duration if self._loop and survey.duration else 0
        shift = rounds * survey.duration
        behind = [dts for pts, dts in survey.keyframes if pts <= after - shift]
        return shift, behind[-1] if behind else None

    def _opened(self) -> av.container.InputContainer:
        # Titles and the like may be in any encoding, and are not looked at.
        return av.open(str(self._path), options=LIMITS, metadata_errors="replace")

    def _packets(self, stop: threading.Event) -> Iterator[Packet]:
        """All packets of the file, from a reading of its own."""
        what = self._path.name
        with translated(what):
            container = self._opened()
        with contextlib.closing(container):
            stream = first_video_stream(container, what)
            for number, packet in enumerate(_in_ticks(_demux(container, stream, what), stream, stop)):
                if number % _WORKING_PACKETS == 0:
                    self._working()
                yield packet


def _demux(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, what: str
) -> Iterator[av.packet.Packet[av.video.stream.VideoStream]]:
    """Packets with data in them. A file that is cut off or damaged in the middle simply ends there."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.error.InvalidDataError, av.error.EOFError, IndexError):
            # A stream that appeared while reading makes PyAV stumble over it.
            return
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{what}: reading stopped: {error.strerror}") from error
        if packet is None:
            return
        if packet.size:
            yield packet


def _in_ticks(
    packets: Iterator[av.packet.Packet[av.video.stream.VideoStream]],
    stream: av.video.stream.VideoStream,
    stop: threading.Event,
) -> Iterator[Packet]:
    """Packets on a time line in ticks whose 0 is the first picture and whose decode times only grow."""
    scale = (stream.time_base or TICK) / TICK
    usual = round(TICKS_PER_SECOND / float(stream.average_rate or stream.guessed_rate or DEFAULT_RATE))
    origin = next_dts = last_dts = None
    for packet in packets:
        if stop.is_set():
            return
        raw_dts, raw_pts = packet.dts, packet.pts
        if raw_dts is not None and raw_pts is not None and abs(raw_pts - raw_dts) * scale > JUMP_TICKS:
            # No picture is held back for so long: this is damage.
            raw_pts = raw_dts
        duration = max(1, round(packet.duration * scale)) if packet.duration else usual
        if origin is None:
            known = raw_pts if raw_pts is not None else raw_dts
            origin = round(known * scale) if known is not None else 0
        dts = round(raw_dts * scale) - origin if raw_dts is not None else next_dts or 0
        pts = round(raw_pts * scale) - origin if raw_pts is not None else dts
        if next_dts is not None and abs(dts - next_dts) > JUMP_TICKS:
            origin += dts - next_dts
            dts, pts = next_dts, pts - dts + next_dts
        if last_dts is not None and dts <= last_dts:
            dts = last_dts + 1
        last_dts, next_dts = dts, dts + duration
        yield Packet(max(pts, dts), dts, duration, bool(packet.is_keyframe), bytes(packet))
