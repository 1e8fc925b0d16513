"""Packets and a clock for tests of live time."""

from __future__ import annotations

import threading
from fractions import Fraction

import av

from server.domain.video import Part, VideoFormat
from server.media.live import LiveLine

START_US = 1_700_000_000_000_000
VIDEO = VideoFormat("h264", b"", 64, 48, rate=25.0)
MPEG_TS = Fraction(1, 90_000)
FRAME = 3_600
"""Ticks of a picture at 25 frames a second."""


class HandClock:
    """A clock that tests move; its wall time can be set anew."""

    def __init__(self, now_us: int = START_US) -> None:
        self._wall_us = now_us
        self._mono_us = 1_000_000

    def now_us(self) -> int:
        return self._wall_us

    def monotonic(self) -> float:
        return self._mono_us / 1e6

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return stop.is_set()

    def advance(self, seconds: float) -> None:
        self._wall_us += round(seconds * 1e6)
        self._mono_us += round(seconds * 1e6)

    def step(self, seconds: float) -> None:
        self._wall_us += round(seconds * 1e6)


def packet(
    dts: int | None, pts: int | None = None, *, key: bool = False, duration: int = 0, data: bytes = b"x"
) -> av.Packet:
    """A packet; without `pts` it is shown when it is decoded."""
    made = av.Packet(data)
    made.dts, made.pts = dts, dts if pts is None else pts
    made.duration, made.time_base, made.is_keyframe = duration, MPEG_TS, key
    return made


class Feed:
    """A line, its clock, and all parts that came out."""

    def __init__(self, *, after: int | None = None, anchor_us: int = START_US) -> None:
        self.clock = HandClock()
        self.line = LiveLine(anchor_us=anchor_us, after=after, clock=self.clock)
        self.parts: list[Part] = []

    def add(
        self,
        encoded: av.Packet,
        *,
        lost: bool = False,
        date_us: int | None = None,
        video: VideoFormat = VIDEO,
    ) -> None:
        self.parts += self.line.add(encoded, MPEG_TS, video, lost=lost, date_us=date_us)

    def steady(self, count: int, *, first: int = 0, step: int = FRAME, pace: float = 0.04) -> int:
        """Pictures that come as they are captured; gives the timestamp to go on with."""
        for number in range(count):
            self.add(packet(first + number * step, key=number == 0))
            self.clock.advance(pace)
        return first + count * step

    def finish(self) -> list[Part]:
        self.parts += self.line.finish()
        return self.parts

    @property
    def times(self) -> list[int]:
        """Presentation ticks of all pictures so far, in decode order."""
        return [one.pts for part in self.parts for one in part.packets]

    @property
    def walls(self) -> list[int]:
        """Wall times of all pictures so far, in microseconds after the start."""
        return [part.anchor_us + one.pts * 100 // 9 - START_US for part in self.parts for one in part.packets]

    @property
    def gaps(self) -> list[str]:
        return [part.gap for part in self.parts if part.gap]
