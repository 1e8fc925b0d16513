"""What the packets of a stream are, followed through cameras that change it while they send."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import av
import av.container
import av.error
import av.video.stream

from server.domain.video import VideoFormat
from server.errors import SourceError
from server.media.libav import LIMITS, first_video_stream, video_format

MOST_FORMATS = 16
"""A connection that has shown more formats than this is not one camera's, or is damaged."""
_ELEMENTARY = {"h264": "h264", "hevc": "hevc", "mjpeg": "mjpeg"}
"""Codecs whose packets say their own format, and libav's demuxers for their bare packets."""
_START = b"\x00\x00\x01"


class Formats:
    """Gives each packet's format, from the parameter sets within, where the codec has such.

    libav reads a stream's parameters once, when it opens it. A camera whose resolution somebody
    changes goes on in the same connection with other parameter sets.
    """

    def __init__(self, stream: av.video.stream.VideoStream, what: str) -> None:
        self._what = what
        video = video_format(stream, rotation=0)
        self._codec = video.codec
        self._rate = video.rate
        self.current: VideoFormat | None = video if video.width and video.height else None
        """The format of the last packet; None until parameters have been seen."""
        # Packets with length prefixes (MP4, FLV) have their parameter sets outside.
        self._follows = self._codec in _ELEMENTARY and not video.extradata.startswith(b"\x01")
        self._signature = signature(self._codec, video.extradata) if self.current is not None else None
        self._known: dict[bytes, VideoFormat] = {}
        self._opened: list[av.container.InputContainer] = []

    def of(self, data: bytes) -> VideoFormat | None:
        """The format of a packet; None while it is not known yet. Raises SourceError."""
        if not self._follows:
            return self.current
        found = signature(self._codec, data)
        if found is None or found == self._signature:
            return self.current
        first = self._signature is None and self.current is not None
        if first and self._codec == "mjpeg":
            # libav has read this from the first packet itself.
            self._signature = found
            return self.current
        video = self._known.get(found) or self._probe(data)
        if video is None:
            return self.current
        self._known[found] = video
        if len(self._known) > MOST_FORMATS:
            raise SourceError(f"{self._what}: its picture format changes again and again")
        self._signature, self.current = found, video
        return video

    def close(self) -> None:
        """Let go of the formats' streams."""
        for container in self._opened:
            container.close()
        self._opened.clear()
        self._known.clear()

    def _probe(self, data: bytes) -> VideoFormat | None:
        """Read a packet with parameter sets as a stream of its own."""
        try:
            container = av.open(io.BytesIO(data), "r", format=_ELEMENTARY[self._codec], options=LIMITS)
        except (av.error.FFmpegError, ValueError):
            return None
        try:
            video = video_format(first_video_stream(container, self._what), rotation=0)
        except SourceError:
            video = None
        if video is None or not (video.width and video.height):
            container.close()
            return None
        self._opened.append(container)
        return replace(video, rate=self._rate)


def signature(codec: str, data: bytes) -> bytes | None:
    """What of an Annex B packet or a JPEG decides its format; None if there is nothing of it inside."""
    if codec == "mjpeg":
        return _jpeg_size(data)
    sets = b"".join(_parameter_sets(codec, data))
    return sets or None


def _parameter_sets(codec: str, data: bytes) -> Iterator[bytes]:
    """VPS and SPS before the first slice. PPS are left out: they may change with every picture."""
    at = data.find(_START)
    while 0 <= at < len(data) - 4:
        begin = at + 3
        kind = data[begin] & 0x1F if codec == "h264" else data[begin] >> 1 & 0x3F
        if (1 <= kind <= 5) if codec == "h264" else kind < 32:
            return
        at = data.find(_START, begin)
        if kind == 7 if codec == "h264" else kind in (32, 33):
            yield data[begin : at if at >= 0 else len(data)].rstrip(b"\x00")


def _jpeg_size(data: bytes) -> bytes | None:
    """Precision, height, width and sampling as the frame header holds them."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return None
