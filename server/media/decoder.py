"""Decoding parts into frames, no more of them than somebody needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.codec.context
import av.error
import av.packet
import av.video.codeccontext
import av.video.frame
import numpy as np
import numpy.typing as npt

from server.domain.video import TICKS_PER_SECOND, Frame, Packet, Part, VideoFormat, ticks_to_us
from server.errors import DecodeError
from server.media.libav import LIMITS, TICK

log = logging.getLogger(__name__)

REFRESH_TICKS = 25 * TICKS_PER_SECOND
"""Without a keyframe for this long a stream refreshes its pictures bit by bit, and has by now."""
_KNOWS_ITSELF = ("h264",)
"""Codecs whose decoder gives out nothing before it has a whole picture, refreshed bit by bit or not."""

Plane = npt.NDArray[np.uint8]


class Decoder:
    """Lives on from part to part.

    One thread: cameras run side by side, so that more threads for one of them gain nothing.

    It may begin anywhere in a stream: no picture comes out that was made from ones that are missing,
    which is up to the first keyframe.
    """

    def __init__(self, video: VideoFormat) -> None:
        self._video = video
        try:
            context = av.CodecContext.create(video.codec, "r")
            assert isinstance(context, av.video.codeccontext.VideoCodecContext)
            context.extradata = video.extradata or None
            context.thread_count = 1
            context.options = dict(LIMITS)
            self._guarded = video.codec not in _KNOWS_ITSELF
            if self._guarded:
                # Which pictures are good is decided here, alike for all codecs and versions of libav.
                context.flags |= av.codec.context.Flags.output_corrupt
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise DecodeError(f"{video.codec} cannot be decoded here") from error
        self._context = context
        self._anchor_us = 0
        self._begun: int | None = None
        self._good_from: int | None = None
        self.broken = 0
        """Packets that could not be decoded so far."""

    def decode(self, part: Part, wanted: Callable[[Packet], bool]) -> Iterator[Frame]:
        """Frames that the part completes, in the order they are shown.

        wanted: says of a packet whether its picture is needed. One that is not, and that no other
        picture refers to, is not decoded at all; one that is referred to comes out anyway.
        """
        self._anchor_us = part.anchor_us
        for packet in part.packets:
            if self._guarded and self._good_from is None:
                self._look_for_beginning(packet)
            self._context.skip_frame = "DEFAULT" if wanted(packet) else "NONREF"
            yield from self._feed(_libav_packet(packet))

    def flush(self) -> Iterator[Frame]:
        """Frames that were still held back for reordering; the decoder is at its end then."""
        yield from self._feed(None)

    def _look_for_beginning(self, packet: Packet) -> None:
        if self._begun is None:
            self._begun = packet.pts
        if packet.keyframe or packet.pts - self._begun >= REFRESH_TICKS:
            self._good_from = packet.pts

    def _is_good(self, pts: int) -> bool:
        return not self._guarded or (self._good_from is not None and pts >= self._good_from)

    def _feed(self, packet: av.packet.Packet[Any] | None) -> Iterator[Frame]:
        try:
            pictures = self._context.decode(packet)
        except av.error.EOFError:
            return
        except (av.error.FFmpegError, ValueError) as error:
            self.broken += 1
            log.debug("packet not decoded: %s", type(error).__name__)
            return
        for picture in pictures:
            pts = picture.pts if picture.pts is not None else picture.dts
            if pts is not None and self._is_good(pts):
                yield self._frame(picture, pts)

    def _frame(self, picture: av.video.frame.VideoFrame, pts: int) -> Frame:
        if picture.format.name not in ("yuv420p", "yuvj420p"):
            picture = picture.reformat(format="yuv420p")
        width, height = picture.width, picture.height
        half = (width + 1) // 2, (height + 1) // 2
        return Frame(
            pts=pts,
            ts_us=self._anchor_us + ticks_to_us(pts),
            y=_plane(picture, 0, width, height),
            u=_plane(picture, 1, *half),
            v=_plane(picture, 2, *half),
            rotation=self._video.rotation,
        )


def _libav_packet(packet: Packet) -> av.packet.Packet[Any]:
    encoded: av.packet.Packet[Any] = av.Packet(packet.data)
    encoded.pts, encoded.dts, encoded.duration = packet.pts, packet.dts, packet.duration
    encoded.time_base = TICK
    encoded.is_keyframe = packet.keyframe
    return encoded


def _plane(picture: av.video.frame.VideoFrame, index: int, width: int, height: int) -> Plane:
    """A view of one plane; it keeps the decoder's buffer alive, nothing is copied."""
    plane = picture.planes[index]
    rows: Plane = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[:height, :width]
