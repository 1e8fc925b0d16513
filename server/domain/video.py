"""Encoded and decoded video as values.

Media time is counted in ticks of 1/90000 s (the clock of RTP and MPEG-TS), always on one continuous
line for a connection: a source removes jumps and loops before it hands anything on. Wall time is
counted in whole microseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import cv2
import numpy as np
import numpy.typing as npt

TICKS_PER_SECOND = 90_000
PART_MAX_TICKS = TICKS_PER_SECOND // 2
"""A part holds at most this much: it bounds what a crash repeats and how late live view is."""

Picture = npt.NDArray[np.uint8]
"""BGR, height x width x 3, 0..255."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def ticks_to_us(ticks: int) -> int:
    """Ticks (1/90000 s) to microseconds, rounded down, exact for negative values too."""
    return ticks * 100 // 9


def us_to_ticks(us: int) -> int:
    """Microseconds to ticks (1/90000 s), rounded up, so that it undoes `ticks_to_us`."""
    return -(-us * 9 // 100)


def us_to_datetime(us: int) -> datetime:
    """Microseconds since 1970 to an aware UTC datetime, without passing through a float."""
    return _EPOCH + timedelta(microseconds=us)


def datetime_to_us(moment: datetime) -> int:
    """An aware datetime to microseconds since 1970. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on the time line")
    return (moment - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What a decoder and a muxer need to know before the first packet.

    `codec` is libav's name ("h264", "hevc"); `extradata` the codec's own header (avcC, hvcC or
    Annex B), as the container gave it; sizes in pixels; `rate` in frames a second (0 = unknown).
    """

    codec: str
    extradata: bytes
    width: int
    height: int
    rate: float = 0.0
    rotation: int = 0
    """Degrees to turn a decoded picture counter-clockwise for upright display: 0, 90, 180 or 270."""
    template: object = field(default=None, compare=False, repr=False)
    """The open stream it describes: a muxer copies from it what no value can carry. Belongs to the source,
    and is gone once that is closed."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One encoded picture. `pts`, `dts` and `duration` in ticks on the connection's time line."""

    pts: int
    dts: int
    duration: int
    keyframe: bool
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive packets of at most `PART_MAX_TICKS`: the unit of analysis and of commit.

    `anchor_us` is the wall time of tick 0 as the source knew it when the part was cut.
    `starts_segment` marks the first part of a segment; `independent` says that it begins with a
    keyframe, so that decoding can start here. `gap` says in a word why the part does not continue the
    one before it ("lost": packets are missing, "clock": its wall time was set anew); empty: it does.
    """

    packets: tuple[Packet, ...]
    video: VideoFormat
    anchor_us: int
    starts_segment: bool
    independent: bool
    gap: str = ""

    @property
    def start(self) -> int:
        """First decode time, in ticks."""
        return self.packets[0].dts

    @property
    def end(self) -> int:
        """Decode time at which the next part begins, in ticks."""
        last = self.packets[-1]
        return last.dts + last.duration

    @property
    def start_us(self) -> int:
        """Wall time of the part's beginning, in microseconds since 1970."""
        return self.anchor_us + ticks_to_us(self.start)

    @property
    def end_us(self) -> int:
        """Wall time of the part's end, in microseconds since 1970."""
        return self.anchor_us + ticks_to_us(self.end)

    @property
    def size(self) -> int:
        """Encoded bytes."""
        return sum(len(packet.data) for packet in self.packets)


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded picture, kept as its three planes because few users need all of it in colour.

    `y` is height x width uint8, `u` and `v` half that size each way (4:2:0, BT.601, limited range).
    `pts` in ticks; `ts_us` is when it was captured, in microseconds since 1970.
    """

    pts: int
    ts_us: int
    y: npt.NDArray[np.uint8] = field(repr=False)
    u: npt.NDArray[np.uint8] = field(repr=False)
    v: npt.NDArray[np.uint8] = field(repr=False)
    rotation: int = 0

    @property
    def width(self) -> int:
        """Pixels, as displayed (after rotation)."""
        return int(self.y.shape[0] if self.rotation in (90, 270) else self.y.shape[1])

    @property
    def height(self) -> int:
        """Pixels, as displayed (after rotation)."""
        return int(self.y.shape[1] if self.rotation in (90, 270) else self.y.shape[0])

    @property
    def ts(self) -> datetime:
        """When it was captured, aware, UTC."""
        return us_to_datetime(self.ts_us)

    def picture(self, width: int | None = None, height: int | None = None) -> Picture:
        """The frame in colour, upright, at `width` x `height` pixels (default: its own size).

        Planes are resized before the colour conversion: for a 1080p frame and a 416-pixel detector
        that costs a fifth of converting first (docs/performance.md).
        """
        out_w, out_h = width or self.width, height or self.height
        turned = self.rotation in (90, 270)
        w, h = (out_h, out_w) if turned else (out_w, out_h)
        even_w, even_h = w + w % 2, h + h % 2
        size, half = (even_w, even_h), (even_w // 2, even_h // 2)
        packed = np.empty(even_w * even_h * 3 // 2, np.uint8)
        luma, chroma = even_w * even_h, even_w * even_h // 4
        cv2.resize(self.y, size, dst=packed[:luma].reshape(even_h, even_w))
        cv2.resize(self.u, half, dst=packed[luma : luma + chroma].reshape(even_h // 2, even_w // 2))
        cv2.resize(self.v, half, dst=packed[luma + chroma :].reshape(even_h // 2, even_w // 2))
        bgr = cv2.cvtColor(packed.reshape(even_h * 3 // 2, even_w), cv2.COLOR_YUV2BGR_I420)[:h, :w]
        if self.rotation:
            bgr = np.ascontiguousarray(np.rot90(bgr, self.rotation // 90))
        return np.asarray(bgr, np.uint8)
