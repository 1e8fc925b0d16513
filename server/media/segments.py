"""Segments on disk: fragmented MP4 (CMAF), one file a segment, one fragment a picture.

A file is whole after each part that was written to it, bar the last picture, which the muxer holds
until it knows the next. docs/adr/0002 says why the container is what it is.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import av.container
import av.video.stream

from server.domain.video import TICKS_PER_SECOND, Part
from server.errors import StorageError
from server.media.libav import TICK, translated

_OFFSET = TICKS_PER_SECOND
"""Added to all times in a file: decode times before the first picture would be negative otherwise."""
_OPTIONS = {
    "movflags": "empty_moov+default_base_moof+frag_every_frame+frag_discont+skip_trailer",
    "video_track_timescale": str(TICKS_PER_SECOND),
    "avoid_negative_ts": "disabled",
    "use_editlist": "0",
    "flush_packets": "1",
}


class SegmentWriter:
    """Writes the parts of one connection as segments into a camera's directory.

    Files are named after the fencing number and the wall time of their beginning in milliseconds, so
    those of a watcher that was given up can never be mistaken for its successor's.
    """

    def __init__(
        self, directory: Path, camera_id: int, fence: int, template: av.video.stream.VideoStream
    ) -> None:
        self._directory = directory / str(camera_id)
        self._fence = fence
        self._buffer = _Buffer()
        self._file: io.BufferedWriter | None = None
        self._whole = 0
        self.path: Path | None = None
        """The segment that is being written."""
        with translated("segment"):
            self._muxer = av.open(self._buffer, "w", format="mp4", options=_OPTIONS)
            try:
                self._stream = self._muxer.add_stream_from_template(template, opaque=True)
                self._muxer.start_encoding()
            except BaseException:
                # Older PyAV brings the process down when a muxer is dropped that is still open.
                self._muxer.close()
                raise
        self._init = self._buffer.take()

    def write(self, part: Part) -> Path | None:
        """Append a part; gives the segment that it completed, if it begins a new one.

        Raises StorageError where the disk does not take it.
        """
        complete = None
        with _disk():
            for index, packet in enumerate(part.packets):
                encoded = av.Packet(packet.data)
                encoded.pts, encoded.dts = packet.pts + _OFFSET, packet.dts + _OFFSET
                encoded.duration, encoded.time_base = packet.duration, TICK
                encoded.is_keyframe = packet.keyframe
                encoded.stream = self._stream
                with translated("segment"):
                    self._muxer.mux_one(encoded)
                if index == 0 and (part.starts_segment or self._file is None):
                    # What came out of the muxer just now is the last picture of the segment before.
                    complete = self._finish_file()
                    self._begin_file(part)
            self._append()
        return complete

    def close(self) -> Path | None:
        """Write what the muxer still holds; gives the segment that this completed."""
        with _disk(), translated("segment"):
            self._muxer.close()
            return self._finish_file()

    def abandon(self) -> Path | None:
        """Stop after a failure; gives the segment it leaves, cut back to the parts that are whole in it.

        None where nothing is left. Raises StorageError where the disk does not take even that.
        """
        path, file = self.path, self._file
        self.path = self._file = None
        with suppress(av.FFmpegError):
            self._muxer.close()
        # Closing tries once more to write what the disk refused; the descriptor is closed either way.
        with suppress(OSError):
            if file is not None:
                file.close()
        with _disk():
            if path is not None and file is not None and self._whole:
                os.truncate(path, self._whole)
                return path
            if path is not None:
                path.unlink(missing_ok=True)
        return None

    def _begin_file(self, part: Part) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.path = self._directory / f"{self._fence}-{part.start_us // 1000}.mp4"
        self._whole = 0
        self._file = self.path.open("wb")
        self._file.write(self._init)

    def _append(self) -> None:
        if self._file is not None:
            self._file.write(self._buffer.take())
            self._file.flush()
            self._whole = self._file.tell()

    def _finish_file(self) -> Path | None:
        self._append()
        path = self.path
        if self._file is not None:
            self._file.close()
        self.path = self._file = None
        return path


class _Buffer(io.RawIOBase):
    """Where the muxer writes to; emptied after every call."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


@contextmanager
def _disk() -> Iterator[None]:
    """Turn what a disk can say into a StorageError, with the reason in words."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else f"segments cannot be written: {error.strerror}"
        raise StorageError(reason) from error
