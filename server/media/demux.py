"""Reading containers that come over a network: only kinds that cannot lead libav anywhere else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import av
import av.container
import av.error
import av.packet
import av.video.stream

from server.errors import SourceError
from server.media.libav import LIMITS, TICK, first_video_stream, translated

SNIFFED_BYTES = 1024
"""As much as tells what something is."""
MPEGTS, MP4, FLV, MATROSKA, MPJPEG = "mpegts", "mp4", "flv", "matroska", "mpjpeg"
_TS_PACKET = 188
_BOXES = (b"ftyp", b"styp", b"moof", b"moov", b"sidx", b"emsg", b"prft")
_OPTIONS = {
    # A container may name other files and addresses, which libav would open: none of them.
    "protocol_whitelist": "none",
    # Pieces of a stream are opened one by one, and each would get a correction of its own.
    "correct_ts_overflow": "0",
}


class Readable(Protocol):
    """Where libav gets its bytes from."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end."""


def kind_of(head: bytes, content_type: str = "") -> str | None:
    """Name of libav's demuxer for what begins with `head`; None for what is none of ours."""
    if _is_mpegts(head):
        return MPEGTS
    if head[4:8] in _BOXES:
        return MP4
    if head.startswith(b"FLV"):
        return FLV
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return MATROSKA
    if head.lstrip().startswith(b"--") and content_type.startswith("multipart/"):
        return MPJPEG
    return None


def is_playlist(head: bytes) -> bool:
    """Whether this is how an HLS playlist begins."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"#EXTM3U")


def open_container(file: Readable, kind: str, what: str, **options: str) -> av.container.InputContainer:
    """Open what `file` gives, as `kind` and nothing else. Raises SourceError, and what `file` raises."""
    with translated(what):
        try:
            return av.open(file, "r", format=kind, options=LIMITS, container_options={**_OPTIONS, **options})
        except (ValueError, UnicodeDecodeError) as error:
            raise SourceError(f"{what}: what it sends is not a video that can be read") from error


def video_stream(container: av.container.InputContainer, what: str) -> av.video.stream.VideoStream:
    """The stream to watch. Raises SourceError where there is none that can be decoded."""
    stream = first_video_stream(container, what)
    if stream.codec_context is None:
        raise SourceError(f"{what}: its video is of a kind that cannot be decoded here")
    return stream


def is_timeless(container: av.container.InputContainer) -> bool:
    """Whether its packets have no times. Those that libav invents, and their rate, must not be believed."""
    return container.format.name == MPJPEG


def packets_of(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, what: str
) -> Iterator[tuple[av.packet.Packet[Any], Fraction]]:
    """(packet with data in it, unit of its times in seconds). Raises SourceError where it cannot go on."""
    timeless = is_timeless(container)
    base = stream.time_base or TICK
    packets = container.demux(stream)
    while True:
        with translated(what):
            try:
                packet = next(packets, None)
            except (av.error.EOFError, IndexError):
                # A stream that appeared while reading makes PyAV stumble at the end.
                return
        if packet is None:
            return
        if not packet.size:
            continue
        if timeless:
            packet.pts = packet.dts = None
            packet.duration = 0
        yield packet, base


class Memory:
    """A segment that was received as a whole. `release` lets go of it while its container stays open."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def release(self) -> None:
        """Forget the content."""
        self._file = io.BytesIO()


def _is_mpegts(head: bytes) -> bool:
    """Whether sync bytes come at the distance of packets, perhaps after the rest of a broken one."""
    return any(
        head[start] == 0x47 and all(byte == 0x47 for byte in head[start::_TS_PACKET])
        for start in range(min(_TS_PACKET, len(head) - 2 * _TS_PACKET))
    ) or (
        0 < len(head) <= 3 * _TS_PACKET
        and head[0] == 0x47
        and head[::_TS_PACKET] == b"\x47" * -(-len(head) // _TS_PACKET)
    )
