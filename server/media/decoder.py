"""Decoding parts into frames, no more of them than somebody needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.error
import av.packet
import av.video.codeccontext
import av.video.frame
import numpy as np
import numpy.typing as npt

from server.domain.video import Frame, Packet, Part, VideoFormat, ticks_to_us
from server.errors import DecodeError
from server.media.libav import TICK

log = logging.getLogger(__name__)

Plane = npt.NDArray[np.uint8]


class Decoder:
    """Lives on from part to part.

    One thread: cameras run side by side, so that more threads for one of them gain nothing.
    """

    def __init__(self, video: VideoFormat) -> None:
        self._video = video
        try:
            context = av.CodecContext.create(video.codec, "r")
            assert isinstance(context, av.video.codeccontext.VideoCodecContext)
            context.extradata = video.extradata or None
            context.thread_count = 1
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise DecodeError(f"{video.codec} cannot be decoded here") from error
        self._context = context
        self._anchor_us = 0
        self.broken = 0
        """Packets that could not be decoded so far."""

    def decode(self, part: Part, wanted: Callable[[Packet], bool]) -> Iterator[Frame]:
        """Frames that the part completes, in the order they are shown.

        wanted: says of a packet whether its picture is needed. One that is not, and that no other
        picture refers to, is not decoded at all; one that is referred to comes out anyway.
        """
        self._anchor_us = part.anchor_us
        for packet in part.packets:
            self._context.skip_frame = "DEFAULT" if wanted(packet) else "NONREF"
            yield from self._feed(_libav_packet(packet))

    def flush(self) -> Iterator[Frame]:
        """Frames that were still held back for reordering; the decoder is at its end then."""
        yield from self._feed(None)

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
            if picture.pts is not None or picture.dts is not None:
                yield self._frame(picture)

    def _frame(self, picture: av.video.frame.VideoFrame) -> Frame:
        pts = picture.pts if picture.pts is not None else picture.dts
        assert pts is not None
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
